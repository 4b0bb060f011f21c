package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers/history"
)

// maxRequest is the servers' limit of a request, small so that fragments of
// watch answers and refusals of requests are cheap to have.
const maxRequest = 16 << 10

// memory keeps the records that it is given.
type memory struct {
	mu      sync.Mutex
	ops     []history.StoreOp
	watches []history.StoreWatch
	changed chan struct{}
}

func newMemory() *memory { return &memory{changed: make(chan struct{})} }

func (s *memory) StoreOp(op *history.StoreOp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(s.ops, *op)
	s.wake()
}

func (s *memory) StoreWatch(w *history.StoreWatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = append(s.watches, *w)
	s.wake()
}

func (s *memory) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// await returns when the records are as wanted.
func (s *memory) await(t testing.TB, what string, ok func(ops []history.StoreOp, watches []history.StoreWatch) bool) {
	t.Helper()
	ctx := bounded(t)
	for {
		s.mu.Lock()
		done, changed := ok(s.ops, s.watches), s.changed
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("no record of %s; there are %+v and %+v", what, s.allOps(), s.allWatches())
		}
	}
}

func (s *memory) allOps() []history.StoreOp {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ops)
}

func (s *memory) allWatches() []history.StoreWatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.watches)
}

// forget drops all records.
func (s *memory) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops, s.watches = nil, nil
}

// testBound is long after anything here should be done: a whole test has it, also
// on a machine with other work.
const testBound = 5 * time.Minute

// bounded is a context that ends then.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls; it fails the test only after minutes.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ctx := bounded(t); !ok(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

// member is a real etcd server in this process.
type member struct {
	t      testing.TB
	config *embed.Config
	etcd   *embed.Etcd
	life   context.Context // ends before the server stops
	end    context.CancelFunc
}

// endable ends the streams of a server that is about to stop. Without it the
// server would wait seven seconds for them.
func (m *member) endable(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(m.life, cancel)()
	return handler(srv, &endableStream{ServerStream: stream, ctx: ctx})
}

type endableStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *endableStream) Context() context.Context { return s.ctx }

func startMember(t testing.TB, opts ...grpc.ServerOption) *member {
	t.Helper()
	c := embed.NewConfig()
	m := &member{t: t, config: c}
	c.Name, c.Dir = "m0", t.TempDir()
	c.LogLevel, c.LogOutputs = "error", []string{os.DevNull}
	c.MaxRequestBytes = maxRequest
	c.UnsafeNoFsync = true
	c.GRPCAdditionalServerOptions = append([]grpc.ServerOption{grpc.ChainStreamInterceptor(m.endable)}, opts...)
	client, peer := loopback(t), loopback(t)
	c.ListenClientUrls, c.AdvertiseClientUrls = client, client
	c.ListenPeerUrls, c.AdvertisePeerUrls = peer, peer
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	m.start()
	t.Cleanup(m.stop)
	return m
}

// loopback is the URL of a port that is free until the test ends.
func loopback(t testing.TB) []url.URL {
	t.Helper()
	port, err := link.ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	return []url.URL{{Scheme: "http", Host: port.Addr()}}
}

func (m *member) start() {
	m.t.Helper()
	m.life, m.end = context.WithCancel(context.Background())
	etcd, err := embed.StartEtcd(m.config)
	if err != nil {
		m.t.Fatal(err)
	}
	m.etcd = etcd
	select {
	case <-etcd.Server.ReadyNotify():
	case err := <-etcd.Err():
		m.t.Fatal(err)
	case <-bounded(m.t).Done():
		m.t.Fatal("etcd is not ready after minutes")
	}
}

func (m *member) stop() {
	if m.etcd != nil {
		m.end()
		m.etcd.Close()
		m.etcd = nil
	}
}

func (m *member) endpoint() string { return m.config.ListenClientUrls[0].String() }

// dial returns a client of the kind that kube-apiserver uses.
func dial(t testing.TB, endpoint string) *kubernetes.Client {
	t.Helper()
	client, err := kubernetes.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 20 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func startProxy(t testing.TB, opt proxy.Options) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close the proxy: %v", err)
		}
	})
	return p
}

// way is one of the ways in which a client's traffic is recorded.
type way struct {
	name string
	open func(t *testing.T) (endpoint string, sink *memory)
}

// ways are both of them, each with an etcd of its own. The second proxy decodes
// and encodes every message, for an interference that changes nothing.
var ways = []way{
	{"interceptor", func(t *testing.T) (string, *memory) {
		sink := newMemory()
		return startMember(t, record.New(record.Options{Member: "m0", Sink: sink}).ServerOptions()...).endpoint(), sink
	}},
	{"proxy", func(t *testing.T) (string, *memory) {
		sink := newMemory()
		opt := proxy.Options{Upstream: startMember(t).endpoint(), Recorder: record.New(record.Options{Member: "m0", Sink: sink})}
		return startProxy(t, opt).Endpoint(), sink
	}},
	{"proxy with interference", func(t *testing.T) (string, *memory) {
		sink := newMemory()
		opt := proxy.Options{
			Upstream: startMember(t).endpoint(), Recorder: record.New(record.Options{Member: "m0", Sink: sink}),
			Interference: []proxy.Interference{passUnary, passWatches, new(proxy.FreezeWatches), proxy.Delay(func(string) time.Duration { return 0 })},
		}
		return startProxy(t, opt).Endpoint(), sink
	}},
}

// checkLeaks fails the test if goroutines of ours or of gRPC are left at its
// end. Call it before anything is started. It must not run beside other tests.
func checkLeaks(t *testing.T) {
	t.Helper()
	before := goroutines()
	t.Cleanup(func() {
		// The last ones may be about to return.
		deadline := time.Now().Add(time.Minute)
		for {
			var left []string
			for stack, n := range goroutines() {
				if n > before[stack] {
					left = append(left, stack)
				}
			}
			if len(left) == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
				return
			}
			runtime.Gosched()
		}
	})
}

// goroutines counts those that run our code or gRPC's, by their stack.
func goroutines() map[string]int {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		panic(err)
	}
	counts := make(map[string]int)
	_, blocks, _ := strings.Cut(b.String(), "\n") // the first line is the total
	for block := range strings.SplitSeq(blocks, "\n\n") {
		head, stack, _ := strings.Cut(block, "\n")
		if !strings.Contains(stack, "google.golang.org/grpc") && !strings.Contains(stack, "planecheck/apiserver/storage/") {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(head, "%d @", &n); err == nil && !strings.Contains(stack, "goroutines") {
			counts[stack] += n
		}
	}
	return counts
}
