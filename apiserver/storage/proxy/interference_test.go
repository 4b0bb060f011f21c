package proxy_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers/history"
)

func recorded(upstream string, sink history.StoreSink, interference ...proxy.Interference) proxy.Options {
	return proxy.Options{
		Upstream: upstream, Interference: interference,
		Recorder: record.New(record.Options{Member: "m0", Sink: sink}),
	}
}

// TestFreezeWatches freezes one of two watches while writes go on.
func TestFreezeWatches(t *testing.T) {
	sink := newMemory()
	freeze := new(proxy.FreezeWatches)
	p := startProxy(t, recorded(startMember(t).endpoint(), sink, freeze))
	ctx := bounded(t)
	// A client puts all of its watches on one stream.
	watcher, writer := dial(t, p.Endpoint()), dial(t, p.Endpoint())
	cold := watcher.Watch(ctx, "/cold/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	warm := writer.Watch(ctx, "/warm/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-cold
	<-warm
	freeze.Freeze("/warm/")
	freeze.Freeze("/cold/") // in the place of the other
	freeze.Freeze("/cold/")
	var want []int64
	for i := range 50 {
		resp, err := writer.Put(ctx, fmt.Sprintf("/cold/%d", i), "v")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, resp.Header.Revision)
	}
	if _, err := writer.Put(ctx, "/warm/1", "v"); err != nil {
		t.Fatal(err)
	}
	if resp := <-warm; len(resp.Events) != 1 {
		t.Errorf("the warm watch saw %+v", resp)
	}
	eventually(t, "an answer is held", func() bool { return freeze.Held() == 1 })
	// What is held is neither with the client nor in the record.
	select {
	case resp := <-cold:
		t.Errorf("the frozen watch saw %+v", resp)
	default:
	}
	for _, w := range sink.allWatches() {
		for _, e := range w.Events {
			if e.KV.Key != "/warm/1" {
				t.Errorf("%s is recorded while it is held", e.KV.Key)
			}
		}
	}
	freeze.Thaw()
	freeze.Thaw()
	var got []int64
	for len(got) < len(want) {
		resp := <-cold
		if err := resp.Err(); err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.Events {
			got = append(got, e.Kv.ModRevision)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("revisions after the thaw (-want +got):\n%s", diff)
	}
	if n := freeze.Held(); n != 0 {
		t.Errorf("%d streams are held after the thaw", n)
	}
}

// TestLies changes, swallows, doubles and reverses, and looks for the lie on
// the client's side, which the record must be on.
func TestLies(t *testing.T) {
	sink := newMemory()
	stale := proxy.Unary(func(ctx context.Context, _ string, req proto.Message, next proxy.Invoke) (proto.Message, error) {
		resp, err := next(ctx, req)
		if get, ok := resp.(*pb.RangeResponse); ok && err == nil {
			get.Header.Revision = 1
			for _, kv := range get.Kvs {
				kv.Value = []byte("lie")
			}
		}
		return resp, err
	})
	twice := proxy.Unary(func(ctx context.Context, _ string, req proto.Message, next proxy.Invoke) (proto.Message, error) {
		if _, ok := req.(*pb.PutRequest); ok {
			if _, err := next(ctx, req); err != nil {
				return nil, err
			}
		}
		return next(ctx, req)
	})
	refusal := proxy.Unary(func(ctx context.Context, _ string, req proto.Message, next proxy.Invoke) (proto.Message, error) {
		if _, ok := req.(*pb.CompactionRequest); ok {
			return nil, status.Error(codes.OutOfRange, "etcdserver: mvcc: required revision has been compacted")
		}
		return next(ctx, req)
	})
	// Events come in pairs, the later one first, and that one twice.
	mix := proxy.Watches(func(context.Context) func(*pb.WatchResponse) []*pb.WatchResponse {
		var held *pb.WatchResponse
		return func(resp *pb.WatchResponse) []*pb.WatchResponse {
			if len(resp.Events) == 0 {
				return []*pb.WatchResponse{resp}
			}
			if held == nil {
				held = resp
				return nil
			}
			first := held
			held = nil
			return []*pb.WatchResponse{resp, resp, first}
		}
	})
	p := startProxy(t, recorded(startMember(t).endpoint(), sink, stale, twice, refusal, mix))
	client := dial(t, p.Endpoint())
	ctx := bounded(t)
	watch := client.Watch(ctx, "/k", clientv3.WithCreatedNotify())
	<-watch
	put, err := client.Put(ctx, "/k", "truth")
	if err != nil {
		t.Fatal(err)
	}
	get, err := client.KV.Get(ctx, "/k")
	if err != nil || get.Header.Revision != 1 || string(get.Kvs[0].Value) != "lie" || get.Kvs[0].Version != 2 {
		t.Errorf("the client saw %+v, %v", get, err)
	}
	if _, err := client.Compact(ctx, 1); err == nil {
		t.Error("the client saw no refusal")
	}
	var revs []int64
	for len(revs) < 3 {
		for _, e := range (<-watch).Events {
			revs = append(revs, e.Kv.ModRevision)
		}
	}
	wantRevs := []int64{put.Header.Revision, put.Header.Revision, put.Header.Revision - 1}
	if diff := cmp.Diff(wantRevs, revs); diff != "" {
		t.Errorf("revisions of the watch (-want +got):\n%s", diff)
	}
	compareOps(t, "lies", []history.StoreOp{
		{Member: "m0", Method: history.MethodPut, Then: write("/k", "truth", 0), Header: put.Header.Revision, Results: []history.StoreResult{{}}},
		{Member: "m0", Method: history.MethodRange, Then: read("/k"), Header: 1, Results: []history.StoreResult{{Count: 1, KVs: seen(get.Kvs...)}}},
		{Member: "m0", Method: history.MethodCompact, Revision: 1, Error: history.StoreError{
			Kind: history.ErrorCompacted, Message: "OutOfRange: etcdserver: mvcc: required revision has been compacted",
		}},
	}, sink.allOps())
	var recordedRevs []int64
	for _, w := range sink.allWatches() {
		for _, e := range w.Events {
			recordedRevs = append(recordedRevs, e.KV.Mod)
		}
	}
	if diff := cmp.Diff(wantRevs, recordedRevs); diff != "" {
		t.Errorf("revisions in the record (-want +got):\n%s", diff)
	}
}

// wrongStream is an interference with a fault of its own.
type wrongStream struct {
	proxy.Stream
	request, answer any
}

func (s *wrongStream) Send(m any) error {
	if s.request != nil {
		m = s.request
	}
	return s.Stream.Send(m)
}

func (s *wrongStream) Recv() (any, error) {
	m, err := s.Stream.Recv()
	if err == nil && s.answer != nil {
		m = s.answer
	}
	return m, err
}

// TestWrongInterference gives what is no message: the call must end.
func TestWrongInterference(t *testing.T) {
	u := (&upstream{put: func(context.Context, *pb.PutRequest) (*pb.PutResponse, error) {
		return &pb.PutResponse{}, nil
	}}).start(t)
	for _, wrong := range []wrongStream{{request: 7}, {answer: "seven"}} {
		sink := newMemory()
		swap := proxy.InterferenceFunc(func(ctx context.Context, _ string, next proxy.Opener) (proxy.Stream, error) {
			up, err := next(ctx)
			return &wrongStream{Stream: up, request: wrong.request, answer: wrong.answer}, err
		})
		client := pb.NewKVClient(connect(t, startProxy(t, recorded(u.url, sink, swap)).Endpoint()))
		_, err := client.Put(bounded(t), &pb.PutRequest{Key: []byte("k")})
		if status.Code(err) != codes.Internal {
			t.Errorf("%+v: the client saw %v", wrong, err)
		}
		if ops := sink.allOps(); len(ops) != 1 || ops[0].Error.Kind != history.ErrorUnknown {
			t.Errorf("%+v: recorded %+v", wrong, ops)
		}
	}
}
