package proxy

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
)

// Delay holds every call back, before anything of it goes to the upstream, for
// as long as it says for the call's method.
type Delay func(method string) time.Duration

// Open implements Interference.
func (d Delay) Open(ctx context.Context, method string, next Opener) (Stream, error) {
	if wait := d(method); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ended(ctx)
		}
	}
	return next(ctx)
}

func ended(ctx context.Context) error { return status.FromContextError(ctx.Err()).Err() }

// FreezeWatches holds back what the store says on the watch streams of a key
// prefix, while everything else goes on. A stream counts from the moment on
// that a watch is asked for on it whose key begins with the prefix; it is then
// frozen as a whole, because its messages have one order. The store is not
// read from, so that it sees a slow watcher. After a thaw everything that was
// held comes, in order. Several proxies may share one. The zero value freezes
// nothing yet.
type FreezeWatches struct {
	mu     sync.Mutex
	prefix string
	gate   chan struct{} // closed by Thaw; nil while nothing is frozen
	held   int
}

// Freeze freezes the streams of a prefix, those that are open and those to
// come. The streams of a former prefix go on.
func (f *FreezeWatches) Freeze(prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release()
	f.prefix, f.gate = prefix, make(chan struct{})
}

// Thaw lets them go on.
func (f *FreezeWatches) Thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release()
}

func (f *FreezeWatches) release() {
	if f.gate != nil {
		close(f.gate)
		f.gate = nil
	}
}

// Held is the number of streams that have an answer which is held back.
func (f *FreezeWatches) Held() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

// Open implements Interference.
func (f *FreezeWatches) Open(ctx context.Context, method string, next Opener) (Stream, error) {
	up, err := next(ctx)
	if err != nil || method != pb.Watch_Watch_FullMethodName {
		return up, err
	}
	return &frozenStream{Stream: up, ctx: ctx, freeze: f}, nil
}

type frozenStream struct {
	Stream
	ctx    context.Context
	freeze *FreezeWatches
	keys   []string // where the watches that were asked for begin; guarded by freeze.mu
}

// Send implements Stream.
func (s *frozenStream) Send(m any) error {
	if req, ok := m.(*pb.WatchRequest); ok {
		if create := req.GetCreateRequest(); create != nil {
			s.asked(string(create.GetKey()))
		}
	}
	return s.Stream.Send(m)
}

// asked takes note of a watch. A client that watches the same again and again,
// on one stream, is no more to remember.
func (s *frozenStream) asked(key string) {
	s.freeze.mu.Lock()
	defer s.freeze.mu.Unlock()
	if !slices.Contains(s.keys, key) {
		s.keys = append(s.keys, key)
	}
}

// Recv implements Stream.
func (s *frozenStream) Recv() (any, error) {
	m, err := s.Stream.Recv()
	if err != nil {
		return m, err
	}
	return m, s.wait()
}

// wait returns when the stream is not frozen.
func (s *frozenStream) wait() error {
	f := s.freeze
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.gate != nil && slices.ContainsFunc(s.keys, func(key string) bool { return strings.HasPrefix(key, f.prefix) }) {
		gate := f.gate
		f.held++
		f.mu.Unlock()
		select {
		case <-gate:
		case <-s.ctx.Done():
		}
		f.mu.Lock()
		f.held--
		if s.ctx.Err() != nil {
			return ended(s.ctx)
		}
	}
	return nil
}

// Swallow says what a BlackHole takes.
type Swallow int32

// What a BlackHole may take.
const (
	SwallowNothing  Swallow = iota
	SwallowRequests         // the store never hears of the call
	SwallowAnswers          // the store does the call, the client never hears of it
)

// BlackHole leaves calls without an answer until the client gives up.
type BlackHole struct {
	match     func(method string) bool
	what      atomic.Int32
	swallowed atomic.Int64
}

// NewBlackHole returns one that takes nothing yet, for the methods that match.
func NewBlackHole(match func(method string) bool) *BlackHole { return &BlackHole{match: match} }

// Set says what to take from calls that come in from now on.
func (b *BlackHole) Set(what Swallow) { b.what.Store(int32(what)) }

// Swallowed is the number of calls that have lost something so far.
func (b *BlackHole) Swallowed() int64 { return b.swallowed.Load() }

// Open implements Interference.
func (b *BlackHole) Open(ctx context.Context, method string, next Opener) (Stream, error) {
	what := Swallow(b.what.Load())
	if what == SwallowNothing || !b.match(method) {
		return next(ctx)
	}
	if what == SwallowRequests {
		return nil, b.take(ctx)
	}
	up, err := next(ctx)
	if err != nil {
		return nil, err
	}
	return &swallowedStream{Stream: up, ctx: ctx, hole: b}, nil
}

// take waits for the client to give up.
func (b *BlackHole) take(ctx context.Context) error {
	b.swallowed.Add(1)
	<-ctx.Done()
	return ended(ctx)
}

type swallowedStream struct {
	Stream
	ctx  context.Context
	hole *BlackHole
}

// Recv implements Stream.
func (s *swallowedStream) Recv() (any, error) {
	if _, err := s.Stream.Recv(); err != nil {
		return nil, err
	}
	return nil, s.hole.take(s.ctx)
}
