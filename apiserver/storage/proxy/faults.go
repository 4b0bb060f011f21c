package proxy

import (
	"context"
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
// held comes, in order.
type FreezeWatches struct {
	prefix string

	mu   sync.Mutex
	gate chan struct{} // closed by Thaw; nil while nothing is frozen
	held int
}

// NewFreezeWatches returns one that freezes nothing yet.
func NewFreezeWatches(prefix string) *FreezeWatches { return &FreezeWatches{prefix: prefix} }

// Freeze freezes the streams, those that are open and those to come.
func (f *FreezeWatches) Freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gate == nil {
		f.gate = make(chan struct{})
	}
}

// Thaw lets them go on.
func (f *FreezeWatches) Thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
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
	counts atomic.Bool // a watch of the prefix was asked for
}

// Send implements Stream.
func (s *frozenStream) Send(m any) error {
	if req, ok := m.(*pb.WatchRequest); ok {
		create := req.GetCreateRequest()
		if create != nil && strings.HasPrefix(string(create.GetKey()), s.freeze.prefix) {
			s.counts.Store(true)
		}
	}
	return s.Stream.Send(m)
}

// Recv implements Stream.
func (s *frozenStream) Recv() (any, error) {
	m, err := s.Stream.Recv()
	if err != nil || !s.counts.Load() {
		return m, err
	}
	return m, s.freeze.wait(s.ctx)
}

// wait returns when nothing is frozen.
func (f *FreezeWatches) wait(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.gate != nil {
		gate := f.gate
		f.held++
		f.mu.Unlock()
		select {
		case <-gate:
		case <-ctx.Done():
		}
		f.mu.Lock()
		f.held--
		if ctx.Err() != nil {
			return ended(ctx)
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
