package watch

import (
	"cmp"
	"slices"
	"sort"

	"github.com/planecheck/planecheck/checkers/history"
)

// compactions knows which revisions may have been compacted at a time. A
// compaction counts from its call on: which member has applied it when is not
// known, and one of unknown outcome may have been applied.
type compactions struct {
	calls  []compaction
	sorted bool
	acked  int64
}

type compaction struct {
	called history.Time
	rev    int64 // once sorted: the highest revision of this and all earlier calls
}

func (c *compactions) add(op *history.StoreOp) {
	if op.Error.Definite() {
		return
	}
	if op.Error.Kind == history.ErrorNone && op.Returned != 0 {
		c.acked++
	}
	c.calls = append(c.calls, compaction{op.Called, op.Revision})
	c.sorted = false
}

// before returns the highest revision whose compaction was called before a
// time: revisions below it may have been gone.
func (c *compactions) before(t history.Time) int64 {
	if !c.sorted {
		slices.SortFunc(c.calls, func(a, b compaction) int { return cmp.Compare(a.called, b.called) })
		for i := 1; i < len(c.calls); i++ {
			c.calls[i].rev = max(c.calls[i].rev, c.calls[i-1].rev)
		}
		c.sorted = true
	}
	n := sort.Search(len(c.calls), func(i int) bool { return c.calls[i].called >= t })
	if n == 0 {
		return 0
	}
	return c.calls[n-1].rev
}
