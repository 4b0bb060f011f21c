package apipower

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// initialLies are about the beginning of watches, their bookmarks, and whether
// they are refused with reason.
func initialLies() []Lie {
	numbered := func(c *history.APICall) bool { _, ok := number(c.ResourceVersion); return ok }
	return []Lie{
		{Name: "an object is missing", Breaks: "InitialState", Tell: inInitial(dropInitial)},
		{Name: "an object is shown as it was before", Breaks: "InitialState", Tell: inInitial(ageInitial)},
		{Name: "an object has the content of an older version", Breaks: "InitialState", Tell: inInitial(mixInitial)},
		{Name: "an object that was deleted is shown", Breaks: "InitialState", Tell: inInitial(ghostInitial)},
		{Name: "the state is older than the newest, with all events since", Breaks: "InitialState", Tell: staleInitial},

		{Name: "the end comes before the last object", Breaks: "InitialEventsEnd", Tell: earlyEnd},
		{Name: "the end names a later revision than that of the state", Breaks: "InitialEventsEnd", Tell: olderState},
		{Name: "the end names a revision before what was asked for", Breaks: "InitialEventsEnd", Tell: lowEnd},
		{Name: "the end names a revision whose events are still to come", Breaks: "InitialEventsEnd", Tell: aheadEnd},

		{Name: "a bookmark has the revision of the next event", Breaks: "BookmarkNotAhead", Tell: bookmark(1)},
		{Name: "a bookmark has the revision of an event some later", Breaks: "BookmarkNotAhead", Tell: bookmark(4)},
		{Name: "a bookmark comes before the event that it covers", Breaks: "BookmarkNotAhead", Tell: hurriedBookmark},
		{Name: "a bookmark names a revision that is still to come", Breaks: "BookmarkNotAhead", Tell: futureBookmark},

		{Name: "a watch from the newest state is too old", Breaks: "WatchExpiredHonest",
			Tell: errs(func(c *history.APICall) bool { return c.ResourceVersion == "" }, 410, "Expired", false)},
		{Name: "a watch from any state is too old", Breaks: "WatchExpiredHonest",
			Tell: errs(func(c *history.APICall) bool { return c.ResourceVersion == "0" }, 410, "Expired", false)},
		{Name: "a watch from the future is too old", Breaks: "WatchExpiredHonest", Tell: errs(numbered, 410, "Expired", true)},

		{Name: "initial events of a revision that does not exist come", Breaks: "WatchTooNewHonest", Tell: initialFromFuture},
		{Name: "a plain watch from the future is refused", Breaks: "WatchTooNewHonest", Tell: errs(plain, 504, "Timeout", true)},
		{Name: "a plain watch from the past is too new", Breaks: "WatchTooNewHonest", Tell: errs(plain, 504, "Timeout", false)},
	}
}

// initials are the places of the initial events, known where a bookmark ends
// them.
func initials(ms []*history.APIWatch) []int {
	end := slices.IndexFunc(ms, func(m *history.APIWatch) bool { return m.InitialEnd })
	var at []int
	for i := 0; i < end; i++ {
		if ms[i].Type == "ADDED" {
			at = append(at, i)
		}
	}
	return at
}

// inInitial tells a lie among the initial events that leaves no state which the
// watch may begin with. Where what is left is an older state and that is as good,
// the lie is one of what the end names: see olderState.
func inInitial(lie func(t *teller, c *history.APICall, ms []*history.APIWatch, i int) []*history.APIWatch) func(*teller) bool {
	return func(t *teller) bool {
		c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool { return !plain(c) && len(initials(ms)) > 0 })
		if !ok {
			return false
		}
		at := initials(ms)
		for _, k := range t.rng.Perm(len(at)) {
			told := slices.Clone(ms)
			told[at[k]] = copyOf(told[at[k]])
			if told = lie(t, c, told, at[k]); told != nil && !t.f.begins(t.b.Window, c, told) {
				t.restream(c, told)
				return true
			}
		}
		return false
	}
}

func dropInitial(_ *teller, _ *history.APICall, ms []*history.APIWatch, i int) []*history.APIWatch {
	return slices.Delete(ms, i, i+1)
}

func ageInitial(t *teller, c *history.APICall, ms []*history.APIWatch, i int) []*history.APIWatch {
	vs := t.changed(c, ms[i])
	if len(vs) == 0 {
		return nil
	}
	ms[i].Object = show(vs[len(vs)-1])
	return ms
}

func mixInitial(t *teller, c *history.APICall, ms []*history.APIWatch, i int) []*history.APIWatch {
	vs := t.changed(c, ms[i])
	if len(vs) == 0 {
		return nil
	}
	ms[i].Object.Content = vs[len(vs)-1].Content
	return ms
}

// ghostInitial puts an object that had been deleted before an initial one.
func ghostInitial(t *teller, c *history.APICall, ms []*history.APIWatch, i int) []*history.APIWatch {
	end := slices.IndexFunc(ms, func(m *history.APIWatch) bool { return m.InitialEnd })
	rev := ms[end].Object.Version
	n, ok := draw(t, t.f.names[kindOf(c)], func(n name) bool {
		return (c.Namespace == "" || n.namespace == c.Namespace) && t.ghost(c, n, rev) != nil
	})
	if !ok {
		return nil
	}
	m := copyOf(ms[i])
	m.Object = show(t.ghost(c, n, rev))
	return slices.Insert(ms, i, m)
}

// ghost is the last version of an object that was gone at a revision.
func (t *teller) ghost(c *history.APICall, n name, rev int64) *history.Version {
	if t.f.at(n, rev) != nil {
		return nil
	}
	var last *history.Version
	for _, v := range t.f.objects[n] {
		if !v.Delete && v.Revision < rev && selects(c, v) {
			last = v
		}
	}
	return last
}

// staleInitial begins a watch some changes before what it has to begin with,
// and tells everything since.
func staleInitial(t *teller) bool {
	missed := func(c *history.APICall) []event {
		need := required(t.b.Window, c)
		return slices.DeleteFunc(t.f.owed(c), func(e event) bool { return e.object.Version > need })
	}
	c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool {
		return !plain(c) && c.ResourceVersion != "0" && len(initials(ms)) > 0 && len(missed(c)) > 2
	})
	if !ok {
		return false
	}
	end := slices.IndexFunc(ms, func(m *history.APIWatch) bool { return m.InitialEnd })
	before := missed(c)
	k := len(before) - int(t.upTo(min(5, len(before)-1)))
	rev := before[k].object.Version - 1
	first := ms[initials(ms)[0]]
	lied := slices.Clone(ms[:initials(ms)[0]])
	add := func(kind string, o history.APIObject) {
		m := copyOf(first)
		m.Type, m.Object = kind, o
		lied = append(lied, m)
	}
	for _, o := range t.f.state(c, rev) {
		add("ADDED", o)
	}
	bookmark := copyOf(ms[end])
	bookmark.Object.Version = rev
	lied = append(lied, bookmark)
	for _, e := range t.f.owed(c) {
		if e.object.Version > rev && e.object.Version <= ms[end].Object.Version {
			add(e.kind, e.object)
		}
	}
	t.restream(c, append(lied, ms[end+1:]...))
	return true
}

// olderState begins a watch from any state with one that is some changes older
// than the end of its initial events says.
func olderState(t *teller) bool {
	before := func(c *history.APICall, end int64) []event {
		return slices.DeleteFunc(t.f.owed(c), func(e event) bool { return e.object.Version > end })
	}
	c, ms, i, ok := t.ended(func(c *history.APICall, ms []*history.APIWatch, end int) bool {
		return c.ResourceVersion == "0" && len(initials(ms)) > 0 && len(before(c, ms[end].Object.Version)) > 1
	})
	if !ok {
		return false
	}
	since := before(c, ms[i].Object.Version)
	first := initials(ms)[0]
	told := slices.Clone(ms[:first])
	for _, o := range t.f.state(c, since[len(since)-int(t.upTo(min(5, len(since)-1)))].object.Version-1) {
		m := copyOf(ms[first])
		m.Object = o
		told = append(told, m)
	}
	t.restream(c, append(told, ms[i:]...))
	return true
}

// ended draws a watch with the end of initial events, and copies that.
func (t *teller) ended(fits func(c *history.APICall, ms []*history.APIWatch, end int) bool) (*history.APICall, []*history.APIWatch, int, bool) {
	at := func(ms []*history.APIWatch) int {
		return slices.IndexFunc(ms, func(m *history.APIWatch) bool { return m.InitialEnd })
	}
	c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool {
		return !plain(c) && at(ms) >= 0 && fits(c, ms, at(ms))
	})
	if !ok {
		return nil, nil, 0, false
	}
	i := at(ms)
	ms[i] = copyOf(ms[i])
	return c, ms, i, true
}

func earlyEnd(t *teller) bool {
	c, ms, i, ok := t.ended(func(_ *history.APICall, ms []*history.APIWatch, end int) bool {
		return end > 0 && ms[end-1].Type == "ADDED"
	})
	if ok {
		to := i - 1
		for k := t.upTo(3); k > 1 && to > 0 && ms[to-1].Type == "ADDED"; k-- {
			to--
		}
		t.restream(c, move(ms, i, to))
	}
	return ok
}

func lowEnd(t *teller) bool {
	c, ms, i, ok := t.ended(func(c *history.APICall, _ []*history.APIWatch, _ int) bool { return required(t.b.Window, c) > 20 })
	if ok {
		ms[i].Object.Version = required(t.b.Window, c) - t.upTo(20)
		t.restream(c, ms)
	}
	return ok
}

func aheadEnd(t *teller) bool {
	c, ms, i, ok := t.ended(func(c *history.APICall, ms []*history.APIWatch, _ int) bool { return len(rest(c, ms)) > 0 })
	if ok {
		at := rest(c, ms)
		ms[i].Object.Version = ms[at[int(t.upTo(min(3, len(at))))-1]].Object.Version
		t.restream(c, ms)
	}
	return ok
}

// bookmark inserts a bookmark, of those that a watch has, with the revision of
// an event that comes after it.
func bookmark(events int) func(*teller) bool {
	return func(t *teller) bool {
		c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool {
			return c.Bookmarks && len(rest(c, ms)) >= events
		})
		if ok {
			at := rest(c, ms)
			k := t.rng.IntN(len(at) - events + 1)
			m := copyOf(ms[at[k]])
			m.Type, m.Object = "BOOKMARK", history.APIObject{Version: ms[at[k+events-1]].Object.Version}
			t.restream(c, slices.Insert(ms, at[k], m))
		}
		return ok
	}
}

func (t *teller) bookmarked(fits func(ms []*history.APIWatch, i int) bool) (*history.APICall, []*history.APIWatch, int, bool) {
	all := func(ms []*history.APIWatch) []int {
		var at []int
		for i, m := range ms {
			if m.Type == "BOOKMARK" && !m.InitialEnd && fits(ms, i) {
				at = append(at, i)
			}
		}
		return at
	}
	c, ms, ok := t.stream(func(_ *history.APICall, ms []*history.APIWatch) bool { return len(all(ms)) > 0 })
	if !ok {
		return nil, nil, 0, false
	}
	i := all(ms)[t.rng.IntN(len(all(ms)))]
	ms[i] = copyOf(ms[i])
	return c, ms, i, true
}

func hurriedBookmark(t *teller) bool {
	c, ms, i, ok := t.bookmarked(func(ms []*history.APIWatch, i int) bool { return i > 0 && isEvent(ms[i-1]) })
	if ok {
		t.restream(c, move(ms, i, i-1))
	}
	return ok
}

func futureBookmark(t *teller) bool {
	c, ms, i, ok := t.bookmarked(func(ms []*history.APIWatch, i int) bool { return true })
	if ok {
		ms[i].Object.Version = t.b.Window.Hi(ms[i].At) + t.upTo(1000)
		t.restream(c, ms)
	}
	return ok
}

// errs lets a watch, from its beginning or from the future, end at once with an
// error in its stream.
func errs(fits pick, status int32, reason string, future bool) func(*teller) bool {
	return func(t *teller) bool {
		c, ms, ok := t.stream(func(c *history.APICall, ms []*history.APIWatch) bool { return fits(c) && len(ms) > 1 })
		if !ok {
			return false
		}
		if future {
			c, _ = t.edit(func(o *history.APICall) bool { return o == c })
			c.ResourceVersion = t.beyond(ms)
		}
		refusal := copyOf(ms[1])
		refusal.Type, refusal.Object, refusal.InitialEnd = "ERROR", history.APIObject{}, false
		refusal.Status, refusal.Reason, refusal.Error = status, reason, ""
		closed := copyOf(refusal)
		closed.Type, closed.Status, closed.Reason = history.APIWatchClosed, 0, ""
		t.restream(c, []*history.APIWatch{ms[0], refusal, closed})
		return true
	}
}

func initialFromFuture(t *teller) bool {
	c, ms, _, ok := t.ended(func(c *history.APICall, _ []*history.APIWatch, _ int) bool { return c.InitialEvents == "true" })
	if !ok {
		return false
	}
	c, _ = t.edit(func(o *history.APICall) bool { return o == c })
	c.ResourceVersion = t.beyond(ms)
	t.restream(c, ms)
	return true
}
