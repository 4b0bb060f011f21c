package watch

import (
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// depths know before when a revision did not exist: a linearizable call that
// was answered at a lower revision had been made by then. That bounds also the
// revisions that nobody asked for, such as the ends of leases.
type depths struct {
	pages map[int64]*depthPage // by the upper bits of the revision
}

const depthBits = 9

// depthPage holds, for each revision, the call of the latest answer at it.
type depthPage [1 << depthBits]history.Time

// add takes note of an answer whose header and data are one snapshot. A change
// was made on the revision before it.
func (f *depths) add(op *history.StoreOp) {
	if op.Returned == 0 || op.Error.Kind != history.ErrorNone || op.Header <= 0 || timeline.Local(op) {
		return
	}
	rev := op.Header
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream:
	case history.MethodPut, history.MethodDeleteRange, history.MethodTxn:
		if timeline.Changed(op) {
			rev--
		}
	default:
		return
	}
	if f.pages == nil {
		f.pages = map[int64]*depthPage{}
	}
	page := f.pages[rev>>depthBits]
	if page == nil {
		page = new(depthPage)
		f.pages[rev>>depthBits] = page
	}
	at := &page[rev&(1<<depthBits-1)]
	*at = max(*at, op.Called)
}

// of returns a moment before which a revision did not exist, 0: none is known.
// It looks back only so far that its cost is bounded, which may name an earlier
// moment than there is, never a later one.
func (f *depths) of(rev int64) history.Time {
	var latest history.Time
	for number := (rev - 1) >> depthBits; number >= 0 && number >= (rev-1)>>depthBits-1; number-- {
		page := f.pages[number]
		if page == nil {
			continue
		}
		for i, at := range page {
			if number<<depthBits+int64(i) < rev {
				latest = max(latest, at)
			}
		}
	}
	return latest
}
