// Package window bounds, by the storage history, which revisions an answer of
// an API server may show. A GET, a 404 and a 409 reveal no revision: such an
// answer is right if there is one, among those that the store may have been at
// between the call and the return, at which it is true.
package window

import (
	"cmp"
	"math"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// most bounds the revisions of one history: a larger one is a broken record.
const most = 1 << 26

// The times before and after all others.
const (
	never   = history.Time(math.MinInt64)
	forever = history.Time(math.MaxInt64)
)

// point is a revision at a time.
type point struct {
	at  history.Time
	rev int64
}

// Builder collects what bounds a Window from the records of a storage history,
// in any order. Use New.
type Builder struct {
	returned, called             []point // revisions that answers carried; not in the window yet
	compactReturned, compactHigh []point
	listed                       map[string][]point // by the folder that was listed
	commits                      []interval         // by revision
	last                         int64              // the highest revision seen at all

	window *Window      // nil before it is asked for
	final  history.Time // up to here it does not change any more
	late   bool
	next   int64        // no revision before it may still turn out to be uncalled
	before history.Time // when the one before next was called for

	first int64        // what next was in the beginning
	began history.Time // and before
}

type interval struct{ called, returned history.Time }

// New returns an empty Builder.
func New() *Builder {
	return &Builder{final: never, next: 1, first: 1, listed: map[string][]point{}}
}

// Begin says that the store was at a revision at a time, before all calls: it was
// restored from a snapshot, and nobody asks of earlier revisions.
func (b *Builder) Begin(at history.Time, rev int64) {
	b.called = append(b.called, point{at, rev})
	b.returned = append(b.returned, point{at, rev})
	b.last, b.next, b.first, b.before = rev, rev+1, rev+1, at
	b.began = at
}

// StoreOp takes a call of the store. It keeps nothing of it.
func (b *Builder) StoreOp(op *history.StoreOp) {
	if op.Method == history.MethodCompact {
		b.compact(op)
		return
	}
	if op.Returned == 0 || op.Error.Kind != history.ErrorNone || op.Header <= 0 || op.Header >= most || !current(op) {
		return
	}
	b.called = b.thin(append(b.called, point{op.Called, op.Header}))
	b.returned = b.thin(append(b.returned, point{op.Returned, op.Header}))
	b.last = max(b.last, op.Header)
	b.list(op)
	if !timeline.Changed(op) {
		return
	}
	for int64(len(b.commits)) <= op.Header {
		b.commits = append(b.commits, interval{})
	}
	commit := &b.commits[op.Header]
	b.late = b.late || op.Called <= b.final || commit.called != 0 && commit.called <= b.final
	*commit = interval{op.Called, op.Returned}
}

// StoreWatch takes a message of a watch: its events show revisions that no call
// made.
func (b *Builder) StoreWatch(w *history.StoreWatch) {
	for i := range w.Events {
		if rev := w.Events[i].KV.Mod; rev < most {
			b.last = max(b.last, rev)
		}
	}
}

func (b *Builder) compact(op *history.StoreOp) {
	if op.Error.Definite() {
		return
	}
	b.compactHigh = append(b.compactHigh, point{op.Called, op.Revision})
	if op.Returned != 0 && op.Error.Kind == history.ErrorNone {
		b.compactReturned = append(b.compactReturned, point{op.Returned, op.Revision})
	}
}

// current says that the header of an answer is the store's revision at the
// moment of the operation: of all but local reads, and of what concerns no key.
func current(op *history.StoreOp) bool {
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream, history.MethodTxn, history.MethodPut,
		history.MethodDeleteRange, history.MethodLeaseRevoke:
		return !timeline.Local(op)
	}
	return false
}

// Window answers for the times up to which it is final. It is safe for
// concurrent use as long as its Builder does not advance it.
type Window struct {
	returned, called             []point
	uncalled                     []point
	compactReturned, compactHigh []point
	listed                       map[string][]point
	commits                      []interval
}

// Window returns the window of what was collected, for all times. The Builder
// must not be used any more.
func (b *Builder) Window() *Window { return b.Advance(forever) }

// Advance returns the window, which is the same one each time, with what was
// collected so far, and says that it is to answer for all times up to a moment:
// whatever was called by then has been taken, or has no answer that tells a
// revision.
func (b *Builder) Advance(until history.Time) *Window {
	if b.window == nil {
		b.window = &Window{listed: map[string][]point{}}
	}
	w, until := b.window, max(until, b.final)
	b.returned = b.settle(&w.returned, b.returned, until)
	b.called = b.settle(&w.called, b.called, until)
	b.compactReturned = b.settle(&w.compactReturned, b.compactReturned, until)
	b.compactHigh = b.settle(&w.compactHigh, b.compactHigh, until)
	b.settleListed(until)
	w.commits = b.commits
	if until == forever {
		b.settleUncalled()
	} else {
		b.settle(&w.uncalled, b.uncalled(until), forever)
	}
	b.final = until
	return w
}

// Late says that something came after all that concerns times for which the
// window had been said to be final: it may have answered wrongly until then.
func (b *Builder) Late() bool { return b.late }

// settle moves the points up to a time to those that are asked for, and returns
// the rest.
func (b *Builder) settle(to *[]point, points []point, until history.Time) (rest []point) {
	if until != forever {
		points, rest = split(points, until)
	}
	for _, p := range points {
		if p.at <= b.final && p.rev > highest(*to, p.at) {
			b.late = true
			*to = rising(append(*to, points...))
			return rest
		}
	}
	points = rising(points)
	if len(*to) == 0 {
		*to = points
		return rest
	}
	for _, p := range points {
		if p.rev > (*to)[len(*to)-1].rev {
			*to = append(*to, p)
		}
	}
	return rest
}

// thin leaves out what settle would leave out, whenever the points have filled
// what was made for them. Most answers show a revision that another one showed.
func (b *Builder) thin(points []point) []point {
	if len(points) < cap(points) {
		return points
	}
	return rising(points)
}

// split parts points by a time. The later ones stay where they are.
func split(points []point, until history.Time) (due, rest []point) {
	rest = points[:0]
	for _, p := range points {
		if p.at <= until {
			due = append(due, p)
		} else {
			rest = append(rest, p)
		}
	}
	return due, rest
}

// uncalled are the revisions that no answer tells of: ends of leases, and writes
// of unknown outcome. Each may have been made as early as the one before it was
// called for. Of a revision that may have been made later than until the answer
// may be still to come, so it has to wait.
func (b *Builder) uncalled(until history.Time) []point {
	var points []point
	before, waits := b.before, false
	for rev := b.next; rev <= b.last; rev++ {
		called, _, ok := b.window.Commit(rev)
		switch {
		case ok:
			before = called
		case rev == 1:
		case before <= until:
			points = append(points, point{before, rev})
		default:
			waits = true
		}
		if !waits {
			b.next, b.before = rev+1, before
		}
	}
	return points
}

// settleUncalled finds all of them anew. An answer that came after its revision
// had been taken for uncalled shows here.
func (b *Builder) settleUncalled() {
	w, old := b.window, b.window.uncalled
	b.next, b.before = b.first, b.began
	w.uncalled = rising(b.uncalled(forever))
	for _, list := range [][]point{old, w.uncalled} {
		for _, p := range list {
			called := highest(w.called, p.at)
			if p.at <= b.final && max(called, highest(old, p.at)) != max(called, highest(w.uncalled, p.at)) {
				b.late = true
			}
		}
	}
}

// rising sorts points by time and keeps those that are higher than all before.
func rising(points []point) []point {
	slices.SortFunc(points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.rev, a.rev))
	})
	kept := points[:0]
	var highest int64
	for _, p := range points {
		if p.rev > highest {
			highest = p.rev
			kept = append(kept, p)
		}
	}
	return slices.Clip(kept)
}

// Lo is the largest revision that the store had surely reached before t: that
// of an answer which was complete by then. 0: nothing is known.
func (w *Window) Lo(t history.Time) int64 { return highest(w.returned, t-1) }

// Hi is the largest revision that the store may have reached at t: no call that
// was made by then shows a later one.
func (w *Window) Hi(t history.Time) int64 { return max(highest(w.called, t), highest(w.uncalled, t)) }

// Commit is the call and the answer between which a revision was committed; ok
// is false where no answer tells: the end of a lease, an unknown outcome.
func (w *Window) Commit(rev int64) (called, returned history.Time, ok bool) {
	return commit(w.commits, rev)
}

// Commit is that of the Window, by what was collected so far.
func (b *Builder) Commit(rev int64) (called, returned history.Time, ok bool) {
	return commit(b.commits, rev)
}

func commit(commits []interval, rev int64) (called, returned history.Time, ok bool) {
	if rev <= 0 || rev >= int64(len(commits)) || commits[rev].called == 0 {
		return 0, 0, false
	}
	return commits[rev].called, commits[rev].returned, true
}

// Compacted is the largest compact revision that was surely, and the largest
// that was possibly, in force at t. 0: none.
func (w *Window) Compacted(t history.Time) (lo, hi int64) {
	return highest(w.compactReturned, t-1), highest(w.compactHigh, t)
}

// highest is the revision of the last point at or before t.
func highest(points []point, t history.Time) int64 {
	i, _ := slices.BinarySearchFunc(points, t, func(p point, t history.Time) int {
		if p.at <= t {
			return -1
		}
		return 1
	})
	if i == 0 {
		return 0
	}
	return points[i-1].rev
}
