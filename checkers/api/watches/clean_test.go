package watches

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// judgeTales judges watches of a world, with floors of nothing.
func judgeTales(w *world, tales []*tale) map[string]checkers.Verdict {
	c := New(Options{
		Versions: w.table(), Window: w.window(), Calm: 1, Bound: 200 * time.Millisecond,
		Floors: Floors{Events: -1, Initial: -1, Ends: -1, Bookmarks: -1, Deleted: -1, Matching: -1, Expired: -1, Future: -1},
	})
	return feed(c, tales)
}

func feed(c *Checker, tales []*tale) map[string]checkers.Verdict {
	for _, t := range tales {
		c.Call(t.call)
		for _, m := range t.messages {
			c.Watch(m)
		}
	}
	list := map[string]checkers.Verdict{}
	for _, v := range c.Finish() {
		list[v.Guarantee] = v
	}
	return list
}

// TestClean lets correct servers serve watches of every kind.
func TestClean(t *testing.T) {
	var total counts
	for seed := range uint64(100) {
		w := newWorld(seed)
		w.churn(400)
		tales := w.tales(120)
		c := New(Options{Versions: w.table(), Window: w.window(), Calm: history.Time(seed % 2), Bound: 200 * time.Millisecond, Floors: Floors{Events: 100, Initial: 5, Ends: 5, Expired: -1, Future: 1}})
		for _, v := range feed(c, tales) {
			if v.Outcome != checkers.Pass {
				t.Fatalf("seed %d: %s\nchecked: %s", seed, v, v.Checked)
			}
		}
		n := c.counts
		total.watches += n.watches
		total.events += n.events
		total.initial += n.initial
		total.began += n.began
		total.ceased += n.ceased
		total.unfinished += n.unfinished
		total.expired += n.expired
		if n.unjudged+n.strangers+n.excepted != 0 || len(c.skipped) > 0 {
			t.Fatalf("seed %d: not judged: %+v", seed, n)
		}
	}
	if total.initial < 1000 || total.began < 1000 || total.ceased < 300 || total.expired < 100 || total.unfinished < 20 {
		t.Errorf("the servers did too little: %+v", total)
	}
	t.Logf("%+v", total)
}

// TestWhileFilled hands over calls and messages in steps of random length, with a
// table that has only what the store may have reached by their ends.
func TestWhileFilled(t *testing.T) {
	floors := Floors{Events: -1, Initial: -1, Ends: -1, Bookmarks: -1, Deleted: -1, Matching: -1, Expired: -1, Future: -1}
	for seed := range uint64(30) {
		w := newWorld(seed)
		w.churn(400)
		var calls []*history.APICall
		var messages []*history.APIWatch
		for _, t := range w.tales(120) {
			calls, messages = append(calls, t.call), append(messages, t.messages...)
		}
		slices.SortStableFunc(calls, func(a, b *history.APICall) int { return cmp.Compare(a.Returned, b.Returned) })
		slices.SortStableFunc(messages, func(a, b *history.APIWatch) int { return cmp.Compare(a.At, b.At) })
		win, all, tab := w.window(), w.table(), versions.New()
		whole := New(Options{Versions: all, Window: win, Calm: history.Time(seed % 2), Bound: 200 * time.Millisecond, Floors: floors})
		steps := New(Options{Versions: tab, Window: win, Calm: history.Time(seed % 2), Bound: 200 * time.Millisecond, Floors: floors})
		added := 0
		for until := w.commits[9].at; len(calls)+len(messages) > 0; until += history.Time(w.rng.IntN(300)) * ms {
			added = w.fill(tab, added, win.Hi(until))
			for ; len(calls) > 0 && calls[0].Returned <= until; calls = calls[1:] {
				steps.Call(calls[0])
				whole.Call(calls[0])
			}
			for ; len(messages) > 0 && messages[0].At <= until; messages = messages[1:] {
				steps.Watch(messages[0])
				whole.Watch(messages[0])
			}
		}
		w.fill(tab, added, w.rev())
		got, want := steps.Finish(), whole.Finish()
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("seed %d: in steps %s\n%s\nas a whole %s\n%s", seed, got[i], got[i].Checked, want[i], want[i].Checked)
			}
		}
	}
}

// fill adds the versions of the commits from n on up to a revision.
func (w *world) fill(t *versions.Table, n int, rev int64) int {
	for ; n < len(w.commits) && w.first+1+int64(n) <= rev; n++ {
		c := w.commits[n]
		v := c.now
		if v == nil {
			v = &history.Version{Key: "/registry/" + c.kind + "/" + c.ns + "/" + c.name, Resource: c.kind, Delete: true, Revision: w.first + 1 + int64(n)}
		}
		t.Add(v)
	}
	t.Sealed(rev)
	return n
}
