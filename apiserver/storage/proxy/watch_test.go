package proxy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/checkers/history"
)

// watchCase is one watch; all of its records are compared.
type watchCase struct {
	name string
	key  string
	opts []clientv3.OpOption
	// run drives the watch and returns what must be recorded between its
	// creation and its end.
	run    func(*watching)
	create history.StoreWatch
}

type watching struct {
	*calls
	name   string
	rev    int64 // of the store when the case began
	events clientv3.WatchChan
	sink   *memory
	want   []history.StoreWatch
	cancel context.CancelFunc
}

// next takes the next answer that the client is given.
func (w *watching) next() clientv3.WatchResponse {
	w.t.Helper()
	select {
	case resp, ok := <-w.events:
		if !ok {
			w.t.Fatal("the watch has ended")
		}
		return resp
	case <-w.ctx.Done():
		w.t.Fatal("no answer of the watch within a minute")
		panic("unreachable")
	}
}

// sees expects as many events, in any number of answers.
func (w *watching) sees(n int) {
	w.t.Helper()
	for n > 0 {
		resp := w.next()
		record := history.StoreWatch{Kind: history.WatchEvents, Header: resp.Header.Revision}
		for _, e := range resp.Events {
			record.Events = append(record.Events, seenEvent(e))
		}
		w.want = append(w.want, record)
		n -= len(resp.Events)
	}
}

func seenEvent(e *clientv3.Event) history.StoreEvent {
	event := history.StoreEvent{Delete: e.Type == mvccpb.Event_DELETE, KV: seen(e.Kv)[0]}
	if event.Delete {
		event.KV.Value = 0
	}
	if e.PrevKv != nil {
		event.Prev = seen(e.PrevKv)[0]
	}
	return event
}

func (w *watching) write(key, value string, opts ...clientv3.OpOption) int64 {
	w.t.Helper()
	resp, err := w.c.Put(w.ctx, key, value, opts...)
	w.must(err)
	return resp.Header.Revision
}

var watchCases = []watchCase{
	{
		name: "prefix with previous values", key: "/wa/",
		opts:   []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithProgressNotify()},
		create: history.StoreWatch{Key: "/wa/", End: "/wa0", PrevKV: true, Progress: true},
		run: func(w *watching) {
			w.write("/wa/1", "one")
			w.write("/wb/1", "not seen")
			w.write("/wa/1", "two")
			_, err := w.c.KV.Delete(w.ctx, "/wa/1")
			w.must(err)
			w.sees(3)
		},
	},
	{
		name: "from the past", key: "/wc/",
		opts:   []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(2)},
		create: history.StoreWatch{Key: "/wc/", End: "/wc0", Start: 2},
		run: func(w *watching) { // setUp wrote them before the watch began
			w.sees(2)
		},
	},
	{
		name: "everything", key: "", opts: []clientv3.OpOption{clientv3.WithFromKey()},
		create: history.StoreWatch{Key: "\x00", End: "\x00"},
		run: func(w *watching) {
			w.write("a", "1")
			w.write("/z", "1")
			w.sees(2)
		},
	},
	{
		name: "without puts", key: "/wd/1", opts: []clientv3.OpOption{clientv3.WithFilterPut()},
		create: history.StoreWatch{Key: "/wd/1", NoPut: true},
		run: func(w *watching) {
			w.write("/wd/1", "1")
			_, err := w.c.KV.Delete(w.ctx, "/wd/1")
			w.must(err)
			w.sees(1)
		},
	},
	{
		name: "progress on request", key: "/we/", opts: []clientv3.OpOption{clientv3.WithPrefix()},
		create: history.StoreWatch{Key: "/we/", End: "/we0"},
		run: func(w *watching) {
			w.write("/we/1", "1")
			w.sees(1)
			w.must(w.c.RequestProgress(w.ctx))
			w.want = append(w.want, history.StoreWatch{Kind: history.WatchAsk})
			resp := w.next()
			if !resp.IsProgressNotify() {
				w.t.Fatalf("the client saw %+v", resp)
			}
			w.want = append(w.want, history.StoreWatch{Kind: history.WatchProgress, Watch: -1, Header: resp.Header.Revision})
		},
	},
}

// TestWatches compares the records of watches with what the client saw.
func TestWatches(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			endpoint, sink := way.open(t)
			client := dial(t, endpoint)
			setUp := &calls{t: t, ctx: bounded(t), c: client}
			setUp.put("/wc/1", "one", 0, 0)
			setUp.put("/wc/2", "two", 0, 0)
			for _, test := range watchCases {
				sink.forget()
				w := &watching{calls: &calls{t: t, ctx: bounded(t), c: client}, name: test.name, sink: sink}
				resp, err := client.KV.Get(w.ctx, "/none")
				w.must(err)
				w.rev = resp.Header.Revision
				var ctx context.Context
				ctx, w.cancel = context.WithCancel(w.ctx)
				w.events = client.Watch(ctx, test.key, append(test.opts, clientv3.WithCreatedNotify())...)
				created := w.next()
				if !created.Created {
					t.Fatalf("%s: the client saw %+v", test.name, created)
				}
				test.create.Kind = history.WatchCreate
				w.want = append(w.want, test.create, history.StoreWatch{Kind: history.WatchCreated, Header: created.Header.Revision})
				test.run(w)
				w.end()
			}
		})
	}
}

// end cancels the watch. It was the last one of its stream, so that the client
// ends that too, and what it says of the watch may or may not get through.
func (w *watching) end() {
	w.t.Helper()
	w.cancel()
	closed := func(_ []history.StoreOp, watches []history.StoreWatch) bool {
		return len(watches) > 0 && watches[len(watches)-1].Kind == history.WatchClosed
	}
	w.sink.await(w.t, "the end of the stream of "+w.name, closed)
	w.compare()
}

func (w *watching) compare() {
	w.t.Helper()
	got := w.sink.allWatches()
	var at history.Time
	for i := range got {
		if got[i].Stream != got[0].Stream || got[i].At < at {
			w.t.Errorf("%s: record %d of stream %d at %d, after %d", w.name, i, got[i].Stream, got[i].At, at)
		}
		at = got[i].At
	}
	got = slices.DeleteFunc(got, func(r history.StoreWatch) bool {
		return r.Kind == history.WatchCancel || r.Kind == history.WatchCanceled && r.CompactRevision == 0
	})
	want := append(w.want, history.StoreWatch{Kind: history.WatchClosed})
	for i := range want {
		want[i].Member = "m0"
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(history.StoreWatch{}, "Stream", "At", "Reason")); diff != "" {
		w.t.Errorf("%s: records (-want +got):\n%s", w.name, diff)
	}
}

// TestFragments watches more than fits into one answer: maxRequest and the 512
// KiB that etcd adds for what gRPC needs.
func TestFragments(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			endpoint, sink := way.open(t)
			client := dial(t, endpoint)
			setUp := &calls{t: t, ctx: bounded(t), c: client}
			const n = 50
			for i := range n {
				setUp.put(fmt.Sprintf("/f/%02d", i), strings.Repeat("v", maxRequest-1024), 0, 0)
			}
			events := client.Watch(setUp.ctx, "/f/", clientv3.WithPrefix(), clientv3.WithRev(1), clientv3.WithFragment())
			var saw, recorded []history.StoreEvent
			for len(saw) < n { // the client joins the fragments
				for _, e := range (<-events).Events {
					saw = append(saw, seenEvent(e))
				}
			}
			fragments, whole := 0, 0
			for _, w := range sink.allWatches() {
				switch {
				case w.Kind == history.WatchCreate && !w.Fragmented:
					t.Error("the record does not say that fragments are allowed")
				case w.Kind == history.WatchEvents && w.Fragmented:
					fragments++
				case w.Kind == history.WatchEvents:
					whole++
				}
				recorded = append(recorded, w.Events...)
			}
			if diff := cmp.Diff(saw, recorded); diff != "" {
				t.Errorf("events (-client +record):\n%s", diff)
			}
			if fragments == 0 || whole == 0 {
				t.Errorf("%d fragments and %d last ones", fragments, whole)
			}
		})
	}
}

// TestCompactedWatch asks for what is gone.
func TestCompactedWatch(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			endpoint, sink := way.open(t)
			client := dial(t, endpoint)
			c := &calls{t: t, ctx: bounded(t), c: client}
			first := c.put("/c/a", "one", 0, 0)
			last := c.put("/c/a", "two", first, 0)
			_, err := client.Compact(c.ctx, last)
			c.must(err)
			resp := <-client.Watch(c.ctx, "/c/a", clientv3.WithRev(first))
			if resp.CompactRevision != last {
				t.Fatalf("the client saw %+v", resp)
			}
			sink.await(t, "the end", func(_ []history.StoreOp, watches []history.StoreWatch) bool {
				return slices.ContainsFunc(watches, func(w history.StoreWatch) bool {
					return w.Kind == history.WatchCanceled && w.CompactRevision == last && w.Header == resp.Header.Revision
				})
			})
		})
	}
}
