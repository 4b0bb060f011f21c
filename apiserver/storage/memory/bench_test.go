package memory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/planecheck/planecheck/apiserver/storage/memory"
)

// The benchmarks send the same to a member of etcd, which does not sync its
// disk, and to a store in memory, both in this process and over a connection of
// their own, and so show what etcd's log and transactions cost without a disk.

func perServer(b *testing.B, f func(b *testing.B, s *server)) {
	b.Run("etcd", func(b *testing.B) { f(b, serveEtcd(b)) })
	b.Run("memory", func(b *testing.B) { f(b, serveMemory(b, memory.New())) })
}

// benchValue is about the size of a pod's status in protobuf.
var benchValue = make([]byte, 1500)

func put(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: benchValue}}}
}

func update(key string, revision int64) *pb.TxnRequest {
	return &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: []byte(key), Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: revision},
		}},
		Success: []*pb.RequestOp{put(key)},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key)}}}},
	}
}

// BenchmarkUpdate is one update in the shape of Kubernetes, by 64 writers over
// one connection.
func BenchmarkUpdate(b *testing.B) {
	perServer(b, func(b *testing.B, s *server) {
		var all sync.WaitGroup
		b.ResetTimer()
		for i := range 64 {
			n := b.N / 64
			if i < b.N%64 {
				n++
			}
			all.Go(func() {
				var revision int64
				for range n {
					resp, err := s.kv.Txn(b.Context(), update(fmt.Sprintf("/registry/pods/ns/%d", i), revision))
					if err != nil || !resp.GetSucceeded() {
						b.Errorf("update: %v, %v", resp, err)
						return
					}
					revision = resp.GetHeader().GetRevision()
				}
			})
		}
		all.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "put/s")
	})
}

// fill puts so many keys of one resource.
func fill(b *testing.B, s *server, keys int) {
	b.Helper()
	for i := 0; i < keys; i += 100 {
		r := &pb.TxnRequest{}
		for j := range 100 {
			r.Success = append(r.Success, put(fmt.Sprintf("/registry/pods/ns/%06d", i+j)))
		}
		if _, err := s.kv.Txn(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList is a RangeStream of 10,000 keys.
func BenchmarkList(b *testing.B) {
	perServer(b, func(b *testing.B, s *server) {
		fill(b, s, 10_000)
		for b.Loop() {
			r := &pb.RangeRequest{Key: []byte("/registry/pods/"), RangeEnd: []byte("/registry/pods0")}
			if resp, err := s.RangeStream(b.Context(), r); err != nil || len(resp.GetKvs()) != 10_000 {
				b.Fatalf("%d keys, %v", len(resp.GetKvs()), err)
			}
		}
	})
}

// BenchmarkWatchFanOut is one update until the last of 1,000 watches, on ten
// streams, has its event.
func BenchmarkWatchFanOut(b *testing.B) {
	const streams, each = 10, 100
	perServer(b, func(b *testing.B, s *server) {
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		var seen []chan int64
		for range streams {
			seen = append(seen, watchMany(ctx, b, s, each))
		}
		var revision int64
		late := time.Now().Add(10 * bound)
		for b.Loop() {
			resp, err := s.kv.Txn(ctx, update("/registry/pods/ns/one", revision))
			if err != nil || !resp.GetSucceeded() || time.Now().After(late) {
				b.Fatalf("update: %v, %v", resp, err)
			}
			revision = resp.GetHeader().GetRevision()
			for _, all := range seen {
				for at := int64(0); at < revision; {
					select {
					case at = <-all:
					case <-time.After(bound):
						b.Fatalf("revision %d did not reach every watch", revision)
					}
				}
			}
		}
	})
}

// watchMany opens watches on one stream. The channel tells each revision that all
// of them have seen.
func watchMany(ctx context.Context, b *testing.B, s *server, n int) chan int64 {
	b.Helper()
	stream, err := s.watch.Watch(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for range n {
		r := &pb.WatchCreateRequest{Key: []byte("/registry/pods/"), RangeEnd: []byte("/registry/pods0"), PrevKv: true}
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
			b.Fatal(err)
		}
		if m, err := stream.Recv(); err != nil || !m.GetCreated() {
			b.Fatalf("%v, %v", m, err)
		}
	}
	all, counts := make(chan int64, 1), map[int64]int{}
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			for _, e := range m.GetEvents() {
				revision := e.GetKv().GetModRevision()
				if counts[revision]++; counts[revision] == n {
					delete(counts, revision)
					all <- revision
				}
			}
		}
	}()
	return all
}
