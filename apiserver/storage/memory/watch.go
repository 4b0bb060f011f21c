package memory

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// etcd's own figures, and the words of its errors that have no name.
const (
	noWatch          = -1 // as a watch ID
	progressInterval = 10 * time.Minute
	emptySpan        = "mvcc: watcher range is empty"
	duplicateWatch   = "mvcc: duplicate watch ID provided on the WatchStream"
)

// watchStream is one call of Watch. Its requests change what it watches; its
// other goroutine sends, and is the only one that waits for the client.
//
// A stream has no queue of events. A change marks it, and it reads the log from
// there to the end, however far that is: a client that is slow falls behind and
// loses nothing but what is compacted, and then it is told so.
//
// Locks are taken in this order: Store.mu, watchStream.mu.
type watchStream struct {
	store *Store
	send  func(*pb.WatchResponse) error
	wake  chan struct{}

	mu       sync.Mutex
	watchers map[int64]*watcher
	nextID   int64
	answers  []*pb.WatchResponse // to requests, to be sent before all events
	marked   []*watcher          // with something pending, or canceled since
	asked    bool                // for progress
	ticked   []*watcher          // that are due a notice of progress
	closed   bool
}

func (s *Store) newStream(send func(*pb.WatchResponse) error) *watchStream {
	return &watchStream{store: s, send: send, wake: make(chan struct{}, 1), watchers: map[int64]*watcher{}}
}

func (s *Store) watch(stream pb.Watch_WatchServer) error {
	st := s.newStream(stream.Send)
	defer st.close()
	failed := make(chan error, 1)
	go func() { // ends with the stream at the latest
		if err := st.receive(stream); err != nil {
			failed <- err
		}
	}()
	err := st.run(stream.Context(), failed)
	if errors.Is(err, context.Canceled) {
		return rpctypes.ErrGRPCWatchCanceled
	}
	return err
}

func (st *watchStream) receive(stream pb.Watch_WatchServer) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil // the client has no more requests and goes on to listen
		}
		if err != nil {
			return err
		}
		switch {
		case req.GetCreateRequest() != nil:
			st.create(req.GetCreateRequest())
		case req.GetCancelRequest() != nil:
			st.cancel(req.GetCancelRequest().GetWatchId())
		case req.GetProgressRequest() != nil:
			st.mu.Lock()
			st.asked = true
			st.signal()
			st.mu.Unlock()
		}
	}
}

func (st *watchStream) run(ctx context.Context, failed <-chan error) error {
	interval := progressInterval + time.Duration(rand.Int64N(int64(progressInterval/10))) // not all at once, as in etcd
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-st.wake:
			for more := true; more; {
				var messages []*pb.WatchResponse
				messages, more = st.collect()
				for _, m := range messages {
					if err := st.send(m); err != nil {
						return err
					}
				}
			}
		case <-tick.C:
			st.tick()
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// create begins a watch, or refuses to.
func (st *watchStream) create(r *pb.WatchCreateRequest) {
	w := &watcher{
		stream: st, id: r.GetWatchId(), span: spanOf(r.GetKey(), r.GetRangeEnd()), from: r.GetStartRevision(),
		prev: r.GetPrevKv(), progress: r.GetProgressNotify(), quiet: true,
	}
	if len(w.key) == 0 {
		w.key = []byte{0} // the smallest
	}
	for _, filter := range r.GetFilters() {
		w.noPut = w.noPut || filter == pb.WatchCreateRequest_NOPUT
		w.noDelete = w.noDelete || filter == pb.WatchCreateRequest_NODELETE
	}
	s := st.store
	s.mu.Lock()
	defer s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return
	}
	answer := &pb.WatchResponse{Header: header(s.revision), Created: true}
	if answer.CancelReason = st.refusal(w); answer.CancelReason != "" {
		answer.WatchId, answer.Canceled = noWatch, true
	} else {
		st.admit(w)
		answer.WatchId = w.id
	}
	st.answers = append(st.answers, answer)
	st.signal()
}

func (st *watchStream) refusal(w *watcher) string {
	switch {
	case w.from < 0:
		return rpctypes.ErrCompacted.Error()
	case len(w.end) > 0 && bytes.Compare(w.key, w.end) >= 0:
		return emptySpan
	case w.id != 0 && st.watchers[w.id] != nil:
		return duplicateWatch
	}
	return ""
}

func (st *watchStream) admit(w *watcher) {
	if w.id == 0 {
		for st.watchers[st.nextID] != nil {
			st.nextID++
		}
		w.id = st.nextID
		st.nextID++
	}
	st.watchers[w.id] = w
	st.store.add(w)
	if w.from > 0 && w.from <= st.store.revision {
		w.pending = w.from
		st.marked = append(st.marked, w)
	}
}

func (st *watchStream) cancel(id int64) {
	s := st.store
	s.mu.Lock()
	defer s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	w := st.watchers[id]
	if w == nil || st.closed {
		return
	}
	w.canceled = true
	delete(st.watchers, id)
	s.remove(w)
	st.answers = append(st.answers, &pb.WatchResponse{Header: header(s.revision), WatchId: id, Canceled: true})
	st.signal()
}

func (st *watchStream) close() {
	st.store.mu.Lock()
	defer st.store.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.closed = true
	for _, w := range st.watchers {
		st.store.remove(w)
	}
}

// tick gives a notice of progress to the watches that want them and had no
// events since the last.
func (st *watchStream) tick() {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, w := range st.watchers {
		if w.progress && w.quiet {
			st.ticked = append(st.ticked, w)
		}
		w.quiet = true
	}
	st.signal()
}

// The most that one look into the log may take, so that writers do not wait for
// those who are far behind.
const (
	scanRevisions  = 10_000  // looked at, for all watches of a stream
	batchRevisions = 1000    // with events, in one message, as in etcd
	batchBytes     = 4 << 20 // of events in one message, give or take a revision
)

// collect returns what can be sent now, in order, and whether there is more.
func (st *watchStream) collect() (messages []*pb.WatchResponse, more bool) {
	s := st.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	messages, st.answers = st.answers, nil
	marked, budget := st.marked, scanRevisions
	st.marked = nil
	for i, w := range marked {
		if budget <= 0 {
			st.marked = append(st.marked, marked[i:]...)
			break
		}
		if m := st.advance(w, &budget); m != nil {
			messages = append(messages, m)
		}
		if w.pending != 0 && !w.canceled {
			st.marked = append(st.marked, w)
		}
	}
	if len(st.marked) > 0 {
		return messages, true
	}
	return append(messages, st.notices()...), false
}

// advance reads the log for a watch, from what is pending, and returns the
// message to send, nil for none. What does not go into it stays pending.
func (st *watchStream) advance(w *watcher, budget *int) *pb.WatchResponse {
	s := st.store
	if w.canceled || w.pending == 0 {
		return nil
	}
	if w.pending < s.compacted {
		w.pending, w.lost = 0, true
		// etcd leaves the revision out of this header.
		return &pb.WatchResponse{Header: header(0), WatchId: w.id, Canceled: true, CompactRevision: s.compacted}
	}
	events, next := s.since(w, budget)
	w.pending = next
	if len(events) == 0 {
		return nil
	}
	w.quiet = false
	seen := s.revision
	if next != 0 {
		seen = next - 1
	}
	return &pb.WatchResponse{Header: header(seen), WatchId: w.id, Events: events}
}

// rescued is how many messages a stream may owe its client and still be spared
// by a compaction.
const rescued = 16

// rescue turns what is pending for a watch before a revision, which is about to
// be compacted, into a message. So a compaction costs a client its watch only if
// it is as far behind as in etcd, whose streams have a queue of some length.
func (st *watchStream) rescue(w *watcher, revision int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if w.pending == 0 || w.pending >= revision || len(st.answers) >= rescued {
		return
	}
	budget := scanRevisions
	if m := st.advance(w, &budget); m != nil {
		st.answers = append(st.answers, m)
	}
}

// since returns the events of a watch from what is pending, whole revisions
// only, and the revision to go on from, 0 for the end of the log.
func (s *Store) since(w *watcher, budget *int) (events []*mvccpb.Event, next int64) {
	revisions, size := 0, int64(0)
	for at := max(w.pending, s.first); at <= s.revision; at++ {
		if *budget <= 0 || revisions >= batchRevisions || size >= batchBytes {
			return events, at
		}
		*budget--
		before := len(events)
		for _, c := range s.log[at-s.first].changes {
			if w.wants(c.plain) {
				events = append(events, c.event(w.prev))
				size += weight(c.plain.Kv)
			}
		}
		if len(events) > before {
			revisions++
		}
	}
	return events, 0
}

func (c change) event(prev bool) *mvccpb.Event {
	if prev {
		return c.withPrev
	}
	return c.plain
}

func (w *watcher) wants(e *mvccpb.Event) bool {
	if e.Type == mvccpb.Event_PUT && w.noPut || e.Type == mvccpb.Event_DELETE && w.noDelete {
		return false
	}
	return w.contains(e.Kv.Key)
}

// notices are those of progress. They are given when everything before them has
// been sent; of a watch of the future, and of one that is lost, there is none.
func (st *watchStream) notices() (messages []*pb.WatchResponse) {
	revision := st.store.revision
	behind := func(w *watcher) bool { return w.lost || w.canceled || w.from > revision }
	for _, w := range st.ticked {
		if !behind(w) {
			messages = append(messages, &pb.WatchResponse{Header: header(revision), WatchId: w.id})
		}
	}
	asked := st.asked && len(st.watchers) > 0
	for _, w := range st.watchers {
		asked = asked && !behind(w)
	}
	if asked {
		messages = append(messages, &pb.WatchResponse{Header: header(revision), WatchId: noWatch})
	}
	st.ticked, st.asked = nil, false
	return messages
}
