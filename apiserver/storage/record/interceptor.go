package record

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// UnaryInterceptor records the unary methods of a server. The server must give
// its handlers protobuf messages, as every gRPC server of etcd does.
func (r *Recorder) UnaryInterceptor() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		n := r.unaryRequest(ctx, req, info.FullMethod)
		resp, err := handler(ctx, req)
		if n != nil {
			r.unaryAnswer(n, resp, err)
		}
		return resp, err
	}
}

// unaryRequest is what Begin and Request do, without a Call: nearly everything
// that Kubernetes asks of its store comes through here.
func (r *Recorder) unaryRequest(ctx context.Context, req any, name string) *node {
	if r == nil || r.closed.Load() {
		return nil
	}
	m := find(name)
	if m.shape == shapeIgnored {
		return nil
	}
	r.enter()
	defer r.leave()
	msg, _ := req.(proto.Message)
	o := opener{r: r, method: m, name: name, client: r.client(ctx)}
	return o.open(msg)
}

func (r *Recorder) unaryAnswer(n *node, resp any, err error) {
	returned := history.Now()
	r.enter()
	defer r.leave()
	r.settle(n, returned, func(op *history.StoreOp) {
		if err != nil {
			op.Error = Classify(err)
			return
		}
		if msg, _ := resp.(proto.Message); !complete(op, msg) {
			op.Error = unanswered(undecodableAnswer)
		}
	})
}

// StreamInterceptor records the streaming methods of a server.
func (r *Recorder) StreamInterceptor() grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		call := r.Begin(stream.Context(), info.FullMethod)
		if call == nil {
			return handler(srv, stream)
		}
		err := handler(srv, &recordedStream{ServerStream: stream, call: call})
		call.End(err)
		return err
	}
}

// recordedStream records what passes through it. An answer is recorded before
// it is handed on, so that nobody has seen an event that the history has not;
// one that then cannot be sent was none the less given.
type recordedStream struct {
	grpc.ServerStream
	call *Call
}

// RecvMsg implements grpc.ServerStream.
func (s *recordedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		msg, _ := m.(proto.Message)
		s.call.Request(msg)
	}
	return err
}

// SendMsg implements grpc.ServerStream.
func (s *recordedStream) SendMsg(m any) error {
	msg, _ := m.(proto.Message)
	s.call.Answer(msg)
	return s.ServerStream.SendMsg(m)
}
