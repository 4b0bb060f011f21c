package storebench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"

	"github.com/planecheck/planecheck/checkers/history"
)

// writers are those whose updates all watchers see.
const writers = 8

// errLate ends a measurement of watches.
var errLate = fmt.Errorf("an update had not come to all watchers after %v", requestBound)

// errStray is an event that nobody waits for: a second time the same one, or one
// that nobody wrote.
var errStray = errors.New("a watcher was sent an event that it had been sent before, or that nobody wrote")

// fanOut has every client watch all that a few writers update. The loop is
// closed over the delivery: a writer updates its object again when all watchers
// have seen the last update, so that the watchers are never behind by more than
// one update of each writer. A latency is that from the send of the update to the
// event's arrival at one watcher.
func (b *Bench) fanOut(ctx context.Context, m Measure, sink Sink) (Measure, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &fan{bench: b, prefix: b.key("pods/watched/"), byKey: map[string]*writer{}}
	if err := f.prepare(ctx, m.Clients); err != nil {
		return m, fmt.Errorf("measure watches: %w", err)
	}
	streams, err := f.open(ctx, m.Clients)
	if err != nil {
		return m, fmt.Errorf("measure watches: %w", err)
	}
	clock := startClock(ctx, b.cfg.Warmup, b.cfg.Window, b.cfg.CPU)
	tallies := make([]tally, m.Clients)
	var watching, writing sync.WaitGroup
	reading, stop := context.WithCancel(ctx)
	defer stop()
	for i, s := range streams {
		tallies[i].span = clock.span
		watching.Go(func() {
			err := f.read(s, &tallies[i], func(d time.Duration) { sink.Took(i, d) })
			if reading.Err() == nil {
				cancel(fmt.Errorf("a watch ended: %w", err))
			}
		})
	}
	for _, w := range f.writers {
		writing.Go(func() {
			if err := w.run(ctx, clock.to); err != nil {
				cancel(err)
			}
		})
	}
	writing.Wait()
	clock.finish(ctx, &m)
	stop()
	cancel(nil)
	watching.Wait()
	for i := range tallies {
		tallies[i].addTo(&m)
	}
	return m, nil
}

// fan is what writers and watchers share.
type fan struct {
	bench    *Bench
	prefix   []byte
	revision int64 // after which the watches begin
	writers  []*writer
	byKey    map[string]*writer
}

// writer updates one object.
type writer struct {
	*object
	kv       pb.KVClient
	watchers int64
	value    func() []byte

	sent    atomic.Int64 // the history.Time of the update that is under way
	version atomic.Int64 // that the object has after it
	missing atomic.Int64 // watchers that have not seen it
	seen    chan struct{}
}

// prepare creates the writers' objects, or finds those of earlier measurements.
func (f *fan) prepare(ctx context.Context, watchers int) error {
	ctx, cancel := context.WithTimeout(ctx, requestBound)
	defer cancel()
	for i := range writers {
		r := random(f.bench.cfg.Seed, string(Watch), i)
		w := &writer{
			object: &object{key: fmt.Appendf(bytes.Clone(f.prefix), "web-%d", i)},
			kv:     f.bench.kv(i), watchers: int64(watchers), seen: make(chan struct{}, 1),
			value: func() []byte { return f.bench.values.pod(r) },
		}
		resp, err := w.kv.Range(ctx, &pb.RangeRequest{Key: w.key, Limit: 1})
		if err != nil {
			return err
		}
		if len(resp.Kvs) == 1 {
			w.revision = resp.Kvs[0].ModRevision
			w.version.Store(resp.Kvs[0].Version)
		} else if err := create(ctx, w.kv, w.object, w.value()); err != nil {
			return err
		} else {
			w.version.Store(1)
		}
		f.revision = max(f.revision, w.revision, resp.Header.Revision)
		f.writers = append(f.writers, w)
		f.byKey[string(w.key)] = w
	}
	return nil
}

// open opens a watch for each client, on a stream of its own, as
// kube-apiserver has one for each resource.
func (f *fan) open(ctx context.Context, n int) ([]pb.Watch_WatchClient, error) {
	late, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(requestBound, func() { cancel(errors.New("the watches were not open in time")) })
	defer timer.Stop()
	streams, errs := make([]pb.Watch_WatchClient, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() { streams[i], errs[i] = f.openOne(ctx, i) })
	}
	opened := make(chan struct{})
	go func() { wg.Wait(); close(opened) }()
	select {
	case <-opened:
		return streams, errors.Join(errs...)
	case <-late.Done():
		return nil, context.Cause(late) // the streams end with the caller's context
	}
}

func (f *fan) openOne(ctx context.Context, client int) (pb.Watch_WatchClient, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "hasleader", "true")
	stream, err := pb.NewWatchClient(f.bench.conns[client%len(f.bench.conns)]).Watch(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: f.prefix, RangeEnd: after(f.prefix), StartRevision: f.revision + 1, PrevKv: true, ProgressNotify: true,
	}}})
	if err != nil {
		return nil, err
	}
	resp, err := stream.Recv()
	if err == nil && (!resp.Created || resp.Canceled) {
		err = fmt.Errorf("the watch was not created: %s", resp.CancelReason)
	}
	return stream, err
}

// read takes one watcher's events until its stream ends.
func (f *fan) read(s pb.Watch_WatchClient, t *tally, took func(time.Duration)) error {
	for {
		resp, err := s.Recv()
		if err == nil && resp.Canceled {
			err = errors.New(resp.CancelReason)
		}
		if err != nil {
			return err
		}
		now := history.Now()
		for _, e := range resp.Events {
			w := f.byKey[string(e.Kv.Key)]
			if w == nil || e.Kv.Version != w.version.Load() {
				t.add(now, now, 0, errStray)
				continue
			}
			sent := history.Time(w.sent.Load())
			if t.add(sent, now, 0, nil) {
				took(now.Sub(sent))
			}
			if w.missing.Add(-1) == 0 {
				w.seen <- struct{}{}
			}
		}
	}
}

// run updates the object until the end of the window.
func (w *writer) run(ctx context.Context, to history.Time) error {
	for {
		now := history.Now()
		if now >= to || ctx.Err() != nil {
			return nil
		}
		w.missing.Store(w.watchers)
		w.sent.Store(int64(now))
		w.version.Add(1)
		if err := update(ctx, w.kv, w.object, w.value()); err != nil {
			return fmt.Errorf("update what is watched: %w", err)
		}
		timer := time.NewTimer(requestBound)
		select {
		case <-w.seen:
			timer.Stop()
		case <-timer.C:
			return errLate
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}
