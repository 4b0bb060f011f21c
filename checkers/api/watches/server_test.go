package watches

import (
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
)

// tale is one watch: its call and its messages.
type tale struct {
	q        query
	call     *history.APICall
	messages []*history.APIWatch
	initial  int   // how many of the messages after the open are synthetic
	rev      int64 // of the state, or of the start
}

// cache is the watch cache of one API server: it lags behind the store, and
// begins with a list.
type cache struct {
	name    string
	started history.Time
	lag     history.Time
}

func (w *world) cached(s cache, at history.Time) int64 { return w.at(at - s.lag) }

// tell makes a watch that a correct server may have served.
func (w *world) tell(id uint64, s cache) *tale {
	q := []query{
		{}, {}, {ns: "ns-0"}, {node: "n-0"}, {node: "n-1"}, {app: "x"}, {notApp: "x"},
		{name: "p-1"}, {ns: "ns-1", node: "n-0", app: "y"},
	}[w.rng.IntN(9)]
	called := s.started + 200*ms + history.Time(w.rng.Int64N(int64(max(1, w.clock-s.started-300*ms))))
	call := &history.APICall{ID: id, Server: s.name, Identity: "tester", Verb: "watch", Resource: "pods", Called: called, Status: 200, Bookmarks: w.rng.IntN(2) == 0}
	q.call(call)
	t := &tale{q: q, call: call}
	opened := called + 3*ms
	now := w.cached(s, opened)
	wait := func(rev int64) {
		for w.cached(s, opened) < rev {
			opened += ms
		}
		now = w.cached(s, opened)
	}
	state := true
	switch w.rng.IntN(8) {
	case 0: // most recent
		wait(w.at(called))
	case 1: // any
		call.ResourceVersion = "0"
	case 2, 3: // from a past revision
		state = false
		t.rev = max(2, now-int64(w.rng.IntN(200)))
	case 4: // from the future
		state = false
		t.rev = w.at(called) + 5 + int64(w.rng.IntN(30))
	case 5:
		call.InitialEvents, call.Match = "true", "NotOlderThan"
		wait(w.at(called))
	case 6:
		call.InitialEvents, call.Match = "true", "NotOlderThan"
		rev := max(2, now-int64(w.rng.IntN(40)))
		if w.rng.IntN(2) == 0 {
			rev = w.at(called) + 10000
			call.ResourceVersion, opened = strconv.FormatInt(rev, 10), opened+3000*ms
			return w.refuse(t, opened, 504, "Timeout")
		}
		call.ResourceVersion = strconv.FormatInt(rev, 10)
		wait(rev)
	case 7:
		state = false
		call.InitialEvents, call.Match = "false", "NotOlderThan"
		if w.rng.IntN(2) == 0 {
			call.ResourceVersion = "0"
		} else {
			wait(w.at(called))
		}
		t.rev = now
	}
	if call.InitialEvents == "" && !state {
		call.ResourceVersion = strconv.FormatInt(t.rev, 10)
		if t.rev < w.at(s.started) {
			return w.refuse(t, opened, 410, "Expired")
		}
	}
	call.Returned = opened
	t.add(&history.APIWatch{Type: history.APIWatchOpen}, opened)
	if state {
		t.rev = now
		w.synthesize(t, opened)
	}
	w.follow(t, s)
	return t
}

func (t *tale) add(m *history.APIWatch, at history.Time) {
	m.Call, m.At = t.call.ID, at
	t.messages = append(t.messages, m)
}

func (w *world) refuse(t *tale, at history.Time, status int32, reason string) *tale {
	t.call.Returned = at
	t.add(&history.APIWatch{Type: history.APIWatchOpen}, at)
	t.add(&history.APIWatch{Type: "ERROR", Status: status, Reason: reason}, at+ms)
	t.add(&history.APIWatch{Type: history.APIWatchClosed}, at+ms)
	return t
}

func (w *world) synthesize(t *tale, at history.Time) {
	list := w.state(t.q, t.rev)
	w.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, v := range list {
		t.add(event("ADDED", v, v.Revision), at+ms)
	}
	t.initial = len(list)
	if t.call.Bookmarks {
		t.add(&history.APIWatch{Type: "BOOKMARK", InitialEnd: true, Object: history.APIObject{Version: t.rev}}, at+ms)
		t.initial++
	}
}

// follow adds what happens after the start of a watch, until it is closed.
func (w *world) follow(t *tale, s cache) {
	at := t.messages[len(t.messages)-1].At
	end := at + history.Time(w.rng.IntN(3000))*ms
	marked := t.rev
	for rev := t.rev + 1; rev <= w.rev(); rev++ {
		arrives := max(at, w.commit(rev).at+s.lag+history.Time(w.rng.IntN(3))*ms)
		if arrives > end {
			break
		}
		if m := w.shown(t.q, rev); m != nil {
			t.add(m, arrives)
			at = arrives
		}
		if t.call.Bookmarks && w.rng.IntN(5) == 0 && rev >= marked {
			at, marked = arrives, rev
			t.add(&history.APIWatch{Type: "BOOKMARK", Object: history.APIObject{Version: rev}}, arrives)
		}
	}
	closed := &history.APIWatch{Type: history.APIWatchClosed}
	if w.rng.IntN(2) == 0 {
		closed.Error = history.ClosedByClient
	}
	t.add(closed, max(end, at))
}

// tales makes n watches at three servers, one of which starts later.
func (w *world) tales(n int) []*tale {
	servers := []cache{
		{"a/1", 0, 4 * ms}, {"b/1", 0, 40 * ms}, {"b/2", w.clock / 2, 10 * ms},
	}
	var list []*tale
	for i := range n {
		list = append(list, w.tell(uint64(i+1), servers[w.rng.IntN(len(servers))]))
	}
	slices.SortStableFunc(list, func(a, b *tale) int { return int(a.call.Returned - b.call.Returned) })
	w.told = list
	return list
}
