package store_test

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/storage/memory"
	"github.com/planecheck/planecheck/workloads/contract/store"
)

// serve serves a store in memory, whose leases end, for as long as the test runs.
func serve(t testing.TB, name string) *store.Server {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, server := memory.New(), grpc.NewServer(memory.ServerOptions()...)
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
	return c
}

// TestModelIsItself compares the store in memory with itself: no shape may
// differ, and each has to be compared often enough.
func TestModelIsItself(t *testing.T) {
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
