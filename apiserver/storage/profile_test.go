package storage

import (
	"bytes"
	"context"
	"maps"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/pprof/profile"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/checkers/history"
)

// servers are the beginnings of the names of functions that only the store's
// side runs, while the client of the tests runs in the same process.
var servers = []string{
	"go.etcd.io/etcd/server/", "go.etcd.io/raft/", "go.etcd.io/bbolt", "github.com/soheilhy/cmux",
	"google.golang.org/grpc.(*Server)", "google.golang.org/grpc/internal/transport.NewServerTransport",
	"google.golang.org/grpc/internal/transport.(*http2Server)",
}

// labelOf returns the label of a sample and the first of the servers' functions
// on its stack, from the outside.
func labelOf(s *profile.Sample) (label, function string) {
	for i := len(s.Location) - 1; i >= 0; i-- {
		for _, line := range s.Location[i].Line {
			name := line.Function.Name
			if slices.ContainsFunc(servers, func(p string) bool { return strings.HasPrefix(name, p) }) {
				return strings.Join(s.Label[ProfileLabel], ","), name
			}
		}
	}
	return "", ""
}

// Every goroutine of the store must carry the store's label: those of the
// server, of its gRPC server and of both sides of the peers' connections.
func TestGoroutinesAreLabelled(t *testing.T) {
	e := start(t, "etcd", Options{})
	restart(t, e, "etcd-1")
	client := dial(t, e.Endpoints()...)
	mustPut(t, client, "/registry/a", "x", 0)
	if resp := <-client.Watch(bounded(t), "/registry/a", clientv3.WithCreatedNotify()); !resp.Created {
		t.Fatalf("watch: %v", resp.Err())
	}
	prof := goroutineProfile(t)
	seen := make(map[string]int)
	for _, s := range prof.Sample {
		label, function := labelOf(s)
		if function == "" {
			continue
		}
		seen[function]++
		if label != ProfileStore {
			t.Errorf("%d goroutines in %s carry label %q, want %q", s.Value[0], function, label, ProfileStore)
		}
	}
	names := slices.Sorted(maps.Keys(seen))
	for _, want := range []string{"raft/v3", "storage/backend", "grpc", "rafthttp", "mvcc", "v3rpc"} {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, want) }) {
			t.Errorf("no goroutine of %s was seen, only %v", want, names)
		}
	}
}

func goroutineProfile(t *testing.T) *profile.Profile {
	t.Helper()
	var buf bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&buf, 0); err != nil {
		t.Fatal(err)
	}
	prof, err := profile.Parse(&buf)
	if err != nil {
		t.Fatal(err)
	}
	return prof
}

// A goroutine that reports a commit must carry the recorder's label for just
// as long as it does so.
func TestRecorderLabel(t *testing.T) {
	here, goOn := make(chan struct{}), make(chan struct{})
	interceptor := commitInterceptor(func(history.Commit) { stayInRecorder(here, goOn) })
	go func() {
		pprof.SetGoroutineLabels(storeLabels)
		handler := func(context.Context, any) (any, error) { return answer(true, &pb.ResponseOp{}), nil }
		_, err := interceptor(context.Background(), &pb.TxnRequest{Success: ops(put("a", "v"))}, nil, handler)
		if err != nil {
			t.Error(err)
		}
		stayInStore(here, goOn)
	}()
	for _, want := range []struct{ function, label string }{
		{"stayInRecorder", ProfileRecorder}, {"stayInStore", ProfileStore},
	} {
		<-here
		if got := labelsIn(goroutineProfile(t), want.function); !slices.Equal(got, []string{want.label}) {
			t.Errorf("%s ran with labels %q, want %q", want.function, got, want.label)
		}
		goOn <- struct{}{}
	}
}

//go:noinline
func stayInRecorder(here, goOn chan struct{}) { here <- struct{}{}; <-goOn }

//go:noinline
func stayInStore(here, goOn chan struct{}) { here <- struct{}{}; <-goOn }

// labelsIn returns the label of each sample with function on its stack.
func labelsIn(prof *profile.Profile, function string) []string {
	var labels []string
	for _, s := range prof.Sample {
		in := slices.ContainsFunc(s.Location, func(l *profile.Location) bool {
			return slices.ContainsFunc(l.Line, func(line profile.Line) bool { return strings.HasSuffix(line.Function.Name, "."+function) })
		})
		if in {
			labels = append(labels, strings.Join(s.Label[ProfileLabel], ","))
		}
	}
	return labels
}

// A CPU profile must split into the store, the recorder and the rest.
func TestProfileSplits(t *testing.T) {
	var sum atomic.Int64
	recorder := func(c history.Commit) { // costly enough to be sampled
		for range 20 {
			for _, b := range c.Value {
				sum.Add(int64(b))
			}
		}
	}
	e := open(t, "etcd:members=1", Options{OnCommit: recorder})
	e.config.UnsafeNoFsync = true // the disk has no part in this
	if err := e.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	client := dial(t, e.Endpoints()...)
	value := strings.Repeat("x", 1000)
	var revision int64
	wrong, labels := make(map[string]int), make(map[string]int64)
	complete := func() bool { return labels[ProfileStore] > 0 && labels[ProfileRecorder] > 0 && labels[""] > 0 }
	// One short profile rarely has samples of everything.
	for round := 0; round < 100 && !complete(); round++ {
		prof := cpuProfile(t, func() {
			for range 200 {
				revision = mustPut(t, client, "/registry/a", value, revision)
			}
		})
		for _, s := range prof.Sample {
			label, function := labelOf(s)
			if function != "" && label == "" {
				wrong[function]++
			}
			labels[strings.Join(s.Label[ProfileLabel], ",")] += s.Value[0]
		}
	}
	if !complete() {
		t.Errorf("samples by label: %v, want some of %s, of %s and of none", labels, ProfileStore, ProfileRecorder)
	}
	if len(wrong) > 0 {
		t.Errorf("samples of the store without its label: %v", wrong)
	}
}

func cpuProfile(t *testing.T, load func()) *profile.Profile {
	t.Helper()
	var buf bytes.Buffer
	if err := pprof.StartCPUProfile(&buf); err != nil {
		t.Skipf("somebody else is taking a CPU profile: %v", err)
	}
	load()
	pprof.StopCPUProfile()
	prof, err := profile.Parse(&buf)
	if err != nil {
		t.Fatal(err)
	}
	return prof
}
