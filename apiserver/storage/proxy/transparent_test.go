package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/history"
)

// upstream is a store that does as the test says.
type upstream struct {
	pb.UnimplementedKVServer
	pb.UnimplementedWatchServer
	put   func(context.Context, *pb.PutRequest) (*pb.PutResponse, error)
	read  func(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error)
	watch func(pb.Watch_WatchServer) error

	server *grpc.Server
	url    string
}

func (u *upstream) Put(ctx context.Context, req *pb.PutRequest) (*pb.PutResponse, error) {
	return u.put(ctx, req)
}

func (u *upstream) Range(ctx context.Context, req *pb.RangeRequest) (*pb.RangeResponse, error) {
	return u.read(ctx, req)
}

func (u *upstream) Watch(stream pb.Watch_WatchServer) error { return u.watch(stream) }

func (u *upstream) start(t testing.TB, opts ...grpc.ServerOption) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.url = "http://" + l.Addr().String()
	u.server = grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(math.MaxInt32), grpc.WaitForHandlers(true))...)
	pb.RegisterKVServer(u.server, u)
	pb.RegisterWatchServer(u.server, u)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = u.server.Serve(l)
	}()
	t.Cleanup(func() {
		u.server.Stop()
		<-served
	})
	return u
}

// connect returns a bare gRPC connection, which does not retry anything.
func connect(t testing.TB, endpoint string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(endpoint, "http://"),
		append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// variants are a proxy that passes bytes and one that decodes everything.
var variants = map[string][]proxy.Interference{"raw": nil, "decoded": {passUnary, passWatches}}

func TestMetadataAndErrorsPass(t *testing.T) {
	detailed, err := status.New(codes.DataLoss, "it says so").WithDetails(durationpb.New(7))
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	u := (&upstream{put: func(ctx context.Context, req *pb.PutRequest) (*pb.PutResponse, error) {
		calls.Add(1)
		md, _ := metadata.FromIncomingContext(ctx)
		deadline, ok := ctx.Deadline()
		if left := time.Until(deadline); !ok || left > testBound {
			return nil, status.Errorf(codes.Internal, "deadline in %v", left)
		}
		_ = grpc.SetHeader(ctx, metadata.Pairs("head", strings.Join(md.Get("asked"), "+")))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("tail-bin", "\x00\xff"))
		if string(req.Key) == "bad" {
			return nil, detailed.Err()
		}
		return &pb.PutResponse{Header: &pb.ResponseHeader{Revision: 5}}, nil
	}}).start(t)
	for name, interference := range variants {
		sink := newMemory()
		client := pb.NewKVClient(connect(t, startProxy(t, recorded(u.url, sink, interference...)).Endpoint()))
		ctx := metadata.AppendToOutgoingContext(bounded(t), "asked", "a", "asked", "b")
		for _, key := range []string{"good", "bad"} {
			calls.Store(0)
			var head, tail metadata.MD
			_, err := client.Put(ctx, &pb.PutRequest{Key: []byte(key)}, grpc.Header(&head), grpc.Trailer(&tail), grpc.UseCompressor(gzip.Name))
			if key == "good" && err != nil || key == "bad" && !errors.Is(err, detailed.Err()) {
				t.Errorf("%s: the client saw %v", name, err)
			}
			if key == "good" && !cmp.Equal(head.Get("head"), []string{"a+b"}) || !cmp.Equal(tail.Get("tail-bin"), []string{"\x00\xff"}) {
				t.Errorf("%s, %s: header %v, trailer %v", name, key, head, tail)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%s, %s: the upstream was called %d times", name, key, n)
			}
		}
		ops := sink.allOps()
		want := history.StoreError{Kind: history.ErrorUnknown, Message: "DataLoss: it says so"}
		if len(ops) != 2 || ops[0].Error.Kind != history.ErrorNone || ops[1].Error != want {
			t.Errorf("%s: recorded %+v", name, ops)
		}
	}
}

// rawBytes is a codec for messages that are no protobuf.
type rawBytes struct{}

func (rawBytes) Name() string { return "proto" }
func (rawBytes) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}
func (rawBytes) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// TestUnknownServicePasses talks a protocol that nobody here knows, in which
// the server speaks first.
func TestUnknownServicePasses(t *testing.T) {
	echo := func(_ any, stream grpc.ServerStream) error {
		hello := []byte{0xff, 0xff}
		if err := stream.SendHeader(metadata.Pairs("early", "yes")); err != nil {
			return err
		}
		for b := hello; ; {
			if err := stream.SendMsg(&b); err != nil {
				return err
			}
			if err := stream.RecvMsg(&b); errors.Is(err, io.EOF) {
				return status.Error(codes.Aborted, "enough")
			} else if err != nil {
				return err
			}
		}
	}
	u := (&upstream{}).start(t, grpc.ForceServerCodecV2(rawBytes{}), grpc.UnknownServiceHandler(echo))
	for name, interference := range variants {
		sink := newMemory()
		conn := connect(t, startProxy(t, recorded(u.url, sink, interference...)).Endpoint())
		desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
		stream, err := conn.NewStream(bounded(t), desc, "/strange.Service/Talk", grpc.ForceCodecV2(rawBytes{}))
		if err != nil {
			t.Fatal(err)
		}
		if md, err := stream.Header(); err != nil || !cmp.Equal(md.Get("early"), []string{"yes"}) {
			t.Errorf("%s: header %v, %v", name, md, err)
		}
		said := [][]byte{{0xff, 0xff}, {}, {1, 2, 3}, bytes.Repeat([]byte{9}, 8<<20)}
		for i, want := range said {
			if i > 0 {
				if err := stream.SendMsg(&want); err != nil {
					t.Fatal(err)
				}
			}
			var got []byte
			if err := stream.RecvMsg(&got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
			}
		}
		_ = stream.CloseSend()
		var got []byte
		if err := stream.RecvMsg(&got); status.Code(err) != codes.Aborted {
			t.Errorf("%s: ended with %v", name, err)
		}
		sink.await(t, "the call", func(ops []history.StoreOp, _ []history.StoreWatch) bool { return len(ops) == 1 })
		op := sink.allOps()[0]
		if op.Method != history.MethodUnknown || op.Error != (history.StoreError{Kind: history.ErrorUnknown, Message: "/strange.Service/Talk"}) {
			t.Errorf("%s: recorded %+v", name, op)
		}
	}
}

// TestBrokenMessagesPass sends bytes to known methods that are no messages.
func TestBrokenMessagesPass(t *testing.T) {
	echo := func(_ any, stream grpc.ServerStream) error {
		var b []byte
		if err := stream.RecvMsg(&b); err != nil {
			return err
		}
		return stream.SendMsg(&b)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawBytes{}), grpc.UnknownServiceHandler(echo))
	go server.Serve(l)
	defer server.Stop()
	for name, interference := range variants {
		for _, method := range []string{pb.KV_Txn_FullMethodName, pb.KV_RangeStream_FullMethodName, pb.Watch_Watch_FullMethodName, pb.Lease_LeaseKeepAlive_FullMethodName} {
			sink := newMemory()
			conn := connect(t, startProxy(t, recorded(l.Addr().String(), sink, interference...)).Endpoint())
			sent, got := []byte{0xff, 0x01}, []byte(nil)
			if err := conn.Invoke(bounded(t), method, &sent, &got, grpc.ForceCodecV2(rawBytes{})); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%s: %s: the client got % x, %v", name, method, got, err)
			}
			sink.await(t, method, func(ops []history.StoreOp, _ []history.StoreWatch) bool { return len(ops) > 0 })
			if op := sink.allOps()[0]; op.Method != history.MethodUnknown || op.Error.Message != method {
				t.Errorf("%s: %s is recorded as %+v", name, method, op)
			}
		}
	}
}

// TestUpstreamIsCut ends the upstream while it works on a call.
func TestUpstreamIsCut(t *testing.T) {
	called := make(chan struct{})
	u := (&upstream{put: func(ctx context.Context, _ *pb.PutRequest) (*pb.PutResponse, error) {
		close(called)
		<-ctx.Done()
		return nil, ctx.Err()
	}}).start(t)
	sink := newMemory()
	client := pb.NewKVClient(connect(t, startProxy(t, recorded(u.url, sink)).Endpoint()))
	failed := make(chan error, 1)
	go func() {
		_, err := client.Put(bounded(t), &pb.PutRequest{Key: []byte("k"), Value: []byte("v")})
		failed <- err
	}()
	<-called
	u.server.Stop()
	err := <-failed
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the client saw %v", err)
	}
	op := sink.allOps()[0]
	want := history.StoreError{Kind: history.ErrorUnknown, Message: "Unavailable: " + status.Convert(err).Message()}
	if op.Method != history.MethodPut || op.Then[0].Key != "k" || op.Error != want || op.Returned == 0 {
		t.Errorf("recorded %+v, want error %+v", op, want)
	}
	// An upstream that is not there.
	_, err = client.Put(bounded(t), &pb.PutRequest{Key: []byte("k")})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the client saw %v", err)
	}
	eventually(t, "both calls are recorded", func() bool { return len(sink.allOps()) > 1 })
	if ops := sink.allOps(); len(ops) != 2 || ops[1].Error.Kind != history.ErrorUnknown {
		t.Errorf("recorded %+v", ops)
	}
}

// TestClientIsCut ends the client's connection while the store works on a call.
func TestClientIsCut(t *testing.T) {
	for _, way := range []string{"interceptor", "proxy"} {
		called := make(chan struct{})
		u := &upstream{put: func(ctx context.Context, _ *pb.PutRequest) (*pb.PutResponse, error) {
			close(called)
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		sink := newMemory()
		endpoint := ""
		if opt := recorded("", sink); way == "interceptor" {
			endpoint = u.start(t, opt.Recorder.ServerOptions()...).url
		} else {
			opt.Upstream = u.start(t).url
			endpoint = startProxy(t, opt).Endpoint()
		}
		conn := connect(t, endpoint)
		failed := make(chan error, 1)
		go func() {
			_, err := pb.NewKVClient(conn).Put(bounded(t), &pb.PutRequest{Key: []byte("k")})
			failed <- err
		}()
		<-called
		conn.Close()
		if err := <-failed; err == nil {
			t.Errorf("%s: the client saw an answer", way)
		}
		sink.await(t, "the call", func(ops []history.StoreOp, _ []history.StoreWatch) bool { return len(ops) == 1 })
		want := history.StoreError{Kind: history.ErrorUnknown, Message: "Canceled: context canceled"}
		if op := sink.allOps()[0]; op.Method != history.MethodPut || op.Error != want || op.Then[0].Key != "k" || op.Returned == 0 {
			t.Errorf("%s: recorded %+v", way, op)
		}
	}
}

// TestDelay delays a call that is recorded as it came.
func TestDelay(t *testing.T) {
	var arrived history.Time
	u := (&upstream{put: func(context.Context, *pb.PutRequest) (*pb.PutResponse, error) {
		arrived = history.Now()
		return &pb.PutResponse{}, nil
	}}).start(t)
	sink := newMemory()
	const wait = 30 * time.Millisecond
	slow := proxy.Delay(func(method string) time.Duration {
		if method == pb.KV_Put_FullMethodName {
			return wait
		}
		return 0
	})
	client := pb.NewKVClient(connect(t, startProxy(t, recorded(u.url, sink, slow)).Endpoint()))
	// The first call pays for the connection.
	if _, err := client.Put(bounded(t), &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Fatal(err)
	}
	sink.forget()
	before := history.Now()
	if _, err := client.Put(bounded(t), &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Fatal(err)
	}
	if got := arrived.Sub(before); got < wait {
		t.Errorf("the call came to the upstream after %v", got)
	}
	if op := sink.allOps()[0]; arrived.Sub(op.Called) < wait {
		t.Errorf("the call is recorded as called %v before it came to the upstream", arrived.Sub(op.Called))
	}
}

// TestLargeMessages is far above gRPC's default limit of 4 MiB.
func TestLargeMessages(t *testing.T) {
	u := (&upstream{read: func(_ context.Context, req *pb.RangeRequest) (*pb.RangeResponse, error) {
		return &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{{Value: req.Key}}}, nil
	}}).start(t)
	for name, interference := range variants {
		client := pb.NewKVClient(connect(t, startProxy(t, proxy.Options{Upstream: u.url, Interference: interference}).Endpoint()))
		key := bytes.Repeat([]byte("k"), 20<<20)
		resp, err := client.Range(bounded(t), &pb.RangeRequest{Key: key})
		if err != nil || !bytes.Equal(resp.Kvs[0].Value, key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
