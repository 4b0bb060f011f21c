package storetest

import (
	"cmp"
	"slices"
	"sync"

	"github.com/planecheck/planecheck/checkers/history"
)

// Log is a history.StoreSink in memory, for tests.
type Log struct {
	mu      sync.Mutex
	Ops     []*history.StoreOp // in the order in which they were handed over
	Watches []*history.StoreWatch
}

// StoreOp takes a call.
func (l *Log) StoreOp(op *history.StoreOp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Ops = append(l.Ops, op)
}

// StoreWatch takes a message of a watch stream.
func (l *Log) StoreWatch(w *history.StoreWatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Watches = append(l.Watches, w)
}

// Recorded returns what has been recorded so far, while more may come.
func (l *Log) Recorded() History {
	l.mu.Lock()
	defer l.mu.Unlock()
	return History{Ops: slices.Clone(l.Ops), Watches: slices.Clone(l.Watches)}
}

func (l *Log) history() History {
	slices.SortFunc(l.Ops, func(a, b *history.StoreOp) int { return cmp.Compare(a.ID, b.ID) })
	return History{Ops: l.Ops, Watches: l.Watches}
}

// byReturn returns the calls in the order of their answers, those without one
// last.
func byReturn(ops []*history.StoreOp) []*history.StoreOp {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b *history.StoreOp) int {
		if (a.Returned == 0) != (b.Returned == 0) {
			if a.Returned == 0 {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.Returned, b.Returned)
	})
	return ops
}

// Clone returns a deep copy, for tests that tell lies in it.
func (h History) Clone() History {
	var c History
	for _, op := range h.Ops {
		c.Ops = append(c.Ops, op.Clone())
	}
	for _, w := range h.Watches {
		c.Watches = append(c.Watches, w.Clone())
	}
	return c
}
