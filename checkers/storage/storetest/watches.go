package storetest

import (
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// stream is one watch stream with its watches.
type stream struct {
	id      uint64
	member  *member
	watches []*watch
	whole   bool
}

// watch is one watch of a stream. Its position survives the stream.
type watch struct {
	id       int64
	request  history.StoreWatch
	next     int64 // first revision not yet sent
	canceled bool
	moved    bool // canceled, and it goes on in a stream of its own
}

// left says that all watches of a stream have ended and some go on elsewhere:
// who kept such streams would have more and more of them.
func (st *stream) left() bool {
	open := func(w *watch) bool { return !w.canceled }
	return !slices.ContainsFunc(st.watches, open) && slices.ContainsFunc(st.watches, func(w *watch) bool { return w.moved })
}

func (s *sim) message(st *stream, w history.StoreWatch) {
	w.Stream, w.Member, w.At = st.id, st.member.name, s.now
	s.sink.StoreWatch(&w)
	s.now++ // no two messages at one time
}

// openWatches opens one watch of everything on each member, and streams with
// watches of one prefix each.
func (s *sim) openWatches() {
	for _, m := range s.members {
		w := &watch{request: history.StoreWatch{Key: "\x00", End: "\x00", Start: s.cfg.Start + 1, PrevKV: true, Progress: true}}
		s.openStream(&stream{member: m, whole: true, watches: []*watch{w}})
	}
	for range s.cfg.Streams {
		st := &stream{member: s.members[s.rng.IntN(len(s.members))]}
		for range 1 + s.rng.IntN(3) {
			st.watches = append(st.watches, s.newWatch())
		}
		s.openStream(st)
	}
}

func (s *sim) newWatch() *watch {
	prefix := prefixName(s.rng.IntN(s.cfg.Prefixes))
	return &watch{request: history.StoreWatch{
		Key: prefix, End: prefix[:len(prefix)-1] + "0", PrevKV: s.chance(0.8), Progress: s.chance(0.7),
		NoPut: s.chance(0.05), NoDelete: s.chance(0.05), Fragmented: s.chance(0.2), Start: s.startOf(),
	}}
}

func (s *sim) startOf() int64 {
	if s.chance(0.2) {
		return 0
	}
	return max(s.first, s.cfg.Start+1, s.store.rev+1-s.rng.Int64N(30))
}

// openStream sends the requests and their answers.
func (s *sim) openStream(st *stream) {
	s.flows++
	st.id = s.flows
	s.streams = append(s.streams, st)
	for i, w := range st.watches {
		w.id = int64(i)
		req := w.request
		req.Kind = history.WatchCreate
		s.message(st, req)
	}
	for _, w := range st.watches {
		s.message(st, history.StoreWatch{Kind: history.WatchCreated, Watch: w.id, Header: st.member.applied})
		w.next = w.request.Start
		if w.next == 0 {
			w.next = st.member.applied + 1
		}
	}
	s.after(s.pause(20*time.Millisecond), func() { s.serve(st) })
}

// serve sends what is due on a stream, then perhaps breaks it.
func (s *sim) serve(st *stream) {
	if !s.running() {
		return
	}
	for _, w := range st.watches {
		if !w.canceled {
			s.deliver(st, w, s.chance(0.2))
		}
	}
	if st.left() {
		s.message(st, history.StoreWatch{Kind: history.WatchClosed, Reason: "no watch is left"})
		s.drop(st)
		return
	}
	s.progressAll(st)
	switch {
	case s.chance(0.01) && !st.whole:
		s.cancelOne(st)
	case s.chance(0.04):
		s.cut(st)
		return
	}
	s.after(s.pause(25*time.Millisecond), func() { s.serve(st) })
}

// deliver sends one watch the events up to what its member has applied, or
// only a part of them.
func (s *sim) deliver(st *stream, w *watch, partly bool) {
	if w.next < st.member.compact {
		// A lagging watch of what is compacted ends (mvcc/watcher_group.go).
		w.canceled, w.moved = true, true
		s.message(st, history.StoreWatch{
			Kind: history.WatchCanceled, Watch: w.id, Header: st.member.applied,
			CompactRevision: st.member.compact, Reason: "required revision has been compacted",
		})
		s.after(s.pause(50*time.Millisecond), func() { s.reopen(w) })
		return
	}
	upTo := st.member.applied
	if partly && upTo > w.next {
		upTo = w.next + s.rng.Int64N(upTo-w.next)
	}
	events := s.eventsOf(st, w, upTo)
	if len(events) == 0 {
		if w.next <= upTo {
			w.next = upTo + 1
		}
		if w.request.Progress && w.next == st.member.applied+1 && s.chance(0.2) {
			s.message(st, history.StoreWatch{Kind: history.WatchProgress, Watch: w.id, Header: st.member.applied})
		}
		return
	}
	w.next = upTo + 1
	header := st.member.applied
	if w.request.Fragmented && len(events) > 1 {
		half := len(events) / 2
		s.message(st, history.StoreWatch{Kind: history.WatchEvents, Watch: w.id, Header: header, Events: events[:half], Fragmented: true})
		events = events[half:]
	}
	s.message(st, history.StoreWatch{Kind: history.WatchEvents, Watch: w.id, Header: header, Events: events})
}

// eventsOf returns what a watch is to see of [w.next, upTo]. The version before
// is looked up when the event is sent and left out if it is compacted by then
// (api/v3rpc/watch.go, sendLoop).
func (s *sim) eventsOf(st *stream, w *watch, upTo int64) []history.StoreEvent {
	var events []history.StoreEvent
	lo, hi := s.store.span(w.request.Key, w.request.End)
	for rev := w.next; rev <= upTo; rev++ {
		for _, e := range s.commits[rev-s.first].events {
			i := s.store.index[e.KV.Key]
			if i < lo || i >= hi || (e.Delete && w.request.NoDelete) || (!e.Delete && w.request.NoPut) {
				continue
			}
			if !w.request.PrevKV || rev-1 < st.member.compact {
				e.Prev = history.StoreKV{}
			}
			events = append(events, e)
		}
	}
	return events
}

// progressAll asks for the progress of a whole stream and answers when all of
// its watches are up to date.
func (s *sim) progressAll(st *stream) {
	if !s.chance(0.1) {
		return
	}
	s.message(st, history.StoreWatch{Kind: history.WatchAsk, Watch: -1})
	for _, w := range st.watches {
		if !w.canceled && w.next != st.member.applied+1 {
			return
		}
	}
	s.message(st, history.StoreWatch{Kind: history.WatchProgress, Watch: -1, Header: st.member.applied})
}

func (s *sim) cancelOne(st *stream) {
	w := st.watches[s.rng.IntN(len(st.watches))]
	if w.canceled {
		return
	}
	w.canceled = true
	s.message(st, history.StoreWatch{Kind: history.WatchCancel, Watch: w.id})
	s.message(st, history.StoreWatch{Kind: history.WatchCanceled, Watch: w.id, Header: st.member.applied})
}

// cut ends a stream. Its watches resume where they were, sometimes a little
// earlier, on any member: what was sent before may then be sent again.
func (s *sim) cut(st *stream) {
	s.message(st, history.StoreWatch{Kind: history.WatchClosed, Reason: "connection reset"})
	s.drop(st)
	next := &stream{member: st.member, whole: st.whole}
	if !st.whole {
		next.member = s.members[s.rng.IntN(len(s.members))]
	}
	for _, w := range st.watches {
		if w.canceled {
			continue
		}
		resumed := &watch{request: w.request}
		resumed.request.Start = w.next
		if !st.whole && s.chance(0.3) {
			resumed.request.Start = max(s.first, s.cfg.Start+1, w.next-s.rng.Int64N(4))
		}
		resumed.next = resumed.request.Start
		next.watches = append(next.watches, resumed)
	}
	if len(next.watches) == 0 {
		next.watches = append(next.watches, s.newWatch())
	}
	// Until it is open its positions must not be forgotten.
	s.streams = append(s.streams, next)
	s.after(s.pause(40*time.Millisecond), func() {
		s.drop(next)
		if s.running() || st.whole {
			s.openStream(next)
		}
	})
}

// reopen starts a watch anew after its position was compacted.
func (s *sim) reopen(w *watch) {
	if !s.running() {
		return
	}
	fresh := &watch{request: w.request}
	fresh.request.Start = s.store.rev + 1
	s.openStream(&stream{member: s.members[s.rng.IntN(len(s.members))], watches: []*watch{fresh}})
}

func (s *sim) drop(st *stream) {
	for i, other := range s.streams {
		if other == st {
			s.streams = append(s.streams[:i], s.streams[i+1:]...)
			return
		}
	}
}

// closeWatches delivers everything that is left and ends the streams.
func (s *sim) closeWatches() {
	for _, st := range append([]*stream(nil), s.streams...) {
		for _, w := range st.watches {
			if !w.canceled {
				s.deliver(st, w, false)
			}
		}
		s.message(st, history.StoreWatch{Kind: history.WatchClosed, Reason: "end of the run"})
	}
}
