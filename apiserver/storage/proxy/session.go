package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/record"
)

// bothWays describes any method: a unary call is a stream of one message each.
var bothWays = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// session is one call.
type session struct {
	proxy  *Proxy
	ctx    context.Context
	cancel context.CancelCauseFunc
	method string
	client grpc.ServerStream
	call   *record.Call // nil: not recorded
	decode bool         // somebody wants to see the messages

	up     Stream
	asked  chan struct{} // closed when the first request was recorded, or none comes
	opened chan struct{} // closed when up is set

	mu      sync.Mutex
	trailer metadata.MD // of the last stream to the upstream that has ended
}

// handle forwards one call. The requests go on a goroutine of their own, which
// ends with the client's stream; that ends when handle returns.
func (p *Proxy) handle(_ any, client grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(client)
	if !ok {
		return status.Error(codes.Internal, "the proxy was given a call without a method")
	}
	ctx, cancel := context.WithCancelCause(client.Context())
	defer cancel(nil)
	call := p.opt.Recorder.Begin(ctx, method)
	s := &session{
		proxy: p, ctx: forwarded(ctx), cancel: cancel, method: method, client: client, call: call,
		decode: call != nil || len(p.opt.Interference) > 0,
		asked:  make(chan struct{}), opened: make(chan struct{}),
	}
	p.requests.Go(s.requests)
	err := s.answers()
	if err != nil {
		s.awaitRequest()
	}
	if refused, ok := errors.AsType[*sendError](context.Cause(ctx)); ok {
		err = status.Error(codes.Internal, refused.Error())
	}
	s.mu.Lock()
	client.SetTrailer(s.trailer)
	s.mu.Unlock()
	call.End(err)
	return err
}

// sendError is a request that could not go on, because of an interference. The
// call cannot either.
type sendError struct {
	method string
	err    error
}

func (e *sendError) Error() string {
	return fmt.Sprintf("forward a request of %s: %v", e.method, e.err)
}

// forwarded hands the client's metadata on. gRPC leaves out by itself what
// belongs to the connection and not to the call.
func forwarded(ctx context.Context) context.Context {
	md, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		return ctx
	}
	return metadata.NewOutgoingContext(ctx, md.Copy())
}

// requests forwards what the client sends. It reads and records the first
// request before the way to the upstream is open, because whatever keeps that
// from opening comes after the recorder.
func (s *session) requests() {
	first := sync.OnceFunc(func() { close(s.asked) })
	defer first()
	for {
		var f frame
		err := s.client.RecvMsg(&f)
		if err != nil && !errors.Is(err, io.EOF) {
			return // the call has ended, answers sees why
		}
		var m any
		if err == nil {
			m = s.request(f.bytes)
		}
		first()
		select {
		case <-s.opened:
		case <-s.ctx.Done():
			return
		}
		if err != nil {
			_ = s.up.CloseSend() // it fails only if the call has failed
			return
		}
		if err := s.up.Send(m); errors.Is(err, io.EOF) {
			return // Recv tells the error
		} else if err != nil {
			s.cancel(&sendError{method: s.method, err: err})
			return
		}
	}
}

// request records a request and returns what goes on.
func (s *session) request(b []byte) any {
	if !s.decode {
		return Raw(b)
	}
	m, err := record.DecodeRequest(s.method, b)
	if err != nil {
		m = nil
	}
	s.call.Request(m)
	if m == nil || len(s.proxy.opt.Interference) == 0 {
		return Raw(b)
	}
	return m
}

// answers opens the way to the upstream and forwards what comes from there,
// until the call ends.
func (s *session) answers() error {
	up, err := s.proxy.open(s, 0)(s.ctx)
	if err != nil {
		return err
	}
	s.up = up
	close(s.opened)
	for {
		m, err := up.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		b, err := s.answer(m)
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		if err := s.client.SendMsg(&frame{bytes: b}); err != nil {
			return err
		}
	}
}

// awaitRequest waits until the first request has been recorded: a call that ends
// before it is none that anybody could tell what it was about. A client that opens a
// stream and asks nothing is told of the failure all the same.
func (s *session) awaitRequest() {
	patience := time.NewTimer(dialWait)
	defer patience.Stop()
	select {
	case <-s.asked:
	case <-s.ctx.Done():
	case <-patience.C:
	}
}

// answer records an answer and returns it as it goes on.
func (s *session) answer(m any) ([]byte, error) {
	switch m := m.(type) {
	case Raw:
		if s.call != nil {
			msg, err := record.DecodeAnswer(s.method, m)
			if err != nil {
				msg = nil
			}
			s.call.Answer(msg)
		}
		return m, nil
	case proto.Message:
		b, err := proto.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("encode an answer of %s: %w", s.method, err)
		}
		s.call.Answer(m)
		return b, nil
	default:
		return nil, fmt.Errorf("an interference with %s gave an answer of type %T", s.method, m)
	}
}

// dial opens a stream to the upstream.
func (s *session) dial(ctx context.Context) (Stream, error) {
	stream, err := s.proxy.conn.NewStream(ctx, bothWays, s.method)
	if err != nil {
		return nil, err
	}
	return &upstream{session: s, stream: stream}, nil
}

// upstream is the end of the chain.
type upstream struct {
	session *session
	stream  grpc.ClientStream
	headed  bool
}

// Send implements Stream.
func (u *upstream) Send(m any) error {
	var f frame
	switch m := m.(type) {
	case Raw:
		f.bytes = m
	case proto.Message:
		b, err := proto.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode a request of %s: %w", u.session.method, err)
		}
		f.bytes = b
	default:
		return fmt.Errorf("an interference with %s gave a request of type %T", u.session.method, m)
	}
	return u.stream.SendMsg(&f)
}

// CloseSend implements Stream.
func (u *upstream) CloseSend() error { return u.stream.CloseSend() }

// Recv implements Stream. The header goes on as soon as it comes: a server may
// send it long before its first message.
func (u *upstream) Recv() (any, error) {
	if !u.headed {
		u.headed = true
		if md, err := u.stream.Header(); err == nil && md != nil {
			_ = u.session.client.SendHeader(md) // fails if one was sent, or the client is gone
		}
	}
	var f frame
	if err := u.stream.RecvMsg(&f); err != nil {
		u.session.mu.Lock()
		u.session.trailer = u.stream.Trailer()
		u.session.mu.Unlock()
		return nil, err
	}
	if len(u.session.proxy.opt.Interference) > 0 {
		if m, err := record.DecodeAnswer(u.session.method, f.bytes); err == nil && m != nil {
			return m, nil
		}
	}
	return Raw(f.bytes), nil
}
