package apipower

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// listLies are about what a list holds, and how its pages fit together.
func listLies() []Lie {
	return []Lie{
		{Name: "an object is left out", Breaks: "Snapshot", Tell: inList(nil, leaveOut)},
		{Name: "an object is shown as it was before", Breaks: "Snapshot", Tell: inList(hasOlder, showOlder)},
		{Name: "an object is shown as it became later", Breaks: "Snapshot", Tell: inList(hasNewer, showNewer)},
		{Name: "an object that was deleted is shown", Breaks: "Snapshot", Tell: withGhost},
		{Name: "an object has the content of an older version", Breaks: "Snapshot", Tell: inList(hasOlder, mixContent)},
		{Name: "an object is shown twice", Breaks: "Snapshot", Tell: inList(nil, twice)},
		{Name: "the header is newer than the body", Breaks: "Snapshot", Tell: tornList},
		{Name: "the digest of a long list holds an older version", Breaks: "Snapshot", Tell: longList},

		{Name: "a page is of a later state, header and body", Breaks: "Paged", Tell: tornPage(true)},
		{Name: "a page has the body of a later state", Breaks: "Paged", Tell: tornPage(false)},
		{Name: "a page begins with the last object of the one before", Breaks: "Paged", Tell: pageLie(repeatFirst)},
		{Name: "a page leaves out its first object", Breaks: "Paged", Tell: pageLie(skipFirst)},
		{Name: "the last page comes too early", Breaks: "Paged", Tell: pageLie(endEarly)},
		{Name: "a list is whole, though a limit was asked for", Breaks: "Paged", Tell: unlimited},
	}
}

// An itemLie changes the item i of a list.
type itemLie func(t *teller, c *history.APICall, i int)

func item(c *history.APICall, i int) name {
	return name{kindOf(c), c.Items[i].Namespace, c.Items[i].Name}
}

// versionsOf are the versions of an item of the same life or others, before or
// after the one that is shown.
func (t *teller) versionsOf(c *history.APICall, i int, newer bool) []*history.Version {
	return slices.DeleteFunc(slices.Clone(t.f.objects[item(c, i)]), func(v *history.Version) bool {
		return v.Delete || v.Revision == c.Items[i].Version || (v.Revision > c.Items[i].Version) != newer || !selects(c, v) ||
			v.Content == c.Items[i].Content
	})
}

func hasOlder(t *teller, c *history.APICall, i int) bool { return len(t.versionsOf(c, i, false)) > 0 }
func hasNewer(t *teller, c *history.APICall, i int) bool { return len(t.versionsOf(c, i, true)) > 0 }

// inList tells a lie about one item of a list of which all items are kept.
func inList(fits func(*teller, *history.APICall, int) bool, lie itemLie) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.listed(func(c *history.APICall) bool {
			if len(c.Items) == 0 || c.Continue != 0 && t.f.prior(c) == nil {
				return false
			}
			return fits == nil || anyItem(t, c, fits) >= 0
		})
		if !ok {
			return false
		}
		i := t.rng.IntN(len(c.Items))
		if fits != nil {
			i = anyItem(t, c, fits)
		}
		lie(t, c, i)
		return true
	}
}

func anyItem(t *teller, c *history.APICall, fits func(*teller, *history.APICall, int) bool) int {
	start := t.rng.IntN(len(c.Items))
	for k := range c.Items {
		if i := (start + k) % len(c.Items); fits(t, c, i) {
			return i
		}
	}
	return -1
}

func leaveOut(_ *teller, c *history.APICall, i int) { c.Items = slices.Delete(c.Items, i, i+1) }

func showOlder(t *teller, c *history.APICall, i int) {
	vs := t.versionsOf(c, i, false)
	c.Items[i] = show(vs[len(vs)-1])
}

func showNewer(t *teller, c *history.APICall, i int) {
	c.Items[i] = show(t.versionsOf(c, i, true)[0])
}

func mixContent(t *teller, c *history.APICall, i int) {
	v, _ := draw(t, t.versionsOf(c, i, false), func(*history.Version) bool { return true })
	c.Items[i].Content = v.Content
}

func twice(_ *teller, c *history.APICall, i int) { c.Items = slices.Insert(c.Items, i, c.Items[i]) }

// withGhost shows the last version of an object that had been deleted.
func withGhost(t *teller) bool {
	ghost := func(c *history.APICall) *history.Version {
		for _, n := range t.f.names[kindOf(c)] {
			if c.Namespace != "" && n.namespace != c.Namespace || t.f.at(n, c.ListVersion) != nil {
				continue
			}
			var last *history.Version
			for _, v := range t.f.objects[n] {
				if !v.Delete && v.Revision < c.ListVersion && selects(c, v) {
					last = v
				}
			}
			if last != nil {
				return last
			}
		}
		return nil
	}
	c, ok := t.listed(func(c *history.APICall) bool {
		return c.Continue == 0 && c.NextPage == 0 && len(c.Chunks) == 0 && c.Limit == 0 && ghost(c) != nil
	})
	if ok {
		o := show(ghost(c))
		i, _ := slices.BinarySearchFunc(c.Items, o.Key(), func(a history.APIObject, k string) int {
			if a.Key() < k {
				return -1
			}
			return 1
		})
		c.Items = slices.Insert(c.Items, i, o)
	}
	return ok
}

// tornList moves the body of a list into the past and leaves its header.
func tornList(t *teller) bool {
	c, ok := t.listed(func(c *history.APICall) bool {
		return c.Continue == 0 && c.NextPage == 0 && c.ListVersion > t.b.Versions[0].Revision+60 && len(c.Items) > 0
	})
	if ok {
		header := c.ListVersion
		t.answer(c, header-t.upTo(50), "")
		c.ListVersion = header
	}
	return ok
}

// longList changes one version behind the digests of a list.
func longList(t *teller) bool {
	c, ok := t.listed(func(c *history.APICall) bool { return c.Continue == 0 && len(c.Chunks) > 0 })
	if !ok {
		return false
	}
	c.Items = t.f.page(c, c.ListVersion, "")
	i := anyItem(t, c, hasOlder)
	if i < 0 {
		return false
	}
	showOlder(t, c, i)
	c.Items, c.Chunks = nil, history.ChunkObjects(c.Items)
	return true
}

// continued draws a page behind another one of the same list.
func (t *teller) continued(fits func(c, prev *history.APICall) bool) (c, prev *history.APICall, ok bool) {
	c, ok = t.listed(func(c *history.APICall) bool {
		prev := t.f.prior(c)
		return c.Continue != 0 && prev != nil && prev.Status == 200 && len(prev.Items) > 0 && len(c.Chunks) == 0 &&
			c.ListVersion == prev.ListVersion && fits(c, prev)
	})
	if !ok {
		return nil, nil, false
	}
	return c, t.f.prior(c), true
}

// tornPage lets a page answer from a later state than the page before.
func tornPage(header bool) func(*teller) bool {
	return func(t *teller) bool {
		c, prev, ok := t.continued(func(c, _ *history.APICall) bool {
			return c.NextPage == 0 && t.b.Window.Hi(c.Returned) > c.ListVersion
		})
		if !ok {
			return false
		}
		was := c.ListVersion
		t.answer(c, was+t.upTo(int(t.b.Window.Hi(c.Returned)-was)), lastKey(prev))
		if !header {
			c.ListVersion = was
		}
		return true
	}
}

func pageLie(lie func(c, prev *history.APICall) bool) func(*teller) bool {
	return func(t *teller) bool {
		c, prev, ok := t.continued(func(c, prev *history.APICall) bool { return lie(c.Clone(), prev) })
		return ok && lie(c, prev)
	}
}

// repeatFirst keeps within the limit.
func repeatFirst(c, prev *history.APICall) bool {
	c.Items = slices.Insert(c.Items, 0, prev.Items[len(prev.Items)-1])
	if c.Limit > 0 && int64(len(c.Items)) > c.Limit {
		c.Items = c.Items[:c.Limit]
	}
	return true
}

func skipFirst(c, _ *history.APICall) bool {
	if len(c.Items) == 0 {
		return false
	}
	c.Items = c.Items[1:]
	return true
}

func endEarly(c, _ *history.APICall) bool {
	if c.NextPage == 0 {
		return false
	}
	c.NextPage = 0
	return true
}

// unlimited answers the whole list where its limit must be kept.
func unlimited(t *teller) bool {
	whole := func(c *history.APICall) []history.APIObject {
		all := t.f.state(c, c.ListVersion)
		if prev := t.f.prior(c); prev != nil {
			all = slices.DeleteFunc(slices.Clone(all), func(o history.APIObject) bool { return o.Key() <= lastKey(prev) })
		}
		return all
	}
	c, ok := t.listed(func(c *history.APICall) bool {
		prev := t.f.prior(c)
		return c.Limit > 0 && c.NextPage != 0 && len(c.Chunks) == 0 && c.ResourceVersion != "0" &&
			(c.Continue == 0 || prev != nil && prev.Status == 200 && prev.ListVersion == c.ListVersion) &&
			int64(len(whole(c))) > c.Limit && len(whole(c)) <= history.MaxListed
	})
	if ok {
		c.Items, c.NextPage = whole(c), 0
	}
	return ok
}
