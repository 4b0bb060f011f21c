package apipower

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
)

// readLies are about the age of what GET and LIST show.
func readLies() []Lie {
	recent := func(c *history.APICall) bool { return c.ResourceVersion == "" && c.Continue == 0 }
	bounded := func(c *history.APICall) bool {
		_, ok := number(c.ResourceVersion)
		return ok && !exact(c) && c.Continue == 0
	}
	old := func(c *history.APICall) bool { return c.ResourceVersion == "0" && c.Continue == 0 }
	return []Lie{
		{Name: "a GET shows a version that was replaced", Breaks: "MostRecent", Tell: staleGet(recent)},
		{Name: "a GET does not find what is there", Breaks: "MostRecent", Tell: blindGet(recent)},
		{Name: "a GET shows what was deleted", Breaks: "MostRecent", Tell: ghostGet(recent)},
		{Name: "a GET shows the right version with old content", Breaks: "MostRecent", Tell: mixedGet(recent)},
		{Name: "a LIST is of an older state, header and body", Breaks: "MostRecent", Tell: movedList(recent, past)},
		{Name: "a LIST is of a state that is still to come", Breaks: "MostRecent", Tell: movedList(recent, future)},

		{Name: "a GET shows a version that was replaced before N", Breaks: "NotOlderThan", Tell: staleGet(bounded)},
		{Name: "a GET does not find what is there since N", Breaks: "NotOlderThan", Tell: blindGet(bounded)},
		{Name: "a LIST is of a state before N, header and body", Breaks: "NotOlderThan", Tell: movedList(bounded, past)},
		{Name: "a GET was asked for more than it showed", Breaks: "NotOlderThan", Tell: raisedGet(bounded)},
		{Name: "a LIST was asked for more than it showed", Breaks: "NotOlderThan", Tell: raisedList(bounded)},

		{Name: "a LIST of N is of a state before, header and body", Breaks: "Exact", Tell: movedList(exact, past)},
		{Name: "a LIST of N is of a state after, header and body", Breaks: "Exact", Tell: movedList(exact, later)},
		{Name: "a LIST of N is of the newest state", Breaks: "Exact", Tell: movedList(exact, newest)},
		{Name: "a LIST was asked for another revision than it showed", Breaks: "Exact", Tell: raisedList(exact)},

		{Name: "a GET shows a version that is still to come", Breaks: "Any", Tell: futureGet(old)},
		{Name: "a GET shows a version with the content of another", Breaks: "Any", Tell: mixedGet(old)},
		{Name: "a GET shows the uid of another object", Breaks: "Any", Tell: foreignGet(old)},
		{Name: "a LIST is of a state that is still to come", Breaks: "Any", Tell: movedList(old, future)},
	}
}

type pick func(*history.APICall) bool

// got draws a GET that showed an object, and returns the versions of its name.
func (t *teller) got(fits pick, also func(*history.APICall, []*history.Version) bool) (*history.APICall, []*history.Version, bool) {
	c, ok := t.edit(func(c *history.APICall) bool {
		return c.Verb == "get" && c.Subresource == "" && c.Status == 200 && c.Object.UID != "" && judged(c) && fits(c) &&
			also(c, t.f.objects[called(c)])
	})
	if !ok {
		return nil, nil, false
	}
	return c, t.f.objects[called(c)], true
}

// older are versions that ended before the revisions that a call may show.
func (t *teller) older(c *history.APICall, vs []*history.Version) []*history.Version {
	lo, _ := bounds(t.b.Window, c)
	var found []*history.Version
	for i, v := range vs {
		if !v.Delete && i+1 < len(vs) && vs[i+1].Revision <= lo {
			found = append(found, v)
		}
	}
	return found
}

// staleGet shows one of the three last versions that were replaced. Sometimes
// one comes with them that is just being replaced: then the answer may be right.
func staleGet(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		before := func(c *history.APICall, vs []*history.Version) []*history.Version {
			return slices.DeleteFunc(slices.Clone(vs), func(v *history.Version) bool {
				return v.Delete || v.Revision >= c.Object.Version
			})
		}
		c, vs, ok := t.got(fits, func(c *history.APICall, vs []*history.Version) bool { return len(before(c, vs)) > 0 })
		if ok {
			vs = before(c, vs)
			c.Object = show(vs[len(vs)-int(t.upTo(min(3, len(vs))))])
		}
		return ok
	}
}

func notFound(c *history.APICall) {
	c.Status, c.Reason, c.Object = 404, "NotFound", history.APIObject{}
	c.DetailsName, c.DetailsKind = c.Name, c.Resource
	c.Message = fmt.Sprintf("%s %q not found", c.Resource, c.Name)
}

func blindGet(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		c, _, ok := t.got(fits, func(c *history.APICall, vs []*history.Version) bool { return len(vs) > 1 })
		if ok {
			notFound(c)
		}
		return ok
	}
}

func ghostGet(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.edit(func(c *history.APICall) bool {
			return c.Verb == "get" && c.Status == 404 && c.Reason == "NotFound" && c.Subresource == "" && judged(c) && fits(c) &&
				len(t.older(c, t.f.objects[called(c)])) > 0
		})
		if !ok {
			return false
		}
		vs := t.older(c, t.f.objects[called(c)])
		c.Status, c.Reason, c.Message, c.DetailsKind, c.DetailsName = 200, "", "", "", ""
		c.Object = show(vs[len(vs)-1])
		return true
	}
}

func mixedGet(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		other := func(c *history.APICall) func(*history.Version) bool {
			return func(v *history.Version) bool { return !v.Delete && v.Content != c.Object.Content }
		}
		c, vs, ok := t.got(fits, func(c *history.APICall, vs []*history.Version) bool { return slices.ContainsFunc(vs, other(c)) })
		if ok {
			v, _ := draw(t, vs, other(c))
			c.Object.Content = v.Content
		}
		return ok
	}
}

func foreignGet(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		c, _, ok := t.got(fits, func(*history.APICall, []*history.Version) bool { return true })
		if !ok {
			return false
		}
		v, ok := draw(t, t.versions, func(v *history.Version) bool { return v.UID != "" && v.UID != c.Object.UID })
		if ok {
			c.Object.UID = v.UID
		}
		return ok
	}
}

func futureGet(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		later := func(c *history.APICall) func(*history.Version) bool {
			return func(v *history.Version) bool { return !v.Delete && v.Revision > t.b.Window.Hi(c.Returned) }
		}
		c, vs, ok := t.got(fits, func(c *history.APICall, vs []*history.Version) bool { return slices.ContainsFunc(vs, later(c)) })
		if ok {
			v, _ := draw(t, vs, later(c))
			c.Object = show(v)
		}
		return ok
	}
}

// raisedGet lets the request ask for a revision after the end of what it got.
func raisedGet(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		room := func(c *history.APICall, vs []*history.Version) int64 {
			v := t.f.at(called(c), c.Object.Version)
			if v == nil {
				return 0
			}
			return t.b.Window.Hi(c.Returned) - t.f.end(called(c), v)
		}
		c, vs, ok := t.got(fits, func(c *history.APICall, vs []*history.Version) bool { return room(c, vs) > 0 })
		if ok {
			c.ResourceVersion = strconv.FormatInt(t.b.Window.Hi(c.Returned)+1-t.upTo(int(room(c, vs))), 10)
		}
		return ok
	}
}

// listed draws a LIST with an answer.
func (t *teller) listed(fits func(*history.APICall) bool) (*history.APICall, bool) {
	return t.edit(func(c *history.APICall) bool {
		return c.Verb == "list" && c.Status == 200 && c.ListVersion > 0 && judged(c) && len(t.f.names[kindOf(c)]) > 0 && fits(c)
	})
}

// raisedList lets the request ask for a revision that is not that of the list.
func raisedList(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.listed(func(c *history.APICall) bool { return fits(c) && t.b.Window.Hi(c.Returned) > c.ListVersion })
		if ok {
			c.ResourceVersion = strconv.FormatInt(c.ListVersion+t.upTo(int(t.b.Window.Hi(c.Returned)-c.ListVersion)), 10)
		}
		return ok
	}
}

// A target draws another revision for a list, 0: there is none.
type target func(t *teller, c *history.APICall) int64

// past is up to 50 revisions before what the list may be of.
func past(t *teller, c *history.APICall) int64 {
	lo, _ := bounds(t.b.Window, c)
	if lo <= t.b.Versions[0].Revision+60 {
		return 0
	}
	return lo - t.upTo(50)
}

func future(t *teller, c *history.APICall) int64 {
	hi := t.b.Window.Hi(c.Returned)
	if hi >= t.f.last {
		return 0
	}
	return hi + t.upTo(int(min(50, t.f.last-hi)))
}

// later is after what was asked for, and not of the future.
func later(t *teller, c *history.APICall) int64 {
	hi := t.b.Window.Hi(c.Returned)
	if hi <= c.ListVersion {
		return 0
	}
	return c.ListVersion + t.upTo(int(min(50, hi-c.ListVersion)))
}

func newest(t *teller, c *history.APICall) int64 {
	if lo := t.b.Window.Lo(c.Called); lo > c.ListVersion {
		return lo
	}
	return 0
}

// movedList shows a list of another revision, header and body.
func movedList(fits pick, to target) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.listed(func(c *history.APICall) bool { return fits(c) && c.NextPage == 0 && to(t, c) > 0 })
		if ok {
			t.answer(c, to(t, c), "")
		}
		return ok
	}
}

// answer lets a list answer from another revision. Where there is more, it
// offers a token that nobody uses.
func (t *teller) answer(c *history.APICall, rev int64, after string) {
	items := t.f.page(c, rev, after)
	c.NextPage = 0
	if len(items) > 0 && t.f.more(c, rev, items[len(items)-1].Key()) {
		c.NextPage = t.rng.Uint64() | 1
	}
	c.ListVersion, c.Items, c.Chunks = rev, items, nil
	if len(items) > history.MaxListed {
		c.Items, c.Chunks = nil, history.ChunkObjects(items)
	}
}
