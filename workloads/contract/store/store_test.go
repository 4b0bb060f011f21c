package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/memory"
	"github.com/planecheck/planecheck/workloads/contract/store"
)

// serve serves a store in memory, whose leases end, for as long as the test runs.
func serve(t testing.TB, name string, options ...grpc.ServerOption) *store.Server {
	t.Helper()
	c, _ := serveUntil(t, name, options...)
	return c
}

// serveUntil also returns how to end the server.
func serveUntil(t testing.TB, name string, options ...grpc.ServerOption) (*store.Server, func()) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, server := memory.New(), grpc.NewServer(append(memory.ServerOptions(), options...)...)
	s.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	go s.Expire(t.Context())
	c, err := store.Connect(name, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return c, server.Stop
}

func compare(t *testing.T, s *store.Server, promises store.Promises) (map[store.Shape]store.Verdict, error) {
	t.Helper()
	plan := store.Plan{Seed: 1, Rounds: 16, Turns: 60, Patience: 5 * time.Second}
	verdicts, err := store.Compare(t.Context(), plan, serve(t, "model"), s, promises, 10*time.Second, slog.New(slog.DiscardHandler))
	by := map[store.Shape]store.Verdict{}
	for _, v := range verdicts {
		by[v.Shape] = v
	}
	return by, err
}

// gaps are revisions that a store gives to nothing that its clients see: something
// else writes before each of their transactions.
func gaps(t *testing.T) grpc.ServerOption {
	n := 0
	return grpc.ChainUnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if _, ok := r.(*pb.TxnRequest); ok {
			for range n % 3 {
				put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("elsewhere")}}}
				if _, err := next(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{put}}); err != nil {
					t.Error(err)
				}
			}
			n++
		}
		return next(ctx, r)
	})
}

// TestGaps compares a store whose revisions have gaps: that is a difference only
// where they must not.
func TestGaps(t *testing.T) {
	t.Parallel()
	loose := store.Promises{CompactsOnRequest: true}
	verdicts, err := compare(t, serve(t, "store", gaps(t)), loose)
	if err != nil {
		t.Fatal(err)
	}
	for shape, v := range verdicts {
		if v.Differ > 0 || v.Answers < v.Least {
			t.Errorf("%s: %d answers, %v", shape, v.Answers, v.First)
		}
	}
}

func TestGapsWhereThereMustBeNone(t *testing.T) {
	t.Parallel()
	verdicts, err := compare(t, serve(t, "store", gaps(t)), store.Strict)
	if err != nil {
		t.Fatal(err)
	}
	if verdicts[store.Create].Differ == 0 || verdicts[store.Update].Differ == 0 {
		t.Errorf("gaps were not seen where there must be none")
	}
}

// TestEnd ends the store in the middle of a comparison.
func TestEnd(t *testing.T) {
	t.Parallel()
	calls, end := 0, func() {}
	s, stop := serveUntil(t, "store", grpc.ChainUnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if calls++; calls == 300 {
			go end()
		}
		return next(ctx, r)
	}))
	end = stop
	verdicts, err := compare(t, s, store.Strict)
	var gone *store.GoneError
	if !errors.As(err, &gone) || gone.Server != "store" {
		t.Fatalf("%v", err)
	}
	if v := verdicts[store.Create]; v.Answers == 0 || v.Differ > 0 {
		t.Errorf("%d answers before it, %v", v.Answers, v.First)
	}
}

// TestModelIsItself compares the store in memory with itself: no shape may
// differ, and each has to be compared often enough.
func TestModelIsItself(t *testing.T) {
	t.Parallel()
	verdicts, err := store.Compare(t.Context(), store.Plan{Seed: 1, Rounds: 16, Turns: 60}, serve(t, "model"), serve(t, "store"),
		store.Strict, 10*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		t.Logf("%s: %d", v.Shape, v.Answers)
		if v.Differ > 0 {
			t.Errorf("%s: %v", v.Shape, v.First)
		}
		if v.Answers < v.Least {
			t.Errorf("%s: %d answers, %d are needed", v.Shape, v.Answers, v.Least)
		}
	}
}

// oneKey lies about watches of one key: what is told of compact_rev_key is left out,
// and of other keys those behind them are told, too.
type oneKey struct{ grpc.ServerStream }

func (s oneKey) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if r, ok := m.(*pb.WatchRequest); ok {
		if create := r.GetCreateRequest(); create != nil && len(create.GetRangeEnd()) == 0 && string(create.GetKey()) != "compact_rev_key" {
			create.RangeEnd = []byte{0}
		}
	}
	return err
}

func (s oneKey) SendMsg(m any) error {
	if r, ok := m.(*pb.WatchResponse); ok && len(r.GetEvents()) > 0 && string(r.GetEvents()[0].GetKv().GetKey()) == "compact_rev_key" {
		return nil
	}
	return s.ServerStream.SendMsg(m)
}

// TestOneKey has a store lie about its answers to the compactor, and about watches of
// one key, and about nothing else.
func TestOneKey(t *testing.T) {
	t.Parallel()
	get := grpc.ChainUnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		answer, err := next(ctx, r)
		if read, ok := answer.(*pb.RangeResponse); ok && string(r.(*pb.RangeRequest).GetKey()) == "compact_rev_key" {
			lie := proto.Clone(read).(*pb.RangeResponse) // the store holds what it answers with
			for _, kv := range lie.GetKvs() {
				kv.Value = []byte("another")
			}
			return lie, err
		}
		return answer, err
	})
	watch := grpc.ChainStreamInterceptor(func(server any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return next(server, oneKey{s})
	})
	t.Run("get", func(t *testing.T) { t.Parallel(); seenAlone(t, get, store.CompactorGet) })
	t.Run("watch", func(t *testing.T) { t.Parallel(); seenAlone(t, watch, store.CompactorWatch, store.WatchNow) })
}

// seenAlone has a store tell a lie, which has to be seen in these shapes and in no other.
func seenAlone(t *testing.T, lie grpc.ServerOption, seen ...store.Shape) {
	verdicts, err := compare(t, serve(t, "store", lie), store.Strict)
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range seen {
		if verdicts[shape].Differ == 0 {
			t.Errorf("%s: the lie was not seen in %d answers", shape, verdicts[shape].Answers)
		}
	}
	for shape, v := range verdicts {
		of := slices.Contains(seen, shape) || slices.Contains(seen, store.WatchNow) && strings.HasPrefix(string(shape), "Watch")
		if v.Differ > 0 && !of {
			t.Errorf("%s: %v", shape, v.First)
		}
	}
}

// oneMore answers a RangeStream of at most ten keys as kine v0.17.5 does (docs/findings,
// 0022): with eleven, and as if there were no more. trimmed takes the eleventh away and
// says that there are more: all chunks together are right then, but the one that fills
// the page still is not the last.
type oneMore struct {
	grpc.ServerStream
	trimmed, ten bool
}

func (s *oneMore) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if r, ok := m.(*pb.RangeRequest); ok && r.GetLimit() == 10 {
		r.Limit, s.ten = 11, true
	}
	return err
}

func (s *oneMore) SendMsg(m any) error {
	if r := m.(*pb.RangeStreamResponse).GetRangeResponse(); s.ten && len(r.GetKvs()) == 1 {
		if r.More = s.trimmed; s.trimmed {
			r.Kvs = nil
		}
	}
	return s.ServerStream.SendMsg(m)
}

// TestPages has a store lie about streams of ten keys, and about nothing else, and wants
// to be told so by as few requests as it takes: eleven keys and the first page.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, trimmed := range []bool{false, true} {
		t.Run(fmt.Sprint("trimmed ", trimmed), func(t *testing.T) { t.Parallel(); testPages(t, trimmed) })
	}
}

func testPages(t *testing.T, trimmed bool) {
	lie := grpc.ChainStreamInterceptor(func(server any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if info.FullMethod == pb.KV_RangeStream_FullMethodName {
			s = &oneMore{ServerStream: s, trimmed: trimmed}
		}
		return next(server, s)
	})
	verdicts, err := store.Compare(t.Context(), store.Plan{Seed: 1}, serve(t, "model"), serve(t, "store", lie), store.Strict,
		10*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		switch d := v.First; {
		case v.Shape != store.Stream:
			if d != nil {
				t.Errorf("%s: %v", v.Shape, d)
			}
		case v.Differ != 3:
			t.Errorf("%d pages of ten keys differ, there were three with more after them: %v", v.Differ, d)
		case len(d.Before) != 11 || !strings.HasSuffix(d.Request, `"*, at most 10 (RangeStream)`) || !strings.HasSuffix(d.Want, "count 11, more"):
			t.Errorf("a page of ten of eleven keys is told as: %v", d)
		case strings.HasSuffix(d.Got, "count 11, more") != trimmed || strings.Count(d.Got, "create") != 11 && !trimmed:
			t.Errorf("the store's answer is told as: %s", d.Got)
		}
	}
}
