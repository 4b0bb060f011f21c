package lies

import (
	"context"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
)

// watched is a watch of a client, as a liar knows it.
type watched struct {
	asked  *pb.WatchCreateRequest // as the client sent it
	told   int                    // answers with events that went on
	gone   bool                   // the liar has ended it
	held   []*pb.WatchResponse    // answers that the liar holds back
	kept   []*pb.WatchResponse    // copies of answers that went on
	marked bool                   // what a liar wants to remember of it
}

// teller is what a lie on watches does. Both functions may be nil.
type teller struct {
	// create may change a copy of the request for a watch.
	create func(w *watched, req *pb.WatchCreateRequest)
	// answer gives what is to go on in place of an answer that is about a
	// watch, which it may change.
	answer func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse
	// progress is asked where an answer is about all watches of a stream; nil:
	// it goes on, after everything that is held back.
	progress func(open []*watched, resp *pb.WatchResponse) []*pb.WatchResponse
	// wholes says that the lie is for watches of everything, and for no other.
	wholes bool
}

// onWatches is the Interference of a teller.
func onWatches(t teller) proxy.Interference {
	return proxy.InterferenceFunc(func(ctx context.Context, method string, next proxy.Opener) (proxy.Stream, error) {
		up, err := next(ctx)
		if err != nil || method != pb.Watch_Watch_FullMethodName {
			return up, err
		}
		return &watchStream{Stream: up, teller: t, open: map[int64]*watched{}}, nil
	})
}

// watchStream keeps account of the watches of a stream. Its answers come in the
// order of its requests (etcdserver/api/v3rpc/watch.go, recvLoop).
type watchStream struct {
	proxy.Stream
	teller teller

	mu    sync.Mutex // Send is on another goroutine
	asked []*watched

	open  map[int64]*watched
	ready []*pb.WatchResponse
}

// Send implements proxy.Stream.
func (s *watchStream) Send(m any) error {
	req, ok := m.(*pb.WatchRequest)
	if !ok || req.GetCreateRequest() == nil {
		return s.Stream.Send(m)
	}
	w := &watched{asked: copyOf(req.GetCreateRequest())}
	changed := copyOf(req)
	if s.teller.create != nil && s.concerns(w) {
		s.teller.create(w, changed.GetCreateRequest())
	}
	s.mu.Lock()
	s.asked = append(s.asked, w)
	s.mu.Unlock()
	return s.Stream.Send(changed)
}

func (s *watchStream) concerns(w *watched) bool {
	return whole(w.asked.Key, w.asked.RangeEnd) == s.teller.wholes
}

// Recv implements proxy.Stream.
func (s *watchStream) Recv() (any, error) {
	for len(s.ready) == 0 {
		m, err := s.Stream.Recv()
		if err != nil {
			return nil, err
		}
		resp, ok := m.(*pb.WatchResponse)
		if !ok {
			return m, nil
		}
		s.ready = s.change(resp)
	}
	resp := s.ready[0]
	s.ready = s.ready[1:]
	return resp, nil
}

func (s *watchStream) change(resp *pb.WatchResponse) []*pb.WatchResponse {
	if resp.Created {
		s.created(resp)
	}
	w := s.open[resp.WatchId]
	switch {
	case w == nil && isProgress(resp):
		return s.streamProgress(resp)
	case w == nil || !s.concerns(w):
		return []*pb.WatchResponse{resp}
	case w.gone:
		return nil
	}
	out := []*pb.WatchResponse{resp}
	if s.teller.answer != nil {
		out = s.teller.answer(w, resp)
	}
	if len(resp.Events) > 0 && len(out) > 0 {
		w.told++
	}
	if resp.Canceled {
		delete(s.open, resp.WatchId)
	}
	return out
}

// created takes the oldest request without an answer.
func (s *watchStream) created(resp *pb.WatchResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 {
		return
	}
	if !resp.Canceled { // else it is refused
		s.open[resp.WatchId] = s.asked[0]
	}
	s.asked = s.asked[1:]
}

func (s *watchStream) streamProgress(resp *pb.WatchResponse) []*pb.WatchResponse {
	var open []*watched
	for _, w := range s.open {
		if s.concerns(w) && !w.gone {
			open = append(open, w)
		}
	}
	if len(open) == 0 || s.teller.progress == nil {
		return append(released(open...), resp)
	}
	return s.teller.progress(open, resp)
}

// isProgress says that an answer is nothing but a revision.
func isProgress(resp *pb.WatchResponse) bool {
	return len(resp.Events) == 0 && !resp.Created && !resp.Canceled && resp.CompactRevision == 0
}

// released is what is held back for some watches, which it now is no more.
func released(open ...*watched) []*pb.WatchResponse {
	var out []*pb.WatchResponse
	for _, w := range open {
		out = append(out, w.held...)
		w.held = nil
	}
	return out
}

// pair returns the first two neighbours among the events that are of one
// revision, or of two; -1: there are none.
func pair(events []*mvccpb.Event, same bool) int {
	for i := range len(events) - 1 {
		if (events[i].Kv.ModRevision == events[i+1].Kv.ModRevision) == same {
			return i
		}
	}
	return -1
}
