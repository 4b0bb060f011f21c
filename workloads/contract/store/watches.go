package store

import (
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// watches are the watches of a round: on each server one stream, and one that
// sees everything.
type watches struct {
	*Comparison
	all      [2]*listener
	whole    *pb.WatchCreateRequest // that of the store's, in the model's revisions
	begun    int64                  // the model's revision when they began
	compared int                    // events of all
	streams  [2]*listener           // nil until there is a watch
	live     []int64                // the model's IDs of those that were admitted and not canceled
	open     map[int64]*watched
}

// watched is one watch on both servers.
type watched struct {
	request *request
	ask     *pb.WatchCreateRequest // in the model's revisions, with a beginning
	theirs  int64                  // the store's ID
	own     string                 // how the store was asked
	lost    bool                   // it begins before what is compacted
	// least is the revision of the store that it begins at, where nobody can say which
	// change will have it; 0: there it is not so.
	least int64
}

// newWatches begins those that see everything: of the model always all keys, of
// the store all that are compared.
func newWatches(c *Comparison) (*watches, error) {
	w := &watches{Comparison: c, begun: c.gen.revision, open: map[int64]*watched{}}
	every := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: c.gen.revision + 1, PrevKv: true}
	if c.Anything {
		every.StartRevision = 1
	}
	w.whole = proto.Clone(every).(*pb.WatchCreateRequest)
	if !c.Anything {
		w.whole.Key, w.whole.RangeEnd = []byte(c.gen.prefix), after(c.gen.prefix)
	}
	theirs := proto.Clone(w.whole).(*pb.WatchCreateRequest)
	rewrite(theirs, c.revs.to, c.lease)
	for i, r := range []*pb.WatchCreateRequest{every, theirs} {
		var err error
		if w.all[i], err = listen(c.ctx, c.servers[i], w.patience(i)); err == nil {
			_, err = w.all[i].create(c.ctx, r)
		}
		if err != nil {
			w.close()
			return nil, fmt.Errorf("watch all keys: %w", err)
		}
	}
	return w, nil
}

func (w *watches) close() {
	if w == nil {
		return
	}
	for i := range w.all {
		w.all[i].close()
		w.streams[i].close()
	}
}

// patience is how long an event may take of the model or the store. The model's is
// always waited for: without it there is nothing to compare with.
func (w *watches) patience(i int) time.Duration {
	if i == 0 {
		return w.Patience
	}
	return w.events
}

func (w *watches) listen() error {
	for i, s := range w.servers {
		if w.streams[i] != nil {
			continue
		}
		var err error
		if w.streams[i], err = listen(w.ctx, s, w.patience(i)); err != nil {
			return err
		}
	}
	return nil
}

// late makes a difference of what a living store did not send.
func (w *watches) late(r *request, err error) error {
	var late *lateError
	if !errors.As(err, &late) || late.server != w.Store.Name {
		return err
	}
	waited := w.events
	w.events = min(w.events, impatience)
	return w.differs(r, "sends "+late.what, fmt.Sprintf("has not sent it within %v", waited))
}

// create begins a watch on both servers and compares what they say to that.
func (w *watches) create(r *request, ask *pb.WatchCreateRequest) error {
	if err := w.listen(); err != nil {
		return err
	}
	ask = proto.Clone(ask).(*pb.WatchCreateRequest)
	theirs := proto.Clone(ask).(*pb.WatchCreateRequest)
	rewrite(theirs, w.revs.to, w.lease)
	var answers [2]*pb.WatchResponse
	for i, sent := range []*pb.WatchCreateRequest{ask, theirs} {
		var err error
		if answers[i], err = w.streams[i].create(w.ctx, sent); err != nil {
			return w.late(r, err)
		}
	}
	w.Shapes[r.shape]++
	id, storeID, createdAt := answers[0].GetWatchId(), answers[1].GetWatchId(), answers[1].GetHeader().GetRevision()
	if !w.Anything {
		answers[1].WatchId = id
	}
	if err := w.same(r, ask, answers[0], answers[1]); err != nil {
		return err
	}
	if answers[0].GetCanceled() {
		w.note(r, "Watch", "refused")
		return nil
	}
	r.id = id
	w.note(r, "Watch", "created")
	begins := &watched{request: r, ask: ask, theirs: storeID, own: fmt.Sprintf(" (asked from its revision %d on, at its revision %d)",
		theirs.GetStartRevision(), createdAt), lost: ask.GetStartRevision() > 0 && ask.GetStartRevision() < w.gen.compacted}
	w.live, w.open[id] = append(w.live, id), begins
	if !w.Promises.Dense && ask.GetStartRevision() > w.gen.revision+1 {
		begins.least = theirs.GetStartRevision()
	}
	// From now on it has a beginning.
	switch {
	case ask.GetStartRevision() == 0:
		ask.StartRevision = answers[0].GetHeader().GetRevision() + 1
	case ask.GetStartRevision() > w.gen.revision:
		w.Answered["Watch of the future"]++
	default:
		w.Answered["Watch of the past"]++
	}
	return nil
}

// ignored sends the end of a watch that is not there.
func (w *watches) ignored() error {
	if w.streams[0] == nil {
		return nil
	}
	return errors.Join(w.streams[0].end(99), w.streams[1].end(99))
}

// cancel ends a watch on both servers, when it has seen everything, and compares
// all that it has sent.
func (w *watches) cancel(id int64) error {
	watch := w.open[id]
	if watch == nil {
		return nil
	}
	if err := w.await(); err != nil {
		return err
	}
	if watch.lost && !w.Anything {
		// As etcd's client does it: it ends what the store has ended already, so that
		// the stream has no such watch any more, and waits for no answer.
		w.forget(id)
		return errors.Join(w.streams[0].end(id), w.streams[1].end(watch.theirs))
	}
	var last [2]*pb.WatchResponse
	var events [2][]*mvccpb.Event
	for i, l := range w.streams {
		id := id
		if i == 1 {
			id = watch.theirs
		}
		var err error
		if last[i], err = l.cancel(w.ctx, id); err != nil {
			return w.late(watch.request, err)
		}
		events[i] = l.take(id)
	}
	w.forget(id)
	last[1].WatchId = last[0].GetWatchId()
	if err := w.same(watch.request, watch.ask, last[0], last[1]); err != nil {
		return err
	}
	if watch.least > 0 {
		return w.noneBelow(watch, events[1])
	}
	if err := w.sameEvents(watch.request, events[0], events[1]); err != nil {
		return err
	}
	for _, e := range events[0] {
		w.Answered["Watch event"]++
		if e.GetPrevKv() != nil {
			w.Answered["Watch previous value"]++
		}
	}
	w.Answered["Watch canceled"]++
	return nil
}

func (w *watches) forget(id int64) {
	w.live = slices.DeleteFunc(w.live, func(other int64) bool { return other == id })
	delete(w.open, id)
}

// noneBelow is all that can be said of the events of a watch from a revision that
// is to come where revisions are not dense.
func (w *watches) noneBelow(watch *watched, events []*mvccpb.Event) error {
	for _, e := range events {
		if got := e.GetKv().GetModRevision(); got < watch.least {
			return w.differs(watch.request, "no event of an earlier revision", fmt.Sprintf("an event of its revision %d, though it was asked from its revision %d on", got, watch.least))
		}
	}
	return nil
}

func (w *watches) sameEvents(r *request, model, store []*mvccpb.Event) error {
	a, b := message(model), message(store)
	w.translate(a, b)
	n := 0 // those before are equal
	for n < min(len(a.Events), len(b.Events)) && proto.Equal(a.Events[n], b.Events[n]) {
		n++
	}
	a.Events, b.Events = a.Events[n:], b.Events[n:]
	if want, got, equal := Equal(a, b); !equal {
		return w.differs(r, fmt.Sprintf("after %d events %s", n, want), got)
	}
	return nil
}

// message puts copies of events into a message, to compare them.
func message(events []*mvccpb.Event) *pb.WatchResponse {
	m := &pb.WatchResponse{Header: &pb.ResponseHeader{}}
	for _, e := range events {
		m.Events = append(m.Events, proto.Clone(e).(*mvccpb.Event))
	}
	return m
}

// everything is who saw it all.
func (w *watches) everything() *request { return &request{shape: WatchNow, message: w.whole} }

// await waits until every watch has sent as many events as there are for it,
// which the model's watch of everything tells.
func (w *watches) await() error {
	err := w.all[0].await(w.ctx, "all events", func() bool { return w.all[0].seen[0] >= w.gen.revision || w.gen.revision == w.begun })
	if err != nil {
		return err
	}
	whole := w.all[0].events(0)
	if err := w.awaitWhole(whole); err != nil {
		return err
	}
	for _, id := range w.live {
		if err := w.awaitOne(id, whole); err != nil {
			return err
		}
	}
	return nil
}

func (w *watches) awaitWhole(whole []*mvccpb.Event) error {
	want := matching(w.whole, whole)
	l := w.all[1]
	what := fmt.Sprintf("%d events, the last of them of revision %d", len(want), w.gen.revision)
	id := w.wholeID()
	if err := l.await(w.ctx, what, func() bool { return len(l.sent[id]) >= len(want) || l.disorder != nil }); err != nil {
		return w.late(w.everything(), err)
	}
	if err := l.disordered(); err != nil {
		return w.differs(w.everything(), "each event once, in order", err.Error())
	}
	got := l.events(id)
	if err := w.sameEvents(w.everything(), want[w.compared:], got[w.compared:]); err != nil {
		return err
	}
	w.compared = len(want)
	return nil
}

// wholeID is the store's ID of the watch of everything, the only one of its stream.
func (w *watches) wholeID() (id int64) {
	w.all[1].mu.Lock()
	defer w.all[1].mu.Unlock()
	return w.all[1].only
}

func (w *watches) awaitOne(id int64, whole []*mvccpb.Event) error {
	watch := w.open[id]
	n := len(matching(watch.ask, whole))
	if watch.least > 0 {
		n = 0
	}
	for i, l := range w.streams {
		id := id
		if i == 1 {
			id = watch.theirs
		}
		if i == 1 && watch.lost && !w.Promises.CompactsOnRequest {
			continue // it may have kept what the model has not
		}
		what := fmt.Sprintf("%d events to %s", n, describe(watch.ask))
		if watch.lost {
			what = fmt.Sprintf("that %s is compacted", describe(watch.ask))
		}
		enough := func() bool {
			return l.lost[id] != 0 || l.disorder != nil || !watch.lost && len(l.sent[id]) >= n
		}
		if err := l.await(w.ctx, what, enough); err != nil {
			return w.late(watch.request, err)
		}
		if err := l.disordered(); err != nil {
			return w.differs(watch.request, "each event once, in order", err.Error())
		}
		got, want := l.lostAt(id), int64(0)
		if watch.lost {
			want = w.gen.compacted
		}
		if i == 1 && got > 0 {
			got = w.exactly(got)
		}
		if got != want {
			return w.differs(watch.request, lostText(want, ""), lostText(got, l.why())+watch.own)
		}
	}
	if watch.lost {
		w.Answered["Watch lost"]++
	}
	return nil
}

func lostText(revision int64, reason string) string {
	switch revision {
	case 0:
		return "goes on"
	case -1:
		return fmt.Sprintf("canceled it, though it is not compacted, for the reason %q", reason)
	}
	return fmt.Sprintf("canceled it, compacted to %d", revision)
}

// matching are the events that are for a watch.
func matching(r *pb.WatchCreateRequest, events []*mvccpb.Event) (of []*mvccpb.Event) {
	for _, e := range events {
		if wanted(r, e) {
			of = append(of, e)
		}
	}
	return of
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

// settle compares all watches of the round and ends them.
func (w *watches) settle() error {
	if err := w.await(); err != nil || w.streams[0] == nil {
		return err
	}
	for _, id := range slices.Clone(w.live) { // with these there may be no progress
		if watch := w.open[id]; watch.lost || watch.ask.GetStartRevision() > w.gen.revision || !w.Anything && alone(watch.ask) {
			if err := w.cancel(id); err != nil {
				return err
			}
		}
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
		l.close()
		w.streams[i] = nil
	}
	return nil
}

// alone says whether a watch has a stream of its own in API servers, on which nobody
// asks for progress: the compactor's, which has a client of its own.
func alone(r *pb.WatchCreateRequest) bool { return string(r.GetKey()) == compactKey }

// progress asks for a notice, where there must be one.
func (w *watches) progress() error {
	if len(w.live) == 0 {
		return nil
	}
	r := &request{shape: Progress, message: &pb.WatchProgressRequest{}}
	w.Shapes[Progress]++
	if err := w.streams[0].awaitProgress(w.ctx, w.gen.revision); err != nil {
		return err
	}
	l := w.streams[1]
	if err := l.awaitProgress(w.ctx, w.revs.to(w.gen.revision)); err != nil {
		return w.late(r, err)
	}
	if got := w.revs.back(l.progressed()); got != w.gen.revision {
		return w.differs(r, fmt.Sprintf("progress at revision %d", w.gen.revision), fmt.Sprintf("progress at revision %d", got))
	}
	w.Answered["Watch progress"]++
	return nil
}
