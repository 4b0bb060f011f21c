package archive

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// FollowOptions say how a history is read that is still being written. Zero
// means the default.
type FollowOptions struct {
	// Poll is the time between two looks at the manifest; default 1 s.
	Poll time.Duration
	// GiveUp is the time after which a history that has not grown, and was not
	// closed either, is taken as one whose writer is gone. Default 5 min: a writer
	// closes a segment after half a minute, but a run may be quiet for a while
	// where it begins and where it ends.
	GiveUp time.Duration
	// Gone is closed when the writer is done, whatever it has written by then: a
	// reader in the same process need not guess. Nil: nobody says.
	Gone <-chan struct{}
	// Idle is called when everything that is there has been read, before more of
	// it is waited for. Nil: nobody wants to know.
	Idle func()
}

// Follow opens a history that is still being written, in this process or in
// another one. Read then waits at the end of what is there for more of it and
// ends when the writer has closed the history; when its writer seems to be gone
// the sequence ends as that of an incomplete history does. Where it waits it
// ends with the cause of ctx when that is done. A stream that the history does
// not list yet is waited for, too.
//
// What Complete and Streams say is final once a Read has come to its end, or
// End has returned.
func Follow(ctx context.Context, dir string, opt FollowOptions) (*Reader, error) {
	opt.Poll, opt.GiveUp = cmp.Or(opt.Poll, time.Second), cmp.Or(opt.GiveUp, 5*time.Minute)
	r, err := Open(dir)
	if err != nil {
		return nil, err
	}
	r.follow = &follower{ctx: ctx, opt: opt, size: r.manifest.rows(), grown: time.Now()}
	r.end(r.manifest)
	return r, nil
}

// follower is what a Reader needs to wait for more.
type follower struct {
	ctx   context.Context
	opt   FollowOptions
	size  int64     // records listed at the last look
	grown time.Time // when there were more than at the look before
}

// End waits until nothing is added to the history any more. It fails with the
// cause of the context of Follow.
func (r *Reader) End() error {
	for r.follow != nil {
		if err := r.wait(); err != nil {
			return err
		}
	}
	return nil
}

// end stops to follow if the writer of a manifest was done with it.
func (r *Reader) end(m *manifest) {
	if m.Closed || m.Error != "" {
		r.follow = nil
	}
}

// wait returns after a while, with what the manifest says then.
func (r *Reader) wait() error {
	f := r.follow
	gone := false
	select {
	case <-f.ctx.Done():
		return fmt.Errorf("follow the history in %s: %w", r.dir, context.Cause(f.ctx))
	case <-f.opt.Gone:
		gone = true
	case <-time.After(f.opt.Poll):
	}
	m, err := readManifest(r.dir)
	if err != nil {
		return err
	}
	r.manifest = m
	if rows := m.rows(); rows != f.size {
		f.size, f.grown = rows, time.Now()
	}
	if r.end(m); gone || time.Since(f.grown) > f.opt.GiveUp {
		r.follow = nil
	}
	if r.follow == nil {
		r.incomplete, err = r.inspect()
	}
	return err
}

// segment returns the n-th segment of a stream, n from 0, and waits for it if
// the history is being followed; nil behind the last one.
func (r *Reader) segment(stream string, n int) (*SegmentInfo, error) {
	for {
		segments, listed := r.manifest.segments(stream)
		switch {
		case n < len(segments):
			return &segments[n], nil
		case r.follow != nil:
			if r.follow.opt.Idle != nil {
				r.follow.opt.Idle()
			}
			if err := r.wait(); err != nil {
				return nil, err
			}
		case listed:
			return nil, nil
		default:
			return nil, &IncompleteError{filepath.Join(r.dir, manifestName), "it lists no stream " + stream, nil}
		}
	}
}

func (m *manifest) segments(stream string) (list []SegmentInfo, listed bool) {
	for _, s := range m.Streams {
		if s.Name == stream {
			return s.Segments, true
		}
	}
	return nil, false
}

func (m *manifest) rows() int64 {
	var n int64
	for _, s := range m.Streams {
		n += s.Rows()
	}
	return n
}
