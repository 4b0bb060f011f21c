package power

import (
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// bounds are the times by which a history is judged.
type bounds struct {
	overrun time.Duration // how long a key may outlive its lease, beside one time to live
	calm    history.Time  // from here on no faults; 0: not judged
	fresh   time.Duration // longest delivery from calm on
}

func etcdBounds() bounds {
	// What counts as too long is a matter of the contract, not of the checkers.
	return bounds{overrun: storage.Etcd().LeaseOverrun, calm: 1, fresh: 10 * time.Second}
}

// objections returns what the model finds wrong with a history. It replays all
// calls with plain maps, compares real time pair by pair and walks every watch
// along the plain list of changes. None: the model accepts the history.
func objections(h storetest.History, b bounds) []string { return study(h, b).bad }

// study learns what a history says, and looks for everything that is wrong.
func study(h storetest.History, b bounds) *facts {
	f := learn(h)
	for _, check := range f.checks(b) {
		check()
	}
	return f
}

// objection returns the first of them, "" for none. What comes behind it is left out,
// for it is slow, and what the lie has not touched, if the history before it is known.
func objection(h storetest.History, b bounds, was *before) string {
	f := learnSince(h, was, true)
	for _, check := range f.checks(b) {
		if len(f.bad) > 0 {
			break
		}
		check()
	}
	if len(f.bad) == 0 {
		return ""
	}
	return f.bad[0]
}

// checks are the parts of the model that come after the replay, in their order.
func (f *facts) checks(b bounds) []func() {
	if f.last == firstRevision {
		return nil
	}
	return []func(){
		func() {
			for _, op := range f.ops {
				if !f.readBefore(op) {
					f.checkRead(op)
				}
				f.checkCompaction(op)
			}
		},
		f.checkRealTime, f.checkHashes,
		func() { f.checkLeases(b) }, func() { f.checkWatches(b) },
	}
}

// checkRead compares the answer of a call that changed nothing with the state
// at its header.
func (f *facts) checkRead(op *history.StoreOp) {
	if !acked(op) || wrote(op) || len(op.Then)+len(op.Else) == 0 {
		return
	}
	if op.Header < firstRevision || op.Header > f.last {
		f.reject("call %d answers at revision %d", op.ID, op.Header)
		return
	}
	s := f.states[op.Header]
	if op.Method == history.MethodTxn && holdAll(op.Compares, s) != op.Succeeded {
		f.reject("call %d: comparisons are wrong at revision %d", op.ID, op.Header)
	}
	for _, a := range executed(op) {
		if a.Revision > op.Header {
			f.reject("call %d read the future", op.ID)
			return
		}
	}
	_, want, _ := f.execute(executed(op), s, op.Header)
	if why := differ(op, want); why != "" {
		f.reject("call %d at revision %d: %s", op.ID, op.Header, why)
	}
}

// local says that one member answered on its own, so that the revision says
// nothing of when.
func local(op *history.StoreOp) bool {
	switch op.Method {
	case history.MethodRange, history.MethodTxn:
		all := append(append([]history.StoreAction(nil), op.Then...), op.Else...)
		for _, a := range all {
			if a.Kind != history.ActionRange || !a.Serializable {
				return false
			}
		}
		return len(all) > 0
	case history.MethodRangeStream, history.MethodPut, history.MethodDeleteRange, history.MethodLeaseRevoke:
		return false
	}
	return true
}

// checkRealTime compares all pairs of calls, but those of which the lie touched none.
func (f *facts) checkRealTime() {
	touched := f.touchedOps()
	for _, b := range f.ops {
		p, changes := f.used[b], f.used[b] != 0
		if !changes {
			if !acked(b) || local(b) {
				continue
			}
			p = b.Header
		}
		others := f.ops
		if f.placedBefore(b) {
			others = touched
		}
		for _, a := range others {
			if !acked(a) || a.Returned >= b.Called || a.Header == 0 {
				continue
			}
			if a.Header > p || (changes && a.Header == p) {
				f.reject("call %d at revision %d returned before call %d at revision %d was made", a.ID, a.Header, b.ID, p)
			}
		}
	}
}

// reads returns the revisions that a call asks for; 0 stands for the current.
func reads(op *history.StoreOp) []int64 {
	if op.Method == history.MethodHashKV || op.Method == history.MethodCompact {
		return []int64{op.Revision}
	}
	actions := executed(op)
	if op.Method == history.MethodTxn && !acked(op) {
		actions = append(append([]history.StoreAction(nil), op.Then...), op.Else...)
	}
	var revs []int64
	for _, a := range actions {
		if a.Kind == history.ActionRange {
			revs = append(revs, a.Revision)
		}
	}
	return revs
}

func (f *facts) checkCompaction(op *history.StoreOp) {
	if op.Method == history.MethodHashKV && acked(op) && op.CompactRevision > 0 &&
		!f.compactCalled(op.Returned, func(rev int64) bool { return rev == op.CompactRevision }) {
		f.reject("call %d names compaction %d, which nobody asked for", op.ID, op.CompactRevision)
	}
	switch {
	case op.Error.Kind == history.ErrorCompacted:
		for _, n := range reads(op) {
			if f.mayBeCompacted(op, n) {
				return
			}
		}
		f.reject("call %d: nothing is compacted", op.ID)
	case op.Error.Kind == history.ErrorFutureRev && !local(op) || op.Error.Kind == history.ErrorFutureRev && op.Method == history.MethodCompact:
		for _, n := range reads(op) {
			if n > 0 && !f.returned(op.Called, n) {
				return
			}
		}
		f.reject("call %d: no revision it asks for is in the future", op.ID)
	case acked(op) && (!local(op) || op.Method == history.MethodCompact):
		for _, n := range reads(op) {
			f.checkReadable(op, n)
		}
	}
}

// compactCalled says that a compaction that fits was called before a moment.
func (f *facts) compactCalled(before history.Time, fits func(rev int64) bool) bool {
	for _, c := range f.calls(history.MethodCompact) {
		if !c.Error.Definite() && c.Called <= before && fits(c.Revision) {
			return true
		}
	}
	return false
}

func (f *facts) mayBeCompacted(op *history.StoreOp, n int64) bool {
	for _, c := range f.calls(history.MethodCompact) {
		if c == op || c.Error.Definite() || c.Called > op.Returned {
			continue
		}
		switch {
		case op.Method == history.MethodCompact && c.Revision >= n, n > 0 && c.Revision > n:
			return true
		case op.Method == history.MethodRangeStream && n == 0 && (c.Returned == 0 || c.Returned >= op.Called):
			return true // its revision was compacted while its chunks came
		}
	}
	return false
}

// returned says that a revision was known to a client before a moment.
func (f *facts) returned(before history.Time, rev int64) bool {
	for _, op := range f.ops {
		if acked(op) && op.Returned < before && op.Header >= rev {
			return true
		}
	}
	return false
}

func (f *facts) checkReadable(op *history.StoreOp, n int64) {
	if n > op.Header {
		f.reject("call %d succeeds for revision %d of %d", op.ID, n, op.Header)
	}
	for _, c := range f.calls(history.MethodCompact) {
		if c == op || !acked(c) || c.Returned >= op.Called || n == 0 {
			continue
		}
		if c.Revision > n || (op.Method == history.MethodCompact && c.Revision >= n) {
			f.reject("call %d succeeds for revision %d after compaction %d", op.ID, n, c.Revision)
		}
	}
}

func (f *facts) checkHashes() {
	type point struct{ rev, compact int64 }
	hashes := map[point]uint64{}
	for _, op := range f.ops {
		if op.Method != history.MethodHashKV || !acked(op) {
			continue
		}
		at := point{op.Revision, op.CompactRevision}
		if at.rev == 0 {
			at.rev = op.Header
		}
		if hash, ok := hashes[at]; ok && hash != op.Hash {
			f.reject("call %d: another hash at revision %d", op.ID, at.rev)
		}
		hashes[at] = op.Hash
	}
}
