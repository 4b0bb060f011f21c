package cluster

import (
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// work is what a controller was seen to do. How long it may take to come to
// something depends on how much there is before it: its queue is served in order
// (k8s.io/client-go/util/workqueue), so whatever was due before a thing that was
// done had its turn by then. A controller that did nothing for as long as the
// patience lasts had an empty queue.
//
// It grows by 16 bytes with each thing that was due after all that were done
// before it.
type work struct {
	j        *judge
	patience time.Duration
	turns    []turn // both of their revisions grow
	last     int64  // when it was seen to do something, or the first thing was due
	at       history.Time
}

// turn says that what was due up to a revision had its turn at another.
type turn struct{ due, taken int64 }

// begin says that something is due from a revision on.
func (w *work) begin(due int64) {
	if w.last == 0 {
		w.last, w.at = due, w.j.after(due)
	}
}

// busy says that the controller did something of which it is not known since when
// it was due.
func (w *work) busy(rev int64) {
	was := w.at
	w.at = 0
	if w.j.timed(rev) {
		if at := w.j.before(rev); was != 0 && at.Sub(was) >= w.patience {
			w.add(turn{rev - 1, w.last})
		}
		w.at = w.j.after(rev)
	}
	w.last = rev
}

// did says that it did what was due since a revision.
func (w *work) did(due, rev int64) {
	w.busy(rev)
	w.add(turn{due, rev})
}

func (w *work) add(t turn) {
	if n := len(w.turns); n == 0 || t.due > w.turns[n-1].due {
		w.turns = append(w.turns, t)
	}
}

func (w *work) turnOf(due int64) (turn, bool) {
	i, _ := slices.BinarySearchFunc(w.turns, due, func(t turn, due int64) int {
		if t.due < due {
			return -1
		}
		return 1
	})
	if i == len(w.turns) {
		return turn{}, false
	}
	return w.turns[i], true
}

// from returns the revision by which there was nothing more before a thing.
func (w *work) from(due int64) int64 {
	if t, ok := w.turnOf(due); ok {
		return max(due, t.taken)
	}
	return max(due, w.last)
}

// fromBefore is from as of a moment that may be long past; ok is false where it
// is not known.
func (w *work) fromBefore(due, moment int64) (rev int64, ok bool) {
	t, ok := w.turnOf(due)
	return max(due, t.taken), ok && t.taken <= moment
}
