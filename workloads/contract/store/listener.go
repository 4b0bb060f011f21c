package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// listener is one stream of watches of a server.
type listener struct {
	server   *Server
	stream   pb.Watch_WatchClient
	stop     context.CancelFunc
	patience time.Duration
	ended    chan struct{} // closed when nothing more is received

	mu       sync.Mutex
	changed  chan struct{} // closed when there is something new
	controls []*pb.WatchResponse
	ending   map[int64]bool // was asked for
	sent     map[int64][]*mvccpb.Event
	seen     map[int64]int64
	lost     map[int64]int64 // by what compaction; -1: for another reason
	reason   string          // of the last one for another reason
	only     int64           // ID of the watch that was created last
	notice   int64           // of progress
	err      error           // of the stream
	disorder error           // what no stream may show
}

func listen(ctx context.Context, s *Server, patience time.Duration) (*listener, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := s.Watch.Watch(ctx)
	if err != nil {
		cancel()
		return nil, &GoneError{s.Name, "open a stream of watches", err}
	}
	l := &listener{
		server: s, stream: stream, stop: cancel, patience: patience, ended: make(chan struct{}),
		changed: make(chan struct{}), ending: map[int64]bool{},
		sent: map[int64][]*mvccpb.Event{}, seen: map[int64]int64{}, lost: map[int64]int64{},
	}
	go l.receive()
	return l, nil
}

// close ends the stream and waits for its end.
func (l *listener) close() {
	if l != nil {
		l.stop()
		<-l.ended
	}
}

func (l *listener) receive() {
	defer close(l.ended)
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
	case m.GetCanceled() && !m.GetCreated() && !l.ending[id]:
		l.lost[id], l.reason = -1, m.GetCancelReason()
	case m.GetCreated() || m.GetCanceled():
		delete(l.ending, id)
		if m.GetCreated() {
			l.only = id
		}
		l.controls = append(l.controls, m)
	case len(m.GetEvents()) == 0:
		if id == -1 {
			l.notice = revision
		}
	default:
		first, last := m.GetEvents()[0].GetKv().GetModRevision(), m.GetEvents()[len(m.GetEvents())-1].GetKv().GetModRevision()
		if (first <= l.seen[id] || last > revision) && l.disorder == nil {
			l.disorder = fmt.Errorf("events of its revisions %d to %d in an answer at revision %d, after revision %d", first, last, revision, l.seen[id])
		}
		l.seen[id] = last
		l.sent[id] = append(l.sent[id], m.GetEvents()...)
	}
}

func (l *listener) request(r *pb.WatchRequest) error {
	if err := l.stream.Send(r); err != nil {
		return &GoneError{l.server.Name, "send a request to a stream of watches", err}
	}
	return nil
}

func (l *listener) create(ctx context.Context, r *pb.WatchCreateRequest) (*pb.WatchResponse, error) {
	if err := l.request(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
		return nil, err
	}
	return l.control(ctx)
}

// end asks for the end of a watch, and expects no answer.
func (l *listener) end(id int64) error {
	return l.request(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

func (l *listener) cancel(ctx context.Context, id int64) (*pb.WatchResponse, error) {
	l.mu.Lock()
	l.ending[id] = true
	l.mu.Unlock()
	if err := l.end(id); err != nil {
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
	for begun := time.Now(); time.Since(begun) < l.patience; {
		r := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
		if err := l.request(r); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond) // etcd lets a request fall when it is behind
		err := l.await(short, "a notice of progress", func() bool { return l.notice >= revision })
		cancel()
		var late *lateError
		if err == nil || !errors.As(err, &late) || ctx.Err() != nil {
			return err
		}
	}
	return &lateError{l.server.Name, fmt.Sprintf("a notice of progress at its revision %d", revision)}
}

// lateError says that something did not come on a stream that lives.
type lateError struct{ server, what string }

func (e *lateError) Error() string { return e.server + " did not send " + e.what }

// await waits until done, which is called with the lock held.
func (l *listener) await(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	for {
		l.mu.Lock()
		ok, changed, err := done(), l.changed, l.err
		l.mu.Unlock()
		switch {
		case ok:
			return nil
		case err != nil:
			return &GoneError{l.server.Name, "wait for " + what, err}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &lateError{l.server.Name, what}
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

func (l *listener) why() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}

func (l *listener) progressed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.notice
}

func (l *listener) disordered() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.disorder
}
