package watches

import (
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// small is the store of the hand-made histories:
//
//	2  a: app=x   4  a: app=x   6  b: app=x
//	3  b: app=x   5  b: app=y   7  a removed   8  c: app=x
func small() *world {
	w := newWorld(1)
	w.pod("ns", "a", "n-0", "x")
	w.pod("ns", "b", "n-0", "x")
	w.pod("ns", "a", "n-0", "x")
	w.pod("ns", "b", "n-0", "y")
	w.pod("ns", "b", "n-0", "x")
	w.write("pods", "ns", "a", nil)
	w.pod("ns", "c", "n-0", "x")
	return w
}

// on makes an event that shows at rev what version of held.
func (w *world) on(kind string, rev, version int64) *history.APIWatch {
	m := event(kind, w.commit(version).now, rev)
	m.At = w.commit(rev).at + 3*ms
	return m
}

func (w *world) mark(rev int64, end bool) *history.APIWatch {
	return &history.APIWatch{Type: "BOOKMARK", At: w.commit(rev).at + 4*ms, InitialEnd: end, Object: history.APIObject{Version: rev}}
}

// watching makes a watch of app=x that was called after a revision, or before
// all of them if it is 0. Messages keep their times, but never go back.
func (w *world) watching(after int64, version, initial string, messages ...*history.APIWatch) *tale {
	called := history.Time(ms)
	if after > 0 {
		called = w.commit(after).at + 2*ms + 1
	}
	call := &history.APICall{
		ID: 1, Server: "a/1", Verb: "watch", Resource: "pods", Status: 200, LabelSelector: "app=x", ResourceVersion: version,
		InitialEvents: initial, Bookmarks: true, Called: called, Returned: called,
	}
	if initial != "" {
		call.Match = "NotOlderThan"
	}
	t := &tale{call: call}
	t.add(&history.APIWatch{Type: history.APIWatchOpen}, called)
	at := called
	for _, m := range messages {
		at = max(at, m.At)
		t.add(m, at)
	}
	t.add(&history.APIWatch{Type: history.APIWatchClosed}, at+ms)
	return t
}

// plain is a watch without bookmarks.
func plain(t *tale) *tale { t.call.Bookmarks = false; return t }

// The state that an end of initial events names is that of before, because what
// it covers was created and deleted in between; yet it must not come after it.
func TestEndCoversWhatComesToNothing(t *testing.T) {
	w := small()
	w.pod("ns", "d", "n-0", "x")    // 9
	w.write("pods", "ns", "d", nil) // 10
	told := []*history.APIWatch{w.on("ADDED", 6, 6), w.on("ADDED", 8, 8), w.mark(10, true), w.on("ADDED", 9, 9), w.on("DELETED", 10, 9)}
	for n, want := range map[int]checkers.Outcome{3: checkers.Pass, 5: checkers.Fail} {
		if v := judgeTales(w, []*tale{w.watching(8, "", "", told[:n]...)})[InitialEventsEnd]; v.Outcome != want {
			t.Errorf("after %d messages want %s: %s", n, want, v)
		}
	}
}

func TestGuarantees(t *testing.T) {
	w := small()
	const pass, fail = checkers.Pass, checkers.Fail
	f := func(guarantee string, want checkers.Outcome, story *tale) {
		t.Helper()
		verdicts := judgeTales(w, []*tale{story})
		if got := verdicts[guarantee]; got.Outcome != want {
			t.Errorf("want %s: %s\nall: %v", want, got, verdicts)
		}
		if want == pass {
			for name, v := range verdicts {
				if v.Outcome != pass {
					t.Errorf("%s is good: %s", name, v)
				}
			}
		}
	}
	// The state of app=x is {a2, b3} at 3, {a4, b3} at 4, {a4} at 5, {a4, b6} at 6, {b6} at 7.
	f(InitialState, pass, plain(w.watching(4, "", "", w.on("ADDED", 3, 3), w.on("ADDED", 4, 4), w.on("DELETED", 5, 3))))
	f(InitialState, fail, plain(w.watching(4, "", "", w.on("ADDED", 3, 3), w.on("ADDED", 2, 2), w.on("DELETED", 5, 3)))) // from before the call
	f(InitialState, pass, plain(w.watching(4, "0", "", w.on("ADDED", 3, 3), w.on("ADDED", 2, 2), w.on("MODIFIED", 4, 4))))
	f(InitialState, fail, plain(w.watching(8, "0", "", w.on("ADDED", 3, 3), w.on("ADDED", 8, 8)))) // never together
	f(InitialState, pass, plain(w.watching(4, "0", "", w.on("ADDED", 2, 2), w.on("ADDED", 3, 3)))) // an old state, and closed at once
	f(InitialState, fail, plain(w.watching(4, "", "", w.on("ADDED", 2, 2), w.on("ADDED", 3, 3))))
	f(InitialState, fail, plain(w.watching(4, "0", "", w.on("ADDED", 4, 4), w.on("DELETED", 5, 3))))
	f(InitialState, pass, plain(w.watching(0, "", "", w.on("ADDED", 2, 2), w.on("ADDED", 3, 3), w.on("MODIFIED", 4, 4))))
	f(Delivered, fail, plain(w.watching(3, "0", "", w.on("ADDED", 2, 2), w.on("ADDED", 3, 3), w.on("DELETED", 5, 3)))) // 4 is missing

	f(InitialEventsEnd, pass, w.watching(4, "", "", w.on("ADDED", 4, 4), w.on("ADDED", 3, 3), w.mark(4, true), w.on("DELETED", 5, 3)))
	f(InitialEventsEnd, fail, w.watching(4, "", "", w.on("ADDED", 4, 4), w.mark(4, true), w.on("ADDED", 3, 3)))
	f(InitialEventsEnd, pass, w.watching(4, "3", "true", w.on("ADDED", 4, 4), w.on("ADDED", 3, 3), w.mark(4, true)))
	f(InitialEventsEnd, fail, w.watching(5, "5", "true", w.on("ADDED", 4, 4), w.on("ADDED", 3, 3), w.mark(4, true)))
	f(InitialEventsEnd, fail, w.watching(4, "", "", w.on("ADDED", 4, 4), w.on("ADDED", 3, 3), w.on("DELETED", 5, 3)))
	f(InitialEventsEnd, fail, w.watching(3, "3", "", w.on("MODIFIED", 4, 4), w.mark(4, true)))

	// Up to revision 2 it is a state, and what else came is no change after that.
	f(InitialState, fail, w.watching(7, "0", "", w.on("ADDED", 2, 2), w.on("ADDED", 6, 6), w.mark(6, true)))
	// An older state would do, had the end not said that it is another one.
	f(InitialEventsEnd, fail, w.watching(7, "0", "", w.on("ADDED", 2, 2), w.mark(6, true)))

	f(BookmarkNotAhead, pass, w.watching(3, "3", "", w.on("MODIFIED", 4, 4), w.mark(4, false), w.mark(4, false), w.on("DELETED", 5, 3)))
	f(BookmarkNotAhead, fail, w.watching(3, "3", "", w.mark(4, false), w.on("MODIFIED", 4, 4)))
	f(BookmarkNotAhead, fail, w.watching(3, "3", "", w.mark(5, false)))
	f(Delivered, fail, w.watching(3, "3", "", w.mark(5, false)))

	f(Ordered, pass, w.watching(2, "2", "", w.on("ADDED", 3, 3), w.on("MODIFIED", 4, 4)))
	f(Ordered, fail, w.watching(2, "2", "", w.on("MODIFIED", 4, 4), w.on("ADDED", 3, 3)))
	f(Ordered, fail, w.watching(2, "2", "", w.on("ADDED", 3, 3), w.on("MODIFIED", 4, 4), w.mark(3, false)))
	f(Unique, pass, w.watching(2, "2", "", w.on("ADDED", 3, 3)))
	f(Unique, fail, w.watching(2, "2", "", w.on("ADDED", 3, 3), w.on("ADDED", 3, 3)))

	f(Transitions, pass, w.watching(4, "4", "", w.on("DELETED", 5, 3), w.on("ADDED", 6, 6), w.on("DELETED", 7, 4)))
	f(Transitions, fail, w.watching(4, "4", "", w.on("DELETED", 5, 5))) // the content after the change
	f(Transitions, fail, w.watching(4, "4", "", w.on("ADDED", 6, 6)))   // b ceased to match at 5
	f(Transitions, fail, w.watching(4, "4", "", w.on("DELETED", 5, 3), w.on("MODIFIED", 6, 6)))
	f(Transitions, fail, w.watching(4, "4", "", w.on("DELETED", 5, 3), w.on("ADDED", 6, 6), w.on("DELETED", 4, 4)))

	f(Delivered, pass, w.watching(6, "6", "", w.on("DELETED", 7, 4), w.on("ADDED", 8, 8)))
	f(Delivered, fail, w.watching(6, "6", "", w.on("ADDED", 8, 8)))
	f(Delivered, fail, w.watching(6, "6", "", w.on("ADDED", 6, 6)))
	f(Delivered, fail, w.watching(2, "2", "", w.on("ADDED", 3, 2)))
	f(Delivered, pass, w.watching(6, "6", "")) // nobody promised when
	f(Delivered, pass, w.watching(6, "", "false", w.on("DELETED", 7, 4), w.on("ADDED", 8, 8)))
	f(Delivered, pass, w.watching(7, "", "false", w.on("ADDED", 8, 8)))
	f(Delivered, fail, w.watching(6, "", "false", w.on("ADDED", 8, 8)))
	f(Delivered, fail, w.watching(6, "", "false", w.on("ADDED", 6, 6)))
}

// refusal is a watch that ends with an error at once.
func (w *world) refusal(after int64, version, initial string, status int32) *tale {
	return w.watching(after, version, initial, &history.APIWatch{Type: "ERROR", Status: status, Reason: "r"})
}

func TestRefusals(t *testing.T) {
	w := small()
	f := func(guarantee string, want checkers.Outcome, tales ...*tale) {
		t.Helper()
		for i := range tales {
			tales[i].call.ID = uint64(i + 1)
			for _, m := range tales[i].messages {
				m.Call = uint64(i + 1)
			}
		}
		if got := judgeTales(w, tales)[guarantee]; got.Outcome != want {
			t.Errorf("want %s: %s", want, got)
		}
	}
	const pass, fail = checkers.Pass, checkers.Fail
	f(ExpiredHonest, pass, w.refusal(8, "3", "", 410))
	f(ExpiredHonest, fail, w.refusal(8, "8", "", 410))
	f(ExpiredHonest, fail, w.refusal(8, "", "", 410))
	f(ExpiredHonest, fail, w.refusal(8, "0", "false", 410))
	later := func() *tale { return w.watching(6, "4", "", w.on("DELETED", 5, 3)) }
	f(ExpiredHonest, fail, w.refusal(5, "4", "", 410), later())
	f(ExpiredHonest, pass, w.refusal(5, "3", "", 410), later())
	f(ExpiredHonest, pass, w.refusal(7, "4", "", 410), later()) // called before
	other := later()
	other.call.Server = "a/2"
	f(ExpiredHonest, pass, w.refusal(5, "4", "", 410), other) // another cache
	f(ExpiredHonest, fail, w.watching(7, "7", "", w.on("ADDED", 8, 8), &history.APIWatch{Type: "ERROR", Status: 410}))

	f(TooNewHonest, pass, w.refusal(3, "90", "true", 504))
	f(TooNewHonest, pass, w.refusal(3, "3", "true", 504)) // a cache that lags
	f(TooNewHonest, fail, w.refusal(3, "90", "", 504))
	f(TooNewHonest, fail, w.refusal(3, "0", "true", 504))
	f(TooNewHonest, pass, w.watching(3, "90", ""))
	f(TooNewHonest, fail, w.watching(3, "90", "true", w.on("ADDED", 3, 3)))

	// A list of the store at a later revision is why a cache begins there; without any
	// list nobody can tell.
	listed := func(rev int64, want checkers.Outcome, tales ...*tale) {
		t.Helper()
		w.lists = []history.StoreOp{listOf("/registry/pods/", rev, w.commit(8).at)}
		f(ExpiredHonest, want, tales...)
		w.lists = nil
	}
	listed(2, fail, w.refusal(8, "3", "", 410))
	listed(3, fail, w.refusal(8, "3", "", 410))
	listed(4, pass, w.refusal(8, "3", "", 410))
	listed(2, pass, w.refusal(8, "1", "", 410))

	whole := w.refusal(8, "8", "", 410) // also as the answer's own status
	whole.call.Status, whole.call.Reason, whole.messages = 410, "Expired", nil
	f(ExpiredHonest, fail, whole)
	whole = w.refusal(3, "90", "", 504)
	whole.call.Status, whole.call.Cause, whole.messages = 504, "ResourceVersionTooLarge", nil
	f(TooNewHonest, fail, whole)
}

// TestEvidence looks at what a reader gets.
func TestEvidence(t *testing.T) {
	w := small()
	v := judgeTales(w, []*tale{w.watching(4, "4", "", w.on("ADDED", 6, 6))})[Transitions]
	for _, part := range []string{
		"ceased to match was not shown as DELETED", "watch pods resourceVersion=4 labels app=x with bookmarks", "revision 5",
		"ns/b at 5", "app=y, before: ns/b at 3", "commit of 5", "ADDED", "ns/b at 6",
	} {
		if !strings.Contains(v.Detail, part) {
			t.Errorf("%q is not in\n%s", part, v.Detail)
		}
	}
	if v.Area != checkers.AreaAPI || !strings.Contains(v.Statement, "https://") {
		t.Errorf("verdict %+v", v)
	}
}

// TestNothingChangesSides: deletions alone say nothing of what begins or ceases to
// match.
func TestNothingChangesSides(t *testing.T) {
	w := small()
	f := func(want checkers.Outcome, detail string, story *tale) {
		t.Helper()
		c := New(Options{Versions: w.table(), Window: w.window(), Floors: Floors{Deleted: 1, Matching: 1}})
		if v := feed(c, []*tale{story})[Transitions]; v.Outcome != want || v.Detail != detail {
			t.Errorf("want %s: %s; checked: %s", want, v, v.Checked)
		}
	}
	f(checkers.Pass, "", w.watching(4, "4", "", w.on("DELETED", 5, 3), w.on("ADDED", 6, 6), w.on("DELETED", 7, 4)))
	f(checkers.Invalid, "0 objects that began to match, the floor is 1", w.watching(6, "6", "", w.on("DELETED", 7, 4), w.on("ADDED", 8, 8)))
	f(checkers.Invalid, "0 objects that ceased to match, the floor is 1", w.watching(5, "5", "", w.on("ADDED", 6, 6), w.on("DELETED", 7, 4)))
}

// TestTail: what nothing passes by is owed only in time, and only where the
// server had it.
func TestTail(t *testing.T) {
	f := func(calm history.Time, reason string, opens, stays history.Time, want checkers.Outcome) {
		t.Helper()
		w := small()
		story := w.watching(7, "7", "")
		story.messages[0].At += opens
		closed := story.messages[len(story.messages)-1]
		closed.At, closed.Error = w.commit(8).at+stays, reason
		c := New(Options{Versions: w.table(), Window: w.window(), Calm: calm, Bound: time.Second, Floors: Floors{Events: -1}})
		if got := feed(c, []*tale{story})[Delivered]; got.Outcome != want {
			t.Errorf("want %s: %s", want, got)
		}
	}
	f(1, history.ClosedByClient, 0, 1100*ms, checkers.Fail)
	f(1, history.ClosedByClient, 0, 900*ms, checkers.Pass)
	f(1, history.ClosedByClient, 900*ms, 1100*ms, checkers.Pass) // it had no time to come
	f(0, history.ClosedByClient, 0, 1100*ms, checkers.Pass)
	f(1, "", 0, 1100*ms, checkers.Pass) // a slow watcher that the server gave up

	healed := small().commit(8).at + 500*ms
	f(healed, history.ClosedByClient, 0, 1600*ms, checkers.Fail) // it was committed during the faults
	f(healed, history.ClosedByClient, 0, 1400*ms, checkers.Pass)
	f(healed, history.ClosedByClient, 800*ms, 1600*ms, checkers.Pass)
	f(healed, "", 0, 1600*ms, checkers.Pass)
	f(healed, "connection reset by peer", 0, 1600*ms, checkers.Pass)
}

// TestSilence: a watch that shows nothing after the faults, to its end, is right
// only if it had nothing to show.
func TestSilence(t *testing.T) {
	w := small()
	const pass, fail = checkers.Pass, checkers.Fail
	judge := func(story *tale, calm history.Time) map[string]checkers.Verdict {
		closed := story.messages[len(story.messages)-1]
		closed.At, closed.Error = w.commit(8).at+5000*ms, history.ClosedByClient
		return feed(New(Options{
			Versions: w.table(), Window: w.window(), Calm: calm, Bound: time.Second,
			Floors: Floors{Events: -1, Initial: -1, Ends: -1, Bookmarks: -1, Deleted: -1, Matching: -1, Expired: -1, Future: -1},
		}), []*tale{story})
	}
	f := func(guarantee string, want checkers.Outcome, story *tale) {
		t.Helper()
		for name, v := range judge(story, w.commit(8).at+1000*ms) {
			if name == guarantee && v.Outcome != want || want == pass && v.Outcome != pass {
				t.Errorf("want %s: %s", want, v)
			}
		}
		for _, v := range judge(story, 0) {
			if v.Outcome != pass {
				t.Errorf("without an end of the faults: %s", v)
			}
		}
	}
	f(Delivered, fail, w.watching(7, "7", ""))
	f(Delivered, fail, w.watching(7, "7", "", w.mark(7, false)))
	f(Delivered, fail, w.watching(6, "6", "", w.on("DELETED", 7, 4)))
	f(Delivered, pass, w.watching(6, "6", "", w.on("DELETED", 7, 4), w.on("ADDED", 8, 8)))
	f(Delivered, pass, w.watching(8, "8", "", w.mark(8, false)))
	f(Delivered, pass, w.watching(7, "90", "")) // of the future
	f(Delivered, pass, w.watching(7, "7", "", &history.APIWatch{Type: "ERROR", Status: 500}))
	other := w.watching(7, "7", "")
	other.call.LabelSelector = "app=y"
	f(Delivered, pass, other)

	torn := w.watching(7, "7", "")
	torn.call.Error, torn.messages = "server streams text/html", nil
	last := &history.APICall{Verb: "watch", Status: 500, Returned: w.commit(8).at + 5000*ms} // ends the history
	c := New(Options{Versions: w.table(), Window: w.window(), Calm: 1, Bound: time.Second, Floors: Floors{Events: -1}})
	if v := feed(c, []*tale{torn, {call: last}})[Delivered]; v.Outcome != pass {
		t.Errorf("nobody read of it: %s", v)
	}

	f(InitialState, fail, plain(w.watching(6, "", "")))
	f(InitialState, fail, plain(w.watching(6, "", "", w.on("ADDED", 4, 4))))
	f(Delivered, fail, plain(w.watching(6, "", "", w.on("ADDED", 4, 4), w.on("ADDED", 6, 6))))
	f(Delivered, pass, plain(w.watching(6, "", "", w.on("ADDED", 4, 4), w.on("ADDED", 6, 6), w.on("DELETED", 7, 4), w.on("ADDED", 8, 8))))
	f(InitialState, pass, plain(w.watching(8, "", "", w.on("ADDED", 6, 6), w.on("ADDED", 8, 8))))
}

func TestFloors(t *testing.T) {
	w := small()
	c := New(Options{Versions: w.table(), Window: w.window()})
	for name, v := range feed(c, nil) {
		if v.Outcome != checkers.Invalid || !strings.Contains(v.Checked, "floor") {
			t.Errorf("%s: %+v", name, v)
		}
	}
	for name, v := range feed(New(Options{}), []*tale{w.watching(0, "", "", w.on("ADDED", 2, 2))}) {
		if v.Outcome != checkers.Invalid {
			t.Errorf("without a table, %s: %+v", name, v)
		}
	}
}

// TestFloorOfExpired: only refusals that could have been wrong are evidence.
func TestFloorOfExpired(t *testing.T) {
	w := small()
	f := func(want checkers.Outcome, detail string, told *tale) {
		t.Helper()
		v := feed(New(Options{Versions: w.table(), Window: w.window(), Floors: Floors{Expired: 1}}), []*tale{told})[ExpiredHonest]
		if v.Outcome != want || !strings.HasPrefix(v.Detail, detail) {
			t.Errorf("want %s %q: %+v", want, detail, v)
		}
	}
	none := "0 watches refused as too old, the floor is 1"
	f(checkers.Invalid, none, w.refusal(8, "", "false", 410)) // from the latest on: it may have been overtaken
	f(checkers.Invalid, none, w.refusal(8, "3", "", 410))     // nobody knows what the server had
	w.lists = []history.StoreOp{listOf("/registry/pods/", 4, w.commit(8).at)}
	f(checkers.Pass, "", w.refusal(8, "3", "", 410))
}

// TestLateTable: what a table that begins in the middle shows is no proof.
func TestLateTable(t *testing.T) {
	w := small()
	w.first = 100
	for i := range w.commits {
		if v := w.commits[i].now; v != nil {
			v.Revision += 99
		}
	}
	if got := judgeTales(w, []*tale{w.watching(105, "105", "", w.on("ADDED", 107, 107))})[Delivered]; got.Outcome != checkers.Unknown {
		t.Errorf("%s", got)
	}
}

func TestExcepted(t *testing.T) {
	w := small()
	event := w.watching(3, "3", "", w.on("ADDED", 8, 8))
	event.call.Resource = "events"
	odd := w.watching(3, "3", "", w.on("ADDED", 8, 8))
	odd.call.ID, odd.call.FieldSelector = 2, "spec.unheardOf=1"
	for _, m := range odd.messages {
		m.Call = 2
	}
	scale := w.watching(3, "3", "", w.on("ADDED", 8, 8))
	scale.call.ID, scale.call.Subresource = 3, "scale"
	virtual := w.watching(3, "3", "", w.on("ADDED", 8, 8))
	virtual.call.ID, virtual.call.Group = 4, "metrics.k8s.io"
	none := w.watching(3, "3", "", w.on("ADDED", 8, 8))
	none.call.ID, none.call.LabelSelector = 5, "a b"
	for _, story := range []*tale{scale, virtual, none} {
		for _, m := range story.messages {
			m.Call = story.call.ID
		}
	}
	const want = "1 watches of Events excepted, 4 watches not judged: 1 of pods by a selector that is none; " +
		"1 of pods by spec.unheardOf, which the version table does not have; 1 of pods of a subresource; " +
		"1 of pods.metrics.k8s.io which are not known to be stored"
	for name, v := range judgeTales(w, []*tale{event, odd, scale, virtual, none}) {
		if v.Outcome != checkers.Pass || !strings.Contains(v.Checked, want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestDeliveries(t *testing.T) {
	w := small()
	c := New(Options{Versions: w.table(), Window: w.window()})
	late := w.on("MODIFIED", 4, 4)
	late.At = w.commit(4).at + 42*ms
	feed(c, []*tale{w.watching(2, "2", "", w.on("ADDED", 3, 3), late)})
	if got := c.PhaseDeliveries(); len(got) > 0 {
		t.Errorf("nobody told of phases: %+v", got)
	}
	got := c.Deliveries()
	if len(got) != 1 || got[0].Resource != "pods" || got[0].Count != 2 {
		t.Fatalf("%+v", got)
	}
	// Commits return 2 ms after they take effect; the buckets are within 1 %.
	if d := got[0]; d.P50 < 990*time.Microsecond || d.P50 > 1010*time.Microsecond || d.Max < 39600*time.Microsecond || d.Max > 40400*time.Microsecond {
		t.Errorf("%+v", d)
	}
	// By the phase of the change, not of its delivery; one before all phases is of none.
	c = New(Options{Versions: w.table(), Window: w.window(), Phase: func(at history.Time) string {
		switch {
		case at < w.commit(3).at:
			return ""
		case at < w.commit(4).at:
			return "fill"
		}
		return "hold"
	}})
	last := w.on("MODIFIED", 4, 4)
	last.At = late.At
	feed(c, []*tale{w.watching(2, "2", "", w.on("ADDED", 3, 3), last)})
	if got := c.PhaseDeliveries(); len(got) != 2 || got["fill"].Count != 1 || got["hold"].Count != 1 || got["hold"].P50 < 39600*time.Microsecond || got["fill"].P50 > 2*time.Millisecond {
		t.Errorf("%+v", got)
	}
	// What was committed before the watch was open waited for the watch.
	c = New(Options{Versions: w.table(), Window: w.window()})
	feed(c, []*tale{w.watching(8, "2", "", w.on("ADDED", 3, 3))})
	if got := c.Deliveries(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
