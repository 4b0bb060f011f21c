package storage

import (
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// TestDoubtIsNarrow: a guess makes uncertain what is found of its keys, and
// nothing else.
func TestDoubtIsNarrow(t *testing.T) {
	from := func(more ...call) story {
		return tell(append([]call{
			create("a", 1).at(0, 1).ok(2),
			create("b", 2).at(2, 3).err(history.ErrorUnknown),
			create("c", 3).at(2, 3).err(history.ErrorUnknown),
			create("d", 4).at(4, 5).ok(4),
		}, more...)...)
	}
	f := func(name, guarantee string, want checkers.Outcome, more ...call) {
		t.Helper()
		v := from(more...).judge()[guarantee]
		if v.Outcome != want || (want == checkers.Unknown) != strings.Contains(v.Detail, "told apart") {
			t.Errorf("%s: %s", name, v)
		}
	}
	va := kv("a", 2, 2, 1, 1)
	read := func(c call) call { return c.at(6, 7) }
	f("nothing", Reads, checkers.Pass)
	f("a key in doubt", Reads, checkers.Unknown, read(get("b")).ok(4, found()))
	f("a range with one", Reads, checkers.Unknown, read(list("a", "d")).ok(4, found(va)))
	f("another key", Reads, checkers.Fail, read(get("a")).ok(4, found(kv("a", 2, 2, 1, 9))))
	f("another range", Reads, checkers.Fail, read(list("d", "z")).ok(4, found()))
	f("before it", Reads, checkers.Fail, get("b").local().at(6, 7).ok(2, found(kv("b", 2, 2, 1, 2))))
	f("an older state of it", Reads, checkers.Fail, read(get("b")).pinned(2).ok(4, found(kv("b", 2, 2, 1, 2))))
	f("both", Reads, checkers.Fail, read(get("b")).ok(4, found()), read(get("a")).ok(4, found()))
	f("a comparison of one", Replay, checkers.Unknown, read(update("b", 3, 5)).no(4, found()))
	f("a comparison of another", Replay, checkers.Fail, read(update("a", 1, 5)).ok(5))
	f("real time", RealTime, checkers.Fail, read(get("b")).ok(3, found()))
	f("two writes of one revision", Order, checkers.Fail, read(create("e", 5)).ok(4))
}

// TestEndOfLeaseUnseen: without a watch of everything nobody sees the end of a
// lease, only that a revision is missing.
func TestEndOfLeaseUnseen(t *testing.T) {
	lease := grant(7, 2).at(0, 1).ok(1)
	a := create("a", 1).leased(7).at(2, 3).ok(2)
	after := func(at int) call { return create("b", 2).at(at, at+1).ok(4) }
	empty := get("a").at(2600, 2601).ok(4, found())
	v := tell(lease, a, after(2500), empty).judge()
	for _, name := range []string{Order, Reads} {
		if v[name].Outcome != checkers.Unknown || !strings.Contains(v[name].Detail, "no watch of the whole key space") {
			t.Errorf("%s", v[name])
		}
	}
	for _, other := range []string{Replay, RealTime, NoPhantom, CompactionHonest} {
		if v[other].Outcome != checkers.Pass {
			t.Errorf("%s", v[other])
		}
	}
	// Too early for that, no key with a lease, a watch that had passed it by.
	if v := tell(lease, a, after(1500)).judge()[Order]; v.Outcome != checkers.Fail {
		t.Errorf("too early: %s", v)
	}
	if v := tell(lease, create("a", 1).at(2, 3).ok(2), after(2500)).judge()[Order]; v.Outcome != checkers.Fail {
		t.Errorf("no lease: %s", v)
	}
	va, vb := holding(7, kv("a", 2, 2, 1, 1)), kv("b", 4, 4, 1, 2)
	if v := tell(lease, a, after(2500)).seen(watched("m1", 2600, event(va), event(vb))).judge()[Order]; v.Outcome != checkers.Fail {
		t.Errorf("a watch passed it by: %s", v)
	}
	// A watch that ended before shows nothing of it.
	if v := tell(lease, a, after(2500)).seen(watched("m1", 10, event(va))).judge()[Order]; v.Outcome != checkers.Unknown {
		t.Errorf("a watch that ended: %s", v)
	}
}
