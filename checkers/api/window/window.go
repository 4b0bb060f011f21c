// Package window bounds, by the storage history, which revisions an answer of
// an API server may show. A GET, a 404 and a 409 reveal no revision: such an
// answer is right if there is one, among those that the store may have been at
// between the call and the return, at which it is true.
package window

import (
	"cmp"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// most bounds the revisions of one history: a larger one is a broken record.
const most = 1 << 26

// point is a revision at a time.
type point struct {
	at  history.Time
	rev int64
}

// Builder collects what bounds a Window from the records of a storage history,
// in any order. Use New.
type Builder struct {
	returned, called             []point // revisions that answers carried
	compactReturned, compactHigh []point
	commits                      []interval // by revision
	last                         int64      // the highest revision seen at all
}

type interval struct{ called, returned history.Time }

// New returns an empty Builder.
func New() *Builder { return &Builder{} }

// StoreOp takes a call of the store. It keeps nothing of it.
func (b *Builder) StoreOp(op *history.StoreOp) {
	if op.Method == history.MethodCompact {
		b.compact(op)
		return
	}
	if op.Returned == 0 || op.Error.Kind != history.ErrorNone || op.Header <= 0 || op.Header >= most || !current(op) {
		return
	}
	b.called = append(b.called, point{op.Called, op.Header})
	b.returned = append(b.returned, point{op.Returned, op.Header})
	b.last = max(b.last, op.Header)
	if !timeline.Changed(op) {
		return
	}
	for int64(len(b.commits)) <= op.Header {
		b.commits = append(b.commits, interval{})
	}
	b.commits[op.Header] = interval{op.Called, op.Returned}
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

// Window answers for all times of a history. It is safe for concurrent use.
type Window struct {
	returned, called             []point
	compactReturned, compactHigh []point
	commits                      []interval
	last                         int64
}

// Window returns the window of what was collected. The Builder must not be used
// any more.
func (b *Builder) Window() *Window {
	w := &Window{
		commits: b.commits, last: b.last,
		compactReturned: rising(b.compactReturned), compactHigh: rising(b.compactHigh),
		returned: rising(b.returned),
	}
	w.called = rising(append(b.called, w.uncalled()...))
	return w
}

// uncalled are the revisions that no answer tells of: ends of leases, and writes
// of unknown outcome. Each may have been made as early as the one before it was
// called for.
func (w *Window) uncalled() []point {
	var points []point
	var before history.Time
	for rev := int64(1); rev <= w.last; rev++ {
		if called, _, ok := w.Commit(rev); ok {
			before = called
		} else if rev > 1 {
			points = append(points, point{before, rev})
		}
	}
	return points
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
func (w *Window) Hi(t history.Time) int64 { return highest(w.called, t) }

// Commit is the call and the answer between which a revision was committed; ok
// is false where no answer tells: the end of a lease, an unknown outcome.
func (w *Window) Commit(rev int64) (called, returned history.Time, ok bool) {
	if rev <= 0 || rev >= int64(len(w.commits)) || w.commits[rev].called == 0 {
		return 0, 0, false
	}
	return w.commits[rev].called, w.commits[rev].returned, true
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
