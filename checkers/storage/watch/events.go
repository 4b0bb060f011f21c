package watch

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// answer is what is to know of the message that brought events.
type answer struct {
	at     history.Time
	header int64
	cut    bool // it ends early, because its stream did
}

// events takes a message with events, which is an answer or a fragment of one.
func (c *Checker) events(s *stream, r *history.StoreWatch) {
	w := s.open[r.Watch]
	if w == nil {
		c.stranger(s, r)
		return
	}
	if !w.fragment {
		c.answer(w, r.Events, answer{at: r.At, header: r.Header})
		return
	}
	if len(w.parts) == 0 && !r.Fragmented {
		c.answer(w, r.Events, answer{at: r.At, header: r.Header})
		return
	}
	c.counts.fragments++
	w.parts = append(w.parts, r.Events...)
	if !r.Fragmented {
		parts := w.parts
		w.parts = nil
		c.answer(w, parts, answer{at: r.At, header: r.Header})
	}
}

// stranger reports events of a watch that is not open.
func (c *Checker) stranger(s *stream, r *history.StoreWatch) {
	note := row{
		at: r.At, stream: s.id, watch: number(r.Watch), member: s.member, what: "event",
		rev: highest(r),
	}
	if len(r.Events) > 0 {
		note.rev, note.key = r.Events[0].KV.Mod, r.Events[0].KV.Key
	}
	c.fail(Filtered, "Events came for a watch that the store had not created or had canceled.", note)
}

// answer judges the events of one answer.
func (c *Checker) answer(w *watch, events []history.StoreEvent, a answer) {
	w.answers++
	c.counts.answers++
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].KV.Mod == events[0].KV.Mod {
			n++
		}
		c.group(w, events[:n], a)
		events = events[n:]
	}
	c.settle(w, a)
}

// settle judges at the end of an answer whether it held whole revisions.
func (c *Checker) settle(w *watch, a answer) {
	kept := w.owed[:0]
	for _, d := range w.owed {
		if d.answer == w.answers {
			if a.cut {
				continue
			}
			c.fail(Atomic, "The answer holds only a part of a revision.",
				w.row(a.at, "event of the same answer", d.rev, d.after.key), c.committed(w, d))
			d.answer = 0
		}
		kept = append(kept, d)
	}
	w.owed = kept
}

// group judges the events of one revision that follow each other in an answer.
func (c *Checker) group(w *watch, group []history.StoreEvent, a answer) {
	rev := group[0].KV.Mod
	c.counts.events += int64(len(group))
	if len(group) > 1 {
		c.counts.multi++
	}
	admitted := 0
	for i := range group {
		if c.admitted(w, &group[i], a.at) {
			admitted++
		}
	}
	if admitted == 0 {
		return
	}
	c.position(w, &group[0], a)
	if w.start == 0 && w.first == 0 && rev < w.next && rev > w.progress && rev >= w.from {
		// A watch from now on begins with its first event, if that is not
		// above the header of its created answer.
		c.index.need(w.span, rev)
		w.next, w.pos = rev, c.index.find(w.span, rev)
	}
	if base, last := c.tl.Bounds(); rev <= base || (rev > last && rev <= last+c.opt.Unresolved) {
		c.counts.unjudged += int64(len(group))
	} else if rev < w.next {
		c.late(w, group, a)
	} else {
		c.pass(w, rev, w.row(a.at, "event", rev, group[0].KV.Key))
		c.match(w, group, a)
	}
	c.move(w, rev, a.at)
}

// move notes that a watch has received events of a revision.
func (c *Checker) move(w *watch, rev int64, at history.Time) {
	if w.first == 0 {
		w.first = rev
	}
	if rev >= w.last {
		w.last, w.lastAt = rev, at
	}
	if rev < w.next {
		return
	}
	w.next = rev + 1
	if c.index.rev(w.span, w.pos) == rev {
		w.pos++
	}
}

// admitted judges whether an event may come on a watch at all.
func (c *Checker) admitted(w *watch, e *history.StoreEvent, at history.Time) bool {
	if !w.wants(e.KV.Key, e.Delete) {
		note := "An event came on a watch that does not watch its key."
		if w.span.contains(e.KV.Key) {
			note = "An event came on a watch that had asked to filter its type out."
		}
		c.fail(Filtered, note, w.row(w.created, "watches "+w.span.String(), w.header, ""), w.row(at, kind(e), e.KV.Mod, e.KV.Key))
		return false
	}
	if e.KV.Mod < w.from {
		c.fail(Filtered, "An event came that is before the start of its watch.",
			w.row(w.created, "created, from "+number(w.from), w.header, ""), w.row(at, kind(e), e.KV.Mod, e.KV.Key))
		return false
	}
	return true
}

// position judges the revision of events against what came before.
func (c *Checker) position(w *watch, e *history.StoreEvent, a answer) {
	rev := e.KV.Mod
	if rev < w.last {
		c.fail(Ordered, "An event came after one of a higher revision.", w.before(), w.row(a.at, kind(e), rev, e.KV.Key))
	}
	if a.header < rev {
		c.fail(Ordered, "An answer's header is below the revision of its event.",
			w.row(a.at, "header", a.header, ""), w.row(a.at, kind(e), rev, e.KV.Key))
	}
	if rev <= w.progress {
		c.fail(Bookmarkable, "An event came after progress that had said that it was delivered.",
			w.row(w.progressAt, "progress", w.progress, ""), w.row(a.at, kind(e), rev, e.KV.Key))
	}
}

// late judges events of a revision that was accounted for.
func (c *Checker) late(w *watch, group []history.StoreEvent, a answer) {
	changes := c.at(group[0].KV.Mod)
	for i := range group {
		e := &group[i]
		if !w.wants(e.KV.Key, e.Delete) {
			continue
		}
		at := slices.IndexFunc(changes, func(ch timeline.Change) bool { return ch.Key == e.KV.Key })
		owed := slices.IndexFunc(w.owed, func(d debt) bool { return d.rev == e.KV.Mod && d.key == e.KV.Key })
		switch {
		case at < 0:
			c.phantom(w, e, a.at)
		case owed >= 0:
			w.owed = slices.Delete(w.owed, owed, owed+1)
			c.content(w, e, &changes[at], a.at)
			w.remember(e.KV.Mod, e.KV.Key, a.at)
		case w.first > 0 && e.KV.Mod >= w.first:
			c.fail(Unique, "An event came twice.", w.delivered(e.KV.Mod, e.KV.Key), w.row(a.at, kind(e), e.KV.Mod, e.KV.Key))
		}
	}
}

// match judges the events of a revision against what the revision changed.
func (c *Checker) match(w *watch, group []history.StoreEvent, a answer) {
	rev := group[0].KV.Mod
	changes := c.at(rev)
	if len(group) == 1 && len(changes) == 1 && group[0].KV.Key == changes[0].Key {
		if w.wants(group[0].KV.Key, group[0].Delete) {
			w.remember(rev, group[0].KV.Key, a.at)
			c.content(w, &group[0], &changes[0], a.at)
		}
		return
	}
	came := c.flags(len(changes))
	at, matched := 0, 0
	for i := range group {
		e := &group[i]
		if !w.wants(e.KV.Key, e.Delete) {
			continue
		}
		j := findKey(changes, at, e.KV.Key)
		switch {
		case j < 0:
			c.phantom(w, e, a.at)
			continue
		case came[j]:
			c.fail(Unique, "An event came twice in one answer.", w.delivered(rev, e.KV.Key), w.row(a.at, kind(e), rev, e.KV.Key))
			continue
		case j < at:
			c.fail(Ordered, "Events of one transaction came in another order than it made them.",
				w.delivered(rev, changes[at-1].Key), w.row(a.at, kind(e), rev, e.KV.Key))
		}
		came[j] = true
		matched++
		at = max(at, j+1)
		w.remember(rev, e.KV.Key, a.at)
		c.content(w, e, &changes[j], a.at)
	}
	c.absent(w, changes, came, matched, w.row(a.at, "event", rev, group[0].KV.Key))
}

// absent owes the changes of a revision that did not come with the others.
func (c *Checker) absent(w *watch, changes []timeline.Change, came []bool, matched int, by row) {
	for i := range changes {
		if came[i] || !w.wants(changes[i].Key, changes[i].Delete) {
			continue
		}
		d := debt{rev: by.rev, key: changes[i].Key, guarantee: c.dropped(w, by.rev), before: w.before(), after: by}
		if matched > 0 {
			d.answer = w.answers
		}
		c.owe(w, d)
	}
}

// flags returns n flags that are not set.
func (c *Checker) flags(n int) []bool {
	if cap(c.flagged) < n {
		c.flagged = make([]bool, n)
	}
	flags := c.flagged[:n]
	clear(flags)
	return flags
}

// findKey finds a key among changes, looking from the given one on first:
// events come in the order of the changes.
func findKey(changes []timeline.Change, from int, key string) int {
	for n := range changes {
		if i := (from + n) % len(changes); changes[i].Key == key {
			return i
		}
	}
	return -1
}
