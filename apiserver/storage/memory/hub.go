package memory

import (
	"bytes"
	"maps"
	"slices"
	"sort"
)

// hub finds the watchers that a key concerns. It belongs to a Store; its
// methods want the Store's lock, except mark.
//
// Watchers of the same span form a group, so that its size is that of the
// resources and not that of the API servers.
type hub struct {
	points map[string]*group
	open   []*group // without an end
	// spans are those with an end, in the order of their keys; reach[i] is the
	// farthest end among the first i+1 of them.
	spans []*group
	reach [][]byte
}

type group struct {
	span
	watchers []*watcher
}

func newHub() hub { return hub{points: map[string]*group{}} }

func (h *hub) add(w *watcher) {
	if g := h.group(w.span); g != nil {
		g.watchers = append(g.watchers, w)
		return
	}
	g := &group{span: w.span, watchers: []*watcher{w}}
	switch {
	case g.point():
		h.points[string(g.key)] = g
	case g.open:
		h.open = append(h.open, g)
	default:
		h.spans = slices.Insert(h.spans, h.after(g.key), g)
		h.measure()
	}
}

func (h *hub) remove(w *watcher) {
	g := h.group(w.span)
	if g == nil {
		return
	}
	is := func(other *group) bool { return other == g }
	g.watchers = slices.DeleteFunc(g.watchers, func(other *watcher) bool { return other == w })
	switch {
	case len(g.watchers) > 0:
	case g.point():
		delete(h.points, string(g.key))
	case g.open:
		h.open = slices.DeleteFunc(h.open, is)
	default:
		h.spans = slices.DeleteFunc(h.spans, is)
		h.measure()
	}
}

func (h *hub) group(s span) *group {
	if s.point() {
		return h.points[string(s.key)]
	}
	among := h.spans
	if s.open {
		among = h.open
	}
	i := slices.IndexFunc(among, func(g *group) bool { return bytes.Equal(g.key, s.key) && bytes.Equal(g.end, s.end) })
	if i < 0 {
		return nil
	}
	return among[i]
}

// after is the index of the first span that begins after key.
func (h *hub) after(key []byte) int {
	return sort.Search(len(h.spans), func(i int) bool { return bytes.Compare(h.spans[i].key, key) > 0 })
}

func (h *hub) measure() {
	h.reach = h.reach[:0]
	var most []byte
	for _, g := range h.spans {
		if bytes.Compare(g.end, most) > 0 {
			most = g.end
		}
		h.reach = append(h.reach, most)
	}
}

// notify marks the watchers that a change of key at revision concerns.
func (h *hub) notify(key []byte, revision int64) {
	if g := h.points[string(key)]; g != nil {
		g.mark(revision)
	}
	for _, g := range h.open {
		if g.contains(key) {
			g.mark(revision)
		}
	}
	for i := h.after(key) - 1; i >= 0 && bytes.Compare(h.reach[i], key) > 0; i-- {
		if h.spans[i].contains(key) {
			h.spans[i].mark(revision)
		}
	}
}

// each calls f with every watcher.
func (h *hub) each(f func(*watcher)) {
	groups := slices.AppendSeq(slices.Concat(h.open, h.spans), maps.Values(h.points))
	for _, g := range groups {
		for _, w := range g.watchers {
			f(w)
		}
	}
}

func (g *group) mark(revision int64) {
	for _, w := range g.watchers {
		w.mark(revision)
	}
}

// watcher is one watch of a stream.
type watcher struct {
	stream *watchStream
	id     int64
	span
	from     int64 // the first revision wanted; 0: those after the creation
	prev     bool  // previous values are wanted
	progress bool  // notices of progress are wanted
	noPut    bool
	noDelete bool

	// guarded by stream.mu
	pending  int64 // the first revision that may hold unsent events; 0: none does
	quiet    bool  // no events were sent since the last tick
	canceled bool  // by the client; nothing may be sent any more
	lost     bool  // what it wanted next is compacted
}

// mark has the stream look at a revision and all after it. It never waits for
// the stream: at most for the moment in which it looks into the log.
func (w *watcher) mark(revision int64) {
	st := w.stream
	st.mu.Lock()
	defer st.mu.Unlock()
	if w.pending == 0 && revision >= w.from && !w.lost {
		w.pending = revision
		st.marked = append(st.marked, w)
		st.signal()
	}
}

// signal wakes the stream, once for any number of signals.
func (st *watchStream) signal() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}
