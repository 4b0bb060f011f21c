package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/record"
)

// Stream is one call on its way to the upstream, as its caller sees it. Every
// method looks alike: a unary call is one Send, a CloseSend, and one Recv
// before io.EOF. Messages are pointers to the types of package etcdserverpb
// that belong to the method, or Raw.
//
// Send and CloseSend are called on another goroutine than Recv.
type Stream interface {
	// Send forwards a request. io.EOF says that the call has ended, as Recv
	// will tell; any other error ends it.
	Send(request any) error
	CloseSend() error
	// Recv returns the next answer; io.EOF is the end of a call that went well,
	// any other error is what the client is told.
	Recv() (answer any, err error)
}

// Raw is a message that is not decoded: of a method that record.DecodeRequest
// does not know, or one that is broken.
type Raw []byte

// Opener opens a call to the upstream. It may be called several times.
type Opener func(ctx context.Context) (Stream, error)

// Interference stands between the recorder and the upstream. Open is called
// for every call, with the method's full name (/package.Service/Method), when
// it comes in; it returns the stream that the call is to use. What next opens
// leads to the upstream: return it to let the call pass, wrap it to see or
// change the messages, or do not call next at all. Messages may be changed in
// place. An error of Open is what the client is told.
//
// When ctx ends the call is over: whatever waits must return then.
type Interference interface {
	Open(ctx context.Context, method string, next Opener) (Stream, error)
}

// InterferenceFunc is a function that is an Interference.
type InterferenceFunc func(ctx context.Context, method string, next Opener) (Stream, error)

// Open implements Interference.
func (f InterferenceFunc) Open(ctx context.Context, method string, next Opener) (Stream, error) {
	return f(ctx, method, next)
}

// Invoke does a unary call at the upstream. It may be called several times.
type Invoke func(ctx context.Context, request proto.Message) (proto.Message, error)

// Unary is an Interference with the unary methods that record.Unary knows:
// the function does the call in the place of next, which leads to the
// upstream, and what it returns is what the client is told.
type Unary func(ctx context.Context, method string, request proto.Message, next Invoke) (proto.Message, error)

// Open implements Interference.
func (u Unary) Open(ctx context.Context, method string, next Opener) (Stream, error) {
	if !record.Unary(method) {
		return next(ctx)
	}
	return &unaryStream{ctx: ctx, method: method, do: u, next: next, requests: make(chan any, 1)}, nil
}

type unaryStream struct {
	ctx      context.Context
	method   string
	do       Unary
	next     Opener
	requests chan any
	done     bool
}

var errSecondRequest = errors.New("a unary call has one request")

// Send implements Stream.
func (s *unaryStream) Send(m any) error {
	select {
	case s.requests <- m:
		return nil
	default:
		return errSecondRequest
	}
}

// CloseSend implements Stream.
func (s *unaryStream) CloseSend() error { return nil }

// Recv implements Stream.
func (s *unaryStream) Recv() (any, error) {
	if s.done {
		return nil, io.EOF
	}
	s.done = true
	var m any
	select {
	case m = <-s.requests:
	case <-s.ctx.Done():
		return nil, status.FromContextError(s.ctx.Err()).Err()
	}
	request, ok := m.(proto.Message)
	if !ok { // broken; the upstream shall say so
		return s.exchange(s.ctx, m)
	}
	return s.do(s.ctx, s.method, request, s.invoke)
}

func (s *unaryStream) invoke(ctx context.Context, request proto.Message) (proto.Message, error) {
	m, err := s.exchange(ctx, request)
	if err != nil {
		return nil, err
	}
	answer, ok := m.(proto.Message)
	if !ok {
		return nil, status.Error(codes.Internal, fmt.Sprintf("the upstream's answer of %s cannot be decoded", s.method))
	}
	return answer, nil
}

// exchange does one call. It reads to the end, where the trailer is.
func (s *unaryStream) exchange(ctx context.Context, request any) (any, error) {
	up, err := s.next(ctx)
	if err != nil {
		return nil, err
	}
	// A failed Send shows in Recv, which has the better error.
	_ = up.Send(request)
	_ = up.CloseSend()
	answer, err := up.Recv()
	if errors.Is(err, io.EOF) {
		return nil, status.Error(codes.Internal, fmt.Sprintf("the upstream gave no answer of %s", s.method))
	}
	if err != nil {
		return nil, err
	}
	if _, err := up.Recv(); !errors.Is(err, io.EOF) && err != nil {
		return nil, err
	}
	return answer, nil
}

// Watches is an Interference with the answers of Watch streams. It is called
// once for each stream and returns the function that is given every answer, in
// order, and returns those that go on in its place: none, one or several. What
// it holds back it may return with a later one.
type Watches func(ctx context.Context) func(*pb.WatchResponse) []*pb.WatchResponse

// Open implements Interference.
func (w Watches) Open(ctx context.Context, method string, next Opener) (Stream, error) {
	up, err := next(ctx)
	if err != nil || method != pb.Watch_Watch_FullMethodName {
		return up, err
	}
	return &watchStream{Stream: up, change: w(ctx)}, nil
}

type watchStream struct {
	Stream
	change func(*pb.WatchResponse) []*pb.WatchResponse
	ready  []*pb.WatchResponse
}

// Recv implements Stream.
func (s *watchStream) Recv() (any, error) {
	for len(s.ready) == 0 {
		m, err := s.Stream.Recv()
		if err != nil {
			return nil, err
		}
		resp, ok := m.(*pb.WatchResponse)
		if !ok {
			return m, nil
		}
		s.ready = s.change(resp)
	}
	resp := s.ready[0]
	s.ready = s.ready[1:]
	return resp, nil
}
