package watches

import (
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
)

// judgeTales judges watches of a world, with floors of nothing.
func judgeTales(w *world, tales []*tale) map[string]checkers.Verdict {
	c := New(Options{
		Versions: w.table(), Window: w.window(), Faultless: true, Bound: 200 * time.Millisecond,
		Floors: Floors{Events: -1, Initial: -1, Ends: -1, Bookmarks: -1, Deleted: -1, Expired: -1, Future: -1},
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
		c := New(Options{Versions: w.table(), Window: w.window(), Faultless: seed%2 == 0, Bound: 200 * time.Millisecond, Floors: Floors{Events: 100, Initial: 5, Ends: 5, Expired: -1, Future: 1}})
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
		if n.unjudged+n.strangers+n.unread+n.excepted != 0 {
			t.Fatalf("seed %d: not judged: %+v", seed, n)
		}
	}
	if total.initial < 1000 || total.began < 1000 || total.ceased < 300 || total.expired < 100 || total.unfinished < 20 {
		t.Errorf("the servers did too little: %+v", total)
	}
	t.Logf("%+v", total)
}
