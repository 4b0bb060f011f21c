package residual

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// problem is a window as the model needs it.
type problem struct {
	first *state
	names []string // the keys that the model knows, sorted
	whole bool     // every key of the store is known, what is not there does not exist
	runs  []run
	free  []item // what may happen between runs, in the order of the calls
}

// run is what was answered of the revisions from a missing one to the next.
type run struct {
	from, to int64
	calls    []step
}

// step is one answered call at the revision on which it began.
type step struct {
	op      *history.StoreOp
	basis   int64
	checked bool // its answer depends on the choice; else only its effect matters
}

// scope is which keys matter.
type scope struct {
	doubtful map[string]bool
	wide     []history.StoreAction // ranges that a doubtful write deletes
	names    map[string]bool
	ranges   []history.StoreAction // of which every key is known
}

// newProblem returns the problem of a window, nil if it has fewer candidates
// than revisions to explain, or why it cannot be posed.
func newProblem(w storage.Window, limits Limits) (*problem, string) {
	writes := answeredWrites(w)
	missing := w.Last - w.First + 1 - int64(len(writes))
	if missing > int64(limits.Candidates) {
		return nil, fmt.Sprintf("%d revisions without an author", missing)
	}
	p := &problem{whole: w.State.Complete(), free: candidates(w, writes)}
	if len(p.free) > limits.Candidates {
		return nil, fmt.Sprintf("%d writes of unknown outcome and leases", len(p.free))
	}
	if missing > int64(len(p.free)) {
		return nil, ""
	}
	sc := newScope(w, p.free)
	var checked []bool
	for _, op := range w.Answered {
		checked = append(checked, sc.concerns(op) && sc.admit(op, w, limits.Keys))
	}
	if why := sc.complete(w, p.free, limits.Keys); why != "" {
		return nil, why
	}
	for name := range sc.names {
		p.names = append(p.names, name)
	}
	slices.Sort(p.names)
	p.first = newState(p, w)
	p.cut(w, writes, sc, checked)
	return p, ""
}

// candidates returns what may have made the missing revisions. That a lease was
// revoked does not say that it held keys: a revocation is a candidate for the
// revision of its answer.
func candidates(w storage.Window, writes map[int64]*history.StoreOp) []item {
	var list []item
	for _, c := range w.Unknown {
		list = append(list, item{kind: itemWrite, op: c.Op, after: c.After, lease: c.Op.Lease})
	}
	for _, op := range w.Answered {
		if op.Method == history.MethodLeaseRevoke {
			list = append(list, item{kind: itemWrite, op: op, only: op.Header, lease: op.Lease})
		}
	}
	used := usedLeases(w)
	for _, lease := range w.Leases {
		if len(w.Held(lease)) == 0 && !used[lease] {
			continue
		}
		at := ends(w, writes, lease)
		if len(at) == 0 {
			continue
		}
		// It may be granted and end again, as often as calls asked for it.
		for range 1 + granted(w, lease) {
			list = append(list, item{kind: itemEnd, lease: lease, at: at})
		}
	}
	return list
}

// usedLeases are the leases that puts in the window name.
func usedLeases(w storage.Window) map[int64]bool {
	used := map[int64]bool{}
	note := func(op *history.StoreOp) {
		for _, a := range slices.Concat(op.Then, op.Else) {
			used[a.Lease] = true
		}
	}
	for _, op := range w.Answered {
		note(op)
	}
	for _, c := range w.Unknown {
		note(c.Op)
	}
	return used
}

// ends returns the missing revisions that the end of a lease may be.
func ends(w storage.Window, writes map[int64]*history.StoreOp, lease int64) map[int64]bool {
	at := map[int64]bool{}
	for rev := w.First; rev <= w.Last; rev++ {
		if writes[rev] == nil && w.MayEnd(lease, rev) {
			at[rev] = true
		}
	}
	return at
}

// granted counts the calls that may have granted a lease in the window.
func granted(w storage.Window, lease int64) int {
	n := 0
	for _, op := range w.Answered {
		if op.Method == history.MethodLeaseGrant && op.GrantedLease == lease {
			n++
		}
	}
	return n
}

// answeredWrites returns the acknowledged writes by revision. Of two that claim
// one revision the earliest counts, as for the checker, which reports both.
func answeredWrites(w storage.Window) map[int64]*history.StoreOp {
	writes := map[int64]*history.StoreOp{}
	for _, op := range w.Answered {
		if other := writes[op.Header]; timeline.Changed(op) && (other == nil || op.Called < other.Called) {
			writes[op.Header] = op
		}
	}
	return writes
}

func newScope(w storage.Window, free []item) *scope {
	sc := &scope{doubtful: map[string]bool{}, names: map[string]bool{}}
	leases := map[int64]bool{}
	for _, it := range free {
		if it.kind == itemEnd || it.op.Method == history.MethodLeaseRevoke {
			leases[it.lease] = true
			for _, key := range w.Held(it.lease) {
				sc.doubtful[key] = true
			}
			continue
		}
		sc.changes(it.op)
	}
	for _, op := range w.Answered {
		for _, a := range slices.Concat(op.Then, op.Else) {
			if a.Kind == history.ActionPut && leases[a.Lease] {
				sc.doubtful[a.Key] = true
			}
		}
	}
	return sc
}

// changes adds the keys that a write of unknown outcome may change.
func (sc *scope) changes(op *history.StoreOp) {
	for _, a := range slices.Concat(op.Then, op.Else) {
		switch {
		case a.Kind == history.ActionRange:
		case a.End == "":
			sc.doubtful[a.Key] = true
		default:
			sc.wide = append(sc.wide, a)
		}
	}
}

// concerns says that a call names a key that is in doubt.
func (sc *scope) concerns(op *history.StoreOp) bool {
	return slices.ContainsFunc(slices.Concat(op.Then, op.Else), func(a history.StoreAction) bool { return sc.about(a.Key, a.End) }) ||
		slices.ContainsFunc(op.Compares, func(c history.StoreCompare) bool { return sc.about(c.Key, c.End) })
}

func (sc *scope) about(key, end string) bool {
	if end == "" && sc.doubtful[key] {
		return true
	}
	if end != "" {
		for k := range sc.doubtful {
			if timeline.InRange(k, key, end) {
				return true
			}
		}
	}
	return slices.ContainsFunc(sc.wide, func(a history.StoreAction) bool {
		return timeline.InRange(a.Key, key, end) || timeline.InRange(key, a.Key, a.End)
	})
}

// admit adds the keys that are needed to execute a call, unless there are too
// many: then its answer is not looked at.
func (sc *scope) admit(op *history.StoreOp, w storage.Window, most int) bool {
	actions := slices.Concat(op.Then, op.Else)
	for _, c := range op.Compares {
		actions = append(actions, history.StoreAction{Key: c.Key, End: c.End})
	}
	for _, a := range actions {
		if a.End != "" && w.State.Count(a.Key, a.End) > int64(most) {
			return false
		}
	}
	for _, a := range actions {
		if a.End == "" {
			sc.names[a.Key] = true
		} else if !slices.ContainsFunc(sc.ranges, func(r history.StoreAction) bool { return r.Key == a.Key && r.End == a.End }) {
			sc.ranges = append(sc.ranges, a)
		}
	}
	return true
}

// complete adds the keys that candidates need, and the neighbours of all in the
// ranges, those that exist and those that are put in the window.
func (sc *scope) complete(w storage.Window, free []item, most int) string {
	for key := range sc.doubtful {
		sc.names[key] = true
	}
	for _, it := range free {
		if it.kind == itemWrite && !sc.admit(it.op, w, most) {
			return fmt.Sprintf("a write of unknown outcome concerns more than %d keys", most)
		}
	}
	for _, r := range sc.ranges {
		w.State.List(r.Key, r.End, func(kv history.StoreKV) bool {
			sc.names[kv.Key] = true
			return true
		})
	}
	put := func(op *history.StoreOp) {
		for _, a := range slices.Concat(op.Then, op.Else) {
			if a.Kind == history.ActionPut && sc.ranged(a.Key) {
				sc.names[a.Key] = true
			}
		}
	}
	for _, op := range w.Answered {
		put(op)
	}
	return ""
}

func (sc *scope) ranged(key string) bool {
	return slices.ContainsFunc(sc.ranges, func(r history.StoreAction) bool { return timeline.InRange(key, r.Key, r.End) })
}

// matters says that a write changes a key that the model knows.
func (sc *scope) matters(op *history.StoreOp) bool {
	return slices.ContainsFunc(timeline.Branch(op), func(a history.StoreAction) bool {
		return a.Kind == history.ActionPut && sc.names[a.Key] || a.Kind == history.ActionDelete && (a.End != "" || sc.names[a.Key])
	})
}

// cut divides the answered calls at the missing revisions. The first run is that
// of the first missing one.
func (p *problem) cut(w storage.Window, writes map[int64]*history.StoreOp, sc *scope, checked []bool) {
	for rev := w.First; rev <= w.Last; rev++ {
		if writes[rev] == nil {
			p.runs = append(p.runs, run{from: rev})
		}
		p.runs[len(p.runs)-1].to = rev
	}
	for i, op := range w.Answered {
		s, ok := place(op, checked[i])
		switch {
		case !ok || s.basis < w.First:
		case timeline.Changed(op) && (writes[op.Header] != op || !sc.matters(op) && !s.checked):
		case timeline.Changed(op) || s.checked:
			at, _ := slices.BinarySearchFunc(p.runs, s.basis, func(r run, rev int64) int { return cmp.Compare(r.to, rev) })
			if at < len(p.runs) {
				p.runs[at].calls = append(p.runs[at].calls, s)
			}
		}
	}
	for i := range p.runs {
		slices.SortStableFunc(p.runs[i].calls, func(a, b step) int {
			return cmp.Or(cmp.Compare(a.basis, b.basis), cmp.Compare(changes(a), changes(b)))
		})
	}
}

// changes orders the write of the next revision after the reads of this one.
func changes(s step) int {
	if timeline.Changed(s.op) {
		return 1
	}
	return 0
}

// place returns a call at the revision on which it began. A read of an old
// revision belongs there.
func place(op *history.StoreOp, checked bool) (step, bool) {
	s := step{op: op, basis: op.Header, checked: checked}
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream:
		if a := op.Then[0]; a.Revision > 0 {
			s.basis = a.Revision
		}
		return s, s.basis <= op.Header
	case history.MethodPut, history.MethodDeleteRange, history.MethodTxn:
		if timeline.Changed(op) {
			s.basis--
		}
		return s, true
	}
	return s, false
}
