package watch

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// stream is one watch stream: some watches that share a connection.
type stream struct {
	id     uint64
	member string
	queue  []*history.StoreWatch // not judged yet
	over   bool                  // its closed is in the queue, or was
	at     history.Time          // of its last record

	asked []*watch // created requests without an answer, in order
	open  map[int64]*watch
	list  []*watch // the same, by creation

	shown   int64 // the highest revision that an answer has shown
	control int64 // of the header of the last created answer
	refused bool  // the last record was a created answer without an ID
}

// judge takes the next record of a stream into account.
func (c *Checker) judge(s *stream, r *history.StoreWatch) {
	refused := s.refused
	s.refused = false
	switch r.Kind {
	case history.WatchCreate:
		s.asked = append(s.asked, c.newWatch(s, r))
	case history.WatchCreated:
		c.created(s, r)
	case history.WatchEvents:
		c.events(s, r)
	case history.WatchProgress:
		c.progress(s, r)
	case history.WatchAsk:
	case history.WatchCancel:
		c.cancel(s, r)
	case history.WatchCanceled:
		// A refused watch has no ID. Its refusal is one message, which a
		// recorder may write as created and canceled or as canceled alone.
		if r.Watch == refusedID {
			if !refused {
				s.answered()
			}
			return
		}
		c.canceled(s, r)
	case history.WatchClosed:
		c.endStream(s, r.At)
	default:
		c.reject(r, "a kind that is not known")
	}
	if r.Kind == history.WatchCreated || r.Kind == history.WatchEvents || r.Kind == history.WatchProgress {
		s.shown = max(s.shown, highest(r))
	}
}

// refusedID is the ID in the answer to a watch that was refused, and in
// progress that is of the whole stream (clientv3.InvalidWatchID).
const refusedID = -1

// answered takes the oldest request without an answer: a stream's requests are
// handled one after the other (v3rpc/watch.go, recvLoop).
func (s *stream) answered() *watch {
	if len(s.asked) == 0 {
		return nil
	}
	w := s.asked[0]
	s.asked = s.asked[1:]
	return w
}

// created begins a watch.
func (c *Checker) created(s *stream, r *history.StoreWatch) {
	w := s.answered()
	if w == nil {
		c.reject(r, "an answer to a request that is not in the history")
		return
	}
	if r.Watch == refusedID {
		s.refused = true
		return
	}
	if s.open[r.Watch] != nil {
		c.reject(r, "an ID that another watch of the stream has")
		return
	}
	w.id, w.created, w.header = r.Watch, r.At, r.Header
	s.open[w.id] = w
	s.list = append(s.list, w)
	w.next = w.start
	if w.start == 0 {
		w.next = none // until its first event, if the answer does not say where it begins
		if r.Header > 0 {
			w.next = r.Header + 1
		}
	}
	c.index.need(w.span, w.next)
	w.pos = c.index.find(w.span, w.next)

	c.counts.watches++
	if w.start > 0 && c.watched[w.span] {
		c.counts.resumedAny++
		if c.index.rev(w.span, w.pos) <= w.header { // else it owes nothing that was before it
			c.counts.resumed++
		}
	}
	c.watched[w.span] = true
	c.createdHeader(w, r)
}

// createdHeader judges the revision from which a client resumes a watch that it
// began without one (clientv3/watch.go, serveSubstream): ahead of the store it
// makes the client skip events.
func (c *Checker) createdHeader(w *watch, r *history.StoreWatch) {
	s := w.stream
	if why := c.ahead(r.Header, r.At); why != "" {
		c.fail(Resumable, "The created answer names "+why+": a client that resumes from it skips events.",
			w.row(r.At, "created", r.Header, ""))
	}
	if r.Header < s.control {
		c.fail(Resumable, "The created answer names a lower revision than an earlier one of the same stream.",
			w.row(r.At, "created", r.Header, ""), row{stream: s.id, member: s.member, what: "created before", rev: s.control})
	}
	s.control = max(s.control, r.Header)
}

// cancel notes that the client gave a watch up: etcd may be sending what it had
// queued, and stops.
func (c *Checker) cancel(s *stream, r *history.StoreWatch) {
	w := s.open[r.Watch]
	if w == nil {
		i := slices.IndexFunc(s.asked, func(w *watch) bool { return w.id != 0 && w.id == r.Watch })
		if i < 0 {
			return // canceled already: the two messages have crossed
		}
		w = s.asked[i]
	}
	if w.canceling == 0 {
		w.canceling = r.At
	}
}

// canceled judges why the store ended a watch.
func (c *Checker) canceled(s *stream, r *history.StoreWatch) {
	w := s.open[r.Watch]
	if w == nil {
		return // the answer to a cancel of a watch that compaction had ended
	}
	if r.CompactRevision > 0 {
		c.counts.compacted++
	}
	c.judgeCancel(w, r)
	delete(s.open, w.id)
	s.list = slices.DeleteFunc(s.list, func(o *watch) bool { return o == w })
	c.endWatch(w, r.At, false)
}

func (c *Checker) judgeCancel(w *watch, r *history.StoreWatch) {
	rows := []row{w.row(w.created, "created, start "+number(w.start), w.header, "")}
	if w.last > 0 {
		rows = append(rows, w.row(w.lastAt, "last event", w.last, ""))
	}
	rows = append(rows, w.row(r.At, "canceled, compact revision", r.CompactRevision, ""))
	switch {
	case r.CompactRevision == 0 && w.canceling == 0:
		c.fail(CompactedCancel, "The store canceled a watch that neither its client nor a compaction ended.", rows...)
	case r.CompactRevision == 0:
	case c.compact.before(r.At) < r.CompactRevision:
		c.fail(CompactedCancel, "The store canceled a watch for a compaction that nobody had asked for.", rows...)
	case max(w.from, w.last+1) >= r.CompactRevision:
		c.fail(CompactedCancel, "The store canceled a watch although the compaction left all that it needed.", rows...)
	}
}

// endStream ends all watches of a stream.
func (c *Checker) endStream(s *stream, at history.Time) {
	for _, w := range s.list {
		c.endWatch(w, at, true)
	}
	s.list, s.asked = nil, nil
	clear(s.open)
}
