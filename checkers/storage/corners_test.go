package storage

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

func TestStairsWear(t *testing.T) {
	var s stairs
	for i := range stairLimit + 1000 {
		s.steps = append(s.steps, step{at: history.Time(2 * i), rev: int64(i)})
	}
	s.wear()
	if len(s.steps) > 3*stairLimit/4 {
		t.Errorf("%d steps are left", len(s.steps))
	}
	for _, i := range []int{9, 1000, 77_777, stairLimit / 4, stairLimit, stairLimit + 999} {
		got, want := s.before(history.Time(2*i+1)).rev, int64(i)
		if got > want || got < want-8 || (i > stairLimit/2 && got != want) {
			t.Errorf("before step %d: revision %d", i, got)
		}
	}
}

// streamed judges call by call with a short horizon.
func streamed(calls ...call) map[string]checkers.Verdict {
	c := New(Options{Floors: noFloors, Start: 1, Batch: 1, Horizon: time.Millisecond})
	for i, call := range calls {
		call.ID = uint64(i + 1)
		c.StoreOp(call.StoreOp)
	}
	verdicts := map[string]checkers.Verdict{}
	for _, v := range c.Finish() {
		verdicts[v.Guarantee] = v
	}
	return verdicts
}

func TestStreamed(t *testing.T) {
	a, b := create("a", 1).at(0, 1).ok(2), create("b", 2).at(20, 21).ok(3)
	for _, v := range streamed(a, b, get("a").at(40, 41).ok(3, found(kv("a", 2, 2, 1, 1)))) {
		if v.Outcome != checkers.Pass {
			t.Errorf("%s", v)
		}
	}
	// The other write of a revision comes when the first is judged already.
	twice := streamed(a, b, create("c", 3).at(40, 41).ok(2), get("a").at(60, 61).ok(3, found(kv("a", 2, 2, 1, 1))))
	if twice[Order].Outcome != checkers.Fail || twice[Durable].Outcome != checkers.Fail {
		t.Errorf("%s, %s", twice[Order], twice[Durable])
	}
	// Beyond the horizon nothing can be judged.
	late := streamed(a, b, get("a").at(60, 61).ok(3, found(kv("a", 2, 2, 1, 1))), get("a").at(2, 3).ok(2, found(kv("a", 2, 2, 1, 1))))
	if v := late[RealTime]; v.Outcome != checkers.Invalid || !strings.Contains(v.Detail, "horizon") {
		t.Errorf("%s", v)
	}
}

func TestLongListsOfKeys(t *testing.T) {
	var calls []call
	var kvs []history.StoreKV
	for i := range int64(70) {
		key := fmt.Sprintf("k%03d", i)
		calls = append(calls, create(key, uint64(i+1)).at(int(2*i), int(2*i+1)).ok(i+2))
		kvs = append(kvs, kv(key, i+2, i+2, 1, uint64(i+1)))
	}
	keys := append([]history.StoreKV(nil), kvs...)
	for i := range keys {
		keys[i].Value = 0
	}
	ask := func(shown []history.StoreKV) story {
		c := list("k", "l").with(func(a *history.StoreAction) { a.KeysOnly = true })
		r := history.StoreResult{Count: 70, Chunks: history.Chunks(shown)}
		return tell(append(calls[:70:70], c.at(1000, 1001).ok(71, r))...)
	}
	good(t, ask(keys))
	bad(t, ask(kvs), Reads)

	clear := func(shown []history.StoreKV) story {
		c := newCall(history.MethodDeleteRange, actDelete("k", "l")).with(func(a *history.StoreAction) { a.PrevKV = true })
		r := history.StoreResult{Deleted: 70, Chunks: history.Chunks(shown)}
		return tell(append(calls[:70:70], c.at(1000, 1001).ok(72, r))...)
	}
	good(t, clear(kvs))
	bad(t, clear(keys), Replay)
}

func TestCorners(t *testing.T) {
	a, b := create("a", 1).at(0, 1).ok(2), update("a", 2, 2).at(2, 3).ok(3)
	va, vb := kv("a", 2, 2, 1, 1), kv("a", 2, 3, 2, 2)

	// A transaction that reads an older revision.
	old := func(v history.StoreKV) call {
		c := ifMod("a", 3, actPut("c", 3))
		pinned := actRange("a", "")
		pinned.Revision = 2
		c.Then = append(c.Then, pinned)
		return c.at(4, 5).ok(4, history.StoreResult{Header: 4}, found(v))
	}
	good(t, tell(a, b, old(va)))
	bad(t, tell(a, b, old(vb)), Reads)

	// An empty store has no comparable hash.
	gone := remove("a", 2).at(2, 3).ok(3, deleted(1))
	good(t, tell(a, gone, hash(3, 5).at(4, 5).ok(3), hash(3, 6).on("m2").at(4, 5).ok(3)))

	// Lists in another order: nothing twice, nothing beyond the limit.
	sorted := func() call {
		return list("a", "c").with(func(a *history.StoreAction) { a.Sorted = true }).at(4, 5)
	}
	bad(t, tell(a, create("b", 2).at(2, 3).ok(3), sorted().ok(3, found(va, va))), Reads)
	two := found(va, kv("b", 3, 3, 1, 2))
	bad(t, tell(a, create("b", 2).at(2, 3).ok(3), sorted().limit(1).ok(3, two)), Reads)

	// A revocation that leaves keys.
	lease := grant(7, 100).at(0, 1).ok(1)
	la, lb := create("a", 1).leased(7).at(2, 3).ok(2), create("b", 2).leased(7).at(4, 5).ok(3)
	events := watched("m1", 100, event(holding(7, va)), event(holding(7, kv("b", 3, 3, 1, 2))), history.StoreEvent{Delete: true, KV: history.StoreKV{Key: "a", Mod: 4}})
	bad(t, tell(lease, la, lb, revoke(7).at(50, 60).ok(4)).seen(events), LeaseHonest)

	// A lease that was never granted.
	bad(t, tell(create("a", 1).leased(9).at(0, 1).ok(2)), LeaseHonest)

	// kine compacts by itself, and its leases are not judged.
	kine := tell(a, b, get("a").pinned(2).at(4, 5).err(history.ErrorCompacted))
	kine.opts.Contract = Kine()
	for name, v := range kine.judge() {
		want := checkers.Pass
		if name == LeaseHonest {
			want = checkers.NotExercised
		}
		if v.Outcome != want || !strings.Contains(v.Checked, "kine: ") {
			t.Errorf("%s, checked: %s", v, v.Checked)
		}
	}
}

// TestKeysFromBefore: what nobody saw can be neither right nor wrong; what is
// seen once is known from then on.
func TestKeysFromBefore(t *testing.T) {
	from := func(calls ...call) story {
		s := tell(calls...)
		s.opts.Start = 50
		return s
	}
	old, other := kv("a", 7, 20, 3, 1), kv("a", 7, 21, 4, 9)
	good(t, from(get("a").at(0, 1).ok(50, found(old)), list("a", "z").at(2, 3).ok(50, found(old, kv("b", 8, 8, 1, 2)))))
	bad(t, from(get("a").at(0, 1).ok(50, found(old)), get("a").at(2, 3).ok(50, found(other))), Reads, Durable)
	bad(t, from(get("a").at(0, 1).ok(50, found(old)), list("a", "z").at(2, 3).ok(50, found())), Reads, Durable)
	bad(t, from(get("a").at(0, 1).ok(50, found(old)), create("a", 3).at(2, 3).ok(51)), Replay, Durable)
	good(t, from(update("a", 20, 3).at(0, 1).ok(51), get("a").at(2, 3).ok(51, found(kv("a", 7, 51, 4, 3)))))
	good(t, from(get("a").pinned(40).at(0, 1).err(history.ErrorCompacted)))
	if v := from(create("a", 1).at(0, 1).ok(51)).judge()[Reads]; !strings.Contains(v.Checked, "unknown until first seen") {
		t.Errorf("checked: %s", v.Checked)
	}
}

// TestNotReadWhole: a key space that nobody read whole is said to be so.
func TestNotReadWhole(t *testing.T) {
	f := func(want string, calls ...call) {
		t.Helper()
		s := tell(append([]call{create("a", 1).at(0, 1).ok(2)}, calls...)...)
		if v := s.judge()[MembersAgree]; !strings.HasSuffix(v.Checked, want) {
			t.Errorf("%s does not end in %q", v.Checked, want)
		}
	}
	whole := list("\x00", "\x00").on("m2").at(4, 5).ok(2, found(va))
	f(", not read whole through any", get("a").at(2, 3).ok(2, found(va)))
	f(", the whole read through m2", whole)
}
