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
	// closed either, is taken as one whose writer is gone; default 2 min, four
	// times the age at which a writer closes a segment.
	GiveUp time.Duration
}

// Follow opens a history that is still being written, in this process or in
// another one. Read then waits at the end of what is there for more of it and
// ends when the writer has closed the history; when its writer seems to be gone
// the sequence ends as that of an incomplete history does, and when ctx is done
// with the cause of it. A stream that the history does not list yet is waited
// for, too.
//
// What Complete and Streams say is final once a Read has come to its end.
func Follow(ctx context.Context, dir string, opt FollowOptions) (*Reader, error) {
	opt.Poll, opt.GiveUp = cmp.Or(opt.Poll, time.Second), cmp.Or(opt.GiveUp, 2*time.Minute)
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

// end stops to follow if the writer of a manifest was done with it.
func (r *Reader) end(m *manifest) {
	if m.Closed || m.Error != "" {
		r.follow = nil
	}
}

// wait returns when the manifest has changed or is final.
func (r *Reader) wait() error {
	f := r.follow
	select {
	case <-f.ctx.Done():
		return fmt.Errorf("follow the history in %s: %w", r.dir, context.Cause(f.ctx))
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
	if r.end(m); r.follow != nil && time.Since(f.grown) > f.opt.GiveUp {
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
