package storage

import (
	"fmt"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

func TestOrder(t *testing.T) {
	a := create("a", 1).at(0, 1).ok(2)
	good(t, tell(a, create("b", 2).at(2, 3).ok(3)))
	bad(t, tell(a, create("b", 2).at(0, 1).ok(2)), Order, Durable)
	bad(t, tell(a, create("b", 2).at(2, 3).ok(4)), Order)
	// A header that nobody wrote.
	bad(t, tell(a, get("b").at(2, 3).ok(3, found())), Order)
	// A watch of everything has gone past it, so that no call of unknown outcome made
	// it either, unless somebody saw that.
	maybe := func() call { return create("b", 2).at(2, 3).err(history.ErrorUnknown) }
	past := watched("m1", 9, event(kv("a", 2, 2, 1, 1)), event(kv("c", 4, 4, 1, 3)))
	bad(t, tell(a, maybe(), create("c", 3).at(4, 5).ok(4)).seen(past), Order)
	good(t, tell(a, maybe(), create("c", 3).at(4, 5).ok(4), get("b").at(6, 7).ok(4, found(kv("b", 3, 3, 1, 2)))).seen(past))
	good(t, tell(a, maybe(), create("c", 3).at(4, 5).ok(4)))
	// With an event that tells which of the two is there.
	bad(t, tell(a, create("b", 2).at(0, 1).ok(2)).seen(watched("m1", 2, event(kv("a", 2, 2, 1, 1)))), Order, Durable)
	// kine leaves out revisions.
	gaps := tell(a, create("b", 2).at(2, 3).ok(4))
	gaps.opts.Contract = Kine()
	if v := gaps.judge()[Order]; v.Outcome != checkers.Pass || !strings.Contains(v.Checked, "gaps") {
		t.Errorf("kine: %s, checked: %s", v, v.Checked)
	}
}

func TestReplay(t *testing.T) {
	a := create("a", 1).at(0, 1).ok(2)
	a3 := update("a", 2, 2).at(2, 3).ok(3)
	good(t, tell(a, a3, remove("a", 3).at(4, 5).ok(4, deleted(1)), create("a", 3).at(6, 7).ok(5)))
	good(t, tell(a, a3, update("a", 2, 3).at(4, 5).no(3, found(kv("a", 2, 3, 2, 2)))))
	// A comparison that does not hold succeeds, one that holds fails.
	bad(t, tell(a, a3, update("a", 2, 3).at(4, 5).ok(4)), Replay, Durable)
	bad(t, tell(a, update("a", 2, 3).at(4, 5).no(2, found(kv("a", 2, 2, 1, 1)))), Replay)
	bad(t, tell(a, create("a", 3).at(2, 3).ok(3)), Replay, Durable)
	// How much was deleted.
	del := newCall(history.MethodDeleteRange, actDelete("a", "c"))
	good(t, tell(a, del.at(2, 3).ok(3, deleted(1))))
	del2 := newCall(history.MethodDeleteRange, actDelete("a", "c"))
	bad(t, tell(a, del2.at(2, 3).ok(3, deleted(2))), Replay)
	// A deletion of nothing makes no revision.
	nothing := newCall(history.MethodDeleteRange, actDelete("x", ""))
	good(t, tell(a, nothing.at(2, 3).ok(2, deleted(0)), create("b", 1).at(4, 5).ok(3)))
	// A put of the same value always makes one.
	good(t, tell(a, newCall(history.MethodPut, actPut("a", 1)).at(2, 3).ok(3), get("a").at(4, 5).ok(3, found(kv("a", 2, 3, 2, 1)))))

	prev := func(v history.StoreKV) call {
		return newCall(history.MethodPut, actPut("a", 2)).with(func(a *history.StoreAction) { a.PrevKV = true }).
			at(2, 3).ok(3, history.StoreResult{KVs: []history.StoreKV{v}})
	}
	good(t, tell(a, prev(kv("a", 2, 2, 1, 1))))
	bad(t, tell(a, prev(kv("a", 2, 2, 1, 9))), Replay)

	// The value of a missing key compares false, its revision is 0.
	value := func(op string) call {
		c := newCall(history.MethodTxn, actPut("b", 2))
		c.Compares = []history.StoreCompare{{Key: "x", Target: history.CompareValue, Op: op, Number: 7}}
		return c
	}
	good(t, tell(a, value("!=").at(2, 3).no(2), value("=").at(2, 3).no(2)))
	bad(t, tell(a, value("!=").at(2, 3).ok(3)), Replay)

	inner := func(rev int64) call {
		return create("b", 2).at(2, 3).ok(3, history.StoreResult{Header: rev})
	}
	good(t, tell(a, inner(3)))
	bad(t, tell(a, inner(2)), Replay)
	// The event is another one than the write.
	bad(t, tell(a).seen(watched("m1", 2, event(kv("a", 2, 2, 1, 9)))), Replay)
	bad(t, tell(a).seen(watched("m1", 2, event(kv("b", 2, 2, 1, 1)))), Replay, NoPhantom)
}

func TestReads(t *testing.T) {
	a, b := create("a", 1).at(0, 1).ok(2), create("b", 2).at(2, 3).ok(3)
	a4 := update("a", 2, 3).at(4, 5).ok(4)
	va2, va4, vb := kv("a", 2, 2, 1, 1), kv("a", 2, 4, 2, 3), kv("b", 3, 3, 1, 2)
	after := func(c call) call { return c.at(6, 7) }
	read := func(c call) story { return tell(a, b, a4, c) }
	stream := func() call { return newCall(history.MethodRangeStream, actRange("a", "c")) }

	good(t, read(after(get("a")).ok(4, found(va4))))
	bad(t, read(after(get("a")).ok(4, found(va2))), Reads, Durable)
	bad(t, read(after(get("a")).ok(4, found())), Reads, Durable)
	bad(t, read(after(get("x")).ok(4, found(kv("x", 2, 2, 1, 1)))), Reads)
	good(t, read(after(list("a", "c")).ok(4, found(va4, vb))))
	good(t, read(after(stream()).ok(4, found(va4, vb))))
	bad(t, read(after(stream()).ok(4, found(va4))), Reads, Durable)
	good(t, read(after(list("a", "\x00").pinned(3)).ok(4, found(va2, vb))))
	bad(t, read(after(list("a", "\x00").pinned(3)).ok(4, found(va4, vb))), Reads)
	good(t, read(after(list("a", "c").pinned(2)).ok(4, found(va2))))

	page := func(count int64, more bool, kvs ...history.StoreKV) history.StoreResult {
		return history.StoreResult{Count: count, More: more, KVs: kvs}
	}
	good(t, read(after(list("a", "c").limit(1)).ok(4, page(2, true, va4))))
	bad(t, read(after(list("a", "c").limit(1)).ok(4, page(2, false, va4))), Reads)
	bad(t, read(after(list("a", "c").limit(1)).ok(4, page(1, true, va4))), Reads, Durable)
	good(t, read(after(list("a", "c").limit(2)).ok(4, page(2, false, va4, vb))))
	bad(t, read(after(list("a", "c").limit(1)).ok(4, page(2, true, vb))), Reads, Durable)

	counted := func() call {
		return after(list("a", "c").with(func(a *history.StoreAction) { a.CountOnly = true }))
	}
	good(t, read(counted().ok(4, page(2, false))))
	bad(t, read(counted().ok(4, page(3, false))), Reads)
	keys := func() call {
		return after(list("a", "c").with(func(a *history.StoreAction) { a.KeysOnly = true }))
	}
	good(t, read(keys().ok(4, page(2, false, kv("a", 2, 4, 2, 0), kv("b", 3, 3, 1, 0)))))
	bad(t, read(keys().ok(4, page(2, false, kv("a", 2, 4, 2, 0), vb))), Reads)
	sorted := func() call {
		return after(list("a", "c").with(func(a *history.StoreAction) { a.Sorted = true }))
	}
	good(t, read(sorted().ok(4, page(2, false, vb, va4))))
	bad(t, read(sorted().ok(4, page(2, false, vb, va2))), Reads, Durable)
	// A filter may leave out what was changed before or after all that is shown.
	good(t, read(sorted().ok(4, page(2, false, va4))))
	good(t, read(sorted().ok(4, page(2, false, vb))))
	good(t, read(sorted().ok(4, page(2, false))))

	// A serializable read may be old, but it must be true, and not of the future.
	old := func() call { return after(get("a").local()) }
	good(t, read(old().ok(3, found(va2))))
	bad(t, read(old().ok(3, found(va4))), Reads)
	// The branch that was taken.
	good(t, read(after(update("a", 2, 9)).no(4, found(va4))))
	bad(t, read(after(update("a", 2, 9)).no(4, found(va2))), Reads, Durable)
	// A transaction reads what it has written.
	both := newCall(history.MethodTxn, actPut("b", 9), actRange("a", "\x00"))
	good(t, read(after(both).ok(5, history.StoreResult{}, found(va4, kv("b", 3, 5, 2, 9)))))
	both2 := newCall(history.MethodTxn, actPut("b", 9), actRange("a", "\x00"))
	bad(t, read(after(both2).ok(5, history.StoreResult{}, found(va4, vb))), Reads)
}

// Of a list in another order, or filtered by revision, the filter is not recorded: what
// lies between keys that are shown passes any that they pass.
func TestReadsSorted(t *testing.T) {
	a, b, c := create("a", 1).at(0, 1).ok(2), create("b", 2).at(2, 3).ok(3), create("c", 3).at(4, 5).ok(4)
	va, vb, vc := kv("a", 2, 2, 1, 1), kv("b", 3, 3, 1, 2), kv("c", 4, 4, 1, 3)
	read := func(limit, count int64, kvs ...history.StoreKV) call {
		c := list("a", "d").with(func(a *history.StoreAction) { a.Sorted = true }).limit(limit).at(8, 9)
		return c.ok(4, history.StoreResult{Count: count, KVs: kvs})
	}
	sorted := func(limit, count int64, kvs ...history.StoreKV) story {
		return tell(a, b, c, read(limit, count, kvs...))
	}
	good(t, sorted(0, 3, vc, vb, va))
	good(t, sorted(0, 3, vb))
	good(t, sorted(0, 3, vc, vb))
	bad(t, sorted(0, 3, vc, va), Reads, Durable)
	bad(t, sorted(3, 3, vc, va), Reads, Durable)
	good(t, sorted(2, 3, vc, va)) // the limit may have cut b
	bad(t, sorted(0, 2, vc, vb, va), Reads)
	// Both revisions have to lie between: b was created so, and changed before.
	later := read(0, 3, vc, kv("a", 2, 5, 2, 4))
	later.Header = 5
	good(t, tell(a, b, c, update("a", 2, 4).at(6, 7).ok(5), later))

	f := func(want bool, s story) {
		t.Helper()
		if v := s.judge()[Reads]; strings.Contains(v.Checked, ", 1 sorted or filtered answers in part") != want {
			t.Errorf("in part: want %v; checked: %s", want, v.Checked)
		}
	}
	f(false, sorted(0, 3, vc, vb, va))
	f(true, sorted(0, 3, vb))
	f(false, tell(a, get("a").at(2, 3).ok(2, found(kv("a", 2, 2, 1, 1)))))
	counted := list("a", "b").with(func(a *history.StoreAction) { a.Sorted, a.CountOnly = true, true })
	f(false, tell(a, counted.at(2, 3).ok(2, history.StoreResult{Count: 1})))
}

func TestReadsLongLists(t *testing.T) {
	var calls []call
	var kvs []history.StoreKV
	for i := range int64(150) {
		key := fmt.Sprintf("k%03d", i)
		calls = append(calls, create(key, uint64(i+1)).at(int(2*i), int(2*i+1)).ok(i+2))
		kvs = append(kvs, kv(key, i+2, i+2, 1, uint64(i+1)))
	}
	long := func(kvs []history.StoreKV) story {
		r := history.StoreResult{Count: 150, Chunks: history.Chunks(kvs)}
		return tell(append(calls[:150:150], list("k", "l").at(1000, 1001).ok(151, r))...)
	}
	good(t, long(kvs))
	for i, change := range []func(*history.StoreKV){
		func(v *history.StoreKV) { v.Value++ },
		func(v *history.StoreKV) { v.Mod-- },
		func(v *history.StoreKV) { v.Key += "x" },
	} {
		lie := append([]history.StoreKV(nil), kvs...)
		change(&lie[50*i])
		bad(t, long(lie), Reads)
	}
	bad(t, long(kvs[:149]), Reads)
	bad(t, long(append(kvs[:150:150], kv("kz", 2, 2, 1, 1))), Reads)
}

func TestRealTime(t *testing.T) {
	a, b := create("a", 1).at(0, 1).ok(2), create("b", 2).at(2, 3).ok(3)
	good(t, tell(a, b, get("a").at(4, 5).ok(3, found(kv("a", 2, 2, 1, 1)))))
	bad(t, tell(a, b, get("a").at(4, 5).ok(2, found(kv("a", 2, 2, 1, 1)))), RealTime, Durable)
	// Concurrent, and returned at the very moment of the call: not before it.
	good(t, tell(a, b, get("a").at(2, 5).ok(2, found(kv("a", 2, 2, 1, 1)))))
	good(t, tell(a, b, get("a").at(3, 5).ok(2, found(kv("a", 2, 2, 1, 1)))))
	// A write after a read that has seen its revision.
	bad(t, tell(a, get("b").at(2, 3).ok(3, found(kv("b", 3, 3, 1, 2))), create("b", 2).at(4, 5).ok(3)), RealTime)
	// A serializable read may be behind, but what it shows others must see.
	good(t, tell(a, b, get("a").local().at(4, 5).ok(2, found(kv("a", 2, 2, 1, 1)))))
	bad(t, tell(a, create("b", 2).at(2, 9).ok(3), get("a").local().at(4, 5).ok(3, found(kv("a", 2, 2, 1, 1))),
		get("a").at(6, 7).ok(2, found(kv("a", 2, 2, 1, 1)))), RealTime)
	bad(t, tell(a, b, compact(2).at(4, 5).ok(2)), RealTime, Durable)
	// An unknown write keeps its lower bound.
	late := create("c", 3).at(6, 7).err(history.ErrorUnknown)
	three := watched("m1", 8, event(kv("a", 2, 2, 1, 1)), event(kv("c", 3, 3, 1, 3)), event(kv("b", 4, 4, 1, 2)))
	bad(t, tell(a, create("b", 2).at(2, 3).ok(4), late).seen(three), RealTime)
	early := create("c", 3).at(1, 7).err(history.ErrorUnknown)
	good(t, tell(a, create("b", 2).at(2, 3).ok(4), early).seen(three))
}

func TestNoPhantom(t *testing.T) {
	a := create("a", 1).at(0, 1).ok(2)
	two := watched("m1", 9, event(kv("a", 2, 2, 1, 1)), event(kv("b", 3, 3, 1, 2)))
	bad(t, tell(a).seen(two), NoPhantom)
	good(t, tell(a, create("b", 2).at(2, 3).err(history.ErrorUnknown)).seen(two))
	good(t, tell(a, create("b", 2).at(2, 3).err(history.ErrorNoSpace)).seen(two))
	hung := create("b", 2).at(2, 3)
	hung.Returned = 0
	good(t, tell(a, hung).seen(two))
	// It never took effect.
	good(t, tell(a, create("b", 2).at(2, 3).err(history.ErrorUnknown)).seen(watched("m1", 9, event(kv("a", 2, 2, 1, 1)))))
	// Another value, another expected revision, called after it was seen.
	bad(t, tell(a, create("b", 3).at(2, 3).err(history.ErrorUnknown)).seen(two), NoPhantom)
	bad(t, tell(a, update("b", 7, 2).at(2, 3).err(history.ErrorUnknown)).seen(two), NoPhantom)
	bad(t, tell(a, create("b", 2).at(20, 21).err(history.ErrorUnknown)).seen(two), NoPhantom)
	// One unknown write is not the cause of two revisions; twins are.
	thrice := watched("m1", 9, event(kv("a", 2, 2, 1, 1)), event(kv("b", 3, 3, 1, 2)), gone("b", 4), event(kv("b", 5, 5, 1, 2)))
	twin := func(at int) call { return create("b", 2).at(at, at+1).err(history.ErrorUnknown) }
	del := remove("b", 3).at(5, 6).ok(4, deleted(1))
	bad(t, tell(a, twin(2), del).seen(thrice), NoPhantom)
	good(t, tell(a, twin(2), twin(3), del).seen(thrice))

	// Without a watch: what calls saw tells which unknown write it was.
	saw := get("b").at(4, 5).ok(3, found(kv("b", 3, 3, 1, 2)))
	good(t, tell(a, twin(2), saw))
	other := create("c", 8).at(2, 3).err(history.ErrorUnknown)
	good(t, tell(a, other, twin(2), saw))
	next := update("b", 3, 4).at(4, 5).ok(4)
	other2 := create("c", 8).at(2, 3).err(history.ErrorUnknown)
	good(t, tell(a, other2, twin(2), next))
	bad(t, tell(a, saw), Order, Reads)
}

func TestDefiniteFailureInert(t *testing.T) {
	a := create("a", 1).at(0, 1).ok(2)
	for _, kind := range []history.StoreErrorKind{
		history.ErrorTooManyRequests, history.ErrorTooLarge, history.ErrorInvalid, history.ErrorLeaseNotFound,
	} {
		refused := func() call { return create("b", 2).at(2, 3).err(kind) }
		good(t, tell(a, refused()).seen(watched("m1", 9, event(kv("a", 2, 2, 1, 1)))))
		bad(t, tell(a, refused()).seen(watched("m1", 9, event(kv("a", 2, 2, 1, 1)), event(kv("b", 3, 3, 1, 2)))), DefiniteFailureInert, NoPhantom)
		// Even if the state was one in which it would have done nothing.
		heedless := ifMod("b", 9, actPut("b", 2)).at(2, 3).err(kind)
		bad(t, tell(a, heedless).seen(watched("m1", 9, event(kv("a", 2, 2, 1, 1)), event(kv("b", 3, 3, 1, 2)))), DefiniteFailureInert, NoPhantom)
		// A twin that may have taken effect clears it.
		good(t, tell(a, refused(), create("b", 2).at(2, 3).err(history.ErrorUnknown)).
			seen(watched("m1", 9, event(kv("a", 2, 2, 1, 1)), event(kv("b", 3, 3, 1, 2)))))
	}
}

func TestCompactionHonest(t *testing.T) {
	a, b, c4 := create("a", 1).at(0, 1).ok(2), create("b", 2).at(2, 3).ok(3), create("c", 3).at(4, 5).ok(4)
	va := kv("a", 2, 2, 1, 1)
	base := func(more ...call) story { return tell(append([]call{a, b, c4}, more...)...) }
	done := func() call { return compact(3).at(6, 7).ok(4) }
	gone := func(c call) call { return c.err(history.ErrorCompacted) }

	good(t, base(done(), gone(get("a").pinned(2).at(8, 9))))
	good(t, base(done(), get("a").pinned(3).at(8, 9).ok(4, found(va))))
	bad(t, base(done(), get("a").pinned(2).at(8, 9).ok(4, found(va))), CompactionHonest)
	bad(t, base(done(), gone(get("a").pinned(3).at(8, 9))), CompactionHonest)
	bad(t, base(gone(get("a").pinned(2).at(8, 9))), CompactionHonest)
	// Both are right while the compaction runs.
	good(t, base(done(), gone(get("a").pinned(2).at(6, 7)), get("a").pinned(2).at(6, 8).ok(4, found(va))))
	// Its outcome is unknown: both are right for ever.
	lost := func() call { return compact(3).at(6, 7).err(history.ErrorUnknown) }
	good(t, base(lost(), gone(get("a").pinned(2).at(8, 9)), get("a").pinned(2).at(8, 9).ok(4, found(va))))
	// It comes too late.
	bad(t, base(compact(3).at(10, 11).ok(4), gone(get("a").pinned(2).at(8, 9))), CompactionHonest)
	// Only a stream may lose the current revision.
	bad(t, base(done(), gone(get("a").at(8, 9))), CompactionHonest)
	stream := func() call { return newCall(history.MethodRangeStream, actRange("a", "c")) }
	bad(t, base(done(), gone(stream().at(8, 9))), CompactionHonest)
	good(t, base(create("d", 4).at(6, 7).ok(5), compact(5).at(6, 7).ok(5), gone(stream().at(5, 9))))
	// A lagging member may still serve.
	good(t, base(done(), get("a").pinned(2).local().at(8, 9).ok(4, found(va))))
	// Compact itself.
	good(t, base(done(), gone(compact(3).at(8, 9))))
	bad(t, base(done(), compact(3).at(8, 9).ok(4)), CompactionHonest)
	bad(t, base(gone(compact(3).at(8, 9))), CompactionHonest)
	good(t, base(gone(compact(-1).at(8, 9))))
	bad(t, base(gone(compact(0).at(8, 9))), CompactionHonest)
	// The future.
	ahead := func(c call) call { return c.err(history.ErrorFutureRev) }
	good(t, base(ahead(get("a").pinned(5).at(8, 9))))
	good(t, base(ahead(get("a").pinned(4).at(4, 9))))
	bad(t, base(ahead(get("a").pinned(4).at(8, 9))), CompactionHonest)
	good(t, base(ahead(get("a").pinned(4).local().at(8, 9))))
	bad(t, base(get("a").pinned(9).at(8, 9).ok(4, found(va))), CompactionHonest)
	// A hash at a compaction that nobody asked for.
	lie := hash(4, 1).at(8, 9).ok(4)
	lie.CompactRevision = 3
	bad(t, base(lie), CompactionHonest)
	good(t, base(done(), lie))
}

// TestLeaseWithoutWitness: where no call says how late it became, no lease is
// outlived.
func TestLeaseWithoutWitness(t *testing.T) {
	va := holding(7, kv("a", 2, 2, 1, 1))
	lease := grant(7, 2).at(0, 1).ok(1)
	lease.Called = 0 // the recorder's first moment
	s := tell(lease).seen(watched("m1", 6, event(va)))
	if v := s.judge()[LeaseHonest]; v.Outcome == checkers.Fail {
		t.Errorf("false alarm: %s", v)
	}
}

func TestLeaseHonest(t *testing.T) {
	lease := grant(7, 2).at(0, 1).ok(1)
	a := create("a", 1).leased(7).at(2, 3).ok(2)
	b := create("b", 2).leased(7).at(4, 5).ok(3)
	va, vb := holding(7, kv("a", 2, 2, 1, 1)), holding(7, kv("b", 3, 3, 1, 2))
	end := func(at int, events ...history.StoreEvent) story {
		return tell(lease, a, b).seen(watched("m1", 6, event(va), event(vb)), watched("m1", at, events...)[2:])
	}
	good(t, end(2300, gone("a", 4), gone("b", 4)))
	bad(t, end(1900, gone("a", 4), gone("b", 4)), LeaseHonest, NoPhantom)
	bad(t, end(2300, gone("a", 4)), LeaseHonest, NoPhantom)
	renewal := newCall(history.MethodLeaseKeepAlive).at(500, 510).ok(3, []history.StoreResult{}...)
	renewal.Results = nil
	renewal.Lease, renewal.GrantedLease, renewal.GrantedTTL = 7, 7, 2
	renewed := func(at int) story {
		s := end(at, gone("a", 4), gone("b", 4))
		s.calls = append(s.calls, renewal)
		return s
	}
	good(t, renewed(2600))
	bad(t, renewed(2400), LeaseHonest, NoPhantom)
	// Revoked, for certain or perhaps.
	revoked := end(100, gone("a", 4), gone("b", 4))
	revoked.calls = append(revoked.calls, revoke(7).at(50, 60).ok(4))
	good(t, revoked)
	maybe := end(100, gone("a", 4), gone("b", 4))
	maybe.calls = append(maybe.calls, revoke(7).at(50, 60).err(history.ErrorUnknown))
	good(t, maybe)
	good(t, tell(lease, a, b, revoke(7).at(50, 60).ok(4), list("a", "c").at(70, 80).ok(4, found())))
	bad(t, tell(lease, a, b, revoke(7).at(50, 60).ok(3), list("a", "c").at(70, 80).ok(3, found(va, vb))), LeaseHonest)
	// Outlived: the bound of etcd is 10 s and one more time to live.
	good(t, tell(lease, a, get("a").at(13000, 13001).ok(2, found(va))))
	bad(t, tell(lease, a, get("a").at(15000, 15001).ok(2, found(va))), LeaseHonest)
	late := end(20000, event(kv("c", 4, 4, 1, 3)), gone("a", 5), gone("b", 5))
	late.calls = append(late.calls, create("c", 3).at(19000, 19001).ok(4))
	bad(t, late, LeaseHonest)
	// Each new leader starts it anew, and none ended it while there was none.
	term := func(c call, of uint64) call { c.Term = of; return c }
	for _, terms := range [][2]uint64{{3, 4}, {3, 3}} {
		h := tell(term(lease, 2), term(a, 2), term(get("b").at(9_000, 9_001).ok(2, found()), terms[0]),
			term(get("b").at(20_000, 20_001).ok(2, found()), terms[1]), term(get("a").at(30_000, 30_001).ok(2, found(va)), terms[1]))
		if terms[1] == 4 {
			good(t, h)
		} else {
			bad(t, h, LeaseHonest)
		}
	}

	// There is no such lease, it says.
	missing := func(at int) call { return create("c", 3).leased(7).at(at, at+1).err(history.ErrorLeaseNotFound) }
	bad(t, tell(lease, missing(100)), LeaseHonest)
	good(t, tell(lease, missing(2100)))
	good(t, tell(lease, revoke(7).at(50, 60).ok(1), missing(100)))
	bad(t, tell(lease, revoke(7).at(50, 60).ok(1), create("c", 3).leased(7).at(70, 80).ok(2)), LeaseHonest)
}

func TestDurable(t *testing.T) {
	a, b := create("a", 1).at(0, 1).ok(2), create("b", 2).at(2, 3).ok(3)
	vb := kv("b", 3, 3, 1, 2)
	all := func(at int, kvs ...history.StoreKV) call {
		return list("\x00", "\x00").at(at, at+1).ok(3, found(kvs...))
	}
	va := kv("a", 2, 2, 1, 1)
	good(t, tell(a, b, all(10, va, vb)))
	bad(t, tell(a, b, all(8, va, vb), all(10, vb)), Durable, Reads, MembersAgree)
	// Hidden once and seen again: not lost.
	if v := tell(a, b, all(8, vb), all(10, va, vb)).judge(); v[Durable].Outcome != checkers.Pass || v[Reads].Outcome != checkers.Fail {
		t.Errorf("hidden for a while: %s, %s", v[Durable], v[Reads])
	}
	// A write that nobody acknowledged need not last.
	maybe := create("c", 3).at(4, 5).err(history.ErrorUnknown)
	good(t, tell(a, b, maybe, all(10, va, vb)))
}

func TestMembersAgree(t *testing.T) {
	a := create("a", 1).at(0, 1).ok(2)
	va := kv("a", 2, 2, 1, 1)
	good(t, tell(a, hash(2, 5).at(2, 3).ok(2), hash(2, 5).on("m2").at(2, 3).ok(2)))
	bad(t, tell(a, hash(2, 5).at(2, 3).ok(2), hash(2, 6).on("m2").at(2, 3).ok(2)), MembersAgree)
	good(t, tell(a).seen(watched("m1", 5, event(va)), watched("m2", 5, event(va))))
	bad(t, tell(create("a", 1).at(0, 1).err(history.ErrorUnknown)).
		seen(watched("m1", 5, event(va)), watched("m2", 6, event(kv("a", 2, 2, 1, 9)))), MembersAgree)
	b := create("b", 2).at(2, 3).ok(3)
	vb := kv("b", 3, 3, 1, 2)
	bad(t, tell(a, b, get("a").at(20, 21).ok(3, found(va))).
		seen(watched("m1", 5, event(va), event(vb)), watched("m2", 6, event(vb))), MembersAgree)
	all := func(kvs ...history.StoreKV) call {
		return list("\x00", "\x00").on("m2").at(20, 21).ok(3, found(kvs...))
	}
	good(t, tell(a, b, all(va, vb)))
	bad(t, tell(a, b, all(va)), MembersAgree, Reads, Durable)
}
