package storage

import (
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

func TestInvalid(t *testing.T) {
	a := func() call { return create("a", 1).at(0, 1).ok(2) }
	f := func(want string, change func(*Checker)) {
		t.Helper()
		c := New(Options{Floors: noFloors, Start: 1})
		c.StoreOp(a().StoreOp)
		change(c)
		for _, v := range c.Finish() {
			if v.Outcome != checkers.Invalid || !strings.Contains(v.Detail, want) {
				t.Errorf("%s, want Invalid because of %q", v, want)
			}
		}
	}
	f("unknown methods", func(c *Checker) { c.StoreOp(newCall(history.MethodUnknown).at(0, 1).StoreOp) })
	f("within transactions", func(c *Checker) {
		c.StoreOp(newCall(history.MethodTxn, history.StoreAction{Kind: history.ActionOther}).at(0, 1).StoreOp)
	})
	f("lost records", func(c *Checker) { c.Lost(3) })
	f("before they were made", func(c *Checker) { c.StoreOp(get("a").at(5, 1).ok(2, found()).StoreOp) })
	f("incomplete record", func(c *Checker) { c.StoreOp(get("a").at(5, 6).ok(2, found(), found()).StoreOp) })
	f("incomplete record", func(c *Checker) { c.StoreOp(newCall(history.MethodRange).at(5, 6).StoreOp) })
}

// TestUnfitOutweighsViolations: with records missing a violation is a guess.
func TestUnfitOutweighsViolations(t *testing.T) {
	c := New(Options{Floors: noFloors, Start: 1})
	c.StoreOp(create("a", 1).at(0, 1).ok(3).StoreOp)
	c.Lost(1)
	for _, v := range c.Finish() {
		if v.Outcome != checkers.Invalid {
			t.Errorf("%s", v)
		}
		if v.Guarantee == Order && !strings.Contains(v.Detail, "it seems that") {
			t.Errorf("Order does not name the suspicion: %s", v.Detail)
		}
	}
	if broken := c.Broken(); len(broken) > 0 {
		t.Errorf("%v are told to be broken", broken)
	}
}

func TestFloors(t *testing.T) {
	outcomes := func(f Floors) map[string]checkers.Outcome {
		m := map[string]checkers.Outcome{}
		h := storetest.Generate(1, storetest.Config{Ops: 1500, CompactEvery: 300 * time.Millisecond, Leased: 0.6})
		half := h.Ops[len(h.Ops)/2]
		crashes := []history.Crash{{Member: half.Member, Ended: half.Called, Back: half.Called + 1}}
		for _, v := range judge(h, Options{Floors: f, Crashes: crashes}) {
			m[v.Guarantee] = v.Outcome
		}
		return m
	}
	for name, outcome := range outcomes(Floors{}) {
		if outcome != checkers.Pass {
			t.Errorf("%s is %s with 1,500 calls", name, outcome)
		}
	}
	for name, f := range map[string]Floors{
		Replay: {Conflicts: 1 << 20}, CompactionHonest: {Compactions: 1 << 20}, LeaseHonest: {Leases: 1 << 20},
		DefiniteFailureInert: {Refusals: 1 << 20}, Durable: {Crashes: 2}, MembersAgree: {Members: 9},
	} {
		for other, outcome := range outcomes(f) {
			if (outcome == checkers.Invalid) != (other == name) {
				t.Errorf("%s is %s below the floor of %s", other, outcome, name)
			}
		}
	}
	for name, outcome := range outcomes(Floors{Operations: 1 << 20}) {
		if outcome != checkers.Invalid {
			t.Errorf("%s is %s with too few operations", name, outcome)
		}
	}
}

// TestNoLeaseEnds: leases whose time does not run out say nothing about their ends.
func TestNoLeaseEnds(t *testing.T) {
	lease, a := grant(7, 2).at(0, 1).ok(1), create("a", 1).leased(7).at(2, 3).ok(2)
	va := holding(7, kv("a", 2, 2, 1, 1))
	f := func(name string, want checkers.Outcome, contract Contract, s story) {
		t.Helper()
		s.opts = Options{Contract: contract, Floors: noFloors}
		s.opts.Floors.Leases = 1
		if v := s.judge()[LeaseHonest]; v.Outcome != want {
			t.Errorf("%s: %s, want %s; checked: %s", name, v, want, v.Checked)
		}
	}
	ends := tell(lease, a).seen(watched("m1", 6, event(va)), watched("m1", 2300, gone("a", 3))[2:])
	f("it ends", checkers.Pass, Etcd(), ends)
	f("it is given to a key", checkers.Invalid, Etcd(), tell(lease, a))
	f("its key gets another one", checkers.Invalid, Etcd(), tell(lease, a, grant(8, 2).at(4, 5).ok(2), update("a", 2, 2).leased(8).at(6, 7).ok(3),
		get("a").at(2500, 2501).ok(3, found(holding(8, kv("a", 2, 3, 2, 2))))))
	f("it is revoked", checkers.Invalid, Etcd(), tell(lease, a, revoke(7).at(50, 60).ok(3), get("a").at(70, 80).ok(3, found())))
	f("nobody judges it", checkers.NotExercised, Kine(), ends)
	f("nobody judges those that there are not", checkers.NotExercised, Kine(), tell(lease, a))
}

// TestNothingToJudge: what a guarantee is about has to be there, however much else is.
func TestNothingToJudge(t *testing.T) {
	f := func(name string, c call, want map[string]string) {
		t.Helper()
		checker := New(Options{Floors: Floors{Operations: 1, Conflicts: -1, Compactions: -1, Leases: -1, Crashes: -1, Members: -1, Hashes: -1}, Start: 1})
		checker.StoreOp(c.StoreOp)
		for _, v := range checker.Finish() {
			outcome := checkers.Pass
			if want[v.Guarantee] != "" {
				outcome = checkers.Invalid
			}
			if v.Outcome != outcome || !strings.Contains(v.Detail, want[v.Guarantee]) {
				t.Errorf("%s: %s, want %s %s", name, v, outcome, want[v.Guarantee])
			}
		}
	}
	const refusals = "0 refused writes, the floor is 1"
	f("a write", newCall(history.MethodPut, actPut("a", 1)).at(0, 1).ok(2), map[string]string{
		Reads: "no reads", CompactionHonest: "no reads of a revision", DefiniteFailureInert: refusals,
	})
	f("a read", get("a").at(0, 1).ok(1, found()), map[string]string{
		Order: "no acknowledged writes", NoPhantom: "no acknowledged writes", Durable: "no acknowledged writes",
		CompactionHonest: "no reads of a revision", DefiniteFailureInert: refusals,
	})
	f("a read of a revision", get("a").pinned(1).at(0, 1).ok(1, found()), map[string]string{
		Order: "no acknowledged writes", NoPhantom: "no acknowledged writes", Durable: "no acknowledged writes",
		DefiniteFailureInert: refusals,
	})
}

// TestAmbiguousGuess: two unknown writes may have made the missing revision, and
// nothing tells which. A contradiction may then be the guess's.
func TestAmbiguousGuess(t *testing.T) {
	s := tell(
		create("a", 1).at(0, 1).ok(2),
		create("b", 2).at(2, 3).err(history.ErrorUnknown),
		create("c", 3).at(2, 3).err(history.ErrorUnknown),
		get("b").at(4, 5).ok(3, found()),
	)
	v := s.judge()
	if v[Reads].Outcome != checkers.Unknown || v[Order].Outcome != checkers.Pass {
		t.Errorf("%s, %s", v[Reads], v[Order])
	}
}

// TestEvidence: a counter-example is a sentence and a table of a few rows with
// relative times, keys and revisions.
func TestEvidence(t *testing.T) {
	v := tell(
		create("/registry/a", 1).at(0, 1).ok(2),
		update("/registry/a", 2, 2).at(2, 3).ok(3),
		get("/registry/a").on("m2").at(4, 5).ok(2, found(kv("/registry/a", 2, 2, 1, 1))),
	).judge()[RealTime]
	lines := strings.Split(v.Detail, "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), v.Detail)
	}
	for i, wants := range [][]string{
		{"#3 was called after revision 3 had been returned"},
		{"+0s", "+1ms", "#2", "revision 3"},
		{"+2ms", "+3ms", "#3", "m2", "/registry/a", "revision 2"},
	} {
		for _, want := range wants {
			if !strings.Contains(lines[i], want) {
				t.Errorf("line %d has no %q: %s", i+1, want, lines[i])
			}
		}
	}
	if !strings.Contains(v.Statement, "https://etcd.io/docs/") {
		t.Errorf("no link in %q", v.Statement)
	}
}

func FuzzChecker(f *testing.F) {
	f.Add(uint64(1), uint16(3), uint8(0), int64(5))
	f.Add(uint64(9), uint16(40), uint8(4), int64(-7))
	f.Add(uint64(2), uint16(11), uint8(8), int64(-1_000_000_000))
	f.Add(uint64(3), uint16(12), uint8(9), int64(3))
	f.Add(uint64(4), uint16(13), uint8(13), int64(1))
	f.Fuzz(func(t *testing.T, seed uint64, at uint16, what uint8, by int64) {
		h := storetest.Generate(seed, storetest.Config{Ops: 60, Leased: 0.3}).Clone()
		if what%16 < 10 {
			spoilOp(h.Ops[int(at)%len(h.Ops)], what%16, by)
		} else if len(h.Watches) > 0 {
			spoilWatch(h.Watches[int(at)%len(h.Watches)], what%16, by)
		}
		given := map[string]bool{} // it must neither panic nor hang, nor leave a guarantee out
		for _, v := range judge(h, Options{}) {
			if given[v.Guarantee] || v.Outcome == "" {
				t.Errorf("%s", v)
			}
			given[v.Guarantee] = true
		}
		if len(given) != len(Guarantees()) {
			t.Errorf("%d guarantees have a verdict", len(given))
		}
	})
}

func spoilOp(op *history.StoreOp, what uint8, by int64) {
	switch what {
	case 0:
		op.Header += by
	case 1:
		op.Returned += history.Time(by)
	case 2:
		op.Results = nil
	case 3:
		op.Then = nil
	case 4:
		op.Revision += by
		for i := range op.Then {
			op.Then[i].Revision += by
		}
	case 5:
		op.Error.Kind = history.ErrorCompacted
	case 6:
		op.Succeeded = !op.Succeeded
	case 7:
		if len(op.Results) > 0 {
			op.Results[0].KVs, op.Results[0].Count = nil, by
		}
	case 8:
		op.Called += history.Time(by)
	case 9:
		op.Lease, op.GrantedLease, op.GrantedTTL = by, by, by
	}
}

func spoilWatch(w *history.StoreWatch, what uint8, by int64) {
	switch what {
	case 10:
		w.Header += by
	case 11:
		w.At += history.Time(by)
	case 12:
		w.Events = nil
	case 13:
		for i := range w.Events {
			w.Events[i].KV.Lease += by
		}
	case 14:
		w.Start += by
	case 15:
		w.Stream += uint64(by)
	}
}
