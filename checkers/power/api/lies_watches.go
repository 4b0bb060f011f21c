package apipower

import (
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
)

// watchLies are about the events of watches.
func watchLies() []Lie {
	return []Lie{
		{Name: "two events change places", Breaks: "Ordered", Tell: inEvents(2, swap)},
		{Name: "an event comes late", Breaks: "Ordered", Tell: inEvents(4, delay)},
		{Name: "an event comes early", Breaks: "Ordered", Tell: inEvents(4, hurry)},
		{Name: "an event comes twice in a row", Breaks: "Unique", Tell: inEvents(1, again(0))},
		{Name: "an event comes again one later", Breaks: "Unique", Tell: inEvents(3, again(1))},
		{Name: "an event comes again much later", Breaks: "Unique", Tell: inEvents(8, again(6))},

		{Name: "a change is told as an addition", Breaks: "Transitions", Tell: retype("MODIFIED", "ADDED")},
		{Name: "an addition is told as a change", Breaks: "Transitions", Tell: retype("ADDED", "MODIFIED")},
		{Name: "a deletion is told as a change", Breaks: "Transitions", Tell: retype("DELETED", "MODIFIED")},
		{Name: "a change is told as a deletion", Breaks: "Transitions", Tell: retype("MODIFIED", "DELETED")},
		{Name: "a deletion carries the revision before it", Breaks: "Transitions", Tell: deletedAtPrevious},
		{Name: "a deletion carries the content of a version long before", Breaks: "Transitions", Tell: deletedWithOlder},
		{Name: "an event of what is not selected comes", Breaks: "Transitions", Tell: foreignEvent},

		{Name: "an event is missing", Breaks: "Delivered", Tell: inEvents(2, drop(1))},
		{Name: "some events in a row are missing", Breaks: "Delivered", Tell: inEvents(6, drop(4))},
		{Name: "the first event after N is missing", Breaks: "Delivered", Tell: dropFirst},
		{Name: "a watch falls silent, and no fault is left", Breaks: "Delivered", Tell: silence},
		{Name: "an event has the content of an older version", Breaks: "Delivered", Tell: oldContent},
	}
}

func isEvent(m *history.APIWatch) bool {
	return m.Type == "ADDED" || m.Type == "MODIFIED" || m.Type == "DELETED"
}

// rest are the places of the events after the initial ones: those of a plain
// watch, and what comes after the bookmark in others.
func rest(c *history.APICall, ms []*history.APIWatch) []int {
	var at []int
	after := plain(c)
	for i, m := range ms {
		if m.InitialEnd {
			after = true
		}
		if after && isEvent(m) {
			at = append(at, i)
		}
	}
	return at
}

// inEvents tells a lie in the events of a watch that has at least some.
func inEvents(least int, lie func(t *teller, ms []*history.APIWatch, at []int) []*history.APIWatch) func(*teller) bool {
	return func(t *teller) bool {
		c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool { return len(rest(c, ms)) >= least })
		if ok {
			t.restream(c, lie(t, ms, rest(c, ms)))
		}
		return ok
	}
}

func move(ms []*history.APIWatch, from, to int) []*history.APIWatch {
	m := ms[from]
	return slices.Insert(slices.Delete(ms, from, from+1), to, m)
}

func swap(t *teller, ms []*history.APIWatch, at []int) []*history.APIWatch {
	i := t.rng.IntN(len(at) - 1)
	ms[at[i]], ms[at[i+1]] = ms[at[i+1]], ms[at[i]]
	return ms
}

func delay(t *teller, ms []*history.APIWatch, at []int) []*history.APIWatch {
	i := t.rng.IntN(len(at) - 3)
	return move(ms, at[i], at[i+3])
}

func hurry(t *teller, ms []*history.APIWatch, at []int) []*history.APIWatch {
	i := t.rng.IntN(len(at) - 3)
	return move(ms, at[i+3], at[i])
}

func again(later int) func(*teller, []*history.APIWatch, []int) []*history.APIWatch {
	return func(t *teller, ms []*history.APIWatch, at []int) []*history.APIWatch {
		i := t.rng.IntN(len(at) - later)
		return slices.Insert(ms, at[i+later]+1, copyOf(ms[at[i]]))
	}
}

func drop(n int) func(*teller, []*history.APIWatch, []int) []*history.APIWatch {
	return func(t *teller, ms []*history.APIWatch, at []int) []*history.APIWatch {
		gone := at[t.rng.IntN(len(at)-n):]
		gone = gone[:n]
		var left []*history.APIWatch
		for i, m := range ms {
			if !slices.Contains(gone, i) {
				left = append(left, m)
			}
		}
		return left
	}
}

func dropFirst(t *teller) bool {
	c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool { return plain(c) && len(rest(c, ms)) > 1 })
	if ok {
		i := rest(c, ms)[0]
		t.restream(c, slices.Delete(ms, i, i+1))
	}
	return ok
}

// silence lets a watch show nothing more, from an event on that it owed long
// before its client gave it up.
func silence(t *teller) bool {
	overdue := func(c *history.APICall, ms []*history.APIWatch) []int {
		end := ms[len(ms)-1]
		if t.b.Calm == 0 || end.Type != history.APIWatchClosed || end.Error != history.ClosedByClient || end.At.Sub(max(c.Returned, t.b.Calm)) <= delivery {
			return nil
		}
		return slices.DeleteFunc(rest(c, ms), func(i int) bool {
			_, committed, known := t.b.Window.Commit(ms[i].Object.Version)
			return !known || end.At.Sub(committed) <= delivery
		})
	}
	c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool { return len(overdue(c, ms)) > 0 })
	if ok {
		i, _ := draw(t, overdue(c, ms), func(int) bool { return true })
		t.restream(c, append(ms[:i], ms[len(ms)-1]))
	}
	return ok
}

// event draws an event after the initial ones.
func (t *teller) event(fits func(*history.APICall, *history.APIWatch) bool) (*history.APICall, []*history.APIWatch, int, bool) {
	c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool {
		return slices.ContainsFunc(rest(c, ms), func(i int) bool { return fits(c, ms[i]) })
	})
	if !ok {
		return nil, nil, 0, false
	}
	i, _ := draw(t, rest(c, ms), func(i int) bool { return fits(c, ms[i]) })
	ms[i] = copyOf(ms[i])
	return c, ms, i, true
}

func eventName(c *history.APICall, m *history.APIWatch) name {
	return name{kindOf(c), m.Object.Namespace, m.Object.Name}
}

// retype changes the type of an event, and the object to what it would have.
func retype(from, to string) func(*teller) bool {
	return func(t *teller) bool {
		c, ms, i, ok := t.event(func(_ *history.APICall, m *history.APIWatch) bool { return m.Type == from })
		if !ok {
			return false
		}
		ms[i].Type = to
		rev := ms[i].Object.Version
		v := t.f.at(eventName(c, ms[i]), rev)
		if to == "DELETED" {
			v = t.f.at(eventName(c, ms[i]), rev-1)
		}
		if v != nil {
			ms[i].Object = show(v)
			ms[i].Object.Version = rev
		}
		t.restream(c, ms)
		return true
	}
}

func deletedAtPrevious(t *teller) bool {
	c, ms, i, ok := t.event(func(_ *history.APICall, m *history.APIWatch) bool { return m.Type == "DELETED" })
	if !ok {
		return false
	}
	v := t.f.at(eventName(c, ms[i]), ms[i].Object.Version-1)
	if v == nil {
		return false
	}
	ms[i].Object.Version = v.Revision
	t.restream(c, ms)
	return true
}

// changed are the earlier versions of an object with other content.
func (t *teller) changed(c *history.APICall, m *history.APIWatch) []*history.Version {
	return slices.DeleteFunc(slices.Clone(t.f.objects[eventName(c, m)]), func(v *history.Version) bool {
		return v.Delete || v.Revision >= m.Object.Version || v.Content == m.Object.Content
	})
}

func withContent(fits func(*history.APIWatch) bool) func(*teller) bool {
	return func(t *teller) bool {
		c, ms, i, ok := t.event(func(c *history.APICall, m *history.APIWatch) bool { return fits(m) && len(t.changed(c, m)) > 0 })
		if ok {
			v, _ := draw(t, t.changed(c, ms[i]), func(*history.Version) bool { return true })
			ms[i].Object.Content = v.Content
			t.restream(c, ms)
		}
		return ok
	}
}

func deletedWithOlder(t *teller) bool {
	return withContent(func(m *history.APIWatch) bool { return m.Type == "DELETED" })(t)
}

// oldContent leaves deletions out: which content these have to show is what
// Transitions says.
func oldContent(t *teller) bool {
	return withContent(func(m *history.APIWatch) bool { return m.Type != "DELETED" })(t)
}

// foreignEvent inserts an addition that the selector or the namespace leaves out.
func foreignEvent(t *teller) bool {
	fits := func(c *history.APICall, v *history.Version, from, to int64) bool {
		return !v.Delete && v.Resource == c.Resource && v.Group == c.Group && v.Revision > from && v.Revision < to &&
			(c.Namespace != "" && v.Namespace != c.Namespace || !selects(c, v)) && t.f.at(nameMust(v), v.Revision-1) == nil
	}
	between := func(c *history.APICall, ms []*history.APIWatch) *history.Version {
		at := rest(c, ms)
		if len(at) < 2 {
			return nil
		}
		v, _ := draw(t, t.b.Versions, func(v *history.Version) bool {
			return fits(c, v, ms[at[0]].Object.Version, ms[at[len(at)-1]].Object.Version)
		})
		return v
	}
	c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool {
		return (c.Namespace != "" || c.LabelSelector != "" || c.FieldSelector != "") && between(c, ms) != nil
	})
	if !ok {
		return false
	}
	v := between(c, ms)
	i := slices.IndexFunc(ms, func(m *history.APIWatch) bool { return isEvent(m) && m.Object.Version > v.Revision })
	for i > 0 && !isEvent(ms[i-1]) {
		i-- // not behind a bookmark of the revision
	}
	t.restream(c, slices.Insert(ms, i, &history.APIWatch{Call: c.ID, Type: "ADDED", At: ms[i].At, Object: show(v)}))
	return true
}

func nameMust(v *history.Version) name {
	n, _ := nameOf(v)
	return n
}

// beyond returns a revision beyond what a watch can have seen.
func (t *teller) beyond(ms []*history.APIWatch) string {
	return strconv.FormatInt(t.b.Window.Hi(ms[len(ms)-1].At)+t.upTo(1000), 10)
}
