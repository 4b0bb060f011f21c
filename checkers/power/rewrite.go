package power

import (
	"cmp"
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// another is what a store does in place of what it was asked, from what t.f says.
type another struct {
	*facts
	edited map[int64]bool  // revisions that do something else by themselves
	like   []bool          // by revision: the state is what it was
	keys   map[string]bool // that are not what they were at some revision
}

// rewrite makes a store, or one member of it, do something else than it was
// asked, and tells it consistently: every later answer, event and hash of that
// member (of all for "") shows the other state. edit returns what a revision
// changed in truth. It fails where some other call would have come to another
// decision, because then the history would have to be another one altogether.
func (t *teller) rewrite(member string, edit func(rev int64, before state, changes []history.StoreEvent) []history.StoreEvent) bool {
	g, ok := t.redo(edit)
	if !ok {
		return false
	}
	for _, op := range t.h.Ops {
		if (member == "" || op.Member == member) && !t.retell(op, g) {
			return false
		}
	}
	for _, r := range requests(t.h.Watches) {
		shows := false
		for key := range g.keys {
			shows = shows || inRange(key, r.create.Key, r.create.End)
		}
		if shows && r.created != nil && (member == "" || r.create.Member == member) {
			t.retellWatch(r, g.facts)
		}
	}
	t.tidy()
	return true
}

// redo carries out all revisions as they are edited.
func (t *teller) redo(edit func(rev int64, before state, changes []history.StoreEvent) []history.StoreEvent) (*another, bool) {
	g := &another{
		facts:  &facts{ops: t.f.ops, watches: t.f.watches, last: t.f.last, states: []state{{}, {}}, changes: make([][]history.StoreEvent, t.f.last+1)},
		edited: map[int64]bool{}, like: []bool{true, true}, keys: map[string]bool{},
	}
	other := map[string]bool{} // keys that are not what they were, now
	for rev := int64(firstRevision + 1); rev <= t.f.last; rev++ {
		changes := edit(rev, g.states[rev-1], t.f.changes[rev])
		edited := !slices.Equal(changes, t.f.changes[rev])
		if !edited && len(other) == 0 {
			g.changes[rev], g.states, g.like = changes, append(g.states, t.f.states[rev]), append(g.like, true)
			continue
		}
		g.edited[rev] = edited
		g.settleEvents(rev, changes)
		if !edited && len(g.changes[rev]) != len(changes) {
			return nil, false
		}
		for _, e := range slices.Concat(changes, t.f.changes[rev]) {
			key := e.KV.Key
			if g.keys[key], other[key] = true, true; g.states[rev][key] == t.f.states[rev][key] {
				delete(other, key)
			}
		}
		g.like = append(g.like, len(other) == 0)
	}
	return g, true
}

// settleEvents applies changes to the state before, counting creations and
// versions anew.
func (f *facts) settleEvents(rev int64, changes []history.StoreEvent) {
	s := maps.Clone(f.states[rev-1])
	for _, e := range changes {
		prev, existed := s[e.KV.Key]
		e.Prev = prev
		if e.Delete {
			if !existed {
				continue
			}
			delete(s, e.KV.Key)
		} else {
			e.KV.Create, e.KV.Version = e.KV.Mod, prev.Version+1
			if existed {
				e.KV.Create = prev.Create
			}
			s[e.KV.Key] = e.KV
		}
		f.changes[rev] = append(f.changes[rev], e)
	}
	f.states = append(f.states, s)
}

// retell answers a call from other states. The call whose own effect was edited
// keeps its answer: that is the lie.
func (t *teller) retell(op *history.StoreOp, g *another) bool {
	if !acked(op) {
		return true
	}
	if op.Method == history.MethodHashKV {
		if rev := cmp.Or(op.Revision, op.Header); !g.like[rev] {
			op.Hash = hashOf(g.states[rev])
		}
		return true
	}
	before := op.Header
	if wrote(op) {
		before--
	}
	pinned := func(a history.StoreAction) bool { return a.Revision > 0 && a.Revision <= g.last && !g.like[a.Revision] }
	if len(op.Results) == 0 || g.like[before] && !slices.ContainsFunc(executed(op), pinned) || wrote(op) && g.edited[op.Header] {
		return true
	}
	s := g.states[before]
	if op.Method == history.MethodTxn && holdAll(op.Compares, s) != op.Succeeded {
		return false
	}
	_, results, _ := g.execute(executed(op), s, op.Header)
	for i := range results {
		if results[i].Deleted != op.Results[i].Deleted {
			return false
		}
		results[i].Header = op.Results[i].Header
	}
	op.Results = results
	return true
}

func hashOf(s state) uint64 {
	var kvs []history.StoreKV
	for _, k := range s.keys("\x00", "\x00") {
		kvs = append(kvs, s[k])
	}
	return history.Digest(kvs) & 0xffffffff
}

// retellWatch replaces the events of a watch. Each message reaches as far as it
// did; what it newly has to show before some progress gets a message of its own.
func (t *teller) retellWatch(r *request, g *facts) {
	lost := map[int64]bool{} // revisions whose previous versions were not shown
	first := r.create.Start
	for _, m := range r.messages {
		for _, e := range m.Events {
			if first == 0 {
				first = e.KV.Mod
			}
			if r.create.PrevKV && e.Prev.Mod == 0 {
				lost[e.KV.Mod] = true
			}
		}
	}
	if first == 0 {
		return
	}
	due := g.due(r, first)
	upTo := func(rev int64) []history.StoreEvent {
		var events []history.StoreEvent
		for len(due) > 0 && due[0].KV.Mod <= rev {
			e := due[0]
			due = due[1:]
			if !r.create.PrevKV || (lost[e.KV.Mod] && t.f.compactCalled(t.f.end(), func(c int64) bool { return e.KV.Mod-1 < c })) {
				e.Prev = history.StoreKV{}
			}
			events = append(events, e)
		}
		return events
	}
	for i, m := range r.messages {
		switch {
		case m.Kind == history.WatchCanceled:
			return // progress of the stream does not concern it any more
		case m.Kind == history.WatchEvents && m.Fragmented:
			// The whole answer goes into the message that ends it.
			r.messages[i+1].Events = append(m.Events, r.messages[i+1].Events...)
			m.Events, m.Fragmented = nil, false
		case m.Kind == history.WatchEvents:
			m.Events = upTo(m.Events[len(m.Events)-1].KV.Mod)
		case m.Kind == history.WatchProgress:
			if events := upTo(m.Header); len(events) > 0 {
				t.insertBefore(m, &history.StoreWatch{
					Stream: m.Stream, Watch: r.id, Member: m.Member, Kind: history.WatchEvents,
					At: m.At, Header: m.Header, Events: events,
				})
			}
		}
	}
}

// lasts says that a watch was closed because the history ends: in a recorded one,
// if it was closed after all calls.
func (t *teller) lasts(r *request, closed *history.StoreWatch) bool {
	if closed.Reason == "end of the run" {
		return true
	}
	return r.create.Key == "\x00" && !slices.ContainsFunc(t.h.Ops, func(op *history.StoreOp) bool { return op.Called >= closed.At })
}

// append adds a revision behind the last one: watches of everything show it at
// their end and the closing reads answer from it. member "" is all members.
func (t *teller) append(member string, changes []history.StoreEvent) bool {
	f := t.f
	rev := f.last + 1
	f.states = append(f.states, nil)[:rev]
	f.changes = append(f.changes, nil)
	f.settleEvents(rev, changes)
	if len(f.changes[rev]) == 0 {
		return false
	}
	for _, r := range requests(t.h.Watches) {
		n := len(r.messages)
		if r.created == nil || n == 0 || r.messages[n-1].Kind != history.WatchClosed || !t.lasts(r, r.messages[n-1]) ||
			slices.ContainsFunc(r.messages, func(m *history.StoreWatch) bool { return m.Kind == history.WatchCanceled }) ||
			(member != "" && r.create.Member != member) {
			continue
		}
		var events []history.StoreEvent
		for _, e := range f.changes[rev] {
			if r.passes(e) {
				if !r.create.PrevKV {
					e.Prev = history.StoreKV{}
				}
				events = append(events, e)
			}
		}
		end := r.messages[n-1]
		t.insertBefore(end, &history.StoreWatch{
			Stream: end.Stream, Watch: r.id, Member: end.Member, Kind: history.WatchEvents, At: end.At, Header: rev, Events: events,
		})
	}
	for _, op := range t.closing() {
		if member == "" || op.Member == member {
			t.answer(op, rev)
		}
	}
	t.tidy()
	return true
}
