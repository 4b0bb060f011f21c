package watch

import (
	"fmt"
	"math"
	"slices"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// Checker judges the watch guarantees of one history. Feed it with Add and
// AddOp, let it judge what is complete with Advance, and end with Finish. It is
// not safe for concurrent use.
type Checker struct {
	tl      Timeline
	opt     Options
	index   *index
	compact compactions
	depths  depths

	streams map[uint64]*stream
	order   []*stream // by their first record, without those that are done with
	ended   []*watch  // for Fresh, which judges them last

	began, last history.Time // of all records
	watched     map[*span]bool
	counts      counts
	found       map[Guarantee]*finding
	malformed   string            // why the history cannot be relied upon; "" if it can
	flagged     []bool            // scratch of flags
	changes     []timeline.Change // scratch of at
}

// counts is what was judged.
type counts struct {
	watches, resumed, resumedAny         int64
	events, answers, unjudged, fragments int64
	multi, previous, creations, updates  int64
	early                                int64 // events without a previous version, of docs/findings/0007
	progress, progressAll                int64
	compacted, timed                     int64
}

// NewChecker returns a Checker that judges by a timeline, which may still grow:
// see Advance.
func NewChecker(tl Timeline, opt Options) *Checker {
	return &Checker{
		tl: tl, opt: opt.withDefaults(), index: newIndex(tl),
		streams: map[uint64]*stream{}, watched: map[*span]bool{}, found: map[Guarantee]*finding{},
	}
}

// Add takes the next record of a stream. The records of one stream must come in
// the order in which they were made, those of different streams in any. The
// Checker keeps the record until it is judged.
func (c *Checker) Add(w *history.StoreWatch) {
	if w == nil {
		return
	}
	if !plausible(w) {
		c.reject(w, "a revision that cannot be one")
		return
	}
	s := c.streams[w.Stream]
	if s == nil {
		s = &stream{id: w.Stream, member: w.Member, open: map[int64]*watch{}}
		c.streams[w.Stream] = s
		c.order = append(c.order, s)
	}
	switch {
	case s.over:
		c.reject(w, "a record after the end of its stream")
	case w.At < s.at:
		c.reject(w, "a record before the one that precedes it on its stream")
	case w.Kind == history.WatchCreate:
		from := w.Start
		if from <= 0 {
			from = c.index.done + 1
		}
		c.index.span(w.Key, w.End, from)
	}
	s.over = s.over || w.Kind == history.WatchClosed
	s.at = w.At
	s.queue = append(s.queue, w)
	if c.began == 0 || w.At < c.began {
		c.began = w.At
	}
	c.last = max(c.last, w.At)
}

// AddOp takes note of a call: of compactions, and of the revision that others
// found. A stream may be judged only when all compactions called before its
// records are known; of the other calls, the more are known the sharper.
func (c *Checker) AddOp(op *history.StoreOp) {
	if op == nil {
		return
	}
	if op.Method == history.MethodCompact {
		c.compact.add(op)
		return
	}
	c.depths.add(op)
}

// Advance judges what is complete: the caller says that the timeline will not
// change up to the revision rev, and that all compactions called before the
// time at were added. On every stream the records up to the first that is later
// or that names a later revision are judged and let go. Histories that fit in
// memory need no Advance.
func (c *Checker) Advance(rev int64, at history.Time) {
	c.index.extend(rev)
	rev = min(rev, c.index.done)
	for _, s := range c.order {
		n := 0
		for n < len(s.queue) && s.queue[n].At <= at && highest(s.queue[n]) <= rev {
			c.judge(s, s.queue[n])
			s.queue[n] = nil
			n++
		}
		s.queue = s.queue[n:]
	}
	c.order = slices.DeleteFunc(c.order, func(s *stream) bool { return s.over && len(s.queue) == 0 })
}

// Broken names the guarantees of which a violation was seen so far, none of a
// history that is unfit to judge.
func (c *Checker) Broken() []string {
	if c.malformed != "" {
		return nil
	}
	var names []string
	for _, g := range Guarantees() {
		if c.found[g] != nil {
			names = append(names, string(g))
		}
	}
	return names
}

// plausible says that a record names no revision that would overflow. Revisions
// that are merely wrong are the judgement's business.
func plausible(w *history.StoreWatch) bool {
	const limit = math.MaxInt64 / 4
	if w.Header < 0 || w.Header > limit || w.CompactRevision < 0 || w.CompactRevision > limit {
		return false
	}
	for i := range w.Events {
		if rev := w.Events[i].KV.Mod; rev < 0 || rev > limit {
			return false
		}
	}
	return true
}

// at returns the changes of a revision, until it is called again.
func (c *Checker) at(rev int64) []timeline.Change {
	c.changes = c.changes[:0]
	for _, change := range c.tl.Changes(rev, rev) {
		c.changes = append(c.changes, change)
	}
	return c.changes
}

// highest is the highest revision that a record names.
func highest(w *history.StoreWatch) int64 {
	rev := w.Header
	for i := range w.Events {
		rev = max(rev, w.Events[i].KV.Mod)
	}
	return rev
}

// Finish judges the rest and returns one verdict per guarantee, in the order of
// Guarantees. The Checker is of no use after it.
func (c *Checker) Finish() []checkers.Verdict {
	c.index.extend(math.MaxInt64)
	for _, s := range c.order {
		for _, w := range s.queue {
			c.judge(s, w)
		}
		s.queue = nil
	}
	end := c.opt.End
	if end == 0 {
		end = c.last
	}
	for _, s := range c.order {
		c.endStream(s, end)
	}
	for _, w := range c.ended {
		c.overdue(w)
	}
	c.ended = nil
	return c.verdicts()
}

// reject notes that the history is not one that a recorder makes.
func (c *Checker) reject(w *history.StoreWatch, why string) {
	if c.malformed == "" {
		c.malformed = fmt.Sprintf("stream %d, watch %d, %s: %s", w.Stream, w.Watch, w.Kind, why)
	}
}

// ahead says why a revision cannot have existed at a time, "" if it can.
func (c *Checker) ahead(rev int64, at history.Time) string {
	if _, last := c.tl.Bounds(); rev > last+c.opt.Unresolved {
		return "a revision that was never reached"
	}
	if c.opt.Commit != nil {
		if commit, ok := c.opt.Commit(rev); ok && at < commit.Called {
			return "a revision that nobody had asked for yet"
		}
	}
	if at < c.depths.of(rev) {
		return "a revision that a later call did not find"
	}
	return ""
}
