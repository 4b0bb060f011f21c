package watch

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// The hand-written histories are about this store. Revision r is called at
// r seconds and answered half a second later.
//
//	2  create a/1        6  delete a/1
//	3  create b/1        7  create a/1
//	4  update a/1        8  update b/1
//	5  update a/1, create a/2 in one transaction
func handTimeline() *timeline.Timeline {
	t := timeline.New(1)
	kv := func(key string, create, mod, version int64) history.StoreKV {
		return history.StoreKV{Key: key, Create: create, Mod: mod, Version: version, Value: uint64(100 + mod)}
	}
	put := func(now history.StoreKV) timeline.Change { return timeline.Change{Key: now.Key, KV: now} }
	for rev, changes := range [][]timeline.Change{
		2: {put(kv("a/1", 2, 2, 1))},
		3: {put(kv("b/1", 3, 3, 1))},
		4: {put(kv("a/1", 2, 4, 2))},
		5: {put(kv("a/1", 2, 5, 3)), put(kv("a/2", 5, 5, 1))},
		6: {{Key: "a/1", Delete: true, KV: history.StoreKV{Key: "a/1", Mod: 6}}},
		7: {put(kv("a/1", 7, 7, 1))},
		8: {put(kv("b/1", 3, 8, 2))},
	} {
		if rev >= 2 {
			if err := t.Append(int64(rev), changes); err != nil {
				panic(err)
			}
		}
	}
	return t
}

const second = history.Time(time.Second)

func handCommit(rev int64) (Interval, bool) {
	called := history.Time(rev) * second
	return Interval{called, called + second/2}, rev >= 2 && rev <= 8
}

// script writes the records of streams. Every record is 10 ms after the one
// before, and never before the revision that it names was committed.
type script struct {
	tl      *timeline.Timeline
	now     history.Time
	stream  uint64
	asked   []history.StoreWatch
	watches map[int64]history.StoreWatch
	records []*history.StoreWatch
}

func newScript() *script {
	return &script{tl: handTimeline(), now: second, stream: 1, watches: map[int64]history.StoreWatch{}}
}

func (s *script) add(w history.StoreWatch) *script {
	s.now += second / 100
	if w.Header > 0 {
		s.now = max(s.now, history.Time(min(w.Header, 8))*second+second/2)
	}
	w.Stream, w.Member, w.At = s.stream, "m1", s.now
	s.records = append(s.records, &w)
	return s
}

// next begins another stream.
func (s *script) next() *script {
	s.stream++
	s.watches = map[int64]history.StoreWatch{}
	return s
}

// watch asks for [key, end) from start on.
func (s *script) watch(key, end string, start int64, options ...func(*history.StoreWatch)) *script {
	w := history.StoreWatch{Kind: history.WatchCreate, Key: key, End: end, Start: start}
	for _, o := range options {
		o(&w)
	}
	s.asked = append(s.asked, w)
	return s.add(w)
}

func withPrev(w *history.StoreWatch)     { w.PrevKV = true }
func withNoPut(w *history.StoreWatch)    { w.NoPut = true }
func withNoDelete(w *history.StoreWatch) { w.NoDelete = true }
func withFragment(w *history.StoreWatch) { w.Fragmented = true }

func (s *script) created(id, header int64) *script {
	s.watches[id] = s.asked[0]
	s.asked = s.asked[1:]
	return s.add(history.StoreWatch{Kind: history.WatchCreated, Watch: id, Header: header})
}

// events answers with what the watch is to see of revisions, in that order.
func (s *script) events(id, header int64, revs ...int64) *script {
	return s.send(id, header, s.of(id, revs...))
}

func (s *script) of(id int64, revs ...int64) []history.StoreEvent {
	w := s.watches[id]
	var events []history.StoreEvent
	for _, rev := range revs {
		for _, c := range s.tl.At(rev) {
			if !timeline.InRange(c.Key, w.Key, w.End) || (c.Delete && w.NoDelete) || (!c.Delete && w.NoPut) {
				continue
			}
			e := history.StoreEvent{Delete: c.Delete, KV: c.KV}
			if w.PrevKV {
				e.Prev = c.Prev
			}
			events = append(events, e)
		}
	}
	return events
}

func (s *script) send(id, header int64, events []history.StoreEvent) *script {
	return s.add(history.StoreWatch{Kind: history.WatchEvents, Watch: id, Header: header, Events: events})
}

func (s *script) fragment(id, header int64, events []history.StoreEvent) *script {
	return s.add(history.StoreWatch{Kind: history.WatchEvents, Watch: id, Header: header, Events: events, Fragmented: true})
}

func (s *script) progress(id, rev int64) *script {
	return s.add(history.StoreWatch{Kind: history.WatchProgress, Watch: id, Header: rev})
}

func (s *script) ask() *script { return s.add(history.StoreWatch{Kind: history.WatchAsk}) }

func (s *script) cancel(id int64) *script {
	return s.add(history.StoreWatch{Kind: history.WatchCancel, Watch: id})
}

func (s *script) canceled(id, compact int64) *script {
	return s.add(history.StoreWatch{Kind: history.WatchCanceled, Watch: id, CompactRevision: compact})
}

func (s *script) closed() *script { return s.add(history.StoreWatch{Kind: history.WatchClosed}) }

// wait lets time pass.
func (s *script) wait(d time.Duration) *script {
	s.now = s.now.Add(d)
	return s
}

// edit changes the last record.
func (s *script) edit(change func(*history.StoreWatch)) *script {
	change(s.records[len(s.records)-1])
	return s
}

var noFloors = Floors{Events: -1, Resumed: -1, Compactions: -1, Compacted: -1, Progress: -1, Multi: -1, Previous: -1, Creations: -1}

// outcomes returns the names of the guarantees with the given outcome.
func outcomes(verdicts []checkers.Verdict, outcome checkers.Outcome) []Guarantee {
	var names []Guarantee
	for _, v := range verdicts {
		if v.Outcome == outcome {
			names = append(names, Guarantee(v.Guarantee))
		}
	}
	return names
}

// compactedAt is a compaction that is called at the given second.
func compactedAt(rev int64, at history.Time) *history.StoreOp {
	return &history.StoreOp{Method: history.MethodCompact, Revision: rev, Called: at, Returned: at + second/10}
}

func TestByHand(t *testing.T) {
	const all = "\x00"
	plain := func(start int64, options ...func(*history.StoreWatch)) *script {
		return newScript().watch("a/", "a0", start, options...).created(0, 1)
	}
	// f judges a history and compares the guarantees that it breaks.
	f := func(name string, s *script, ops []*history.StoreOp, want ...Guarantee) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			c := NewChecker(s.tl, Options{Commit: handCommit, Calm: second, Bound: 8 * time.Second, Floors: noFloors})
			for _, op := range ops {
				c.AddOp(op)
			}
			for _, r := range s.records {
				c.Add(r)
			}
			verdicts := c.Finish()
			got := outcomes(verdicts, checkers.Fail)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("broken guarantees (-want +got):\n%s\n%v", diff, verdicts)
			}
			if got := outcomes(verdicts, checkers.Pass); len(got)+len(want) != len(Guarantees()) {
				t.Errorf("passed only %v; malformed: %q", got, c.malformed)
			}
		})
	}
	compacted4 := []*history.StoreOp{compactedAt(4, 9*second)}

	f("nothing", newScript(), nil)
	f("a watch of a range", plain(2).events(0, 2, 2).events(0, 4, 4).events(0, 5, 5).events(0, 7, 6, 7), nil)
	f("a watch of one key", newScript().watch("a/2", "", 1).created(0, 1).events(0, 5, 5).progress(0, 8), nil)
	f("a watch of everything", newScript().watch("", all, 2).created(0, 1).events(0, 8, 2, 3, 4, 5, 6, 7, 8), nil)
	f("a watch from a key on", newScript().watch("a/2", all, 2).created(0, 8).events(0, 8, 3, 5, 8), nil)
	f("a header above its events", plain(2).events(0, 5, 2).events(0, 5, 4, 5), nil)
	f("from now on, events up to the created header",
		newScript().watch("a/", "a0", 0).created(0, 5).events(0, 5, 5).events(0, 7, 6, 7), nil)
	f("from now on, events after the created header", newScript().watch("a/", "a0", 0).created(0, 4).events(0, 7, 5, 6, 7), nil)
	f("from the future", newScript().watch("a/", "a0", 6).created(0, 3).events(0, 7, 6, 7), nil)
	f("sent again on a resumed stream",
		plain(2).events(0, 4, 2, 4).closed().next().watch("a/", "a0", 4).created(0, 5).events(0, 7, 4, 5, 6, 7), nil)
	f("one ID on two streams",
		plain(2).events(0, 2, 2).closed().next().watch("b/", "b0", 0).created(0, 2).events(0, 8, 3, 8), nil)
	f("what did not come before the end", plain(2).events(0, 4, 2, 4).closed(), nil)

	f("Ordered: a lower revision later", plain(2).events(0, 4, 4, 2).events(0, 7, 5, 6, 7), nil, Ordered)
	f("Ordered: another order than the transaction's",
		plain(2).events(0, 4, 2, 4).events(0, 7, 5, 6, 7).edit(func(w *history.StoreWatch) {
			w.Events[0], w.Events[1] = w.Events[1], w.Events[0]
		}), nil, Ordered)
	f("Ordered: a header below its event",
		plain(2).events(0, 4, 2, 4).events(0, 7, 5, 6, 7).edit(func(w *history.StoreWatch) { w.Header = 6 }), nil, Ordered)
	f("Ordered: before its change was asked for",
		plain(2).events(0, 2, 2, 4).edit(func(w *history.StoreWatch) { w.Header = 4 }), nil, Ordered)

	f("Unique: twice in a row", plain(2).events(0, 2, 2).events(0, 2, 2).events(0, 7, 4, 5, 6, 7), nil, Unique)
	f("Unique: twice in one revision",
		plain(2).events(0, 4, 2, 4).events(0, 7, 5, 6, 7).edit(func(w *history.StoreWatch) {
			w.Events = slices.Insert(w.Events, 1, w.Events[0])
		}), nil, Unique)
	f("Unique: again after a later one", plain(2).events(0, 4, 2, 4, 2).events(0, 7, 5, 6, 7), nil, Ordered, Unique)

	five := plain(2).of(0, 5)
	f("Atomic: two answers", plain(2).events(0, 4, 2, 4).send(0, 5, five[:1]).send(0, 5, five[1:]).events(0, 7, 6, 7), nil, Atomic)
	f("Atomic: fragments are joined",
		plain(2, withFragment).events(0, 4, 2, 4).fragment(0, 5, five[:1]).send(0, 5, five[1:]).events(0, 7, 6, 7), nil)
	f("Atomic: fragments that were not asked for",
		plain(2).events(0, 4, 2, 4).fragment(0, 5, five[:1]).send(0, 5, five[1:]).events(0, 7, 6, 7), nil, Atomic)
	f("Atomic: the stream ended between fragments",
		plain(2, withFragment).events(0, 4, 2, 4).fragment(0, 5, five[:1]).closed(), nil)
	f("Atomic: a part of a revision, never the rest",
		plain(2).events(0, 4, 2, 4).send(0, 5, five[:1]).events(0, 7, 6, 7), nil, Atomic, Reliable)
	f("Atomic: another watch between fragments",
		plain(2, withFragment).watch("b/", "b0", 2).created(1, 1).events(1, 3, 3).events(0, 4, 2, 4).
			fragment(0, 5, five[:1]).progress(1, 5).send(0, 5, five[1:]).events(0, 7, 6, 7).events(1, 8, 8), nil)

	f("Reliable: one left out", plain(2).events(0, 2, 2).events(0, 5, 5).closed(), nil, Reliable)
	f("Reliable: left out after the created header",
		newScript().watch("a/", "a0", 0).created(0, 4).events(0, 6, 6).closed(), nil, Reliable)
	f("Reliable: left out after an event up to the created header",
		newScript().watch("a/", "a0", 0).created(0, 6).events(0, 6, 4, 6).closed(), nil, Reliable)
	f("Reliable: another value", plain(2).events(0, 2, 2).edit(func(w *history.StoreWatch) { w.Events[0].KV.Value++ }).closed(), nil, Reliable)
	f("Reliable: never committed",
		plain(2).events(0, 2, 2).edit(func(w *history.StoreWatch) {
			w.Events = append(w.Events, history.StoreEvent{KV: history.StoreKV{Key: "a/9", Create: 3, Mod: 3, Version: 1}})
			w.Header, w.At = 3, w.At+second
		}).wait(time.Second).closed(), nil, Reliable)
	f("Reliable: a put for a deletion",
		plain(6).events(0, 6, 6).edit(func(w *history.StoreWatch) { w.Events[0].Delete = false }).closed(), nil, Reliable)

	for name, carry := range map[string]func(*history.StoreKV){
		"value":    func(kv *history.StoreKV) { kv.Value = 5 },
		"lease":    func(kv *history.StoreKV) { kv.Lease = 5 },
		"version":  func(kv *history.StoreKV) { kv.Version = 4 },
		"creation": func(kv *history.StoreKV) { kv.Create = 2 },
	} {
		f("Reliable: a deletion that carries a "+name,
			plain(6).events(0, 6, 6).edit(func(w *history.StoreWatch) { carry(&w.Events[0].KV) }).closed(), nil, Reliable)
	}

	f("Resumable: the first one left out",
		plain(2).events(0, 2, 2).closed().next().watch("a/", "a0", 3).created(0, 5).events(0, 5, 5).closed(), nil, Resumable)
	f("Resumable: created ahead of the store",
		newScript().watch("a/", "a0", 0).created(0, 2).edit(func(w *history.StoreWatch) { w.Header = 3 }).closed(), nil, Resumable)
	f("Resumable: created at what was never reached", newScript().watch("a/", "a0", 0).created(0, 9).closed(), nil, Resumable)
	f("Resumable: created answers go back",
		plain(2).watch("a/1", "", 0).created(1, 2).edit(func(w *history.StoreWatch) { w.Header = 0 }).closed(), nil, Resumable)

	f("Filtered: another key", plain(2).send(0, 3, []history.StoreEvent{{KV: handTimeline().At(3)[0].KV}}).events(0, 4, 2, 4).closed(),
		nil, Filtered)
	f("Filtered: before the start", plain(4).events(0, 4, 2, 4).closed(), nil, Filtered)
	f("Filtered: before a start from now on",
		plain(2).events(0, 4, 2, 4).watch("a/", "a0", 0).created(1, 4).events(1, 4, 4).closed(), nil, Filtered)
	f("Filtered: puts were filtered out", plain(2, withNoPut).events(0, 6, 6).progress(0, 8), nil)
	f("Filtered: a put all the same",
		plain(5, withNoPut).send(0, 5, five).events(0, 6, 6).closed(), nil, Filtered)
	f("Filtered: a deletion all the same",
		plain(6, withNoDelete).send(0, 6, plain(2).of(0, 6)).events(0, 7, 7).closed(), nil, Filtered)
	f("Filtered: deletions were filtered out", plain(2, withNoDelete).events(0, 7, 2, 4, 5, 6, 7).progress(0, 8), nil)
	f("Filtered: nobody asked", plain(2).send(7, 2, five[:1]).closed(), nil, Filtered)
	f("Filtered: after the end", plain(2).events(0, 2, 2).cancel(0).canceled(0, 0).send(0, 4, plain(2).of(0, 4)).closed(), nil, Filtered)

	f("PrevKV: given", plain(2, withPrev).events(0, 7, 2, 4, 5, 6, 7).closed(), nil)
	noPrev := func(w *history.StoreWatch) { w.Events[1].Prev = history.StoreKV{} }
	f("PrevKV: missing", plain(2, withPrev).events(0, 4, 2, 4).edit(noPrev).closed(), nil, PrevKV)
	// The member knows that it is wanted a moment after the watch begins.
	early := func(header int64, revs ...int64) *script {
		return newScript().watch("a/", "a0", 2, withPrev).created(0, header).events(0, 4, 2, 4).edit(noPrev).events(0, 7, revs...)
	}
	f("PrevKV: missing in a first answer", early(4).closed(), nil)
	f("PrevKV: missing in a first answer, but younger than the watch", early(3).closed(), nil, PrevKV)
	f("PrevKV: missing in the second answer", newScript().watch("a/", "a0", 2, withPrev).created(0, 7).events(0, 4, 2, 4).
		events(0, 7, 5, 6).edit(func(w *history.StoreWatch) { w.Events[0].Prev, w.Events[1].Prev = history.StoreKV{}, history.StoreKV{} }).closed(), nil, PrevKV)
	f("PrevKV: missing and compacted",
		plain(2, withPrev).events(0, 4, 2, 4).edit(noPrev).closed(), []*history.StoreOp{compactedAt(4, 4*second)})
	f("PrevKV: missing and compacted, then compacted lower",
		plain(2, withPrev).events(0, 4, 2, 4).edit(noPrev).closed(),
		[]*history.StoreOp{compactedAt(4, 4*second), compactedAt(2, 4*second+second/4)})
	f("PrevKV: missing and the revision before still there",
		plain(2, withPrev).events(0, 4, 2, 4).edit(noPrev).closed(), []*history.StoreOp{compactedAt(3, 4*second)}, PrevKV)
	f("PrevKV: missing and compacted later",
		plain(2, withPrev).events(0, 4, 2, 4).edit(noPrev).closed(), compacted4, PrevKV)
	f("PrevKV: missing after a request to cancel", plain(2, withPrev).cancel(0).events(0, 4, 2, 4).edit(noPrev).closed(), nil)
	f("PrevKV: of a creation",
		plain(2, withPrev).events(0, 2, 2).edit(func(w *history.StoreWatch) { w.Events[0].Prev = w.Events[0].KV }).closed(), nil, PrevKV)
	f("PrevKV: another version",
		plain(2, withPrev).events(0, 4, 2, 4).edit(func(w *history.StoreWatch) { w.Events[1].Prev.Version++ }).closed(), nil, PrevKV)

	f("IsCreate: an update shown as a creation",
		plain(2).events(0, 4, 2, 4).edit(func(w *history.StoreWatch) { w.Events[1].KV.Create, w.Events[1].KV.Version = 4, 1 }).closed(),
		nil, IsCreate)
	f("IsCreate: a creation shown as an update",
		plain(7).events(0, 7, 7).edit(func(w *history.StoreWatch) { w.Events[0].KV.Create, w.Events[0].KV.Version = 2, 4 }).closed(),
		nil, IsCreate)

	f("Bookmarkable: progress", plain(2).progress(0, 1).events(0, 5, 2, 4, 5).progress(0, 5).progress(0, 5).events(0, 7, 6, 7).progress(0, 8), nil)
	f("Bookmarkable: one ahead", plain(2).events(0, 4, 2, 4).progress(0, 5).events(0, 7, 5, 6, 7).closed(), nil, Bookmarkable)
	f("Bookmarkable: one left out", plain(2).events(0, 4, 2, 4).progress(0, 5).events(0, 7, 6, 7).closed(), nil, Reliable, Bookmarkable)
	f("Bookmarkable: again after progress", plain(2).events(0, 4, 2, 4).progress(0, 4).events(0, 4, 4).events(0, 7, 5, 6, 7).closed(),
		nil, Unique, Bookmarkable)
	f("Bookmarkable: from now on, an event that progress had covered",
		newScript().watch("a/", "a0", 0).created(0, 5).progress(0, 5).events(0, 5, 5).events(0, 7, 6, 7).closed(), nil, Bookmarkable)
	f("Bookmarkable: behind an event", plain(2).events(0, 4, 2, 4).progress(0, 3).events(0, 7, 5, 6, 7).closed(), nil, Bookmarkable)
	f("Bookmarkable: behind progress", plain(2).events(0, 2, 2).progress(0, 3).progress(0, 2).events(0, 7, 4, 5, 6, 7).closed(), nil, Bookmarkable)
	f("Bookmarkable: never reached", plain(2).events(0, 7, 2, 4, 5, 6, 7).progress(0, 9).closed(), nil, Bookmarkable)
	f("Bookmarkable: before the start", plain(7).progress(0, 3).closed(), nil, Bookmarkable)
	f("Bookmarkable: just before the start", plain(7).progress(0, 6).events(0, 7, 7).closed(), nil)
	f("Bookmarkable: of the stream before a start", plain(7).ask().progress(-1, 3).events(0, 7, 7).closed(), nil)
	f("Bookmarkable: of the stream",
		plain(2).watch("b/", "b0", 2).created(1, 1).events(0, 4, 2, 4).events(1, 3, 3).ask().progress(-1, 4).closed(), nil)
	f("Bookmarkable: of the stream with one watch behind",
		plain(2).watch("b/", "b0", 2).created(1, 1).events(0, 4, 2, 4).ask().progress(-1, 4).events(1, 4, 3).closed(), nil, Bookmarkable)
	f("Bookmarkable: of the stream before a watch was created",
		plain(2).watch("b/", "b0", 2).events(0, 4, 2, 4).ask().progress(-1, 4).created(1, 4).events(1, 4, 3).closed(), nil)

	f("CompactedCancel: behind a compaction", plain(2).events(0, 2, 2).wait(9*time.Second).canceled(0, 4).closed(),
		compacted4)
	f("CompactedCancel: nothing was compacted", plain(2).events(0, 2, 2).canceled(0, 4).closed(), nil, CompactedCancel)
	f("CompactedCancel: neither client nor compaction", plain(2).events(0, 2, 2).canceled(0, 0).closed(), nil, CompactedCancel)
	f("CompactedCancel: a client's", plain(2).events(0, 2, 2).cancel(0).canceled(0, 0).canceled(0, 0).closed(), nil)
	f("CompactedCancel: all that it needs is there",
		plain(4).events(0, 4, 4).events(0, 7, 5, 6, 7).wait(9*time.Second).canceled(0, 4).closed(), compacted4, CompactedCancel)
	f("CompactedCancel: the compact revision itself is there",
		newScript().wait(9*time.Second).watch("a/", "a0", 4).created(0, 5).canceled(0, 4).closed(), compacted4, CompactedCancel)
	f("CompactedCancel: a lagging member serves what is compacted",
		newScript().wait(9*time.Second).watch("a/", "a0", 2).created(0, 5).events(0, 7, 2, 4, 5, 6, 7).closed(), compacted4)
	f("CompactedCancel: skipped",
		newScript().wait(9*time.Second).watch("a/", "a0", 2).created(0, 5).events(0, 7, 4, 5, 6, 7).closed(), compacted4, CompactedCancel)
	f("a refused watch", newScript().watch("b", "a", 1).created(-1, 1).canceled(-1, 0).
		watch("a/", "a0", 2).created(0, 1).events(0, 2, 2).closed(), nil)

	f("Fresh: late", plain(2).events(0, 2, 2).wait(11*time.Second).events(0, 8, 4, 5, 6, 7).closed(), nil, Fresh)
	f("Fresh: never", plain(2).events(0, 2, 2).wait(11*time.Second).closed(), nil, Fresh)
	f("Fresh: not yet due", plain(2).events(0, 2, 2).wait(2*time.Second).closed(), nil)
	f("Fresh: a resumed watch has its own time",
		plain(2).events(0, 2, 2).closed().wait(20*time.Second).next().watch("a/", "a0", 4).created(0, 8).wait(2*time.Second).
			events(0, 8, 4, 5, 6, 7).closed(), nil)
	f("Fresh: given up", plain(2).events(0, 2, 2).cancel(0).wait(20*time.Second).canceled(0, 0).closed(), nil)
}

// TestGrowingSpans advances over revisions that come before a watch's start and
// after its creation, and puts earlier revisions before a position in use.
func TestGrowingSpans(t *testing.T) {
	s := newScript().watch("a/", "a0", 5).created(0, 1).progress(0, 4).events(0, 7, 5, 6, 7).closed()
	growing := timeline.New(1)
	c := NewChecker(growing, Options{Floors: noFloors})
	for _, r := range s.records {
		c.Add(r)
	}
	for rev := int64(2); rev <= 8; rev++ {
		if err := growing.Append(rev, s.tl.At(rev)); err != nil {
			t.Fatal(err)
		}
		c.Advance(rev, s.now)
	}
	if got := outcomes(c.Finish(), checkers.Fail); len(got) > 0 {
		t.Errorf("a valid history breaks %v", got)
	}

	x := newIndex(handTimeline())
	span := x.span("a/", "a0", 4)
	x.extend(8)
	pos := x.find(span, 5)
	x.need(span, 2)
	if got := x.rev(span, pos); got != 5 {
		t.Errorf("the position of revision 5 became that of %d", got)
	}
}
