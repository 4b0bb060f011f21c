package proxy_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers/history"
)

// TestFullWatch restarts the member under the watch, which is recorded by
// itself, and by the member.
func TestFullWatch(t *testing.T) {
	for _, byItself := range []bool{true, false} {
		t.Run(fmt.Sprint("by itself ", byItself), func(t *testing.T) {
			t.Parallel()
			sink := newMemory()
			r := record.New(record.Options{Member: "m0", Sink: sink})
			var opt record.FullWatchOptions
			var m *member
			if byItself {
				m, opt.Recorder = startMember(t), r
			} else {
				m = startMember(t, r.ServerOptions()...)
			}
			opt.Endpoint = m.endpoint()
			told, want := watchLives(t, m, opt)
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("revisions that the listener was told (-want +got):\n%s", diff)
			}
			checkLives(t, sink.allWatches(), want)
		})
	}
}

const lives = 3

// watchLives watches a member over its lives. It returns the revisions that the
// listener was told of, and those that were written.
func watchLives(t *testing.T, m *member, opt record.FullWatchOptions) (told, written []int64) {
	opt.Events = func(resp *pb.WatchResponse) { // on one goroutine, which Stop ends
		for _, e := range resp.Events {
			told = append(told, e.Kv.ModRevision)
		}
	}
	w, err := record.StartFullWatch(opt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}()
	for life := range lives {
		client := dial(t, m.endpoint())
		for i := range 20 {
			resp, err := client.Put(bounded(t), fmt.Sprintf("/k/%d", i), fmt.Sprint(life))
			if err != nil {
				t.Fatal(err)
			}
			written = append(written, resp.Header.Revision)
		}
		last := written[len(written)-1]
		if err := w.Await(bounded(t), last); err != nil {
			t.Fatal(err)
		}
		if got := w.Seen(); got < last {
			t.Errorf("seen %d after awaiting %d", got, last)
		}
		client.Close()
		if life < lives-1 {
			m.stop()
			m.start()
		}
	}
	return told, written
}

func checkLives(t *testing.T, watches []history.StoreWatch, want []int64) {
	t.Helper()
	streams := make(map[uint64]bool)
	var recorded []int64
	for _, r := range watches {
		streams[r.Stream] = true
		if r.Kind == history.WatchCreate && (r.Key != "\x00" || r.End != "\x00" || !r.PrevKV || !r.Progress) {
			t.Errorf("the watch asks for %+v", r)
		}
		for _, e := range r.Events {
			recorded = append(recorded, e.KV.Mod)
			if e.KV.Version > 1 && e.Prev.Mod == 0 {
				t.Errorf("revision %d has no previous value", e.KV.Mod)
			}
		}
	}
	if diff := cmp.Diff(want, recorded); diff != "" {
		t.Errorf("revisions in the record (-want +got):\n%s", diff)
	}
	if len(streams) < lives {
		t.Errorf("%d streams over %d lives", len(streams), lives)
	}
}

func TestFullWatchOfCompacted(t *testing.T) {
	m := startMember(t)
	client := dial(t, m.endpoint())
	var last int64
	for i := range 5 {
		resp, err := client.Put(bounded(t), "/k", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		last = resp.Header.Revision
	}
	if _, err := client.Compact(bounded(t), last); err != nil {
		t.Fatal(err)
	}
	w, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: m.endpoint()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Await(bounded(t), last); err == nil {
		t.Error("a watch of what is gone saw it")
	}
	<-w.Done()
	gap, ok := errors.AsType[*record.GapError](w.Stop())
	if !ok || *gap != (record.GapError{Next: 1, Compacted: last}) {
		t.Errorf("stopped with %+v", gap)
	}
	// From the compact revision on it is whole.
	for _, opt := range []record.FullWatchOptions{{From: last}, {Skip: true}} {
		opt.Endpoint = m.endpoint()
		w, err := record.StartFullWatch(opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Await(bounded(t), last); err != nil {
			t.Errorf("%+v: %v", opt, err)
		}
		if err := w.Stop(); err != nil {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}

// TestFullWatchGoesOnElsewhere takes away the way that a watch came by, for so
// long that the store is compacted meanwhile.
func TestFullWatchGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	m := startMember(t)
	var ways []*proxy.Proxy
	for range 2 {
		p, err := proxy.Start(proxy.Options{Upstream: m.endpoint()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		ways = append(ways, p)
	}
	var told []int64
	w, err := record.StartFullWatch(record.FullWatchOptions{
		Endpoint: ways[0].Endpoint(), Others: []string{ways[1].Endpoint()},
		Events: func(resp *pb.WatchResponse) {
			for _, e := range resp.Events {
				told = append(told, e.Kv.ModRevision)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, m.endpoint())
	var want []int64
	put := func() {
		t.Helper()
		resp, err := client.Put(bounded(t), "/k", fmt.Sprint(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, resp.Header.Revision)
		if err := w.Await(bounded(t), resp.Header.Revision); err != nil {
			t.Fatal(err)
		}
	}
	put()
	if err := ways[0].Close(); err != nil {
		t.Fatal(err)
	}
	put()
	if _, err := client.Compact(bounded(t), want[len(want)-1]); err != nil {
		t.Fatal(err)
	}
	put()
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("revisions that the listener was told (-want +got):\n%s", diff)
	}
}
