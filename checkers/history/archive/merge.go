package archive

import (
	"iter"

	"github.com/planecheck/planecheck/checkers/history"
)

// Merge yields the records of several sequences as one: of the records that are
// next in their sequences always the one with the earliest time, and of equal
// ones that of the sequence named first. Each sequence keeps its own order, so
// the result is ordered by time only where the sequences are; streams of a
// history are so only nearly (see the top of the package), and a checker that
// needs an order sorts.
//
// The result ends at the first error of a sequence. One record of each sequence
// is read ahead; a record is valid until the next one is asked for.
func Merge[T any](at func(T) history.Time, seqs ...iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		heads := make([]*head[T], 0, len(seqs))
		for _, seq := range seqs {
			h := new(head[T])
			var stop func()
			h.pull, stop = iter.Pull2(seq)
			defer stop()
			heads = append(heads, h)
		}
		for _, h := range heads {
			h.next(at)
		}
		for {
			h := earliest(heads)
			if h == nil || !yield(h.record, h.err) || h.err != nil {
				return
			}
			h.next(at)
		}
	}
}

// head is the record of a sequence that is next.
type head[T any] struct {
	pull   func() (T, error, bool)
	record T
	err    error
	at     history.Time
	ok     bool // there is one
}

func (h *head[T]) next(at func(T) history.Time) {
	if h.record, h.err, h.ok = h.pull(); h.ok && h.err == nil {
		h.at = at(h.record)
	}
}

// earliest returns the head to yield, an error before any record, or nil.
func earliest[T any](heads []*head[T]) *head[T] {
	var first *head[T]
	for _, h := range heads {
		switch {
		case !h.ok:
		case h.err != nil:
			return h
		case first == nil || h.at < first.at:
			first = h
		}
	}
	return first
}
