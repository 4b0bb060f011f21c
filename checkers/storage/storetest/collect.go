package storetest

import (
	"cmp"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// collector keeps the records of a run.
type collector struct {
	ops     []*history.StoreOp
	watches []*history.StoreWatch
}

func (c *collector) StoreOp(op *history.StoreOp)      { c.ops = append(c.ops, op) }
func (c *collector) StoreWatch(w *history.StoreWatch) { c.watches = append(c.watches, w) }

func (c *collector) history() History {
	slices.SortFunc(c.ops, func(a, b *history.StoreOp) int { return cmp.Compare(a.ID, b.ID) })
	return History{Ops: c.ops, Watches: c.watches}
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
		c.Ops = append(c.Ops, cloneOp(op))
	}
	for _, w := range h.Watches {
		copied := *w
		copied.Events = slices.Clone(w.Events)
		c.Watches = append(c.Watches, &copied)
	}
	return c
}

func cloneOp(op *history.StoreOp) *history.StoreOp {
	c := *op
	c.Compares = slices.Clone(op.Compares)
	c.Then = slices.Clone(op.Then)
	c.Else = slices.Clone(op.Else)
	c.Results = slices.Clone(op.Results)
	for i := range c.Results {
		c.Results[i].KVs = slices.Clone(c.Results[i].KVs)
		c.Results[i].Chunks = slices.Clone(c.Results[i].Chunks)
	}
	return &c
}
