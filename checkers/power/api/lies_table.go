package apipower

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// tableLies are in the version table and in every answer that shows it.
func tableLies() []Lie {
	return []Lie{
		{Name: "the uid changes in the middle of a life", Breaks: "IdentityStable", Tell: t2(2, newUID(true))},
		{Name: "the uid is another one for one version", Breaks: "IdentityStable", Tell: t2(3, newUID(false))},
		{Name: "the creationTimestamp changes", Breaks: "IdentityStable", Tell: t2(2, newCreation)},
		{Name: "the deletionTimestamp is unset", Breaks: "IdentityStable", Tell: undeleted},
		{Name: "the generation falls", Breaks: "IdentityStable", Tell: t2(2, fallenGeneration)},

		{Name: "a new life has the uid of the old one", Breaks: "UIDUnique", Tell: sameLife},
		{Name: "two objects of a resource have one uid", Breaks: "UIDUnique", Tell: shared(true)},
		{Name: "objects of two resources have one uid", Breaks: "UIDUnique", Tell: shared(false)},

		{Name: "an acknowledged write was never stored", Breaks: "NoLostUpdate", Tell: neverStored},
		{Name: "a write takes back the field of another client", Breaks: "NoLostUpdate", Tell: takenBack},
		{Name: "a write removes the field of another client", Breaks: "NoLostUpdate", Tell: removedField},
		{Name: "what a write set is not there", Breaks: "NoLostUpdate", Tell: ownFieldGone},
		{Name: "two writes are answered with one version", Breaks: "NoLostUpdate", Tell: oneVersion},
	}
}

// life are the versions of one life that holds v.
func (t *teller) life(n name, v *history.Version) []*history.Version {
	var all []*history.Version
	for _, o := range t.f.objects[n] {
		switch {
		case o.Delete && o.Revision > v.Revision:
			return all
		case o.Delete:
			all = nil
		default:
			all = append(all, o)
		}
	}
	return all
}

// alter changes some versions of an object and everything that shows them.
func (t *teller) alter(vs []*history.Version, change func(*history.Version)) {
	for _, v := range vs {
		now := t.revise(v)
		change(now)
		now.Content ^= t.rng.Uint64() | 1
		t.reshow(kind{v.Group, v.Resource}, v, now)
	}
}

// living draws a life with some versions at least, of a resource that clients
// write to.
func (t *teller) living(least int) []*history.Version {
	v, ok := draw(t, t.b.Versions, func(v *history.Version) bool {
		n, ok := nameOf(v)
		return ok && !v.Delete && v.Resource != "events" && v.UID != "" && len(t.f.objects[n]) >= least && len(t.life(n, v)) >= least
	})
	if !ok {
		return nil
	}
	return t.life(nameMust(v), v)
}

// t2 tells a lie about a life.
func t2(least int, lie func(*teller, []*history.Version)) func(*teller) bool {
	return func(t *teller) bool {
		vs := t.living(least)
		if vs == nil {
			return false
		}
		lie(t, vs)
		return true
	}
}

func newUID(lasting bool) func(*teller, []*history.Version) {
	return func(t *teller, vs []*history.Version) {
		i := 1 + t.rng.IntN(len(vs)-1)
		if !lasting {
			i = 1 + t.rng.IntN(len(vs)-2)
			vs = vs[:i+1]
		}
		t.alter(vs[i:], func(v *history.Version) { v.UID = "told-" + v.UID })
	}
}

func newCreation(t *teller, vs []*history.Version) {
	t.alter(vs[1+t.rng.IntN(len(vs)-1):], func(v *history.Version) { v.Created++ })
}

func undeleted(t *teller) bool {
	v, ok := draw(t, t.b.Versions, func(v *history.Version) bool {
		prev := t.f.at(nameMust(v), v.Revision-1)
		return v.Deleting && prev != nil && prev.Deleting && v.Resource != "events"
	})
	if ok {
		t.alter([]*history.Version{v}, func(v *history.Version) { v.Deleting, v.Grace = false, 0 })
	}
	return ok
}

func sameLife(t *teller) bool {
	var earlier *history.Version
	v, ok := draw(t, t.b.Versions, func(v *history.Version) bool {
		return !v.Delete && v.UID != "" && v.Resource != "events" && t.firstLife(v) != nil
	})
	if ok {
		earlier = t.firstLife(v)
		t.alter(t.life(nameMust(v), v), func(v *history.Version) { v.UID = earlier.UID })
	}
	return ok
}

// firstLife is a version of an earlier life than that of v.
func (t *teller) firstLife(v *history.Version) *history.Version {
	for _, o := range t.f.objects[nameMust(v)] {
		if !o.Delete && o.UID != v.UID && o.Revision < v.Revision {
			return o
		}
	}
	return nil
}

func shared(one bool) func(*teller) bool {
	return func(t *teller) bool {
		vs := t.living(1)
		if vs == nil {
			return false
		}
		other, ok := draw(t, t.b.Versions, func(v *history.Version) bool {
			same := v.Group == vs[0].Group && v.Resource == vs[0].Resource
			return !v.Delete && v.UID != "" && v.Resource != "events" && v.Name != vs[0].Name && same == one && v.UID != vs[0].UID
		})
		if ok {
			t.alter(t.life(nameMust(other), other), func(v *history.Version) { v.UID = vs[0].UID })
		}
		return ok
	}
}

func fallenGeneration(t *teller, vs []*history.Version) {
	last := vs[len(vs)-1].Generation
	t.alter(vs[:1+t.rng.IntN(len(vs)-1)], func(v *history.Version) { v.Generation = max(v.Generation, last+1) })
}

// marked draws an acknowledged update whose version stands and holds what it
// set, and returns its version and the one before.
func (t *teller) marked(fits func(c *history.APICall, v, prev *history.Version) bool) (c *history.APICall, v, prev *history.Version, ok bool) {
	pair := func(c *history.APICall) (*history.Version, *history.Version) {
		v := t.f.at(called(c), c.Object.Version)
		if v == nil || v.Revision != c.Object.Version {
			return nil, nil
		}
		return v, t.f.at(called(c), v.Revision-1)
	}
	c, ok = t.answered(func(c *history.APICall) bool {
		v, prev := pair(c)
		return c.Declared && c.Verb != "create" && v != nil && prev != nil && fits(c, v, prev)
	})
	if ok {
		v, prev = pair(c)
	}
	return c, v, prev, ok
}

// from are the versions of a life from one on, as long as a mark has the value
// that it has there.
func (t *teller) from(v *history.Version, mark history.Pair) []*history.Version {
	var all []*history.Version
	for _, o := range t.life(nameMust(v), v) {
		if o.Revision < v.Revision {
			continue
		}
		if !slices.Contains(o.Marks, mark) {
			break
		}
		all = append(all, o)
	}
	return all
}

// remark sets or, with no value, removes a mark.
func remark(v *history.Version, mark, value string) {
	v.Marks = slices.DeleteFunc(v.Marks, func(p history.Pair) bool { return p.Name == mark })
	if value != "" {
		v.Marks = append(v.Marks, history.Pair{Name: mark, Value: value})
	}
}

func value(marks []history.Pair, name string) string {
	for _, p := range marks {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// neverStored takes the version of an acknowledged write out of the table, with
// what it set out of the versions behind it.
func neverStored(t *teller) bool {
	c, v, prev, ok := t.marked(func(_ *history.APICall, v, prev *history.Version) bool { return v.Deleting == prev.Deleting })
	if !ok {
		return false
	}
	for _, p := range c.Sets {
		if later := t.from(v, p); len(later) > 0 { // none, where the call set what was there
			t.alter(later[1:], func(v *history.Version) { remark(v, p.Name, value(prev.Marks, p.Name)) })
		}
	}
	t.lose(v)
	return true
}

// lose takes a version out of the table.
func (t *teller) lose(v *history.Version) {
	t.versions = slices.DeleteFunc(t.versions, func(o *history.Version) bool { return o.Revision == v.Revision && o.Key == v.Key })
	t.rewrites = true
}

// foreign is a mark that a write leaves alone.
func foreign(c *history.APICall, prev *history.Version) (history.Pair, bool) {
	for _, p := range prev.Marks {
		if !slices.ContainsFunc(c.Sets, func(s history.Pair) bool { return s.Name == p.Name }) && !slices.Contains(c.Removes, p.Name) {
			return p, true
		}
	}
	return history.Pair{}, false
}

func takenBack(t *teller) bool {
	// earlier is the value that the mark had before the one that it has.
	earlier := func(prev *history.Version, p history.Pair) string {
		var old string
		for _, o := range t.life(nameMust(prev), prev) {
			if o.Revision > prev.Revision {
				break
			}
			if got := value(o.Marks, p.Name); got != p.Value {
				old = got
			}
		}
		return old
	}
	c, v, prev, ok := t.marked(func(c *history.APICall, v, prev *history.Version) bool {
		p, ok := foreign(c, prev)
		return ok && slices.Contains(v.Marks, p) && earlier(prev, p) != ""
	})
	if ok {
		p, _ := foreign(c, prev)
		old := earlier(prev, p)
		t.alter(t.from(v, p), func(v *history.Version) { remark(v, p.Name, old) })
	}
	return ok
}

func removedField(t *teller) bool {
	c, v, prev, ok := t.marked(func(c *history.APICall, v, prev *history.Version) bool {
		p, ok := foreign(c, prev)
		return ok && slices.Contains(v.Marks, p)
	})
	if ok {
		p, _ := foreign(c, prev)
		t.alter(t.from(v, p), func(v *history.Version) { remark(v, p.Name, "") })
	}
	return ok
}

func ownFieldGone(t *teller) bool {
	c, v, prev, ok := t.marked(func(c *history.APICall, v, prev *history.Version) bool { return slices.Contains(v.Marks, c.Sets[0]) })
	if ok {
		p := c.Sets[0]
		t.alter(t.from(v, p), func(v *history.Version) { remark(v, p.Name, value(prev.Marks, p.Name)) })
	}
	return ok
}

// answeredToo says that another write was answered with the version that one made,
// because it changed nothing.
func (t *teller) answeredToo(c *history.APICall, v *history.Version) bool {
	return slices.ContainsFunc(t.calls, func(o *history.APICall) bool {
		return o.ID != c.ID && write(o) && success(o) && o.Object.UID == v.UID && o.Object.Version == v.Revision
	})
}

// oneVersion answers a write with the version that the next one made, and takes
// its own away.
func oneVersion(t *teller) bool {
	next := func(v *history.Version) *history.Version {
		n := t.f.after(nameMust(v), v.Revision)
		if n == nil || n.Delete {
			return nil
		}
		return n
	}
	c, v, prev, ok := t.marked(func(c *history.APICall, v, prev *history.Version) bool {
		return next(v) != nil && next(v).Revision <= t.b.Window.Hi(c.Returned) && v.Deleting == prev.Deleting && !t.answeredToo(c, v)
	})
	if !ok {
		c, v, prev, ok = t.marked(func(c *history.APICall, v, prev *history.Version) bool {
			return next(v) != nil && v.Deleting == prev.Deleting && !t.answeredToo(c, v)
		})
	}
	if !ok {
		return false
	}
	after := next(v)
	for _, p := range c.Sets {
		if later := t.from(v, p); len(later) > 0 { // none, where the call set what was there
			t.alter(later[1:], func(v *history.Version) { remark(v, p.Name, value(prev.Marks, p.Name)) })
		}
	}
	t.lose(v)
	now := t.versions[slices.IndexFunc(t.versions, func(o *history.Version) bool { return o.Revision == after.Revision && o.Key == after.Key })]
	c, _ = t.edit(func(o *history.APICall) bool { return o.ID == c.ID })
	c.Object = show(now)
	return true
}
