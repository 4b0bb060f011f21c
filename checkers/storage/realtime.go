package storage

import (
	"cmp"
	"slices"
	"sort"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// record is a call with what had been seen when it was made.
type record struct {
	op    *history.StoreOp
	after step // the highest revision that was returned before the call
	basis int64
}

// step is an answer that raised the highest revision anybody had seen. It keeps
// of the call only what a reader needs to find it.
type step struct {
	at, called history.Time
	rev        int64
	id         uint64
	method     history.StoreMethod
	member     string
	term       uint64
}

// row shows the answer in a counter-example.
func (s step) row() row {
	return row{From: s.called, To: s.at, What: "#" + itoa(s.id), Who: "at " + s.member, Text: string(s.method) + " -> revision " + itoa(uint64(s.rev))}
}

// stairs are the steps in the order of their times: the highest revision that
// was returned before a moment is found by a search.
//
// The bottom of the stairs is worn: of steps long past only every eighth is
// kept, which can lower what is found, never raise it.
type stairs struct {
	steps   []step
	pending []step
	late    int // answers that came after their time was settled
	settled history.Time
	limit   int // of steps; 0: stairLimit
}

const stairLimit = 1 << 19

// add takes an answer's revision into account.
//
// Any revision in a header is committed when the answer is sent, also where one
// member answers on its own: a member applies what is committed
// (etcdserver/api/v3rpc/header.go fills in the member's current revision). The
// call that comes later must see it.
func (s *stairs) add(op *history.StoreOp) {
	if op.Returned < s.settled {
		s.late++
		return
	}
	s.pending = append(s.pending, step{op.Returned, op.Called, op.Header, op.ID, op.Method, op.Member, op.Term})
}

// settle orders the answers up to a moment.
func (s *stairs) settle(until history.Time) {
	s.settled = max(s.settled, until)
	slices.SortFunc(s.pending, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	n := 0
	for ; n < len(s.pending) && s.pending[n].at <= until; n++ {
		if len(s.steps) == 0 || s.pending[n].rev > s.steps[len(s.steps)-1].rev {
			s.steps = append(s.steps, s.pending[n])
		}
	}
	s.pending = append(s.pending[:0], s.pending[n:]...)
	if len(s.steps) > s.most() {
		s.wear()
	}
}

func (s *stairs) most() int { return cmp.Or(s.limit, stairLimit) }

func (s *stairs) wear() {
	kept := s.steps[:0]
	for i, st := range s.steps {
		if i%8 == 0 || i > s.most()/2 {
			kept = append(kept, st)
		}
	}
	s.steps = kept
}

// before returns the highest revision that was returned strictly before a
// moment.
func (s *stairs) before(t history.Time) step {
	i := sort.Search(len(s.steps), func(i int) bool { return s.steps[i].at >= t })
	if i == 0 {
		return step{}
	}
	return s.steps[i-1]
}

// first returns the moment by which a revision had been returned, 0: it was not.
// Where the stairs are worn that is later than it was, never earlier.
func (s *stairs) first(rev int64) history.Time {
	st, _ := s.firstStep(rev)
	return st.at
}

func (s *stairs) firstStep(rev int64) (step, bool) {
	i := sort.Search(len(s.steps), func(i int) bool { return s.steps[i].rev >= rev })
	if i == len(s.steps) {
		return step{}, false
	}
	return s.steps[i], true
}

// checkRealTime judges an acknowledged call against what had been returned
// before it was made. Compact answers with the current revision after it was
// applied and LeaseGrant with the one at which it was (etcdserver/v3_server.go,
// Compact; etcdserver/apply/backend.go, LeaseGrant): not below what came before.
func (c *Checker) checkRealTime(r record) {
	op := r.op
	if timeline.Local(op) || r.after.rev == 0 {
		return
	}
	if op.Method == history.MethodLeaseGrant && c.opts.Contract.LeaseIDIsTTL {
		return // it names no state: nothing is kept of it
	}
	changed := timeline.Changed(op)
	if op.Header > r.after.rev || (op.Header == r.after.rev && !changed) {
		return
	}
	why := "#%d was called after revision %d had been returned, but read at revision %d"
	if changed {
		why = "#%d was called after revision %d had been returned, but wrote at revision %d"
	}
	e := because(why, op.ID, r.after.rev, op.Header)
	e.rows = append(e.rows, r.after.row())
	c.fail(RealTime, e.op(op))
	c.durable.deny(op)
}
