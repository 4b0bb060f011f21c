package judge

import (
	"context"
	"errors"
	"iter"

	"github.com/planecheck/planecheck/checkers/history/archive"
)

// stream is one stream of a history, whose next record can be looked at before
// it is taken.
type stream[T any] struct {
	next       func() (*T, error, bool)
	stop       func()
	head       *T // nil: not read yet
	ended      bool
	incomplete error // why it ended before its end
}

func newStream[T any](records iter.Seq2[*T, error]) *stream[T] {
	s := &stream[T]{}
	s.next, s.stop = iter.Pull2(records)
	return s
}

// peek returns the next record, which is valid until take. It is nil at the end
// of the stream, and where there is none yet unless it is to be waited for.
func (s *stream[T]) peek(wait bool) (*T, error) {
	for s.head == nil && !s.ended {
		record, err, ok := s.next()
		switch {
		case !ok:
			s.ended = true
		case errors.Is(err, archive.ErrIncomplete):
			s.ended, s.incomplete = true, err
		case err != nil:
			s.ended = true
			return nil, err
		case record == nil && !wait:
			return nil, nil
		}
		s.head = record
	}
	return s.head, nil
}

func (s *stream[T]) take() { s.head = nil }

// following yields the records of a stream of a history that is being written,
// and nil where there are no more for now: of five streams none may wait for
// another one.
func following[T any](ctx context.Context, dir string, kind archive.Kind[T], how archive.FollowOptions) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		wanted := true
		how.Idle = func() {
			if wanted = wanted && yield(nil, nil); !wanted {
				cancel() // ends the wait that comes
			}
		}
		r, err := archive.Follow(ctx, dir, how)
		if err != nil {
			yield(nil, err)
			return
		}
		for record, err := range archive.Read(r, kind) {
			if !wanted || !yield(record, err) {
				return
			}
		}
	}
}
