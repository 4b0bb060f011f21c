package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/workloads/storebench"
)

// ProxyCostBound is how long ProxyCost may take. It is done in some five seconds.
const ProxyCostBound = 10 * time.Second

// proxyLoad is what ProxyCost measures: round trips of a client by itself, which
// wait for nothing but the store, and events, which come to several at once.
var proxyLoad = []struct {
	operation storebench.Operation
	clients   int
}{{storebench.Update, 1}, {storebench.Get, 1}, {storebench.Watch, 8}}

// inMemory is the backend that costs least, so that the proxy shows most.
const inMemory = "memory"

// ProxyCost measures the store in memory twice, reached directly and through the
// proxy that records a store in a run, which records nothing here. The two take
// turns, so that what else happens on the machine happens to both. Its figures are
// small and quick ones of bench-storage: a closed loop, in this process. dir gets
// nothing of a store in memory.
func ProxyCost(ctx context.Context, dir string) (direct, through results.StoreFigures, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, ProxyCostBound, fmt.Errorf("measure what the proxy costs: not done after %v", ProxyCostBound))
	defer cancel()
	defer debug.FreeOSMemory() // what follows shall not find less of it
	o := DefaultOptions()
	o.Warmup, o.Window, o.Objects, o.Namespaces, o.Connections = 150*time.Millisecond, 600*time.Millisecond, 64, 4, 8
	r := &run{o: o, out: io.Discard}
	direct = results.StoreFigures{Backend: inMemory, Reached: results.ReachedDirectly}
	through = results.StoreFigures{Backend: storage.ThroughProxy(inMemory), Reached: results.ReachedThroughProxy}
	var benches []*storebench.Bench
	both := []*results.StoreFigures{&direct, &through}
	for _, f := range both {
		bench, closeBench, err := r.filled(ctx, f, dir)
		if err != nil {
			return direct, through, ended(ctx, err)
		}
		defer closeBench()
		benches = append(benches, bench)
	}
	for _, l := range proxyLoad {
		for i, f := range both {
			m, err := r.measure(ctx, f.Backend, own, func(sink storebench.Sink) (storebench.Measure, error) {
				return benches[i].Measure(ctx, l.operation, l.clients, sink)
			})
			if err == nil {
				err = fault(m)
			}
			if err != nil {
				return direct, through, ended(ctx, err)
			}
			f.Measures = append(f.Measures, m)
		}
	}
	return direct, through, nil
}

// fault is why a measurement says nothing, nil if it does.
func fault(m results.StoreMeasure) error {
	if m.Failed > 0 || m.Answered == 0 || m.Incomplete != "" {
		return fmt.Errorf("measure %s: %d answers, %d failed; %s", m.Operation, m.Answered, m.Failed, m.Incomplete)
	}
	return nil
}

// filled starts a backend in this process and fills it.
func (r *run) filled(ctx context.Context, f *results.StoreFigures, dir string) (bench *storebench.Bench, end func(), err error) {
	b, err := r.o.open(f.Backend, storage.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	if err := b.Start(ctx); err != nil {
		return nil, nil, err
	}
	stop := func() { _ = b.Stop() } // it has nothing that could be left behind
	if bench, err = r.fill(ctx, b, own, f); err != nil {
		stop()
		return nil, nil, err
	}
	return bench, func() { bench.Close(); stop() }, nil
}

// BehindProxy says whether the clients of a backend reach it through a proxy. A
// spec that cannot be opened without more is behind none that we could speak of.
func BehindProxy(spec string) bool {
	b, err := storage.Open(spec, storage.Options{Dir: "."})
	return err == nil && proxied(b)
}
