package memory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// client is the far end of a stream. Its gate lets messages pass.
type client struct {
	*watchStream
	gate sync.RWMutex // held by who wants the client to be slow

	mu      sync.Mutex
	changed chan struct{}
	got     []*pb.WatchResponse
}

// connect runs a stream until the test ends.
func connect(t testing.TB, s *Store) *client {
	t.Helper()
	c := &client{changed: make(chan struct{})}
	c.watchStream = s.newStream(c.take)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		c.close()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the stream ended with %v", err)
		}
	})
	return c
}

func (c *client) take(m *pb.WatchResponse) error {
	c.gate.RLock()
	defer c.gate.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, m)
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// await waits until done is true of all messages so far, and returns them.
func (c *client) await(t testing.TB, what string, done func([]*pb.WatchResponse) bool) []*pb.WatchResponse {
	t.Helper()
	late := time.After(time.Minute)
	for {
		c.mu.Lock()
		got, changed := slices.Clone(c.got), c.changed
		c.mu.Unlock()
		if done(got) {
			return got
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s did not come; there were %d messages", what, len(got))
		}
	}
}

// upTo says whether events up to a revision have come.
func upTo(revision int64) func([]*pb.WatchResponse) bool {
	return func(got []*pb.WatchResponse) bool {
		events := eventsOf(got)
		return len(events) > 0 && events[len(events)-1].GetKv().GetModRevision() >= revision
	}
}

func lost(got []*pb.WatchResponse) bool {
	return len(got) > 0 && got[len(got)-1].GetCompactRevision() != 0
}

func eventsOf(got []*pb.WatchResponse) (events []*mvccpb.Event) {
	for _, m := range got {
		events = append(events, m.GetEvents()...)
	}
	return events
}

func everything() *pb.WatchCreateRequest {
	return &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 1}
}

// dense checks that the events are those of all revisions from one on.
func dense(t testing.TB, events []*mvccpb.Event, from int64) {
	t.Helper()
	for i, e := range events {
		if got, want := e.GetKv().GetModRevision(), from+int64(i); got != want {
			t.Fatalf("event %d is of revision %d, want %d", i, got, want)
		}
	}
}

// A client that takes nothing for a while keeps nobody from writing, and loses
// nothing.
func TestSlowClient(t *testing.T) {
	s := New()
	c := connect(t, s)
	c.create(everything())
	c.gate.Lock()
	const writes = 5000
	for i := range writes {
		put(t, s, fmt.Sprint(i%7), "x", 0) // none waits, or the test would hang
	}
	c.gate.Unlock()
	got := c.await(t, "the last event", upTo(writes+1))
	dense(t, eventsOf(got), 2)
	for _, m := range got {
		if n := len(m.GetEvents()); n > batchRevisions {
			t.Errorf("a message of %d revisions", n)
		}
		if e := m.GetEvents(); len(e) > 0 && m.GetHeader().GetRevision() < e[len(e)-1].GetKv().GetModRevision() {
			t.Errorf("a header of revision %d before its events", m.GetHeader().GetRevision())
		}
	}
}

// compactAll compacts up to the revision of now, beside the streams that read.
func compactAll(t testing.TB, s *Store) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.compact(s.revision); err != nil {
		t.Fatal(err)
	}
}

// Compactions spare what a client is owed, up to a bound; one that is further
// behind is told so, and has no gap before that.
func TestCompactionOverSlowClient(t *testing.T) {
	s := New()
	c := connect(t, s)
	c.create(everything())
	put(t, s, "first", "x", 0)
	c.await(t, "the first event", upTo(2))
	c.gate.Lock()
	for i := range 10 {
		put(t, s, fmt.Sprint(i), "x", 0)
		compactAll(t, s)
	}
	c.gate.Unlock()
	dense(t, eventsOf(c.await(t, "what was spared", upTo(12))), 2)

	c.gate.Lock()
	for i := range 20 {
		for range batchRevisions + 1 {
			put(t, s, fmt.Sprint(i), "x", 0)
		}
		compactAll(t, s)
	}
	c.gate.Unlock()
	got := c.await(t, "the end of the watch", lost)
	dense(t, eventsOf(got), 2)
	events, compacted := eventsOf(got), got[len(got)-1].GetCompactRevision()
	if last := events[len(events)-1].GetKv().GetModRevision(); compacted <= last+1 || compacted > s.compacted {
		t.Errorf("the watch was lost at %d, after an event of %d; compacted is %d", compacted, last, s.compacted)
	}
}

// A notice of progress comes after the events before it, to whoever asked, and
// to a quiet watch that wants them.
func TestProgress(t *testing.T) {
	s := New()
	c := connect(t, s)
	c.create(&pb.WatchCreateRequest{Key: []byte("a"), ProgressNotify: true})
	c.create(&pb.WatchCreateRequest{Key: []byte("b")})
	c.gate.Lock()
	put(t, s, "a", "x", 0)
	put(t, s, "c", "x", 0)
	c.watchStream.mu.Lock()
	c.asked = true
	c.signal()
	c.watchStream.mu.Unlock()
	c.gate.Unlock()
	got := c.await(t, "progress", func(got []*pb.WatchResponse) bool {
		return len(got) > 0 && got[len(got)-1].GetWatchId() == noWatch
	})
	same(t, "revision of progress", got[len(got)-1].GetHeader().GetRevision(), 3)
	same(t, "events before it", len(eventsOf(got)), 1)

	n := len(got)
	c.tick() // had events
	c.tick() // is quiet since
	got = c.await(t, "a notice", func(got []*pb.WatchResponse) bool { return len(got) > n })
	same(t, "notices", len(got), n+1)
	same(t, "watch of the notice", got[n].GetWatchId(), 0)
	same(t, "events of the notice", len(got[n].GetEvents()), 0)
}

// The index finds what a search through all watches finds.
func TestHubFindsWatchers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	key := func() []byte {
		b := make([]byte, 1+rng.IntN(3))
		for i := range b {
			b[i] = 'a' + byte(rng.IntN(3))
		}
		return b
	}
	found := 0
	for range 300 {
		h, st := newHub(), (&Store{}).newStream(nil)
		var all []*watcher
		for range rng.IntN(12) {
			w := &watcher{stream: st, span: spanOf(key(), [][]byte{nil, {0}, key(), key()}[rng.IntN(4)])}
			all = append(all, w)
			h.add(w)
		}
		for len(all) > 0 {
			k, revision := key(), rng.Int64()
			h.notify(k, revision)
			for _, w := range all {
				if (w.pending != 0) != w.contains(k) {
					t.Fatalf("change of %s, watch of %+v: marked %v", k, w.span, w.pending != 0)
				}
				if w.pending != 0 {
					found++
				}
				w.pending = 0
			}
			i := rng.IntN(len(all))
			h.remove(all[i])
			h.notify(all[i].key, 1)
			same(t, "mark of a watch that is gone", all[i].pending, 0)
			all = slices.Delete(all, i, i+1)
			for _, w := range all {
				w.pending = 0
			}
		}
		if len(h.spans)+len(h.reach)+len(h.open)+len(h.points) > 0 {
			t.Fatalf("an empty index holds %+v", h)
		}
	}
	if found < 1000 {
		t.Errorf("only %d watches were found", found)
	}
}

// Writers, watches that come and go, and compactions at the same time: every
// watch sees everything from its beginning on, in order, or is told that it is
// lost.
func TestManyAtOnce(t *testing.T) {
	const writers, watchers, writes = 4, 12, 300
	s := New()
	var written atomic.Int64
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for j := range writes {
				written.Store(put(t, s, fmt.Sprintf("%d/%d", i, j%5), "x", 0))
				if i == 0 && j%50 == 49 {
					_, _ = (kv{s: s}).Compact(t.Context(), &pb.CompactionRequest{Revision: written.Load() - 100})
				}
				if _, err := s.rangeOf(everythingNow()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients := make([]*client, watchers)
	for i := range watchers {
		clients[i] = connect(t, s)
		all.Go(func() {
			c := clients[i]
			for round := range 4 {
				c.create(&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: max(1, written.Load()-50), WatchId: int64(round + 1)})
				if round < 3 {
					c.cancel(int64(round + 1))
				}
			}
		})
	}
	all.Wait()
	for _, c := range clients {
		got := c.await(t, "the last event", func(got []*pb.WatchResponse) bool { return lost(got) || upTo(writers*writes+1)(got) })
		for id := range int64(4) {
			events := eventsOf(of(got, id+1))
			if len(events) > 0 {
				dense(t, events, events[0].GetKv().GetModRevision())
			}
		}
	}
}

func everythingNow() *pb.RangeRequest {
	return &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, CountOnly: true}
}

func of(got []*pb.WatchResponse, id int64) (messages []*pb.WatchResponse) {
	for _, m := range got {
		if m.GetWatchId() == id {
			messages = append(messages, m)
		}
	}
	return messages
}
