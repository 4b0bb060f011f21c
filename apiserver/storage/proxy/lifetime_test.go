package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/history"
)

// TestSlowWatcher does not read, and the upstream must come to a halt. It has
// much more to say than all buffers on the way may hold.
func TestSlowWatcher(t *testing.T) {
	const messages, size = 512, 256 << 10
	var sent atomic.Int64
	u := (&upstream{watch: func(stream pb.Watch_WatchServer) error {
		event := &mvccpb.Event{Kv: &mvccpb.KeyValue{Value: make([]byte, size)}}
		for i := range messages {
			if err := stream.Send(&pb.WatchResponse{WatchId: int64(i), Events: []*mvccpb.Event{event}}); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	}}).start(t)
	for name, interference := range variants {
		sent.Store(0)
		client := pb.NewWatchClient(connect(t, startProxy(t, proxy.Options{Upstream: u.url, Interference: interference}).Endpoint()))
		stream, err := client.Watch(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		still, last := 0, int64(-1)
		eventually(t, "the upstream halts", func() bool {
			if n := sent.Load(); n != last || n == 0 {
				still, last = 0, n
			} else {
				still++
			}
			return still == 100
		})
		if n := sent.Load(); n > messages/2 {
			t.Errorf("%s: the upstream has sent %d messages of %d to a client that does not read", name, n, messages)
		}
		for i := range messages {
			resp, err := stream.Recv()
			if err != nil || resp.WatchId != int64(i) {
				t.Fatalf("%s: message %d is %d, %v", name, i, resp.GetWatchId(), err)
			}
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: ended with %v", name, err)
		}
	}
}

// TestCloseLeavesNothing closes proxies in the middle of everything.
func TestCloseLeavesNothing(t *testing.T) {
	checkLeaks(t)
	u := (&upstream{
		put: func(ctx context.Context, _ *pb.PutRequest) (*pb.PutResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		watch: func(stream pb.Watch_WatchServer) error {
			if _, err := stream.Recv(); err != nil { // no stream is frozen before a watch is asked for
				return err
			}
			_ = stream.Send(&pb.WatchResponse{Created: true})
			<-stream.Context().Done()
			return stream.Context().Err()
		},
	}).start(t)
	hole := proxy.NewBlackHole(func(method string) bool { return method == pb.KV_Range_FullMethodName })
	hole.Set(proxy.SwallowRequests)
	freeze := new(proxy.FreezeWatches)
	freeze.Freeze("")
	late := proxy.Delay(func(method string) time.Duration {
		if method == pb.KV_DeleteRange_FullMethodName {
			return time.Hour
		}
		return 0
	})
	sink := newMemory()
	p, err := proxy.Start(recorded(u.url, sink, hole, freeze, late, passUnary, passWatches))
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, p.Endpoint())
	kv, ctx := pb.NewKVClient(conn), bounded(t)
	failed := make(chan error, 3)
	go func() { _, err := kv.Put(ctx, &pb.PutRequest{Key: []byte("k")}); failed <- err }()
	go func() { _, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("k")}); failed <- err }()
	go func() { _, err := kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("k")}); failed <- err }()
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are under way", func() bool { return freeze.Held() == 1 && hole.Swallowed() == 1 })
	idle := startProxy(t, proxy.Options{Upstream: "127.0.0.1:1"})
	for range 2 {
		if err := errors.Join(p.Close(), idle.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	for range 3 {
		if err := <-failed; status.Code(err) != codes.Unavailable {
			t.Errorf("the client saw %v", err)
		}
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("the watch goes on")
	}
	// Close has waited for the records, of those calls that had come in.
	for _, op := range sink.allOps() {
		if op.Error.Kind != history.ErrorUnknown {
			t.Errorf("recorded %+v", op)
		}
	}
	watches := sink.allWatches()
	if n := len(watches); n == 0 || watches[n-1].Kind != history.WatchClosed {
		t.Errorf("the end of the stream is not recorded: %+v", watches)
	}
	conn.Close()
	u.server.Stop()
	if _, err := net.Dial("tcp", strings.TrimPrefix(p.Endpoint(), "http://")); err == nil {
		t.Error(fmt.Sprint("the proxy still listens on ", p.Endpoint()))
	}
}
