package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
	"github.com/planecheck/planecheck/workloads/storebench"
)

// run is one bench in progress.
type run struct {
	o       Options
	out     io.Writer
	dir     *results.Dir
	figures *results.StoreBench
}

// Run measures the backends one after the other and prints the figures, also
// those that there are when ctx ends before. A backend that fails is marked, and
// the others go on; the error is then that of the first.
func Run(ctx context.Context, o Options, out io.Writer) error {
	host, err := results.ReadHost(o.RunsDir)
	if err != nil {
		return err
	}
	specs, err := o.check(ctx, host)
	if err != nil {
		return err
	}
	load, err := results.LoadAverage()
	if err != nil {
		return err
	}
	dir, err := results.Create(o.RunsDir, "bench-storage")
	if err != nil {
		return scenarios.Usagef("--runs: %v", err)
	}
	r := &run{o: o, out: out, dir: dir, figures: o.figures(host, load)}
	specs, moved := alike(specs, o.open)
	for _, spec := range moved {
		fmt.Fprintf(out, "%s: through the recording proxy, as others of these are reached\n", spec)
	}
	fmt.Fprintf(out, "run directory: %s\nmeasures for %v, and fills and clears the stores in between\n", dir.Path, o.takes(len(specs)))
	err = r.all(ctx, specs)
	if err != nil {
		r.figures.Incomplete = err.Error()
	}
	r.figures.Ended = time.Now()
	err = errors.Join(err, dir.SaveStoreBench(r.figures))
	fmt.Fprintf(out, "\n%s", r.figures)
	return err
}

// Show prints the figures in a run directory again.
func Show(dir string, out io.Writer) error {
	figures, err := results.LoadStoreBench(dir)
	if err != nil {
		return scenarios.Usagef("%v", err)
	}
	_, err = fmt.Fprint(out, figures)
	return err
}

func (o *Options) figures(host results.Host, load float64) *results.StoreBench {
	b := &results.StoreBench{
		Started: time.Now(), Host: host, LoadBefore: load, Versions: map[string]string{},
		Settings: results.StoreBenchSetting{
			Seed: o.Seed, Warmup: results.Seconds(o.Warmup), Window: results.Seconds(o.Window), Connections: o.Connections,
			Objects: o.Objects, Namespaces: o.Namespaces, Page: int64(o.Page), Sizes: storebench.Sizes(),
		},
	}
	info, _ := debug.ReadBuildInfo()
	for _, v := range scenarios.LinkedVersions(o.Planecheck, info) {
		b.Versions[v.Name] = v.Version
	}
	return b
}

// all measures the floors and the backends. It goes on after a backend that
// failed, unless ctx has ended.
func (r *run) all(ctx context.Context, specs []string) error {
	if err := r.floors(ctx); err != nil {
		return ended(ctx, err)
	}
	var first error
	for _, spec := range specs {
		r.figures.Backends = append(r.figures.Backends, results.StoreFigures{Backend: spec})
		f := &r.figures.Backends[len(r.figures.Backends)-1]
		err := r.backend(ctx, spec, f)
		if err != nil && ctx.Err() == nil {
			f.Failed = err.Error()
			fmt.Fprintf(r.out, "  %s failed: %v\n", spec, err)
			err = fmt.Errorf("bench %s: %w", spec, err)
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			return ended(ctx, err)
		}
	}
	return first
}

// ended prefers the reason for which everything was broken off to what follows
// from it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// config is what the load is told.
func (r *run) config() storebench.Config {
	return storebench.Config{
		Connections: r.o.Connections, Seed: r.o.Seed, Objects: r.o.Objects, Namespaces: r.o.Namespaces, Page: int64(r.o.Page),
		Warmup: r.o.Warmup, Window: r.o.Window,
	}
}

func (r *run) floors(ctx context.Context) error {
	floors := &r.figures.Floors
	floors.SyncBytes = storebench.SyncBlock
	sync, err := r.measure(ctx, "floor", own, func(sink storebench.Sink) (storebench.Measure, error) {
		return storebench.Syncs(ctx, r.dir.Path, r.o.Warmup, r.o.Window, sink)
	})
	if err != nil {
		return err
	}
	floors.Sync = sync
	c := r.config()
	c.CPU = own
	echo, err := storebench.NewEcho(c)
	if err != nil {
		return err
	}
	defer echo.Close()
	for _, clients := range r.o.Clients {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m, err := r.measure(ctx, "floor", own, func(sink storebench.Sink) (storebench.Measure, error) {
			return echo.Measure(ctx, clients, sink), nil
		})
		if err != nil {
			return err
		}
		floors.Echo = append(floors.Echo, m)
	}
	return r.dir.SaveStoreBench(r.figures)
}

// backend starts a backend, measures it, and removes it again.
func (r *run) backend(ctx context.Context, spec string, f *results.StoreFigures) (err error) {
	log, err := os.OpenFile(r.dir.File("harness.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	place := r.dir.File(strings.NewReplacer(":", "-", ",", "-", "=", "-").Replace(spec))
	// A database runs as another user than root, and must pass through.
	if err := os.Mkdir(place, 0o711); err != nil {
		return fmt.Errorf("make the directory of %s: %w", spec, err)
	}
	b, err := r.o.open(spec, storage.Options{Dir: place, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		return err
	}
	// What is left of the backend before shall not be collected at the cost of
	// this one.
	debug.FreeOSMemory()
	if err := b.Start(ctx); err != nil {
		return err
	}
	if d, ok := b.(storage.Describer); ok {
		f.Settings = d.Settings()
	}
	f.Reached = results.ReachedDirectly
	if proxied(b) {
		f.Reached = results.ReachedThroughProxy
	}
	err = r.load(ctx, b, f)
	err = errors.Join(err, b.Stop())
	if f.DiskBytes, _ = b.DiskBytes(); !r.o.KeepData {
		err = errors.Join(err, storage.RemoveData(b), removeEmpty(filepath.Join(place, b.Name())))
	}
	return errors.Join(err, r.dir.SaveStoreBench(r.figures))
}

// removeEmpty removes a directory that may hold nothing any more.
func removeEmpty(dir string) error {
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// deathBound is how long a backend may take to say that it has died, after it
// has failed to answer.
const deathBound = 2 * time.Second

// load fills a backend and measures it until that is done, or ctx or the backend
// ends.
func (r *run) load(ctx context.Context, b storage.Backend, f *results.StoreFigures) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d, mortal := b.(storage.DeathNotifier)
	if mortal {
		go func() {
			select {
			case err := <-d.Died():
				cancel(err)
			case <-ctx.Done():
			}
		}()
	}
	err := r.levels(ctx, b, f)
	if err != nil && mortal {
		timer := time.NewTimer(deathBound)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	return ended(ctx, err)
}

// levels fills a backend and measures all operations.
func (r *run) levels(ctx context.Context, b storage.Backend, f *results.StoreFigures) error {
	cpu := func() time.Duration { return cpuOf(b) }
	bench, err := r.fill(ctx, b, cpu, f)
	if err != nil {
		return err
	}
	defer bench.Close()
	for _, op := range r.o.Operations {
		for _, clients := range r.o.Clients {
			if err := r.level(ctx, bench, storebench.Operation(op), clients, cpu, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill opens the clients of a backend that runs, and fills it.
func (r *run) fill(ctx context.Context, b storage.Backend, cpu func() time.Duration, f *results.StoreFigures) (*storebench.Bench, error) {
	c := r.config()
	c.Endpoints, c.CPU = b.Endpoints(), cpu
	bench, err := storebench.Open(c)
	if err != nil {
		return nil, err
	}
	objects, took, err := bench.Fill(ctx)
	if err != nil {
		bench.Close()
		return nil, err
	}
	f.Filled, f.FillTime = objects, results.Seconds(took)
	return bench, nil
}

// level measures an operation with so many clients.
func (r *run) level(ctx context.Context, bench *storebench.Bench, op storebench.Operation, clients int, cpu func() time.Duration, f *results.StoreFigures) error {
	if f.Backend != "external" { // it is not ours
		if err := bench.Compact(ctx); err != nil {
			return err
		}
	}
	m, err := r.measure(ctx, f.Backend, cpu, func(sink storebench.Sink) (storebench.Measure, error) {
		return bench.Measure(ctx, op, clients, sink)
	})
	if m.Clients > 0 { // it was begun
		f.Measures = append(f.Measures, m)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return errors.Join(err, r.dir.SaveStoreBench(r.figures))
}

// measure takes a measurement with all that is noted of it, and prints a line.
func (r *run) measure(ctx context.Context, what string, cpu func() time.Duration, f func(storebench.Sink) (storebench.Measure, error)) (results.StoreMeasure, error) {
	if ctx.Err() != nil {
		return results.StoreMeasure{}, context.Cause(ctx)
	}
	latencies := &results.Latencies{}
	others, err := watchOthers(cpu)
	if err != nil {
		return results.StoreMeasure{}, err
	}
	m, err := f(latencies)
	share, othersErr := others()
	figures := results.StoreMeasure{
		Operation: string(m.Operation), Clients: m.Clients, Connections: m.Connections, Window: results.Seconds(m.Window),
		Answered: m.Answered, Items: m.Items, Latency: latencies.Latency(), Failed: m.Failed, Errors: m.Errors,
		CPU: results.Seconds(m.CPU), Others: share, Unsupported: m.Unsupported, Incomplete: m.Incomplete,
	}
	if figures.Latency.Count == 0 { // a distribution of nothing has no figures
		figures.Latency = results.Latency{}
	}
	fmt.Fprintf(r.out, "  %-28s %s\n", what, figures.Line())
	return figures, errors.Join(err, othersErr)
}

// own is the CPU time of this process.
func own() time.Duration { return cpuOf(nil) }

// cpuOf is the CPU time of this process, and of the members of a backend that
// are processes, with the servers that they need and all below those. What cannot be
// read, because it has died, counts nothing.
func cpuOf(b storage.Backend) time.Duration {
	used, _ := results.ProcessCPU(os.Getpid())
	if b == nil {
		return used
	}
	for _, m := range b.Members() {
		if m.PID != 0 {
			member, _ := results.ProcessCPU(m.PID)
			used += member
		}
	}
	if a, ok := b.(storage.Accompanied); ok {
		for _, pid := range a.Accompanying() {
			server, _ := results.TreeCPU(pid)
			used += server
		}
	}
	return used
}

// watchOthers returns what tells the share of all CPUs that was used since then
// by anything that cpu does not charge.
func watchOthers(cpu func() time.Duration) (share func() (float64, error), err error) {
	machine, err := results.MachineCPU()
	if err != nil {
		return nil, err
	}
	ours, begun := cpu(), time.Now()
	return func() (float64, error) {
		now, err := results.MachineCPU()
		others := (now - machine) - (cpu() - ours)
		all := time.Since(begun) * time.Duration(runtime.NumCPU())
		return max(0, min(1, others.Seconds()/all.Seconds())), err
	}, nil
}
