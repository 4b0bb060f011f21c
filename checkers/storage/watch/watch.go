package watch

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// watch is one watch and how far it has been judged.
type watch struct {
	stream *stream
	id     int64
	span   *span
	start  int64 // as asked for; 0: from now on

	prevKV, noPut, noDelete, fragment bool

	created   history.Time
	canceling history.Time // when its client asked to cancel it; 0: not
	ended     history.Time // when it owed nothing more
	header    int64        // of its created answer

	from int64 // no event below this revision may come
	next int64 // all that it should have received below this revision is accounted for
	pos  int   // of next among the revisions of span

	first, last int64 // the first and the highest revision of its events
	lastAt      history.Time
	answers     int
	progress    int64 // the highest
	progressAt  history.Time

	parts  []history.StoreEvent // the fragments of an answer so far
	owed   []debt
	recent [recentSize]seen // a ring of its latest events, as evidence
	seen   int
}

// recentSize is how many events a watch remembers to show where a duplicate
// came first.
const recentSize = 16

type seen struct {
	rev int64
	key string
	at  history.Time
}

// debt is an event that was passed by. It may still come, too late; what has
// not come when the watch ends was dropped.
type debt struct {
	rev       int64
	key       string
	guarantee Guarantee // that is broken if it never comes
	answer    int       // in which it is missing while others of its revision are there; 0: in none
	claimed   bool      // progress said that it had been delivered
	before    row       // the event before it
	after     row       // what passed it by
}

// maxOwed bounds the debts of a watch; more are counted as dropped at once.
const maxOwed = 256

func (c *Checker) newWatch(s *stream, r *history.StoreWatch) *watch {
	w := &watch{
		stream: s, id: r.Watch, start: max(0, r.Start),
		prevKV: r.PrevKV, noPut: r.NoPut, noDelete: r.NoDelete, fragment: r.Fragmented,
	}
	w.span = c.index.span(r.Key, r.End, c.index.done+1)
	w.from = w.start
	if w.start == 0 {
		// The member was at least where it has shown to be.
		w.from = s.shown + 1
	}
	return w
}

// wants says whether a watch is to receive a change, whatever its revision.
func (w *watch) wants(key string, deletion bool) bool {
	if (deletion && w.noDelete) || (!deletion && w.noPut) {
		return false
	}
	return w.span.all || w.span.contains(key)
}

// row is a line of evidence about this watch.
func (w *watch) row(at history.Time, what string, rev int64, key string) row {
	return row{at: at, stream: w.stream.id, watch: number(w.id), member: w.stream.member, what: what, rev: rev, key: key}
}

// before is the line of what the watch received last.
func (w *watch) before() row {
	switch {
	case w.last > 0:
		return w.row(w.lastAt, "last event", w.last, w.recent[(w.seen+recentSize-1)%recentSize].key)
	case w.start > 0:
		return w.row(w.created, "created, start "+number(w.start), w.header, "")
	}
	return w.row(w.created, "created", w.header, "")
}

func (w *watch) remember(rev int64, key string, at history.Time) {
	w.recent[w.seen%recentSize] = seen{rev, key, at}
	w.seen++
}

// delivered is the line of an event that came before.
func (w *watch) delivered(rev int64, key string) row {
	i := slices.IndexFunc(w.recent[:], func(s seen) bool { return s.rev == rev && s.key == key })
	if i < 0 {
		return w.row(0, "event, earlier", rev, key)
	}
	return w.row(w.recent[i].at, "event", rev, key)
}

// pass accounts for the revisions of [next, to), of which nothing came. Each
// change that the watch wants is owed from now on.
func (c *Checker) pass(w *watch, to int64, by row) {
	if w.next == none {
		return
	}
	for {
		rev := c.index.rev(w.span, w.pos)
		if rev >= to {
			return
		}
		w.pos++
		if rev < w.next {
			continue // it was not in the index when the position was taken
		}
		for _, change := range c.at(rev) {
			if w.wants(change.Key, change.Delete) {
				c.owe(w, debt{rev: rev, key: change.Key, guarantee: c.dropped(w, rev), before: w.before(), after: by})
			}
		}
	}
}

// dropped names the guarantee that a watch breaks by not delivering a revision
// that it has passed by now.
func (c *Checker) dropped(w *watch, rev int64) Guarantee {
	switch {
	case w.start == 0 || w.first > 0:
		return Reliable
	case rev < c.compact.before(w.created):
		// The window may have been gone when the watch began; then the store
		// had to say so instead of skipping it.
		return CompactedCancel
	}
	return Resumable
}

func (c *Checker) owe(w *watch, d debt) {
	if len(w.owed) >= maxOwed {
		c.unpaid(w, d)
		return
	}
	w.owed = append(w.owed, d)
}

// unpaid reports an event that never came.
func (c *Checker) unpaid(w *watch, d debt) {
	note := "An event was left out: what came after it shows that the watch had passed it by."
	if d.guarantee == CompactedCancel {
		note = "The watch skipped a revision that may have been compacted, instead of being canceled."
	}
	c.fail(d.guarantee, note, d.before, c.committed(w, d), d.after)
}

// committed is the line of a change that the watch lacks.
func (c *Checker) committed(w *watch, d debt) row {
	r := w.row(0, "missing", d.rev, d.key)
	if c.opt.Commit != nil {
		if commit, ok := c.opt.Commit(d.rev); ok {
			r.at = commit.Called
		}
	}
	return r
}

// endWatch ends the duties of a watch. With cut, the stream may have ended in
// the middle of an answer's fragments: what was to follow was not left out.
func (c *Checker) endWatch(w *watch, at history.Time, cut bool) {
	if len(w.parts) > 0 {
		parts := w.parts
		w.parts = nil
		c.answer(w, parts, answer{at: at, header: none, cut: cut})
	}
	for _, d := range w.owed {
		c.unpaid(w, d)
	}
	w.owed = nil
	w.ended = at
	if w.canceling != 0 {
		w.ended = min(at, w.canceling)
	}
	if c.timesFresh() {
		c.ended = append(c.ended, w)
	}
}
