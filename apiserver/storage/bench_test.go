package storage

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/planecheck/planecheck/checkers/history"
)

// benchWriters write concurrently, as the requests in flight of an API server
// do; valueBytes is about the size of a pod's status in protobuf.
const (
	benchWriters = 64
	valueBytes   = 1500
)

// BenchmarkTxn is one update in the shape of Kubernetes, sent by 64 writers
// over one connection per member. cpu-us/op is the CPU of the whole process,
// client included; elections are those that the load provoked. The variants
// show what each setting is worth; "stock" is what Open gives.
func BenchmarkTxn(b *testing.B) {
	for _, bench := range []struct {
		name    string
		spec    string
		edit    func(*embed.Config)
		opt     Options
		writers int // 0: 64
	}{
		{name: "members=3/stock", spec: "etcd"},
		{name: "members=3/recorded", spec: "etcd", opt: Options{OnCommit: func(history.Commit) {}}},
		{name: "members=3/batch=10ms", spec: "etcd", edit: func(c *embed.Config) { c.BackendBatchInterval = 10 * time.Millisecond }},
		{name: "members=3/batch=1s", spec: "etcd", edit: func(c *embed.Config) { c.BackendBatchInterval = time.Second }},
		{name: "members=3/tick=10ms", spec: "etcd", edit: func(c *embed.Config) { c.TickMs = 10 }},
		{name: "members=3/nofsync", spec: "etcd", edit: func(c *embed.Config) { c.UnsafeNoFsync = true }},
		{name: "members=3/writers=4", spec: "etcd", writers: 4},
		{name: "members=1/stock", spec: "etcd:members=1"},
		{name: "members=1/nofsync", spec: "etcd:members=1", edit: func(c *embed.Config) { c.UnsafeNoFsync = true }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			e := open(b, bench.spec, bench.opt)
			if bench.edit != nil {
				bench.edit(e.config)
			}
			if err := e.Start(bounded(b)); err != nil {
				b.Fatal(err)
			}
			benchmarkTxn(b, e, cmp.Or(bench.writers, benchWriters))
		})
	}
}

func benchmarkTxn(b *testing.B, e *etcdCluster, n int) {
	clients := make([]*kubernetes.Client, len(e.Endpoints()))
	for i, endpoint := range e.Endpoints() {
		clients[i] = dial(b, endpoint)
	}
	writers := make([]*benchWriter, n)
	for i := range writers {
		writers[i] = newBenchWriter(clients[i%len(clients)], i)
		if err := writers[i].put(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	before, term := cpuTime(b), e.members[0].run.server.Term()
	var wg sync.WaitGroup
	for i, w := range writers {
		share := b.N / n
		if i < b.N%n {
			share++
		}
		wg.Go(func() {
			for range share {
				if err := w.put(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64(e.members[0].run.server.Term()-term), "elections")
}

// benchWriter updates one key again and again.
type benchWriter struct {
	client   *kubernetes.Client
	key      string
	value    []byte
	revision int64
}

func newBenchWriter(client *kubernetes.Client, i int) *benchWriter {
	w := &benchWriter{client: client, key: fmt.Sprintf("/registry/pods/density-%02d/web-5d9c7f8b6c-x2x7k", i)}
	random := rand.New(rand.NewPCG(1, uint64(i)))
	for range valueBytes {
		w.value = append(w.value, byte(random.Uint32()))
	}
	return w
}

func (w *benchWriter) put(ctx context.Context) error {
	opts := kubernetes.PutOptions{GetOnFailure: w.revision != 0}
	resp, err := w.client.OptimisticPut(ctx, w.key, w.value, w.revision, opts)
	if err == nil && !resp.Succeeded {
		err = fmt.Errorf("%s is not at revision %d", w.key, w.revision)
	}
	w.revision = resp.Revision
	return err
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkRead is one linearizable read of a key: what fsync and batches do
// not touch, so that it shows the path of a request alone.
func BenchmarkRead(b *testing.B) {
	e := start(b, "etcd", Options{})
	client, err := clientv3.New(clientv3.Config{Endpoints: e.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	before := cpuTime(b)
	for b.Loop() {
		if _, err := client.Get(b.Context(), "/registry/a"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}
