package watches

import (
	"fmt"
	"math"

	"github.com/planecheck/planecheck/checkers/history"
)

// initialEvent judges an event while the initial state may still be coming.
func (c *Checker) initialEvent(w *watch, a arrival) {
	obj := w.res.object(a.obj.namespace, a.obj.name)
	before, again := w.keys[obj]
	switch {
	case again && before == a.rev && a.kind() == "ADDED":
		c.fail(w, Unique, because("An object came twice among the initial events.").watch(w).add(a.row()))
		return
	case a.kind() != "ADDED" || again:
		if w.wantsEnd && !w.ended {
			c.fail(w, InitialEventsEnd, because("A change came before the bookmark that ends the initial events.").watch(w).add(a.row()))
		}
		c.resolve(w, c.before(w, a)-1)
		c.walk(w, a)
		return
	}
	w.keys[obj] = a.rev
	w.seen = append(w.seen, seen{a.rev, a.at, obj})
	v := w.res.kind.At(a.obj.namespace, a.obj.name, a.rev)
	name := InitialState
	if w.ended || a.rev > c.hi(w.opened) {
		name = Delivered // it came to be after the state was taken
	}
	switch {
	case v == nil || v.Revision != a.rev:
		c.fail(w, name, because("An initial event shows a version that was never committed.").watch(w).
			lives(w, obj, a.rev).add(a.row()))
	case !w.matches(v):
		c.fail(w, name, because("An initial event shows an object that the watch does not select.").watch(w).version(v).add(a.row()))
	case !same(&a.m.Object, v):
		c.fail(w, name, because("An initial event does not hold what was committed.").watch(w).version(v).add(a.row()))
	}
}

// before returns the revision of the first change on a watch whose initial
// events are over: that of an event, but for a DELETED one with the version that
// its object had before.
func (c *Checker) before(w *watch, a arrival) int64 {
	if a.kind() == "DELETED" && w.keys[w.res.object(a.obj.namespace, a.obj.name)] == a.rev {
		if next := w.res.kind.Next(a.obj.namespace, a.obj.name, a.rev); next != nil {
			return next.Revision
		}
	}
	return a.rev
}

// resolve ends the initial phase of a watch whose initial events are all of top
// at most: it finds the revision of the state, and lets what came after it walk.
func (c *Checker) resolve(w *watch, top int64) {
	top = min(top, c.hi(w.opened), c.last)
	c.counts.initial++
	rev, ok := c.snapshot(w, top)
	switch {
	case !ok:
		rev = top
		c.fail(w, InitialState, c.differs(w, top, "The initial events are the state of no revision."))
	default:
		c.stale(w, rev)
	}
	c.startWalk(w, rev)
}

// startWalk lets a watch walk from the revision of its initial state.
func (c *Checker) startWalk(w *watch, rev int64) {
	seen := w.seen
	w.seen, w.keys = nil, nil
	c.walkFrom(w, rev)
	for _, s := range seen {
		if s.rev > rev {
			c.walk(w, arrival{rev: s.rev, at: s.at, obj: *s.obj})
		}
	}
}

// stale judges an initial state at a revision that was chosen as late as the
// events allow: nothing may have changed from there to what was asked for.
func (c *Checker) stale(w *watch, rev int64) {
	for i := w.group.after(rev); i < w.group.len() && w.group.entry(i).rev <= w.needed; i++ {
		s := w.res.step(w.group.entry(i))
		if kind, _ := w.shows(s); kind != "" {
			c.fail(w, InitialState, because("The initial events are an older state than revision %d, which the watch had to begin with.", w.needed).
				watch(w).change(s).commit(c, s.rev))
			return
		}
	}
}

// snapshot returns the latest revision, top at most, at which the initial events
// up to it are the matching state.
func (c *Checker) snapshot(w *watch, top int64) (int64, bool) {
	for {
		low, until, n := c.together(w, top)
		if low > until {
			top = until // an object changed: what is later than that change is no initial event
			continue
		}
		return c.countdown(w, low, min(top, until), n)
	}
}

// together returns the revisions in which all initial events up to top are
// current: [low, until], and how many they are.
func (c *Checker) together(w *watch, top int64) (low, until int64, n int) {
	until = math.MaxInt64
	for _, s := range w.seen {
		if s.rev > top {
			continue
		}
		n++
		low = max(low, s.rev)
		if next := w.res.kind.Next(s.obj.namespace, s.obj.name, s.rev); next != nil {
			until = min(until, next.Revision-1)
		}
	}
	return low, until, n
}

// countdown looks for the last revision in [low, top] in which n objects match.
// The n initial events are current and match in all of them, so that as many
// are the same.
func (c *Checker) countdown(w *watch, low, top int64, n int) (int64, bool) {
	count := 0
	for _, o := range w.group.objects {
		if w.matches(w.res.kind.At(o.namespace, o.name, low)) {
			count++
		}
	}
	best, found := int64(0), false
	for i := w.group.after(low); ; i++ {
		end := top
		if i < w.group.len() {
			end = min(top, w.group.entry(i).rev-1)
		}
		if count == n && end >= low {
			best, found = end, true
		}
		if end == top {
			return best, found
		}
		switch kind, _ := w.shows(w.res.step(w.group.entry(i))); kind {
		case "ADDED":
			count++
		case "DELETED":
			count--
		}
	}
}

// endOfInitial judges the bookmark that ends the initial events.
func (c *Checker) endOfInitial(w *watch, m *history.APIWatch) {
	rev := m.Object.Version
	c.counts.ends++
	switch {
	case !w.wantsEnd:
		c.fail(w, InitialEventsEnd, because("The end of initial events came on a watch that had not asked for it.").watch(w).message(m))
		return
	case w.ended:
		c.fail(w, InitialEventsEnd, because("The end of initial events came twice.").watch(w).message(m))
		return
	}
	w.ended, w.endedAt = true, rev
	if rev < w.needed {
		c.fail(w, InitialEventsEnd, because("The initial events end at revision %d, and the watch had to begin at %d or later.", rev, w.needed).
			watch(w).message(m))
	}
	if w.phase != initial || rev > c.last || rev < c.first {
		return
	}
	if difference := c.difference(w, rev); difference != nil {
		c.fail(w, InitialEventsEnd, difference.message(m))
		if !c.everSo(w, m.At) {
			c.fail(w, InitialState, c.differs(w, rev, "The initial events are the state of no revision.").message(m))
		}
		return // perhaps the state is still coming: InitialState waits for it
	}
	c.counts.initial++
	c.stale(w, rev)
	c.startWalk(w, rev)
}

// everSo says that all initial events that came by a time together are the matching
// state at some revision of before. Additions that come after the state and before
// the bookmark are among them: with these it is the state of a later revision.
func (c *Checker) everSo(w *watch, by history.Time) bool {
	low, until, n := c.together(w, math.MaxInt64)
	if low > until {
		return false
	}
	top := min(until, c.last, c.hi(by))
	_, ok := c.countdown(w, low, top, n)
	return ok && low <= top
}

// difference returns what distinguishes all initial events from the state at a
// revision, nil if nothing does.
func (c *Checker) difference(w *watch, rev int64) *evidence {
	found := 0
	for _, o := range w.group.objects {
		v := w.res.kind.At(o.namespace, o.name, rev)
		if !w.matches(v) {
			continue
		}
		if w.keys[o] != v.Revision {
			return c.differs(w, rev, "The initial events do not come to the state at the revision that ends them.")
		}
		found++
	}
	if found != len(w.keys) {
		return c.differs(w, rev, "The initial events do not come to the state at the revision that ends them.")
	}
	return nil
}

// differs shows up to four objects that differ from the state at a revision.
func (c *Checker) differs(w *watch, rev int64, why string) *evidence {
	e := because("%s", why).watch(w)
	left := 4
	for _, o := range w.group.objects {
		v := w.res.kind.At(o.namespace, o.name, rev)
		came, has := w.keys[o]
		if came > rev {
			has = false // it may be a change
		}
		expected := int64(0)
		if w.matches(v) {
			expected = v.Revision
		}
		if (has && came == expected || !has && expected == 0) || left == 0 {
			continue
		}
		left--
		e.note(o.String(), fmt.Sprintf("came %s, is %s at revision %d", orNothing(came), orNothing(expected), rev))
	}
	return e
}

func orNothing(rev int64) string {
	if rev == 0 {
		return "not at all"
	}
	return "at " + number(rev)
}

// endInitial judges the initial events of a watch on which nothing else came.
// due is the revision up to which everything must have come, 0 if none is.
func (c *Checker) endInitial(w *watch, due int64) {
	if w.phase != initial || !w.served && due == 0 {
		return
	}
	top := min(c.hi(w.opened), c.last)
	if w.ended || due > 0 {
		c.resolve(w, top)
		return
	}
	c.counts.unfinished++
	low, until, _ := c.together(w, math.MaxInt64)
	if low <= until {
		c.stale(w, until)
		return
	}
	c.resolve(w, top)
}
