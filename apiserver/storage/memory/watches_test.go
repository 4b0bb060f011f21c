package memory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// watch is a request for one, from a revision of any kind. Those of the past
// are made only where old revisions are not compacted at the same time.
func (g *generator) watch(old bool) *pb.WatchCreateRequest {
	r := &pb.WatchCreateRequest{PrevKv: g.oneIn(2), ProgressNotify: g.oneIn(2)}
	r.Key, r.RangeEnd = g.span()
	if g.oneIn(3) {
		r.Filters = []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_FilterType(g.rng.IntN(2))}
	}
	if g.oneIn(4) {
		r.WatchId = 1 + g.rng.Int64N(4)
	}
	switch n := g.rng.IntN(8); {
	case n == 0:
		r.StartRevision = -1 - g.rng.Int64N(2)
	case n == 1:
		r.StartRevision = g.revision + 1 + g.rng.Int64N(10)
	case n < 5 && old:
		r.StartRevision = g.recent()
	case n == 5 && old && g.compacted > 1:
		r.StartRevision = 1 + g.rng.Int64N(g.compacted)
	}
	return r
}

// watches are the watches of a seed: on each server one stream, and one that
// sees everything from the beginning.
type watches struct {
	*comparison
	all      [2]*listener
	compared int          // events of all
	streams  [2]*listener // nil between two seeds
	live     []int64      // IDs of those that were admitted and not canceled
	asked    map[int64]*pb.WatchCreateRequest
	lost     map[int64]bool // those that begin before what is compacted
}

func newWatches(t *testing.T, c *comparison) *watches {
	t.Helper()
	w := &watches{comparison: c}
	for i, s := range c.servers {
		var err error
		if w.all[i], err = listen(c.ctx, s); err != nil {
			t.Fatal(err)
		}
		r := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 1, PrevKv: true}
		if _, err := w.all[i].create(c.ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *watches) none() bool { return len(w.live) == 0 }

func (w *watches) open() error {
	if w.streams[0] != nil {
		return nil
	}
	w.live, w.asked, w.lost = nil, map[int64]*pb.WatchCreateRequest{}, map[int64]bool{}
	for i, s := range w.servers {
		var err error
		if w.streams[i], err = listen(w.ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// create begins a watch on both servers and compares what they say to that.
func (w *watches) create(r *pb.WatchCreateRequest) error {
	if err := w.open(); err != nil {
		return err
	}
	var answers [2]*pb.WatchResponse
	for i, l := range w.streams {
		var err error
		if answers[i], err = l.create(w.ctx, r); err != nil {
			return fmt.Errorf("%s: watch %v: %w", l.server.name, r, err)
		}
	}
	if diff := difference(answers[0], answers[1]); diff != "" {
		return fmt.Errorf("watch %v\nanswer (-etcd +memory):\n%s", r, diff)
	}
	if answers[0].GetCanceled() {
		w.answered["Watch refused"]++
		return nil
	}
	id := answers[0].GetWatchId()
	w.live, w.asked[id] = append(w.live, id), r
	w.lost[id] = r.GetStartRevision() > 0 && r.GetStartRevision() < w.gen.compacted
	// From now on it has a beginning.
	switch {
	case r.GetStartRevision() == 0:
		r.StartRevision = answers[0].GetHeader().GetRevision() + 1
	case r.GetStartRevision() > w.gen.revision:
		w.answered["Watch of the future"]++
	default:
		w.answered["Watch of the past"]++
	}
	w.answered["Watch created"]++
	return nil
}

// cancelOne ends a watch when it has seen everything, and one that is not there.
func (w *watches) cancelOne() error {
	if w.streams[0] == nil {
		return nil
	}
	for _, l := range w.streams { // is ignored
		if err := l.request(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: 99}}}); err != nil {
			return err
		}
	}
	if len(w.live) == 0 {
		return nil
	}
	if err := w.await(); err != nil {
		return err
	}
	return w.cancel(pick(w.gen, w.live...))
}

// cancel ends a watch on both servers and compares all that it has sent.
func (w *watches) cancel(id int64) error {
	var all [2]*pb.WatchResponse
	var events [2][]*mvccpb.Event
	for i, l := range w.streams {
		var err error
		if all[i], err = l.cancel(w.ctx, id); err != nil {
			return fmt.Errorf("%s: cancel watch %d: %w", l.server.name, id, err)
		}
		events[i] = l.take(id)
	}
	if diff := difference(all[0], all[1]); diff != "" {
		return fmt.Errorf("cancel watch %d\nanswer (-etcd +memory):\n%s", id, diff)
	}
	if diff := difference(message(events[0]), message(events[1])); diff != "" {
		return fmt.Errorf("watch %v\nevents (-etcd +memory):\n%s", w.asked[id], diff)
	}
	for _, e := range events[0] {
		w.answered["Watch event"]++
		if e.GetPrevKv() != nil {
			w.answered["Watch previous value"]++
		}
	}
	w.answered["Watch canceled"]++
	w.live = without(w.live, id)
	delete(w.asked, id)
	delete(w.lost, id)
	return nil
}

// message puts events into a message, to compare them.
func message(events []*mvccpb.Event) *pb.WatchResponse {
	return &pb.WatchResponse{Events: events, Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 1, RaftTerm: 1}}
}

func without(ids []int64, id int64) (rest []int64) {
	for _, other := range ids {
		if other != id {
			rest = append(rest, other)
		}
	}
	return rest
}

// await waits until every watch has sent as many events as there are for it,
// which the watches of everything tell.
func (w *watches) await() error {
	for _, l := range w.all {
		if err := l.await(w.ctx, "the watch of everything", func() bool { return l.seen[0] >= w.gen.revision || w.gen.revision == 1 }); err != nil {
			return err
		}
	}
	whole := [2][]*mvccpb.Event{w.all[0].events(0), w.all[1].events(0)}
	if diff := difference(message(whole[0][w.compared:]), message(whole[1][w.compared:])); diff != "" {
		return fmt.Errorf("all events (-etcd +memory):\n%s", diff)
	}
	w.compared = len(whole[0])
	for _, id := range w.live {
		n := 0
		for _, e := range whole[0] {
			if wanted(w.asked[id], e) {
				n++
			}
		}
		for _, l := range w.streams {
			what := fmt.Sprintf("watch %d %v: %d events, or that it is lost: %v", id, w.asked[id], n, w.lost[id])
			enough := func() bool { return l.lost[id] != 0 || !w.lost[id] && len(l.sent[id]) >= n }
			if err := l.await(w.ctx, what, enough); err != nil {
				return err
			}
			if got := l.lostAt(id); (got != 0) != w.lost[id] || w.lost[id] && got != w.gen.compacted {
				return fmt.Errorf("%s: watch %v is lost at %d, want %v at %d", l.server.name, w.asked[id], got, w.lost[id], w.gen.compacted)
			}
		}
		if w.lost[id] {
			w.answered["Watch lost"]++
		}
	}
	return nil
}

// wanted says whether an event is one for a watch. It is written apart from the
// store, in the words of the API.
func wanted(r *pb.WatchCreateRequest, e *mvccpb.Event) bool {
	key, from, end := string(e.GetKv().GetKey()), string(r.GetKey()), string(r.GetRangeEnd())
	for _, f := range r.GetFilters() {
		if (f == pb.WatchCreateRequest_NOPUT) == (e.GetType() == mvccpb.Event_PUT) {
			return false
		}
	}
	switch {
	case e.GetKv().GetModRevision() < r.GetStartRevision():
		return false
	case end == "\x00":
		return key >= from
	case end == "":
		return key == from || from == "" && key == "\x00"
	default:
		return key >= from && key < end
	}
}

// settle compares all watches of the seed and ends them.
func (w *watches) settle() error {
	if err := w.await(); err != nil || w.streams[0] == nil {
		return err
	}
	if err := w.progress(); err != nil {
		return err
	}
	for len(w.live) > 0 {
		if err := w.cancel(w.live[0]); err != nil {
			return err
		}
	}
	for i, l := range w.streams {
		l.stop()
		w.streams[i] = nil
	}
	return nil
}

// progress asks for a notice, where there must be one.
func (w *watches) progress() error {
	if len(w.live) == 0 {
		return nil
	}
	for _, id := range w.live {
		if w.lost[id] || w.asked[id].GetStartRevision() > w.gen.revision {
			return nil
		}
	}
	for _, l := range w.streams {
		if err := l.awaitProgress(w.ctx, w.gen.revision); err != nil {
			return err
		}
	}
	w.answered["Watch progress"]++
	return nil
}

// listener is one stream of watches of a server.
type listener struct {
	server *server
	stream pb.Watch_WatchClient
	stop   context.CancelFunc

	mu       sync.Mutex
	changed  chan struct{} // closed when there is something new
	controls []*pb.WatchResponse
	sent     map[int64][]*mvccpb.Event
	seen     map[int64]int64
	lost     map[int64]int64 // by what compaction
	notice   int64           // of progress
	err      error
}

func listen(ctx context.Context, s *server) (*listener, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := s.watch.Watch(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	l := &listener{
		server: s, stream: stream, stop: cancel, changed: make(chan struct{}),
		sent: map[int64][]*mvccpb.Event{}, seen: map[int64]int64{}, lost: map[int64]int64{},
	}
	go l.receive()
	return l, nil
}

func (l *listener) receive() {
	for {
		m, err := l.stream.Recv()
		l.mu.Lock()
		if l.err == nil {
			l.err = err
		}
		if err == nil {
			l.note(m)
		}
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// note takes one message and checks what holds for each on its own.
func (l *listener) note(m *pb.WatchResponse) {
	id, revision := m.GetWatchId(), m.GetHeader().GetRevision()
	switch {
	case m.GetCompactRevision() != 0:
		l.lost[id] = m.GetCompactRevision()
	case m.GetCreated() || m.GetCanceled():
		l.controls = append(l.controls, m)
	case len(m.GetEvents()) == 0:
		if id == -1 {
			l.notice = revision
		}
	default:
		first, last := m.GetEvents()[0].GetKv().GetModRevision(), m.GetEvents()[len(m.GetEvents())-1].GetKv().GetModRevision()
		if first <= l.seen[id] || last > revision {
			l.err = fmt.Errorf("revisions %d to %d of watch %d at revision %d, after %d", first, last, id, revision, l.seen[id])
		}
		l.seen[id] = last
		l.sent[id] = append(l.sent[id], m.GetEvents()...)
	}
}

func (l *listener) request(r *pb.WatchRequest) error { return l.stream.Send(r) }

func (l *listener) create(ctx context.Context, r *pb.WatchCreateRequest) (*pb.WatchResponse, error) {
	if err := l.request(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
		return nil, err
	}
	return l.control(ctx)
}

func (l *listener) cancel(ctx context.Context, id int64) (*pb.WatchResponse, error) {
	r := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}
	if err := l.request(r); err != nil {
		return nil, err
	}
	return l.control(ctx)
}

// control returns the answer to a request.
func (l *listener) control(ctx context.Context) (m *pb.WatchResponse, err error) {
	err = l.await(ctx, "an answer to a request", func() bool {
		if len(l.controls) > 0 {
			m, l.controls = l.controls[0], l.controls[1:]
		}
		return m != nil
	})
	return m, err
}

func (l *listener) awaitProgress(ctx context.Context, revision int64) error {
	for begun := time.Now(); time.Since(begun) < bound; {
		r := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
		if err := l.request(r); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond) // etcd lets a request fall when it is behind
		err := l.await(short, "a notice of progress", func() bool { return l.notice >= revision })
		cancel()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s: no notice of progress at %d came in time", l.server.name, revision)
}

// await waits until done, which is called with the lock held.
func (l *listener) await(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		l.mu.Lock()
		ok, changed, err := done(), l.changed, l.err
		l.mu.Unlock()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", l.server.name, err)
		case ok:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: did not come: %w", l.server.name, what, ctx.Err())
		}
	}
}

func (l *listener) lostAt(id int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost[id]
}

func (l *listener) events(id int64) []*mvccpb.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent[id]
}

// take returns the events of a watch and forgets about it.
func (l *listener) take(id int64) []*mvccpb.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.sent[id]
	delete(l.sent, id)
	delete(l.lost, id)
	delete(l.seen, id)
	return events
}
