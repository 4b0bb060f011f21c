package judge

import (
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// held is what cannot be judged yet, in its order: a call, and what came on the
// watch that it opened, or the messages alone.
type held struct {
	id       uint64
	call     *history.APICall // nil: it has been judged, or has not come
	messages []*history.APIWatch
}

// call takes an attempt. One that cannot be judged yet is held.
func (a *apiHistory) call(c *history.APICall) {
	a.attempts++
	if c.Returned != 0 && c.Returned < c.Called {
		a.backwards++
	}
	if c.Opaque {
		a.writes.Call(c) // counts it, and may excuse by it what is gone
		a.opaque[c.ID] = true
		delete(a.watching, c.ID)
		return
	}
	if a.ready(c) {
		a.judgeCall(c)
		if h := a.watching[c.ID]; h != nil && !a.release(h) {
			a.held = append(a.held, h)
		}
		return
	}
	h := a.watching[c.ID]
	if h == nil {
		h = &held{id: c.ID}
	}
	h.call = c.Clone()
	if c.Verb == "watch" {
		a.watching[c.ID] = h
	}
	a.held = append(a.held, h)
}

// ready says that all is known that a call is judged by: what it is about, and
// what it shows, although that may be from beyond all that the store may have
// reached.
func (a *apiHistory) ready(c *history.APICall) bool {
	return a.whole || a.stored(c.Group, c.Resource) && (c.DetailsKind != "namespaces" || a.stored("", "namespaces")) &&
		!a.beyond(max(c.Object.Version, c.ListVersion))
}

// stored says that a resource is in the version table; no other one ever will be
// if the history is known to its end.
func (a *apiHistory) stored(group, resource string) bool {
	return resource == "" || a.table.Kind(group, resource) != nil
}

// beyond says that a revision is not in the version table yet.
func (a *apiHistory) beyond(rev int64) bool {
	_, last := a.table.Bounds()
	return rev > last
}

func (a *apiHistory) judgeCall(c *history.APICall) {
	a.reads.Call(c)
	a.writes.Call(c)
	a.watches.Call(c)
	if c.Verb == "watch" && !a.whole {
		if _, early := a.watching[c.ID]; !early {
			a.watching[c.ID] = nil
		}
	}
}

// message takes a message of a watch. One that comes before its call, or behind
// one that is held, is held.
func (a *apiHistory) message(m *history.APIWatch) {
	a.messageCount++
	if a.opaque[m.Call] {
		return
	}
	a.timed(m)
	a.writes.Watch(m) // judges errors, which need nothing else
	if a.whole {      // all calls have come, and nothing is held
		a.watches.Watch(m)
		return
	}
	h, known := a.watching[m.Call]
	switch {
	case !known:
		h = &held{id: m.Call}
		a.watching[m.Call] = h
	case h == nil && !a.beyond(m.Object.Version):
		a.judgeMessage(m)
		return
	case h == nil:
		h = &held{id: m.Call}
		a.watching[m.Call] = h
		a.held = append(a.held, h)
	}
	kept := *m
	h.messages = append(h.messages, &kept)
}

func (a *apiHistory) judgeMessage(m *history.APIWatch) {
	a.watches.Watch(m)
	if m.Type == history.APIWatchClosed {
		delete(a.watching, m.Call)
	}
}

// release judges what was held as far as it can be judged now, and says whether
// that was all.
func (a *apiHistory) release(h *held) bool {
	if h.call != nil {
		if !a.ready(h.call) {
			return false
		}
		a.judgeCall(h.call)
		h.call = nil
	}
	for ; len(h.messages) > 0; h.messages = h.messages[1:] {
		if !a.whole && a.beyond(h.messages[0].Object.Version) {
			return false
		}
		a.judgeMessage(h.messages[0])
	}
	if _, open := a.watching[h.id]; open {
		a.watching[h.id] = nil
	}
	return true
}

// releaseAll judges what can be judged of all that is held.
func (a *apiHistory) releaseAll() {
	kept := a.held[:0]
	for _, h := range a.held {
		if !a.release(h) {
			kept = append(kept, h)
		}
	}
	clear(a.held[len(kept):])
	a.held = kept
}

// releaseEarly judges the messages of watches whose calls did not come.
func (a *apiHistory) releaseEarly() {
	for _, id := range slices.Sorted(maps.Keys(a.watching)) {
		if h := a.watching[id]; h != nil {
			a.release(h)
		}
	}
	a.watching = nil
}
