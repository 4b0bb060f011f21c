package watches

import (
	"cmp"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// event judges ADDED, MODIFIED or DELETED.
func (c *Checker) event(w *watch, m *history.APIWatch) {
	if w.res == nil {
		return
	}
	c.takes(w, m)
	rev := m.Object.Version
	if top := c.hi(m.At); rev > top || rev <= 0 {
		c.fail(w, Delivered, because("An event shows a revision that nobody had asked for: the store was at %d at most.", top).watch(w).message(m))
	}
	if rev <= c.first || rev > c.last {
		c.counts.unjudged++
		return
	}
	if rev <= w.bookmark {
		c.fail(w, BookmarkNotAhead, because("An event came after a bookmark that had said that it was delivered.").
			watch(w).add(w.bookmarked()).message(m))
	}
	if w.ended && rev <= w.endedAt { // also where it comes to nothing: created and deleted between the state and its end
		c.fail(w, InitialEventsEnd, because("A change came after the end of initial events, at %d, of which it is a part.", w.endedAt).
			watch(w).message(m))
	}
	e := arrival{rev: rev, at: m.At, obj: object{m.Object.Namespace, m.Object.Name}, m: m}
	switch w.phase {
	case initial:
		c.initialEvent(w, e)
	case waiting:
		c.walkFrom(w, min(rev-1, c.hi(w.opened)))
		if w.call.ResourceVersion == "" && rev <= w.needed {
			c.fail(w, Delivered, because("A watch that begins at the most recent revision shows one from before: the store had reached %d when it was called.", w.needed).
				watch(w).message(m))
		}
		c.walk(w, e)
	case walking:
		c.walk(w, e)
	}
}

// arrival is an event on its watch.
type arrival struct {
	rev int64
	at  history.Time
	obj object
	m   *history.APIWatch // nil of an initial event that turned out to be none
}

func (a arrival) kind() string {
	if a.m == nil {
		return "ADDED"
	}
	return a.m.Type
}

func (a arrival) row() row {
	if a.m != nil {
		return MessageRow(a.m)
	}
	return row{From: a.at, What: "ADDED", Text: a.obj.String() + " at " + number(a.rev)}
}

// walk moves a watch along to an event.
func (c *Checker) walk(w *watch, a arrival) {
	if a.kind() == "DELETED" && c.deletedAsLast(w, a) {
		return
	}
	if a.rev < w.last {
		c.fail(w, Ordered, because("An event came after one of a greater resourceVersion.").watch(w).add(w.before()).add(a.row()))
	}
	if a.rev <= w.start {
		c.fail(w, Delivered, because("An event came that is not after the start of its watch, %d.", w.start).watch(w).add(a.row()))
		return
	}
	if a.rev <= w.passed {
		c.late(w, a)
	} else {
		c.pass(w, a.rev-1, a.row)
		c.arrive(w, a)
	}
	if a.rev >= w.last {
		w.last, w.lastAt = a.rev, a.at
	}
}

// arrive judges an event of a revision that the watch had not come to. Other
// changes of the same revision are owed, until they come.
func (c *Checker) arrive(w *watch, a arrival) {
	found := false
	for ; w.next < w.group.len() && w.group.entry(w.next).rev == a.rev; w.next++ {
		e := w.group.entry(w.next)
		if *e.obj == a.obj {
			found = true
			c.judge(w, w.res.step(e), a)
		} else {
			c.owe(w, e, a.row)
		}
	}
	w.passed = a.rev
	if !found {
		c.stranger(w, a)
	}
}

// late judges an event of a revision that was accounted for.
func (c *Checker) late(w *watch, a arrival) {
	if i := w.debtOf(a); i >= 0 {
		e := w.owed[i].entry
		w.owed = slices.Delete(w.owed, i, i+1)
		c.judge(w, w.res.step(e), a)
		return
	}
	s := w.res.step(entry{a.rev, &a.obj})
	if kind, _ := w.shows(s); kind != "" && changed(s) {
		c.fail(w, Unique, because("A change came twice.").watch(w).add(w.before()).add(a.row()))
		return
	}
	c.stranger(w, a)
}

// debtOf finds the debt that an event pays, -1: none. Debts are in the order of
// their revisions.
func (w *watch) debtOf(a arrival) int {
	i, _ := slices.BinarySearchFunc(w.owed, a.rev, func(d debt, rev int64) int { return cmp.Compare(d.rev, rev) })
	for ; i < len(w.owed) && w.owed[i].rev == a.rev; i++ {
		if *w.owed[i].obj == a.obj {
			return i
		}
	}
	return -1
}

// changed says that a step is a change of its revision, and not what was there
// from before.
func changed(s step) bool {
	if s.now != nil {
		return s.now.Revision == s.rev
	}
	return s.prev != nil
}

// stranger reports an event that is none of the watch's changes.
func (c *Checker) stranger(w *watch, a arrival) {
	s := w.res.step(entry{a.rev, &a.obj})
	if kind, _ := w.shows(s); kind == "" && changed(s) {
		c.fail(w, Transitions, because("An event came of a change that does not concern its watch: the object matches neither before it nor after.").
			watch(w).change(s).add(a.row()))
		return
	}
	c.fail(w, Delivered, because("An event shows a change that was never committed.").watch(w).
		lives(w, &a.obj, a.rev).add(a.row()))
}

// deletedAsLast judges a DELETED event with the version that the object had
// last, in place of the one of its deletion.
func (c *Checker) deletedAsLast(w *watch, a arrival) bool {
	v := w.res.kind.At(a.obj.namespace, a.obj.name, a.rev)
	if v == nil || v.Revision != a.rev || a.rev > w.passed {
		return false
	}
	next := w.res.kind.Next(a.obj.namespace, a.obj.name, a.rev)
	if next == nil {
		return false
	}
	s := w.res.step(entry{next.Revision, &a.obj})
	if kind, _ := w.shows(s); kind != "DELETED" {
		return false
	}
	if kind, _ := w.shows(w.res.step(entry{a.rev, &a.obj})); kind == "DELETED" {
		return false
	}
	c.fail(w, Transitions, because("A DELETED event carries the object's last resourceVersion and not that of the change, %d.", next.Revision).
		watch(w).change(s).add(a.row()))
	return true
}

// judge compares an event with the change that it tells of.
func (c *Checker) judge(w *watch, s step, a arrival) {
	kind, v := w.shows(s)
	if kind == "" {
		c.stranger(w, a)
		return
	}
	c.count(w, kind, s)
	if kind != a.kind() {
		c.fail(w, Transitions, because("The change is %s for this watch, and came as %s.", kind, a.kind()).watch(w).change(s).add(a.row()))
	} else if a.m != nil && !same(&a.m.Object, v) {
		name, why := Delivered, "An event does not hold what was committed."
		if kind == "DELETED" {
			name, why = Transitions, "A DELETED event does not hold the object as it was before the change."
		}
		c.fail(w, name, because("%s", why).watch(w).change(s).add(a.row()))
	}
	c.observe(w, a)
}

func (c *Checker) count(w *watch, kind string, s step) {
	switch kind {
	case "ADDED":
		c.counts.added++
		if s.prev != nil {
			c.counts.began++
		}
	case "MODIFIED":
		c.counts.modified++
	case "DELETED":
		c.counts.deleted++
		if s.now != nil {
			c.counts.ceased++
		}
	}
}

// same compares what an event shows with a version; its revision is compared
// elsewhere, since that of a DELETED event is another.
func same(o *history.APIObject, v *history.Version) bool {
	return o.UID == v.UID && o.Content == v.Content && o.Deleting == v.Deleting
}

// pass accounts for all changes up to a revision: what matters to the watch and
// has not come is owed. by tells what passed it by.
func (c *Checker) pass(w *watch, rev int64, by func() row) {
	// A watch may begin at a revision that came later than it.
	for w.next < w.group.len() && w.group.entry(w.next).rev <= w.start {
		w.next++
	}
	for rev = min(rev, c.last); w.next < w.group.len() && w.group.entry(w.next).rev <= rev; w.next++ {
		c.owe(w, w.group.entry(w.next), by)
	}
	w.passed = max(w.passed, rev)
}

func (c *Checker) owe(w *watch, e entry, by func() row) {
	if kind, _ := w.shows(w.res.step(e)); kind != "" {
		w.owed = append(w.owed, debt{entry: e, kind: kind, by: by()})
	}
}

// unpaid reports a change that never came.
func (c *Checker) unpaid(w *watch, d *debt) {
	s := w.res.step(d.entry)
	e := because("A change that its watch was to show as %s was not delivered.", d.kind).watch(w).change(s).commit(c, d.rev).add(d.by)
	c.fail(w, Delivered, e)
	if d.kind == "ADDED" && s.prev != nil || d.kind == "DELETED" && s.now != nil {
		e := because("An object that %s was not shown as %s.",
			map[string]string{"ADDED": "began to match", "DELETED": "ceased to match"}[d.kind], d.kind)
		c.fail(w, Transitions, e.watch(w).change(s).commit(c, d.rev).add(d.by))
	}
}
