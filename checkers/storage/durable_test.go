package storage

import (
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// rolledBack is a store whose second write was acknowledged and then lost.
func rolledBack(more ...call) story {
	return tell(append([]call{create("a", 1).at(0, 1).ok(2), create("b", 2).at(2, 3).ok(3)}, more...)...)
}

var va, vb = kv("a", 2, 2, 1, 1), kv("b", 3, 3, 1, 2)

// TestDurableDenied: any answer of the quorum from before an acknowledged write
// shows that it is gone, although the state it shows is a true one.
func TestDurableDenied(t *testing.T) {
	after := func(c call) call { return c.at(8, 9) }
	lost := func(name string, denied call) {
		t.Helper()
		s := rolledBack(denied)
		bad(t, s, Durable, RealTime)
		if v := s.judge()[RealTime]; v.Outcome != checkers.Fail {
			t.Errorf("%s: %s", name, v)
		}
	}
	lost("the key", after(get("b")).ok(2, found()))
	lost("another key", after(get("a")).ok(2, found(va)))
	lost("everything", after(list("\x00", "\x00")).ok(2, found(va)))
	count := list("\x00", "\x00").with(func(a *history.StoreAction) { a.CountOnly = true })
	lost("a count of everything", after(count).ok(2, history.StoreResult{Count: 1}))
	lost("a conflict", after(update("b", 3, 9)).no(2, found()))
	lost("a compaction", after(compact(2)).ok(2))
	lost("a grant", after(grant(7, 60)).ok(2))

	// Of a deletion, and of a write with more than one key.
	bad(t, tell(create("a", 1).at(0, 1).ok(2), remove("a", 2).at(2, 3).ok(3, deleted(1)), after(get("a")).ok(2, found(va))), Durable, RealTime)
	two := newCall(history.MethodTxn, actPut("b", 2), actPut("c", 3)).at(2, 3).ok(3)
	bad(t, tell(create("a", 1).at(0, 1).ok(2), two, after(get("c")).ok(2, found())), Durable, RealTime)
	// What was lost beside it was promised to nobody.
	ended := watched("m1", 7, event(va), event(vb), event(kv("c", 4, 4, 1, 3)))
	maybe := create("c", 3).at(4, 5).err(history.ErrorUnknown)
	bad(t, rolledBack(maybe, get("c").at(7, 8).ok(4, found(kv("c", 4, 4, 1, 3))), get("b").at(9, 10).ok(2, found())).seen(ended), Durable, RealTime)
	// kine leaves out revisions.
	gaps := tell(create("a", 1).at(0, 1).ok(2), create("b", 2).at(2, 3).ok(7), after(get("b")).ok(5, found()))
	gaps.opts.Contract = Kine()
	if v := gaps.judge()[Durable]; v.Outcome != checkers.Fail {
		t.Errorf("kine: %s", v)
	}
}

// TestDurableRevisionAgain: the revision of what was lost is given to something
// else, to which nobody need have sworn.
func TestDurableRevisionAgain(t *testing.T) {
	denied := get("b").at(8, 9).ok(2, found())
	bad(t, rolledBack(denied, create("c", 3).at(12, 13).ok(3)), Durable, RealTime, Order)
	maybe := create("c", 3).at(12, 13).err(history.ErrorUnknown)
	bad(t, rolledBack(denied, maybe, get("a").at(14, 15).ok(3, found(va))), Durable, RealTime)
	saw := list("\x00", "\x00").at(16, 17).ok(3, found(va, kv("c", 3, 3, 1, 3)))
	bad(t, rolledBack(denied, maybe, saw), Durable, RealTime, Reads, MembersAgree)
	// The previous version that a write returns is an answer too.
	put := newCall(history.MethodPut, actPut("a", 3)).with(func(a *history.StoreAction) { a.PrevKV = true })
	update := update("a", 2, 2).at(2, 3).ok(3)
	bad(t, tell(create("a", 1).at(0, 1).ok(2), update, put.at(8, 9).ok(4, history.StoreResult{KVs: []history.StoreKV{va}})), Durable, Replay)
}

// TestDurableHidden: what is shown again was not lost.
func TestDurableHidden(t *testing.T) {
	denied := func() call { return get("b").at(8, 9).ok(2, found()) }
	f := func(name string, want checkers.Outcome, more ...call) {
		t.Helper()
		v := rolledBack(append([]call{denied()}, more...)...).judge()
		if v[Durable].Outcome != want || v[RealTime].Outcome != checkers.Fail {
			t.Errorf("%s: %s, %s", name, v[Durable], v[RealTime])
		}
	}
	both := list("a", "z")
	f("the key", checkers.Pass, get("b").at(10, 11).ok(3, found(vb)))
	f("a list", checkers.Pass, both.at(10, 11).ok(3, found(va, vb)))
	f("the whole of a page", checkers.Pass, list("a", "z").limit(5).at(10, 11).ok(3, found(va, vb)))
	f("a successful comparison", checkers.Pass, update("b", 3, 9).at(10, 11).ok(4))
	f("a conflict that shows it", checkers.Pass, update("b", 1, 9).at(10, 11).no(3, found(vb)))
	// What shows nothing of the write.
	f("another key", checkers.Fail, get("a").at(10, 11).ok(3, found(va)))
	f("a count", checkers.Fail, list("a", "z").with(func(a *history.StoreAction) { a.CountOnly = true }).
		at(10, 11).ok(3, history.StoreResult{Count: 2}))
	f("a page", checkers.Fail, list("a", "z").limit(1).at(10, 11).ok(3, history.StoreResult{Count: 2, More: true, KVs: []history.StoreKV{va}}))
	f("a conflict", checkers.Fail, ifMod("b", 1, actPut("b", 9)).at(10, 11).no(3))
	f("a member alone", checkers.Fail, get("b").local().at(10, 11).ok(3, found(vb)))
	f("an older state", checkers.Fail, get("b").pinned(2).at(10, 11).ok(3, found()))
	// What may have been before the answer that denies it, and one after it.
	f("at the same time", checkers.Fail, get("b").at(7, 11).ok(3, found(vb)))
	f("before another", checkers.Fail, get("b").at(10, 11).ok(3, found(vb)), get("b").at(12, 13).ok(2, found()))
	f("after both", checkers.Pass, get("b").at(10, 11).ok(2, found()), get("b").at(12, 13).ok(3, found(vb)))
	f("between both", checkers.Fail, get("b").at(20, 21).ok(2, found()), get("b").at(12, 13).ok(3, found(vb)))
}

// TestDurableCovered: that the key is as a later write left it says nothing of one
// that no watch shows.
func TestDurableCovered(t *testing.T) {
	put := func(value uint64) call { return newCall(history.MethodPut, actPut("a", value)) }
	kept := func() call { return update("a", 5, 4).at(40, 41).ok(6) }
	s := tell(create("a", 1).at(0, 1).ok(2), put(2).at(2, 3).ok(3), newCall(history.MethodDeleteRange, actDelete("a", "")).at(4, 5).ok(4, deleted(1)),
		put(3).at(6, 7).ok(5), kept())
	seen := watched("m1", 8, event(va), gone("a", 4), event(kv("a", 5, 5, 1, 3)), event(kv("a", 5, 6, 2, 4)))
	bad(t, s.seen(seen), Durable)
	both := watched("m1", 8, event(va), event(kv("a", 2, 3, 2, 2)), gone("a", 4), event(kv("a", 5, 5, 1, 3)), event(kv("a", 5, 6, 2, 4)))
	good(t, s.seen(both))
}

// TestDurablePromisedNothing: what nobody was told of may be gone, and nobody
// need know of it in time.
func TestDurablePromisedNothing(t *testing.T) {
	a := create("a", 1).at(0, 1).ok(2)
	pass := func(name string, s story) {
		t.Helper()
		if v := s.judge(); v[Durable].Outcome != checkers.Pass || v[RealTime].Outcome != checkers.Fail {
			t.Errorf("%s: %s, %s", name, v[Durable], v[RealTime])
		}
	}
	// Somebody saw it, but it was acknowledged to nobody, or too late.
	saw, denied := get("b").at(4, 5).ok(3, found(vb)), get("a").at(8, 9).ok(2, found(va))
	pass("unknown", tell(a, create("b", 2).at(2, 3).err(history.ErrorUnknown), saw, denied))
	pass("late", tell(a, create("b", 2).at(2, 20).ok(3), saw, denied))
	pass("returned as it was called", tell(a, create("b", 2).at(2, 8).ok(3), saw, denied))
	leased := create("b", 2).leased(7).at(2, 3).ok(3)
	end := []call{grant(7, 2).at(0, 1).ok(1), a, leased, get("b").at(2600, 2601).ok(4, found())}
	undone := get("b").at(2700, 2701).ok(3, found(holding(7, vb)))
	pass("the end of a lease", tell(append(end, undone)...).seen(watched("m1", 2500, event(va), event(holding(7, vb)), gone("b", 4))))

	// What a member says on its own, or of a revision that was asked for.
	status := newCall(history.MethodStatus).at(8, 9)
	status.Header = 2
	alive := newCall(history.MethodLeaseKeepAlive).at(8, 9)
	alive.Header = 2
	alive.Lease, alive.GrantedLease, alive.GrantedTTL = 7, 7, 60
	good(t, rolledBack(status, hash(2, 5).at(8, 9).ok(2), get("b").local().at(8, 9).ok(2, found())))
	good(t, tell(grant(7, 60).at(0, 1).ok(1), a, create("b", 2).at(2, 3).ok(3), alive))
	good(t, rolledBack(compact(3).at(4, 5).ok(3), get("b").pinned(2).at(4, 5).ok(3, found())))
	gaps := tell(a, create("b", 2).at(2, 3).ok(7), get("b").at(8, 9).ok(9, found(kv("b", 7, 7, 1, 2))))
	gaps.opts.Contract = Kine()
	for _, name := range []string{Durable, RealTime} {
		if v := gaps.judge()[name]; v.Outcome != checkers.Pass {
			t.Errorf("kine: %s", v)
		}
	}
}

// TestDurableEvidence: the counter-example is the write and the first answer that
// denies it, with their times, and no guess about other writes makes it unsure.
func TestDurableEvidence(t *testing.T) {
	f := func(v checkers.Verdict) {
		t.Helper()
		lines := strings.Split(v.Detail, "\n")
		if v.Outcome != checkers.Fail || len(lines) != 4 {
			t.Fatalf("%s", v)
		}
		for i, wants := range [][]string{
			{"#2 was acknowledged at revision 3 and is gone", "#3 was called after that", "at revision 2"},
			{"+0s", "+1ms", "#2", "at m1", "Txn -> revision 3"},
			{"revision 3", "put b mod 3", "before: nothing"},
			{"+6ms", "+7ms", "#3", "at m2", "Range range a -> revision 2; a mod 2"},
		} {
			for _, want := range wants {
				if !strings.Contains(lines[i], want) {
					t.Errorf("line %d has no %q: %s", i+1, want, lines[i])
				}
			}
		}
	}
	first, second := get("a").on("m2").at(8, 9).ok(2, found(va)), get("b").at(10, 11).ok(2, found())
	f(rolledBack(first, second).judge()[Durable])

	says := func(s story, want string) {
		t.Helper()
		if v := s.judge()[Durable]; v.Outcome != checkers.Fail || !strings.Contains(v.Detail, want) {
			t.Errorf("no %q: %s", want, v)
		}
	}
	// In doubt is who made revision 3, and so what was there before the write.
	b, c := create("b", 8).at(2, 20).err(history.ErrorUnknown), create("c", 9).at(2, 20).err(history.ErrorUnknown)
	put := newCall(history.MethodPut, actPut("b", 2)).at(4, 5).ok(4)
	says(tell(create("a", 1).at(0, 1).ok(2), b, c, put, get("a").at(8, 9).ok(2, found(va))), "#4 was acknowledged at revision 4 and is gone: #5")
	// The first answer is not the one of the lowest revision.
	next := func() call { return create("c", 3).at(6, 7).ok(4) }
	says(rolledBack(next(), get("a").at(20, 21).ok(2, found(va)), get("a").at(10, 11).ok(3, found(va))), "is gone: #5")
	// One that was asked for before the last write denies another one.
	says(rolledBack(next(), get("a").at(8, 9).ok(2, found(va)), get("a").at(5, 30).ok(2, found(va))), "#3 was acknowledged at revision 4 and is gone: #4")

	// A key that is shown as it was before: the same two, with the state between.
	v := rolledBack(get("b").at(8, 9).ok(3, found())).judge()[Durable]
	for _, want := range []string{"+0s    +1ms  #2", "put b mod 3", "+6ms   +7ms  #3"} {
		if squeezed := strings.Join(strings.Fields(v.Detail), " "); !strings.Contains(squeezed, strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q: %s", want, v)
		}
	}
}

// TestDurableCrashes: where nothing ended, or nobody asked afterwards, every store
// keeps what it has acknowledged.
func TestDurableCrashes(t *testing.T) {
	f := func(name string, want checkers.Outcome, n string, crashes ...history.Crash) {
		t.Helper()
		s := tell(create("a", 1).at(0, 1).ok(2), get("a").on("m2").at(8, 9).ok(2, found(va)))
		s.opts.Floors, s.opts.Crashes = noFloors, crashes
		s.opts.Floors.Crashes = 1
		if v := s.judge()[Durable]; v.Outcome != want || !strings.Contains(v.Checked, n+" ends of members that came back and were asked again (floor 1)") {
			t.Errorf("%s: %s, want %s; checked: %s", name, v, want, v.Checked)
		}
	}
	crash := func(member string, ended, back int) history.Crash {
		return history.Crash{Member: member, Ended: ms(ended), Back: ms(back)}
	}
	f("nothing ended", checkers.Invalid, "0")
	f("a member came back", checkers.Pass, "1", crash("m2", 4, 7))
	f("twice", checkers.Pass, "2", crash("m2", 2, 3), crash("m2", 4, 7))
	f("before anything was acknowledged", checkers.Invalid, "0", crash("m2", 1, 7))
	f("asked before it was back", checkers.Invalid, "0", crash("m2", 4, 9))
	f("only another one was asked", checkers.Invalid, "0", crash("m1", 4, 7))

	// What was seen broken is, however little else was looked at.
	s := rolledBack(get("b").at(8, 9).ok(2, found()))
	s.opts.Floors = noFloors
	s.opts.Floors.Crashes = 1
	if v := s.judge()[Durable]; v.Outcome != checkers.Fail {
		t.Error(v)
	}
}

// TestDurableStreamed: batch by batch it comes to the same.
func TestDurableStreamed(t *testing.T) {
	f := func(want checkers.Outcome, calls ...call) {
		t.Helper()
		for _, batch := range []int{1, 3, 100} {
			s := rolledBack(calls...)
			s.opts.Batch, s.opts.Horizon = batch, time.Millisecond
			if v := s.judge()[Durable]; v.Outcome != want {
				t.Errorf("in batches of %d: %s", batch, v)
			}
		}
	}
	denied := func(at int) call { return get("a").at(at, at+1).ok(2, found(va)) }
	shown := func(at int) call { return get("b").at(at, at+1).ok(3, found(vb)) }
	f(checkers.Pass, shown(20), shown(40))
	f(checkers.Fail, shown(20), denied(40))
	f(checkers.Fail, denied(40), get("a").at(60, 61).ok(3, found(va)), get("a").at(80, 81).ok(3, found(va)))
	f(checkers.Pass, denied(40), denied(60), shown(80))
	f(checkers.Fail, denied(40), shown(60), denied(80))
	// The next write is denied while the first one is, and both are shown again.
	vc := kv("c", 4, 4, 1, 3)
	next, old := create("c", 3).at(50, 51).ok(4), get("a").at(60, 61).ok(3, found(va))
	f(checkers.Fail, denied(40), next, old, shown(80))
	f(checkers.Pass, denied(40), next, old, get("c").at(80, 81).ok(4, found(vc)))
}
