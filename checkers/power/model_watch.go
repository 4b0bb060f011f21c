package power

import (
	"math"

	"github.com/planecheck/planecheck/checkers/history"
)

// request is one watch: its request, and what came on its stream that concerns
// it, in order.
type request struct {
	create   *history.StoreWatch
	created  *history.StoreWatch
	id       int64
	messages []*history.StoreWatch
	places   map[*history.StoreWatch]int // see index; nil: not asked for yet
	last     int                         // see end, plus one; 0: not asked for yet
}

// index is the place of a message in those of the watch, -1: it is none of them.
func (r *request) index(m *history.StoreWatch) int {
	if r.places == nil {
		r.places = make(map[*history.StoreWatch]int, len(r.messages))
		for i, m := range r.messages {
			r.places[m] = i
		}
	}
	if i, ok := r.places[m]; ok {
		return i
	}
	return -1
}

// requests matches the answers of every stream with its requests: etcd answers
// them in their order.
func requests(watches []*history.StoreWatch) []*request {
	var all []*request
	waiting := map[uint64][]*request{}
	open := map[uint64][]*request{}
	named := map[watchID][]*request{} // an ID may be given again
	for _, w := range watches {
		switch w.Kind {
		case history.WatchCreate:
			r := &request{create: w, id: -1}
			all = append(all, r)
			waiting[w.Stream] = append(waiting[w.Stream], r)
		case history.WatchCreated:
			if q := waiting[w.Stream]; len(q) > 0 {
				q[0].id, q[0].created = w.Watch, w
				open[w.Stream] = append(open[w.Stream], q[0])
				id := watchID{w.Stream, w.Watch}
				named[id] = append(named[id], q[0])
				waiting[w.Stream] = q[1:]
			}
		default:
			concerned := named[watchID{w.Stream, w.Watch}]
			switch {
			case w.Kind == history.WatchClosed, w.Kind == history.WatchProgress && w.Watch == -1:
				concerned = open[w.Stream]
			case w.Kind == history.WatchAsk:
				concerned = nil
			}
			for _, r := range concerned {
				r.messages = append(r.messages, w)
			}
		}
	}
	return all
}

// passes says that a watch is to see a change.
func (r *request) passes(e history.StoreEvent) bool {
	return inRange(e.KV.Key, r.create.Key, r.create.End) && !(e.Delete && r.create.NoDelete) && !(!e.Delete && r.create.NoPut)
}

// due lists what a watch is to see from a revision on.
func (f *facts) due(r *request, from int64) []history.StoreEvent {
	var events []history.StoreEvent
	for rev := max(from, 0); rev <= f.last; rev++ {
		for _, e := range f.changes[rev] {
			if r.passes(e) {
				events = append(events, e)
			}
		}
	}
	return events
}

// walk is a watch on its way along what it is to see.
type walk struct {
	f        *facts
	r        *request
	due      []history.StoreEvent
	next     int          // index in due
	moved    int64        // highest revision of an event
	ended    history.Time // when the watch ended
	canceled bool
	asked    bool // the client asked for the end
	crossed  bool // it did so when there was one, and was not answered yet
}

func (f *facts) checkWatches(b bounds) {
	for _, w := range f.watches {
		if w.Header > f.last || w.Header < 0 {
			f.reject("stream %d: revision %d does not exist", w.Stream, w.Header)
		}
	}
	for _, r := range f.requests() {
		if r.created == nil || f.watchBefore(r) {
			continue
		}
		k := &walk{f: f, r: r, ended: math.MaxInt64}
		k.start()
		for _, m := range r.messages {
			k.take(m)
		}
		if k.next > 0 && k.next < len(k.due) && k.due[k.next].KV.Mod == k.due[k.next-1].KV.Mod {
			k.reject("ends in the middle of revision %d", k.moved)
		}
		k.checkFresh(b)
	}
}

func (k *walk) reject(format string, args ...any) {
	k.f.reject("stream %d, watch %d: "+format, append([]any{k.r.create.Stream, k.r.id}, args...)...)
}

// start finds where the watch begins. One from revision 0 begins anywhere up to
// the first change after its created header, as its first event shows.
func (k *walk) start() {
	if k.r.create.Start > 0 {
		k.due = k.f.due(k.r, k.r.create.Start)
		return
	}
	from := k.r.created.Header + 1
	for _, m := range k.r.messages {
		if len(m.Events) > 0 {
			from = min(from, m.Events[0].KV.Mod)
			break
		}
	}
	k.due = k.f.due(k.r, from)
}

func (k *walk) take(m *history.StoreWatch) {
	if k.canceled {
		k.late(m)
		return
	}
	switch m.Kind {
	case history.WatchEvents:
		k.events(m)
	case history.WatchProgress:
		if k.next < len(k.due) && k.due[k.next].KV.Mod <= m.Header {
			k.reject("progress at %d before event %d", m.Header, k.due[k.next].KV.Mod)
		}
	case history.WatchCancel:
		k.asked = true
	case history.WatchCanceled:
		k.cancel(m)
	case history.WatchClosed:
		k.ended = min(k.ended, m.At)
	}
}

// late judges what comes after the end of a watch: a word about the whole stream, or its
// end, or a request of the client to cancel that has crossed the store's word of the end,
// with one answer.
func (k *walk) late(m *history.StoreWatch) {
	switch {
	case m.Kind == history.WatchClosed, m.Kind == history.WatchProgress && m.Watch == -1:
	case m.Kind == history.WatchCancel:
		k.crossed = true
	case m.Kind == history.WatchCanceled && k.crossed:
		k.crossed = false
	default:
		k.reject("%s after the end", m.Kind)
	}
}

func (k *walk) events(m *history.StoreWatch) {
	for _, e := range m.Events {
		if k.next >= len(k.due) {
			k.reject("event %d of %s is not due", e.KV.Mod, e.KV.Key)
			return
		}
		want := k.due[k.next]
		k.next++
		k.moved = want.KV.Mod
		if e.Delete != want.Delete || e.KV != want.KV {
			k.reject("event %+v, want %+v", e, want)
			return
		}
		if k.r.create.PrevKV && e.Prev != want.Prev && !(e.Prev == history.StoreKV{} && k.mayLackPrev(e, m)) {
			k.reject("event %d of %s: previous %+v, want %+v", e.KV.Mod, e.KV.Key, e.Prev, want.Prev)
		}
		if e.KV.Mod > m.Header {
			k.reject("event %d after its header %d", e.KV.Mod, m.Header)
		}
	}
	more := m.Fragmented && k.r.create.Fragmented
	if !more && k.next > 0 && k.next < len(k.due) && k.due[k.next].KV.Mod == k.due[k.next-1].KV.Mod {
		k.reject("revision %d is torn", k.moved)
	}
}

func (k *walk) mayLackPrev(e history.StoreEvent, m *history.StoreWatch) bool {
	return k.f.compactCalled(m.At, func(rev int64) bool { return e.KV.Mod-1 < rev })
}

// cancel judges the end of a watch by the store. What the watch needs next
// counts from its last event, because a restored snapshot forgets progress.
func (k *walk) cancel(m *history.StoreWatch) {
	k.canceled, k.ended = true, min(k.ended, m.At)
	if k.asked {
		return
	}
	if m.CompactRevision == 0 {
		k.reject("canceled without a reason")
		return
	}
	if !k.f.compactCalled(m.At, func(rev int64) bool { return rev == m.CompactRevision }) {
		k.reject("canceled for compaction %d, which nobody asked for", m.CompactRevision)
	}
	needs := k.r.create.Start
	if needs == 0 {
		needs = k.r.created.Header + 1
	}
	if needs = max(needs, k.moved+1); needs >= m.CompactRevision {
		k.reject("canceled for compaction %d, but it needs %d", m.CompactRevision, needs)
	}
}

// checkFresh looks how late each event was.
func (k *walk) checkFresh(b bounds) {
	if b.calm == 0 {
		return
	}
	arrived := map[int64]history.Time{}
	end := k.f.end()
	for _, m := range k.r.messages {
		for _, e := range m.Events {
			if arrived[e.KV.Mod] == 0 {
				arrived[e.KV.Mod] = m.At
			}
		}
	}
	for _, e := range k.due {
		cause := k.f.cause[e.KV.Mod]
		if cause == nil || !acked(cause) {
			continue // nobody knows when it was committed
		}
		from := max(cause.Returned, k.r.created.At, b.calm)
		at := arrived[e.KV.Mod]
		if at == 0 {
			at = min(k.ended, end)
		}
		if at.Sub(from) > b.fresh {
			k.reject("event %d came %v late", e.KV.Mod, at.Sub(from))
			return
		}
	}
}

// end is the time of the last record.
func (f *facts) end() history.Time {
	if f.ended != 0 {
		return f.ended
	}
	var end history.Time
	for _, op := range f.ops {
		end = max(end, op.Called, op.Returned)
	}
	for _, w := range f.watches {
		end = max(end, w.At)
	}
	f.ended = end
	return end
}
