package record

import (
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// watchTalk is a Watch stream: each message is one record. A message that
// cannot be decoded may be anything, so it is an operation of MethodUnknown.
//
// A watch that the store refuses is answered by one message that is created and
// canceled at once, with the ID -1; it is recorded as canceled.
type watchTalk struct {
	opener
	stream uint64
}

func (t *watchTalk) request(m proto.Message) {
	req, ok := m.(*pb.WatchRequest)
	if !ok {
		t.undecodable()
		return
	}
	if w := watchRequest(req); w != nil {
		t.emit(w)
	}
}

func (t *watchTalk) answer(m proto.Message) {
	resp, ok := m.(*pb.WatchResponse)
	if !ok {
		t.undecodable()
		return
	}
	t.emit(watchAnswer(resp))
}

func (t *watchTalk) end(err error) {
	w := &history.StoreWatch{Kind: history.WatchClosed}
	if err != nil {
		w.Reason = Classify(err).Message
	}
	t.emit(w)
}

// emit is called with the call's lock held, so that the sink gets the records
// of a stream in the order of their times.
func (t *watchTalk) emit(w *history.StoreWatch) {
	if t.r.closed.Load() {
		return
	}
	w.Stream, w.Member, w.At = t.stream, t.r.opt.Member, history.Now()
	t.r.opt.Sink.StoreWatch(w)
}

func (t *watchTalk) undecodable() {
	t.r.settle(t.open(nil), history.Now(), func(*history.StoreOp) {})
}

// watchRequest returns nil for a request that asks for nothing, which etcd
// skips too.
func watchRequest(m *pb.WatchRequest) *history.StoreWatch {
	switch union := m.GetRequestUnion().(type) {
	case *pb.WatchRequest_CreateRequest:
		if c := union.CreateRequest; c != nil {
			return watchCreate(c)
		}
	case *pb.WatchRequest_CancelRequest:
		if c := union.CancelRequest; c != nil {
			return &history.StoreWatch{Kind: history.WatchCancel, Watch: c.GetWatchId()}
		}
	case *pb.WatchRequest_ProgressRequest:
		if union.ProgressRequest != nil {
			return &history.StoreWatch{Kind: history.WatchAsk}
		}
	}
	return nil
}

func watchCreate(m *pb.WatchCreateRequest) *history.StoreWatch {
	w := &history.StoreWatch{
		Kind: history.WatchCreate, Watch: m.GetWatchId(),
		Key: string(m.GetKey()), End: string(m.GetRangeEnd()), Start: m.GetStartRevision(),
		PrevKV: m.GetPrevKv(), Progress: m.GetProgressNotify(), Fragmented: m.GetFragment(),
	}
	if w.Key == "" {
		w.Key = "\x00"
	}
	for _, f := range m.GetFilters() {
		switch f {
		case pb.WatchCreateRequest_NOPUT:
			w.NoPut = true
		case pb.WatchCreateRequest_NODELETE:
			w.NoDelete = true
		}
	}
	return w
}

// watchAnswer counts an answer with a compact revision as canceled, as clients
// do, whether or not it says so.
func watchAnswer(m *pb.WatchResponse) *history.StoreWatch {
	w := &history.StoreWatch{
		Watch: m.GetWatchId(), Header: m.GetHeader().GetRevision(),
		Events: watchEvents(m.GetEvents()),
	}
	switch {
	case m.GetCanceled() || m.GetCompactRevision() != 0:
		w.Kind, w.CompactRevision, w.Reason = history.WatchCanceled, m.GetCompactRevision(), m.GetCancelReason()
	case m.GetCreated():
		w.Kind = history.WatchCreated
	case len(w.Events) > 0:
		w.Kind, w.Fragmented = history.WatchEvents, m.GetFragment()
	default:
		w.Kind = history.WatchProgress
	}
	return w
}

// watchEvents keeps all keys of a message in one string.
func watchEvents(list []*mvccpb.Event) []history.StoreEvent {
	if len(list) == 0 {
		return nil
	}
	size := 0
	for _, e := range list {
		size += len(e.GetKv().GetKey())
	}
	var b strings.Builder
	b.Grow(size)
	for _, e := range list {
		b.Write(e.GetKv().GetKey())
	}
	keys := b.String()
	events := make([]history.StoreEvent, len(list))
	for i, e := range list {
		var key string
		key, keys = keys[:len(e.GetKv().GetKey())], keys[len(e.GetKv().GetKey()):]
		events[i] = watchEvent(key, e)
	}
	return events
}

func watchEvent(key string, e *mvccpb.Event) history.StoreEvent {
	var event history.StoreEvent
	event.Delete = e.GetType() == mvccpb.Event_DELETE
	event.KV = keyValue(key, e.GetKv(), event.Delete)
	if prev := e.GetPrevKv(); prev != nil {
		if string(prev.GetKey()) != key { // of another key: a broken store
			key = string(prev.GetKey())
		}
		event.Prev = keyValue(key, prev, false)
	}
	return event
}
