// Package residual decides, with porcupine, what the checker of the storage
// history cannot: which of several writes of unknown outcome made the revisions
// at the end of a history that no answer and no event explains.
//
// The checker hands over a window (storage.Window): the state before the first
// such revision, what was answered from there on, and the writes that may have
// taken effect. Headers fix the revision of everything that was answered, so
// that between two missing revisions nothing is left to search: one run of calls,
// executed in the order of their revisions, is one operation for porcupine. What
// porcupine puts in order are these runs, the writes of unknown outcome and the
// ends of leases, by a model of etcd whose state includes the header revision.
//
// Only what the choice can change is looked at: the keys that some write of
// unknown outcome may change and, so that lists can be judged, their neighbours
// in the ranges that were asked for. Where the window does not tell, the model
// allows: "impossible" then is sure, and what it explains is judged once more by
// the checker, with the choice that was found.
package residual

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
)

// Limits bound a search. A zero field means its default.
type Limits struct {
	// Deadline is for porcupine's search; default 10 s.
	Deadline time.Duration
	// Work is how many calls the model executes, those that it executes again
	// for another choice included; default 2 million. It bounds the memory too,
	// and makes the verdict the same on a slow machine.
	Work int64
	// Keys is the number of keys of a range, and Candidates that of writes and
	// ends of leases, beyond which a window is not searched; default 1,024 each.
	Keys, Candidates int
}

func (l Limits) withDefaults() Limits {
	if l.Deadline <= 0 {
		l.Deadline = 10 * time.Second
	}
	if l.Work <= 0 {
		l.Work = 2_000_000
	}
	if l.Keys <= 0 {
		l.Keys = 1024
	}
	if l.Candidates <= 0 {
		l.Candidates = 1024
	}
	return l
}

// Judge returns the search for storage.Options.Residual.
func Judge(limits Limits) func(storage.Window) storage.Explanation {
	limits = limits.withDefaults()
	return func(w storage.Window) storage.Explanation { return explain(w, limits) }
}

func explain(w storage.Window, limits Limits) storage.Explanation {
	p, why := newProblem(w, limits)
	switch {
	case why != "":
		return storage.Explanation{Finding: storage.Undecided, Why: why}
	case p == nil:
		return storage.Explanation{Finding: storage.Impossible}
	}
	m := &model{problem: p, limit: limits.Work}
	switch porcupine.CheckOperationsTimeout(m.porcupine(), p.operations(), limits.Deadline) {
	case porcupine.Ok:
		return m.explanation()
	case porcupine.Illegal:
		return m.impossible()
	}
	return storage.Explanation{Finding: storage.Undecided, Why: fmt.Sprintf("beyond the deadline of %s", limits.Deadline)}
}

// itemKind says what porcupine puts in order.
type itemKind int

const (
	itemRun   itemKind = iota // a run of answered calls
	itemWrite                 // a write of unknown outcome
	itemEnd                   // the end of a lease
	itemOver                  // the history is over; what comes after never happened
)

type item struct {
	kind  itemKind
	run   int // index of problem.runs
	op    *history.StoreOp
	after int64 // a write can only have made a later revision
	only  int64 // the one revision that it can have made, 0: any
	lease int64
	at    map[int64]bool // the revisions that the end of the lease may be
}

// operations gives the runs one after another and lets the rest come at any
// time: the revisions in the state say when it may.
func (p *problem) operations() []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(it item, call, ret int64) {
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: it, Call: call, Return: ret})
	}
	n := int64(len(p.free))
	for i, it := range p.free {
		// In the order of their calls, and so the earliest is tried first.
		add(it, int64(i)-n, math.MaxInt64)
	}
	for i := range p.runs {
		add(item{kind: itemRun, run: i}, int64(2*i), int64(2*i+1))
	}
	add(item{kind: itemOver}, int64(2*len(p.runs)), int64(2*len(p.runs)+1))
	return ops
}

// model is porcupine's view of a problem.
type model struct {
	*problem
	limit int64
	work  atomic.Int64
	// blurred: some comparison could not be decided, and one branch was tried.
	blurred atomic.Bool
	over    *state // the state in which the search found everything explained
}

// explanation reads the choice from the last state.
func (m *model) explanation() storage.Explanation {
	e := storage.Explanation{Finding: storage.Explained, Writes: map[int64]*history.StoreOp{}, Ends: map[int64]int64{}}
	for c := m.over.chosen; c != nil; c = c.before {
		if c.it.kind == itemEnd {
			e.Ends[c.rev] = c.it.lease
		} else {
			e.Writes[c.rev] = c.it.op
		}
	}
	return e
}

// impossible is the finding where no order was found: sure if all were tried.
func (m *model) impossible() storage.Explanation {
	switch {
	case m.work.Load() > m.limit:
		return storage.Explanation{Finding: storage.Undecided, Why: fmt.Sprintf("more than %d calls to execute", m.limit)}
	case m.blurred.Load():
		return storage.Explanation{Finding: storage.Undecided, Why: "a comparison of unknown keys or of the order of values"}
	}
	return storage.Explanation{Finding: storage.Impossible}
}
