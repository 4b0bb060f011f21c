package power

import (
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// accepted is a history that the model accepts: what it knows of it serves for all lies
// that are told in it.
type accepted struct {
	*facts
	asked map[*history.StoreWatch]*request // the watches, by what asked for them
	stood []history.Time
}

func accept(f *facts) *accepted {
	a := &accepted{facts: f, asked: map[*history.StoreWatch]*request{}, stood: f.stood()}
	for _, r := range f.requests() {
		a.asked[r.create] = r
	}
	f.end()
	return a
}

// before is the history before a lie was told in a copy of it, and which of its records
// the records of the copy are. What does not depend on anything that the lie changed was
// right before it and is right behind it, so the model leaves it out: that decides
// nothing, a full judgement comes to the same.
type before struct {
	*accepted
	op    map[*history.StoreOp]*history.StoreOp
	watch map[*history.StoreWatch]*history.StoreWatch
}

// newBefore is that of a copy which nobody has changed yet.
func newBefore(a *accepted, c storetest.History) *before {
	w := &before{a, make(map[*history.StoreOp]*history.StoreOp, len(c.Ops)), make(map[*history.StoreWatch]*history.StoreWatch, len(c.Watches))}
	for i, op := range c.Ops {
		w.op[op] = a.ops[i]
	}
	for i, m := range c.Watches {
		w.watch[m] = a.watches[i]
	}
	return w
}

// changed is what a lie has done to a history, as the model comes to know it.
type changed struct {
	touched map[*history.StoreOp]bool // calls that differ, be it in their times alone
	altered map[*history.StoreOp]bool // of them: those that differ in more
	// Whether calls differ, or are missing, that say how long leases last, and those that
	// ask for compactions.
	leases, compacted bool
	like              []bool  // by revision: the state is what it was
	redone            []int64 // revisions that changed something else, or for another cause
}

// compare finds the calls that differ.
func (f *facts) compare() {
	if f.was == nil {
		return
	}
	f.touched, f.altered, f.like = map[*history.StoreOp]bool{}, map[*history.StoreOp]bool{}, []bool{true, true}
	note := func(op *history.StoreOp) {
		switch op.Method {
		case history.MethodLeaseGrant, history.MethodLeaseKeepAlive:
			f.leases = true
		case history.MethodCompact:
			f.compacted = true
		}
	}
	kept := make(map[*history.StoreOp]bool, len(f.ops))
	for _, op := range f.ops {
		was := f.was.op[op]
		kept[was] = true
		if was == nil || !sameBut(op, was) {
			f.altered[op] = true
		}
		if f.altered[op] || op.Called != was.Called || op.Returned != was.Returned {
			f.touched[op] = true
			note(op)
		}
	}
	for _, was := range f.was.ops {
		if !kept[was] {
			note(was)
		}
	}
}

// sameBut says that two calls differ in nothing but their times.
func sameBut(a, b *history.StoreOp) bool {
	return a.ID == b.ID && a.Client == b.Client && a.Member == b.Member && a.Method == b.Method && (a.Returned == 0) == (b.Returned == 0) &&
		slices.Equal(a.Compares, b.Compares) && slices.Equal(a.Then, b.Then) && slices.Equal(a.Else, b.Else) &&
		a.Revision == b.Revision && a.Physical == b.Physical && a.Lease == b.Lease && a.TTL == b.TTL &&
		a.Error == b.Error && a.Header == b.Header && a.Term == b.Term && a.Succeeded == b.Succeeded &&
		a.GrantedLease == b.GrantedLease && a.GrantedTTL == b.GrantedTTL && a.Hash == b.Hash && a.CompactRevision == b.CompactRevision &&
		slices.EqualFunc(a.Results, b.Results, sameResult)
}

func sameResult(a, b history.StoreResult) bool {
	return a.Count == b.Count && a.More == b.More && a.Deleted == b.Deleted && a.Header == b.Header &&
		slices.Equal(a.KVs, b.KVs) && slices.Equal(a.Chunks, b.Chunks)
}

func sameMessage(a, b *history.StoreWatch) bool {
	return a.Stream == b.Stream && a.Watch == b.Watch && a.Member == b.Member && a.Kind == b.Kind && a.At == b.At && a.Header == b.Header &&
		a.Key == b.Key && a.End == b.End && a.Start == b.Start && a.PrevKV == b.PrevKV && a.Progress == b.Progress &&
		a.NoPut == b.NoPut && a.NoDelete == b.NoDelete && a.Fragmented == b.Fragmented &&
		a.CompactRevision == b.CompactRevision && a.Reason == b.Reason && slices.Equal(a.Events, b.Events)
}

// keep takes over what a call did that is what it was, on a state that is.
func (f *facts) keep(rev int64, writer *history.StoreOp) bool {
	if f.was == nil || writer == nil || f.altered[writer] || !f.like[rev-1] || rev > f.was.last || f.was.cause[rev] != f.was.op[writer] ||
		!f.pinnedBefore(writer) {
		return false
	}
	f.settle(rev, writer, f.was.states[rev], f.was.changes[rev])
	return true
}

// hold notes what a revision that is settled has in common with what it was.
func (f *facts) hold(rev int64) {
	if f.was == nil {
		return
	}
	if rev > f.was.last {
		f.like, f.redone = append(f.like, false), append(f.redone, rev)
		return
	}
	same := slices.Equal(f.changes[rev], f.was.changes[rev])
	f.like = append(f.like, f.like[rev-1] && same || maps.Equal(f.states[rev], f.was.states[rev]))
	if f.like[rev] {
		f.states[rev] = f.was.states[rev] // once is enough
	}
	cause := f.cause[rev]
	if !same || f.touched[cause] || cause != nil && f.was.op[cause] != f.was.cause[rev] || cause == nil && f.was.cause[rev] != nil {
		f.redone = append(f.redone, rev)
	}
}

// touchedOps are the calls that differ, all if it is not known what they were.
func (f *facts) touchedOps() []*history.StoreOp {
	if f.was == nil {
		return f.ops
	}
	return slices.DeleteFunc(slices.Clone(f.ops), func(op *history.StoreOp) bool { return !f.touched[op] })
}

// placedBefore says that a call has the times and the revision that it had.
func (f *facts) placedBefore(op *history.StoreOp) bool {
	return f.was != nil && !f.touched[op] && f.used[op] == f.was.used[f.was.op[op]]
}

// readBefore says that an answer is what it was, and the states that it shows are.
func (f *facts) readBefore(op *history.StoreOp) bool {
	return f.was != nil && !f.altered[op] && f.alike(op.Header) && f.pinnedBefore(op)
}

// alike says that the state at a revision is what it was.
func (f *facts) alike(rev int64) bool { return rev >= 0 && rev < int64(len(f.like)) && f.like[rev] }

// pinnedBefore says that the revisions which a call asks for hold what they held.
func (f *facts) pinnedBefore(op *history.StoreOp) bool {
	return !slices.ContainsFunc(executed(op), func(a history.StoreAction) bool { return a.Revision > 0 && !f.alike(a.Revision) })
}

// leasesBefore says that a revision stood as long as it did, with the keys that it had,
// and that no lease lasts longer or shorter.
func (f *facts) leasesBefore(rev int64, stood history.Time) bool {
	return f.was != nil && !f.leases && f.like[rev] && rev <= f.was.last && stood == f.was.stood[rev]
}

// watchBefore says that a watch was told what it was, and is owed what it was.
func (f *facts) watchBefore(r *request) bool {
	if f.was == nil || f.compacted || f.end() != f.was.end() {
		return false
	}
	same := func(m, was *history.StoreWatch) bool { return f.was.watch[m] == was && sameMessage(m, was) }
	was := f.was.asked[f.was.watch[r.create]]
	if was == nil || was.created == nil || !same(r.create, was.create) || !same(r.created, was.created) ||
		!slices.EqualFunc(r.messages, was.messages, same) {
		return false
	}
	owed := func(rev int64) bool {
		return slices.ContainsFunc(f.changes[rev], r.passes) ||
			rev <= f.was.last && slices.ContainsFunc(f.was.changes[rev], r.passes)
	}
	return !slices.ContainsFunc(f.redone, owed)
}
