package watch

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// generated is a valid history with what the checker needs to know beside it.
type generated struct {
	history storetest.History
	tl      *timeline.Timeline
	commits map[int64]Interval
	first   history.Time
}

func generate(t testing.TB, seed uint64, cfg storetest.Config) *generated {
	t.Helper()
	h := storetest.Generate(seed, cfg)
	g := &generated{history: h, tl: observed(t, h, max(1, cfg.Start)), commits: map[int64]Interval{}}
	for _, op := range h.Ops {
		if op.Error.Kind == history.ErrorNone && timeline.Changed(op) {
			g.commits[op.Header] = Interval{op.Called, op.Returned}
		}
	}
	g.first = h.Watches[0].At
	return g
}

// observed makes a timeline of the events of all watches of a valid history.
// The version before, which an event may lack, is the last one that was put.
func observed(t testing.TB, h storetest.History, base int64) *timeline.Timeline {
	t.Helper()
	whole := map[uint64]bool{}
	changes := map[int64][]timeline.Change{}
	add := func(events []history.StoreEvent) {
		for _, e := range events {
			known := func(c timeline.Change) bool { return c.Key == e.KV.Key }
			if !slices.ContainsFunc(changes[e.KV.Mod], known) {
				changes[e.KV.Mod] = append(changes[e.KV.Mod], timeline.Change{Key: e.KV.Key, Delete: e.Delete, KV: e.KV})
			}
		}
	}
	for _, w := range h.Watches {
		if w.Kind == history.WatchCreate && timeline.Whole(w.Key, w.End) {
			whole[w.Stream] = true
		}
		if whole[w.Stream] {
			add(w.Events) // first of all, because it has the order within a revision
		}
	}
	for _, w := range h.Watches {
		add(w.Events)
	}
	var revs []int64
	for rev := range changes {
		revs = append(revs, rev)
	}
	slices.Sort(revs)
	tl := timeline.New(base)
	for _, rev := range revs {
		if err := tl.Append(rev, changes[rev]); err != nil {
			t.Fatal(err)
		}
	}
	return tl
}

func (g *generated) options() Options {
	return Options{
		Commit: func(rev int64) (Interval, bool) {
			commit, ok := g.commits[rev]
			return commit, ok
		},
		Calm: g.first, Bound: 20 * time.Second, Floors: noFloors,
	}
}

// check judges a history as it is, which may be a copy with a lie in it.
func (g *generated) check(h storetest.History) (*Checker, []checkers.Verdict) {
	c := NewChecker(g.tl, g.options())
	for _, op := range h.Ops {
		c.AddOp(op)
	}
	for _, w := range h.Watches {
		c.Add(w)
	}
	return c, c.Finish()
}

func seeds(t *testing.T, n uint64) uint64 {
	if testing.Short() {
		return n / 10
	}
	return n
}

func TestNoFalseAlarms(t *testing.T) {
	var total counts
	for seed := range seeds(t, 240) {
		cfg := storetest.Config{Ops: 300}
		switch seed % 4 {
		case 1:
			cfg = storetest.Config{Ops: 400, Members: 1, Raw: 0.5, Keys: 8}
		case 2:
			cfg = storetest.Config{Ops: 300, CompactEvery: 150 * time.Millisecond, Streams: 12, Lag: 200 * time.Millisecond}
		case 3:
			cfg = storetest.Config{Ops: 300, Start: 50, Leased: 0.6}
		}
		g := generate(t, seed, cfg)
		c, verdicts := g.check(g.history)
		if got := outcomes(verdicts, checkers.Pass); len(got) != len(Guarantees()) {
			t.Fatalf("seed %d: a valid history does not pass: %v", seed, verdicts)
		}
		add(&total, c.counts)
	}
	t.Logf("%+v", total)
	for name, n := range map[string]int64{
		"resumed": total.resumed, "multi": total.multi, "previous": total.previous, "progress": total.progress,
		"progressAll": total.progressAll, "compacted": total.compacted, "timed": total.timed, "fragments": total.fragments,
	} {
		if n == 0 {
			t.Errorf("the histories held nothing of %q, so that they prove nothing about it", name)
		}
	}
}

func add(total *counts, n counts) {
	total.watches += n.watches
	total.resumed += n.resumed
	total.resumedAny += n.resumedAny
	total.events += n.events
	total.answers += n.answers
	total.fragments += n.fragments
	total.multi += n.multi
	total.previous += n.previous
	total.creations += n.creations
	total.updates += n.updates
	total.progress += n.progress
	total.progressAll += n.progressAll
	total.compacted += n.compacted
	total.timed += n.timed
}

// TestAdvance judges histories, good and bad, bit by bit while the timeline
// grows, and expects what judging them as a whole finds.
func TestAdvance(t *testing.T) {
	for seed := range seeds(t, 30) {
		g := generate(t, seed, storetest.Config{Ops: 300, CompactEvery: 300 * time.Millisecond})
		lie := g.history.Clone()
		if seed%2 == 1 {
			if !mutations[int(seed/2)%len(mutations)].tell(&lies{rng: newRand(seed), g: g, h: &lie}) {
				continue
			}
		}
		whole, want := g.check(lie)

		growing := timeline.New(1)
		c := NewChecker(growing, g.options())
		for _, op := range lie.Ops {
			c.AddOp(op)
		}
		_, last := g.tl.Bounds()
		records := lie.Watches
		for step := range int64(40) {
			rev := last * (step + 1) / 40
			for r := range rev + 1 {
				if _, sealed := growing.Bounds(); r > sealed {
					if err := growing.Append(r, g.tl.At(r)); err != nil {
						t.Fatal(err)
					}
				}
			}
			n := len(records) / int(40-step)
			for _, w := range records[:n] {
				c.Add(w)
			}
			records = records[n:]
			c.Advance(rev, c.last)
		}
		left := 0
		for _, s := range c.order {
			left += len(s.queue)
		}
		got := c.Finish()
		if diff := gocmp.Diff(outcomes(want, checkers.Fail), outcomes(got, checkers.Fail)); diff != "" {
			t.Errorf("seed %d: (-whole +advanced)\n%s", seed, diff)
		}
		if whole.counts.events != c.counts.events || whole.counts.progress != c.counts.progress {
			t.Errorf("seed %d: judged %+v, as a whole %+v", seed, c.counts, whole.counts)
		}
		if n := len(lie.Watches); n > 0 && left > n/2 {
			t.Errorf("seed %d: Advance left %d of %d records to Finish", seed, left, n)
		}
	}
}

func TestFloors(t *testing.T) {
	g := generate(t, 1, storetest.Config{Ops: 60, Streams: 1})
	opt := g.options()
	opt.Floors = Floors{}
	c := NewChecker(g.tl, opt)
	for _, w := range g.history.Watches {
		c.Add(w)
	}
	verdicts := c.Finish()
	if got := outcomes(verdicts, checkers.Pass); slices.Contains(got, Resumable) || slices.Contains(got, CompactedCancel) {
		t.Errorf("too small a history passes %v", got)
	}
	if got := outcomes(verdicts, checkers.Fail); len(got) > 0 {
		t.Errorf("a valid history breaks %v: %v", got, verdicts)
	}
	for _, v := range verdicts {
		if v.Statement == "" || v.Checked == "" || (v.Outcome != checkers.Pass) != (v.Detail != "") {
			t.Errorf("incomplete verdict %+v", v)
		}
	}
}

// TestNothingCompacted: compactions that no watch feels are no evidence of what
// becomes of one that does.
func TestNothingCompacted(t *testing.T) {
	f := func(want checkers.Outcome, s *script) {
		t.Helper()
		floors := noFloors
		floors.Compactions, floors.Compacted = 1, 1
		c := NewChecker(s.tl, Options{Floors: floors})
		c.AddOp(compactedAt(4, 9*second))
		for _, r := range s.records {
			c.Add(r)
		}
		for _, v := range c.Finish() {
			if v.Guarantee == string(CompactedCancel) && v.Outcome != want {
				t.Errorf("%s, want %s; checked: %s", v, want, v.Checked)
			}
		}
	}
	late := func(start int64) *script {
		return newScript().wait(10*time.Second).watch("a/", "a0", start).created(0, 8)
	}
	f(checkers.Invalid, late(5).events(0, 8, 5, 6, 7))
	f(checkers.Invalid, late(2).events(0, 8, 2, 4, 5, 6, 7)) // by a member that lags
	f(checkers.Pass, late(2).canceled(0, 4))
	f(checkers.Fail, late(5).canceled(0, 4))
}

// TestInvalid feeds what no recorder makes.
func TestInvalid(t *testing.T) {
	f := func(name string, records ...*history.StoreWatch) {
		t.Helper()
		c := NewChecker(handTimeline(), Options{Commit: handCommit, Calm: second, Floors: noFloors})
		c.Add(nil)
		c.AddOp(nil)
		for _, r := range records {
			c.Add(r)
		}
		if got := outcomes(c.Finish(), checkers.Invalid); len(got) != len(Guarantees()) {
			t.Errorf("%s: only %v are Invalid", name, got)
		}
	}
	create := &history.StoreWatch{Stream: 1, Kind: history.WatchCreate, Key: "a", At: 3 * second}
	f("a clock that runs backwards", create, &history.StoreWatch{Stream: 1, Kind: history.WatchAsk, At: second})
	f("a record after the end", &history.StoreWatch{Stream: 1, Kind: history.WatchClosed, At: second}, create)
	f("an answer without a request", &history.StoreWatch{Stream: 1, Kind: history.WatchCreated, Watch: 3, At: second})
	f("an unknown kind", &history.StoreWatch{Stream: 1, Kind: "?", At: second})
	f("an ID in use", create, create,
		&history.StoreWatch{Stream: 1, Kind: history.WatchCreated, Watch: 3, Header: 2, At: 4 * second},
		&history.StoreWatch{Stream: 1, Kind: history.WatchCreated, Watch: 3, Header: 2, At: 4 * second})

	// What looks like a violation beside such a record may come from the same fault.
	s := newScript().watch("a/", "a0", 2).created(0, 4).events(0, 4, 4) // without 2
	s.records = append(s.records, &history.StoreWatch{Stream: 1, Kind: history.WatchAsk, At: second})
	c := NewChecker(s.tl, Options{Commit: handCommit, Calm: second, Floors: noFloors})
	for _, r := range s.records {
		c.Add(r)
	}
	broken := c.found
	verdicts := c.Finish()
	if got := outcomes(verdicts, checkers.Invalid); len(got) != len(Guarantees()) || len(broken) == 0 || len(c.Broken()) > 0 {
		t.Errorf("an event is missing beside a record out of order: only %v are Invalid, of which %d seem broken", got, len(broken))
	}
	for _, v := range verdicts {
		if seems := strings.Contains(v.Detail, "what is there seems to show"); seems != (broken[Guarantee(v.Guarantee)] != nil) || !v.Unfit {
			t.Errorf("%+v", v)
		}
	}

	c = NewChecker(handTimeline(), Options{Floors: noFloors})
	if got := outcomes(c.Finish(), checkers.Invalid); !slices.Equal(got, []Guarantee{Fresh}) {
		t.Errorf("without times %v are Invalid", got)
	}
}

func TestUnresolved(t *testing.T) {
	s := newScript().watch("a/", "a0", 7).created(0, 6).events(0, 7, 7).
		send(0, 9, []history.StoreEvent{{KV: history.StoreKV{Key: "a/5", Create: 9, Mod: 9, Version: 1}}}).progress(0, 9)
	f := func(unresolved int64, want ...Guarantee) {
		t.Helper()
		c := NewChecker(s.tl, Options{Floors: noFloors, Unresolved: unresolved})
		for _, r := range s.records {
			c.Add(r)
		}
		if got := outcomes(c.Finish(), checkers.Fail); !slices.Equal(got, want) {
			t.Errorf("with %d unresolved writes %v are broken, want %v", unresolved, got, want)
		}
	}
	f(0, Reliable, Bookmarkable)
	f(1)
}

func TestObserve(t *testing.T) {
	g := generate(t, 7, storetest.Config{Ops: 300})
	opt := g.options()
	var live, replayed int64
	opt.Observe = func(d Delivery) {
		if d.Arrived < d.Commit.Called {
			t.Fatalf("%+v arrives before its commit was called", d)
		}
		if d.Replayed {
			replayed++
		} else {
			live++
		}
	}
	c := NewChecker(g.tl, opt)
	for _, w := range g.history.Watches {
		c.Add(w)
	}
	c.Finish()
	if live == 0 || replayed == 0 || live+replayed != c.counts.timed {
		t.Errorf("observed %d live and %d replayed of %d", live, replayed, c.counts.timed)
	}
}

// TestIndex compares the index with a scan, for spans that are asked for in
// stages and from varying revisions on.
func TestIndex(t *testing.T) {
	g := generate(t, 3, storetest.Config{Ops: 400, Keys: 40})
	x := newIndex(g.tl)
	_, last := g.tl.Bounds()
	rng := newRand(1)
	bounds := []string{"", "\x00", "/registry/r00/", "/registry/r000", "/registry/r01/", "/registry/r01/ns/o000004", "/registry/r02/", "z"}
	type asked struct {
		s    *span
		from int64
	}
	var spans []asked
	for range 60 {
		key, end := bounds[rng.IntN(len(bounds))], bounds[rng.IntN(len(bounds))]
		from := 1 + rng.Int64N(last)
		s := x.span(key, end, from)
		if rng.IntN(3) == 0 {
			x.extend(rng.Int64N(last))
		}
		x.need(s, from)
		spans = append(spans, asked{s, from})
	}
	x.extend(last)
	for _, a := range spans {
		var want, got []int64
		for rev, change := range g.tl.Changes(a.from, last) {
			if a.s.contains(change.Key) {
				want = append(want, rev)
			}
		}
		want = slices.Compact(want)
		for pos := x.find(a.s, a.from); x.rev(a.s, pos) != none; pos++ {
			rev := x.rev(a.s, pos)
			if !a.s.all || slices.ContainsFunc(g.tl.At(rev), func(c timeline.Change) bool { return a.s.contains(c.Key) }) {
				got = append(got, rev)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("revisions of %v from %d:\n got %v\nwant %v", a.s, a.from, got, want)
		}
	}
}

// byTime sorts records as a recorder makes them.
func byTime(records []*history.StoreWatch) {
	slices.SortStableFunc(records, func(a, b *history.StoreWatch) int { return cmp.Compare(a.At, b.At) })
}
