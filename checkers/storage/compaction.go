package storage

import (
	"cmp"
	"slices"
	"sort"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// compactions knows which revisions may and which must be gone at a time.
type compactions struct {
	requested ceiling // by the time of the call, also of those without an answer
	done      ceiling // by the time of the answer
	revs      map[int64]history.Time
	open      []record // Compacted errors and hashes that no compaction explains yet
	succeeded int64
	errors    int64
	pinned    int64 // uses of a revision that was asked for
	reads     int64 // ranges of such a one, and what was refused for one but compactions
}

// ceiling is the highest revision that was compacted up to a time.
type ceiling struct {
	marks  []mark
	sorted bool
}

type mark struct {
	at      history.Time
	rev     int64
	highest *history.StoreOp // of all marks up to this one
	op      *history.StoreOp
}

func (c *ceiling) add(at history.Time, op *history.StoreOp) {
	c.marks = append(c.marks, mark{at: at, rev: op.Revision, op: op})
	c.sorted = false
}

// before returns the compaction of the highest revision strictly before a time.
func (c *ceiling) before(t history.Time) *history.StoreOp {
	if !c.sorted {
		slices.SortStableFunc(c.marks, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
		var highest *history.StoreOp
		for i := range c.marks {
			if highest == nil || c.marks[i].rev > highest.Revision {
				highest = c.marks[i].op
			}
			c.marks[i].highest = highest
		}
		c.sorted = true
	}
	i := sort.Search(len(c.marks), func(i int) bool { return c.marks[i].at >= t })
	if i == 0 {
		return nil
	}
	return c.marks[i-1].highest
}

func (c *compactions) see(op *history.StoreOp) {
	if op.Method != history.MethodCompact || op.Error.Definite() {
		return
	}
	if c.revs == nil {
		c.revs = map[int64]history.Time{}
	}
	if at, ok := c.revs[op.Revision]; !ok || op.Called < at {
		c.revs[op.Revision] = op.Called
	}
	c.requested.add(op.Called, op)
	if acknowledged(op) {
		c.succeeded++
		c.done.add(op.Returned, op)
	}
}

// ranges yields the ranges of a call, of both branches.
func ranges(op *history.StoreOp, yield func(history.StoreAction)) {
	for _, branch := range [][]history.StoreAction{op.Then, op.Else} {
		for _, a := range branch {
			if a.Kind == history.ActionRange {
				yield(a)
			}
		}
	}
}

// checkReadable judges the success of calls that name a revision. A compaction
// to C makes the revisions below C unreadable from the moment it is applied, and
// a second one to C or below fails (storage/mvcc/kvstore.go, updateCompactRev;
// kvstore_txn.go, rangeKeys). A lagging member may still serve them on its own.
func (c *Checker) checkReadable(r record) {
	op := r.op
	if op.Method == history.MethodCompact {
		c.checkPinned(op, op.Revision, true)
		return
	}
	if op.Method == history.MethodHashKV {
		c.checkPinned(op, op.Revision, false)
		c.checkHashed(r, false)
		return
	}
	for _, a := range timeline.Branch(op) {
		if a.Kind == history.ActionRange && a.Revision > 0 {
			c.compact.reads++
			c.checkPinned(op, a.Revision, false)
		}
	}
}

func (c *Checker) checkPinned(op *history.StoreOp, rev int64, inclusive bool) {
	c.compact.pinned++
	if rev > op.Header {
		c.fail(CompactionHonest, because("#%d used revision %d, which is not there at revision %d", op.ID, rev, op.Header).op(op))
		return
	}
	if timeline.Local(op) || !c.opts.Contract.CompactsOnRequest {
		return
	}
	done := c.compact.done.before(op.Called)
	if done == nil || done == op || done.Revision < rev || (done.Revision == rev && !inclusive) {
		return
	}
	c.fail(CompactionHonest, because("#%d used revision %d after everything below %d had been compacted", op.ID, rev, done.Revision).op(done).op(op))
}

// judgeError judges the errors that say something about revisions.
func (c *Checker) judgeError(r record) {
	if kind := r.op.Error.Kind; kind != history.ErrorCompacted && kind != history.ErrorFutureRev {
		return
	}
	c.compact.errors++
	if r.op.Method != history.MethodCompact {
		c.compact.reads++
	}
	switch r.op.Error.Kind {
	case history.ErrorCompacted:
		if !c.explained(r) {
			c.compact.open = append(c.compact.open, r)
		}
	case history.ErrorFutureRev:
		c.checkFuture(r)
	}
}

// checkFuture judges the answer that a revision is not there yet: nobody may
// have seen it before. A member alone may lag.
func (c *Checker) checkFuture(r record) {
	op := r.op
	if timeline.Local(op) {
		return
	}
	asked := op.Revision
	ranges(op, func(a history.StoreAction) { asked = max(asked, a.Revision) })
	if r.after.rev < asked {
		return
	}
	e := because("#%d was told that revision %d is in the future, after revision %d had been returned", op.ID, asked, r.after.rev)
	e.rows = append(e.rows, r.after.row())
	c.fail(CompactionHonest, e.op(op))
}

// compactedBelow returns the revision that an answer says is compacted: some
// compaction must be above it. Of a RangeStream of the current revision it is
// not known, but not lower than what had been seen before (etcdserver/
// v3_server.go, rangeStream pins it with its first chunk).
func compactedBelow(r record) (rev int64, possible bool) {
	op := r.op
	switch op.Method {
	case history.MethodCompact:
		return op.Revision - 1, true
	case history.MethodHashKV:
		return op.Revision, op.Revision > 0
	case history.MethodRangeStream:
		if op.Then[0].Revision <= 0 {
			return r.after.rev, true
		}
	}
	ranges(op, func(a history.StoreAction) {
		if a.Revision > 0 && (!possible || a.Revision < rev) {
			rev, possible = a.Revision, true
		}
	})
	return rev, possible
}

// explained says whether a compaction that was requested in time accounts for a
// Compacted error.
func (c *Checker) explained(r record) bool {
	if !c.opts.Contract.CompactsOnRequest {
		return true
	}
	rev, possible := compactedBelow(r)
	if !possible {
		return false
	}
	// etcd that has never compacted is compacted to -1, and refuses up to that
	// (storage/mvcc/kvstore.go, updateCompactRev).
	if r.op.Method == history.MethodCompact && r.op.Revision < 0 {
		return true
	}
	if first, _ := c.t.Bounds(); !c.t.Complete() && rev < first {
		return true // by a compaction before the history
	}
	until := r.op.Returned
	if until == 0 {
		until = 1<<63 - 1
	}
	by := c.compact.requested.before(until)
	return by != nil && by.Revision > rev
}

// checkHashed judges the compact revision that a hash was made with: somebody
// must have asked for it.
func (c *Checker) checkHashed(r record, final bool) {
	op := r.op
	if first, _ := c.t.Bounds(); op.CompactRevision <= 0 || (!c.t.Complete() && op.CompactRevision <= first) || !c.opts.Contract.CompactsOnRequest {
		return
	}
	if at, ok := c.compact.revs[op.CompactRevision]; ok && at < op.Returned {
		return
	}
	if !final {
		c.compact.open = append(c.compact.open, r)
		return
	}
	c.fail(CompactionHonest, because("#%d was made at compact revision %d, to which nobody had compacted", op.ID, op.CompactRevision).op(op))
}

// finishCompactions judges what waited for compactions to be recorded.
func (c *Checker) finishCompactions() {
	for _, r := range c.compact.open {
		if r.op.Error.Kind == history.ErrorNone {
			c.checkHashed(r, true)
			continue
		}
		if c.explained(r) {
			continue
		}
		rev, possible := compactedBelow(r)
		if !possible {
			c.fail(CompactionHonest, because("#%d read the current revision and was told that it is compacted", r.op.ID).op(r.op))
			continue
		}
		e := because("#%d was told that revision %d is compacted, nobody had asked for that", r.op.ID, rev)
		if by := c.compact.requested.before(r.op.Returned); by != nil {
			e.op(by)
		}
		c.fail(CompactionHonest, e.op(r.op))
	}
}
