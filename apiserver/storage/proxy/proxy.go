// Package proxy is a recording gRPC proxy in front of one endpoint of a store
// that speaks the etcd v3 API: kine, an etcd process, an old etcd.
//
// It forwards every method, known or not, byte by byte, with metadata,
// deadline, cancellation, headers, trailers and status. It never retries a
// call that the store may have seen. (gRPC itself sends a call again, once, if
// the connection ended before the store had read anything of it.) Each message
// is sent on before the next is read, so that a client that does not read
// stops the store's sending through gRPC's own flow control.
//
// Between the recorder and the store stands a chain of Interference, for
// faults and lies. The recorder is on the client's side of it: it records what
// the client is told.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // for clients that compress
	"google.golang.org/grpc/keepalive"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/record"
)

// How soon the proxy finds an upstream again that was down. gRPC's default
// waits up to two minutes between attempts.
const (
	dialBackoff = 50 * time.Millisecond // after the first failed attempt, then more
	dialWait    = time.Second           // at most, between two attempts
)

// pingInterval is how often clients may ping: as often as etcd lets them
// (embed.DefaultGRPCKeepAliveMinTime), with or without a call under way.
const pingInterval = 5 * time.Second

// Options are what a Proxy needs to know.
type Options struct {
	Upstream string                           // host:port, or a URL
	TLS      credentials.TransportCredentials // to the upstream; nil: plain text
	Listen   string                           // host:port to listen on; "": any port of 127.0.0.1
	Recorder *record.Recorder                 // nil: nothing is recorded
	// Interference is what stands between recorder and upstream, the first
	// nearest to the recorder.
	Interference []Interference
}

// Proxy is a running proxy.
type Proxy struct {
	opt      Options
	conn     *grpc.ClientConn
	server   *grpc.Server
	listener net.Listener
	served   chan error
	requests sync.WaitGroup // the goroutines that forward requests
	closing  sync.Once
	closed   error
}

// Start starts a proxy. The upstream may be down: then calls fail as they would
// with a client that had lost its connection, until it is up.
func Start(opt Options) (*Proxy, error) {
	if opt.Listen == "" {
		opt.Listen = "127.0.0.1:0"
	}
	if opt.TLS == nil {
		opt.TLS = insecure.NewCredentials()
	}
	conn, err := grpc.NewClient("passthrough:///"+hostPort(opt.Upstream),
		grpc.WithTransportCredentials(opt.TLS), grpc.WithNoProxy(), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}),
			grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: dialBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: dialWait},
			MinConnectTimeout: dialWait,
		}))
	if err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", opt.Upstream, err)
	}
	listener, err := link.Listen(opt.Listen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("proxy to %s: %w", opt.Upstream, err), conn.Close())
	}
	p := &Proxy{opt: opt, conn: conn, listener: listener, served: make(chan error, 1)}
	p.server = grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(p.handle),
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingInterval, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true))
	go func() { p.served <- p.server.Serve(listener) }()
	return p, nil
}

func hostPort(endpoint string) string {
	if _, rest, ok := strings.Cut(endpoint, "://"); ok {
		return rest
	}
	return endpoint
}

// Endpoint is where clients connect to, http://127.0.0.1:port.
func (p *Proxy) Endpoint() string { return "http://" + p.listener.Addr().String() }

// Close cuts all connections and waits until every call has ended and is
// recorded as such. It may be called again.
func (p *Proxy) Close() error {
	p.closing.Do(func() {
		p.server.Stop()
		err := <-p.served
		if errors.Is(err, grpc.ErrServerStopped) { // closed before it had begun to serve
			err = nil
		}
		p.requests.Wait()
		p.closed = errors.Join(err, p.conn.Close())
	})
	return p.closed
}

// open opens the way to the upstream through the interference from i on.
func (p *Proxy) open(s *session, i int) Opener {
	if i == len(p.opt.Interference) {
		return s.dial
	}
	return func(ctx context.Context) (Stream, error) {
		return p.opt.Interference[i].Open(ctx, s.method, p.open(s, i+1))
	}
}
