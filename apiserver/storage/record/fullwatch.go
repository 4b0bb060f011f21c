package record

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// How a FullWatch behaves towards a member that is down or behind.
const (
	watchRetry  = 100 * time.Millisecond // between two streams
	progressAsk = 100 * time.Millisecond // between two requests of Await, as kube-apiserver asks
	dialWait    = time.Second            // at most, between two attempts to connect
)

// FullWatchOptions are what a FullWatch needs to know.
type FullWatchOptions struct {
	Endpoint string // host:port, or a URL
	// Others are members on which the watch goes on when its stream breaks, in
	// turn with the first: while one is down the store may be compacted.
	Others []string
	TLS    credentials.TransportCredentials // nil: plain text
	// Below ends the range where a store does not know how to say "all keys" (kine
	// v0.16); "": it does.
	Below string
	// From is the first revision wanted; 0: 1, the first of any store.
	From int64
	// Skip goes on after what the store has compacted meanwhile, as while the
	// member was down. Else that ends the watch with a *GapError.
	Skip bool
	// Recorder records the stream; nil where the endpoint does so itself, as a
	// recorded member and the proxy do.
	Recorder *Recorder
	// Events is told of every answer with events, in order, each revision once
	// and whole, on one goroutine. It may keep the answer. Nil: nobody is told.
	Events func(*pb.WatchResponse)
}

// FullWatch watches all keys of one member at a time, with previous values, for
// as long as it runs. When the stream breaks it goes on from the revision after the
// last event, so that what it sees is without gaps, unless it may Skip, and in
// order. Fragments are not asked for, so that a revision never comes in pieces.
//
// It does not ask for a leader: a member that is cut off is watched too.
type FullWatch struct {
	opt    FullWatchOptions
	conns  []*grpc.ClientConn // the first is of Endpoint
	cancel context.CancelFunc
	done   chan struct{} // closed when the watch has ended

	mu      sync.Mutex
	next    int64         // the revision to go on from
	seen    int64         // everything up to here has come
	err     error         // why the watch ended
	changed chan struct{} // closed when seen grows
	ask     func() error  // asks for progress; nil while there is no watch
}

// GapError says that a watch cannot be whole: the store has compacted
// revisions that it had not shown.
type GapError struct {
	Next, Compacted int64 // wanted, and the oldest that there is
}

func (e *GapError) Error() string {
	return fmt.Sprintf("watch all keys: revision %d is wanted, but those before %d are compacted", e.Next, e.Compacted)
}

// RefusedError says that a member does not let us watch.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "watch all keys: refused: " + e.Reason }

// StartFullWatch begins to watch. It does not wait for the member, which may be
// down; the watch begins when it is up.
func StartFullWatch(opt FullWatchOptions) (*FullWatch, error) {
	if opt.TLS == nil {
		opt.TLS = insecure.NewCredentials()
	}
	var conns []*grpc.ClientConn
	for _, endpoint := range append([]string{opt.Endpoint}, opt.Others...) {
		conn, err := connect(endpoint, opt.TLS)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("watch all keys of %s: %w", endpoint, err), closeAll(conns))
		}
		conns = append(conns, conn)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &FullWatch{
		opt: opt, conns: conns, cancel: cancel,
		done: make(chan struct{}), changed: make(chan struct{}), next: max(opt.From, 1),
	}
	w.seen = w.next - 1
	go w.run(ctx)
	return w, nil
}

func connect(endpoint string, tls credentials.TransportCredentials) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+hostPort(endpoint),
		grpc.WithTransportCredentials(tls), grpc.WithNoProxy(), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: watchRetry, Multiplier: 1.6, Jitter: 0.2, MaxDelay: dialWait},
			MinConnectTimeout: dialWait,
		}))
}

func closeAll(conns []*grpc.ClientConn) error {
	var errs []error
	for _, c := range conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func hostPort(endpoint string) string {
	if _, rest, ok := strings.Cut(endpoint, "://"); ok {
		return rest
	}
	return endpoint
}

// Seen is the revision up to which everything has come.
func (w *FullWatch) Seen() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// GoOn says that the store will be restored from a snapshot and go on with the
// revision after that one: when the stream breaks, nothing before it is asked for.
// Everything until now should have come, see Await.
func (w *FullWatch) GoOn(after int64) { w.advance(after+1, 0) }

// Done is closed when the watch has ended: after Stop, or for a reason that
// Stop then returns.
func (w *FullWatch) Done() <-chan struct{} { return w.done }

// Await returns when everything up to revision has come. It asks the member
// for its progress, because a revision without events would never show.
func (w *FullWatch) Await(ctx context.Context, revision int64) error {
	tick := time.NewTicker(progressAsk)
	defer tick.Stop()
	for {
		w.mu.Lock()
		seen, changed, ask := w.seen, w.changed, w.ask
		w.mu.Unlock()
		if seen >= revision {
			return nil
		}
		if ask != nil {
			_ = ask() // the stream's own end is seen by run
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-w.done:
			return fmt.Errorf("await revision %d of all keys of %s: the watch has ended at %d: %w",
				revision, w.opt.Endpoint, seen, errors.Join(w.failure(), context.Canceled))
		case <-ctx.Done():
			return fmt.Errorf("await revision %d of all keys of %s: it is at %d: %w", revision, w.opt.Endpoint, seen, ctx.Err())
		}
	}
}

// Stop ends the watch and returns the error that it had ended with before, a
// *GapError or *RefusedError: then it has not seen everything.
func (w *FullWatch) Stop() error {
	w.cancel()
	<-w.done
	return errors.Join(w.failure(), closeAll(w.conns))
}

func (w *FullWatch) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *FullWatch) run(ctx context.Context) {
	defer close(w.done)
	for turn := 0; ; turn++ {
		err := w.stream(ctx, w.conns[turn%len(w.conns)])
		if ctx.Err() != nil {
			return
		}
		if isFinal(err) {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			return
		}
		pause := time.NewTimer(watchRetry)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

func isFinal(err error) bool {
	if _, gap := errors.AsType[*GapError](err); gap {
		return true
	}
	_, refused := errors.AsType[*RefusedError](err)
	return refused
}

// stream watches until the stream ends. It always returns an error. It waits for
// a member only where there is no other.
func (w *FullWatch) stream(ctx context.Context, conn *grpc.ClientConn) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewWatchClient(conn).Watch(ctx, grpc.WaitForReady(len(w.conns) == 1))
	if err != nil {
		return err
	}
	call := w.opt.Recorder.Begin(stream.Context(), pb.Watch_Watch_FullMethodName)
	defer func() { call.End(err) }()
	var sending sync.Mutex
	send := func(req *pb.WatchRequest) error {
		sending.Lock()
		defer sending.Unlock()
		call.Request(req)
		return stream.Send(req)
	}
	if err := send(w.createRequest()); err != nil {
		return err
	}
	defer w.setAsk(nil)
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		call.Answer(resp)
		if err := w.take(resp, send); err != nil {
			return err
		}
	}
}

func (w *FullWatch) createRequest() *pb.WatchRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := []byte{0}
	if w.opt.Below != "" {
		end = []byte(w.opt.Below)
	}
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: []byte{0}, RangeEnd: end, StartRevision: w.next, PrevKv: true, ProgressNotify: true,
	}}}
}

func (w *FullWatch) setAsk(ask func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ask = ask
}

// take handles one answer. Only events move the point to go on from, never a
// progress: should the store be wrong about its progress, nothing is skipped.
func (w *FullWatch) take(resp *pb.WatchResponse, send func(*pb.WatchRequest) error) error {
	switch {
	case resp.GetCompactRevision() != 0:
		gap := &GapError{Next: w.wanted(), Compacted: resp.GetCompactRevision()}
		if w.opt.Skip {
			w.advance(gap.Compacted, 0)
			return fmt.Errorf("go on after a gap: %v", gap)
		}
		return gap
	case resp.GetCanceled() && resp.GetCreated():
		return &RefusedError{Reason: resp.GetCancelReason()}
	case resp.GetCanceled():
		return fmt.Errorf("watch all keys of %s: canceled: %s", w.opt.Endpoint, resp.GetCancelReason())
	case resp.GetCreated():
		w.setAsk(func() error {
			return send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
		})
	case len(resp.GetEvents()) > 0:
		w.events(resp)
	default:
		w.advance(0, resp.GetHeader().GetRevision())
	}
	return nil
}

// events hands on what is new. A member must not send a revision again on one
// stream; if it does, the record shows it, and the listener is spared.
func (w *FullWatch) events(resp *pb.WatchResponse) {
	last := resp.GetEvents()[len(resp.GetEvents())-1].GetKv().GetModRevision()
	wanted := w.wanted()
	for len(resp.Events) > 0 && resp.Events[0].GetKv().GetModRevision() < wanted {
		resp.Events = resp.Events[1:]
	}
	if len(resp.Events) > 0 && w.opt.Events != nil {
		w.opt.Events(resp)
	}
	w.advance(last+1, last)
}

// wanted is the revision to go on from.
func (w *FullWatch) wanted() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next
}

// advance moves on.
func (w *FullWatch) advance(next, seen int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = max(w.next, next)
	if seen > w.seen {
		w.seen = seen
		close(w.changed)
		w.changed = make(chan struct{})
	}
}
