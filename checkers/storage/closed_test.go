package storage

import (
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// What the checker once missed.

// TestKeptNothing: a put that keeps the value or the lease of a key is refused
// where there is none, so that it explains nothing and cannot succeed.
func TestKeptNothing(t *testing.T) {
	keeping := func(keep func(*history.StoreAction)) call {
		return newCall(history.MethodPut, actPut("a", 0)).with(keep).at(0, 1)
	}
	value := func(a *history.StoreAction) { a.IgnoreValue = true }
	lease := func(a *history.StoreAction) { a.IgnoreLease = true }
	shown := watched("m1", 9, event(kv("a", 2, 2, 1, 0)))
	for _, keep := range []func(*history.StoreAction){value, lease} {
		bad(t, tell(keeping(keep).err(history.ErrorUnknown)).seen(shown), NoPhantom)
		bad(t, tell(keeping(keep).ok(2)), Replay)
		// Without a watch, nothing else may have made the revision either.
		bad(t, tell(keeping(keep).err(history.ErrorUnknown), create("b", 1).at(2, 3).ok(3)), Order)
		// Of a key that is there it is as good as any put.
		two := watched("m1", 9, event(kv("a", 2, 2, 1, 0)), event(kv("a", 2, 3, 2, 0)))
		good(t, tell(create("a", 0).at(0, 1).ok(2), keeping(keep).at(2, 3).err(history.ErrorUnknown)).seen(two))
	}
}

// TestRefusedOnSomeMembers: a transaction that one member refused and others
// did (etcd #18667). The refusing member gives the revision away again, so that
// it has a cause; what the others show of it gives them away.
func TestRefusedOnSomeMembers(t *testing.T) {
	a := create("a", 1).at(0, 1).ok(2)
	va, vb := kv("a", 2, 2, 1, 1), kv("b", 3, 3, 1, 2)
	txn := func() call {
		c := newCall(history.MethodTxn, actPut("a", 9), actRange("b", ""))
		c.Then[1].Revision = 1
		return c.at(2, 3).err(history.ErrorCompacted)
	}
	compacted := compact(2).at(1, 2).ok(2)
	odd := event(kv("a", 2, 3, 2, 9))
	next := event(kv("b", 4, 4, 1, 2))
	b3, b4 := create("b", 2).at(4, 5).ok(3), create("b", 2).on("m2").at(4, 5).ok(4)
	one := func(at int) []*history.StoreWatch { return watched("m1", at, event(va), event(vb)) }
	two := func(at int) []*history.StoreWatch { return watched("m2", at, event(va), odd, next) }
	for _, at := range [][2]int{{6, 9}, {9, 6}} {
		// The member that refused answers for the next write, and another one does.
		bad(t, tell(a, compacted, txn(), b3).seen(one(at[0]), two(at[1])), DefiniteFailureInert, MembersAgree, NoPhantom, Replay)
		bad(t, tell(a, compacted, txn(), b4).seen(one(at[0]), two(at[1])), DefiniteFailureInert, MembersAgree, NoPhantom, Replay)
		// Only who asked the other member can tell.
		twin := txn().err(history.ErrorUnknown)
		if v := tell(a, compacted, txn(), twin, b3).seen(one(at[0]), two(at[1])).judge()[DefiniteFailureInert]; v.Outcome != checkers.Pass {
			t.Errorf("a twin of unknown outcome explains it: %s", v)
		}
		// It was tried again: the member is ahead, which is another story.
		again := newCall(history.MethodPut, actPut("a", 9)).at(6, 7).ok(4)
		if v := tell(a, compacted, txn(), b3, again).seen(one(at[0]), watched("m2", at[1], event(va), odd)).judge()[DefiniteFailureInert]; v.Outcome != checkers.Pass {
			t.Errorf("the same was written later: %s", v)
		}
	}
	// Without a watch of everything, by what a member answers.
	bad(t, tell(a, compacted, txn(), b3, get("a").on("m2").at(8, 9).ok(3, found(kv("a", 2, 3, 2, 9)))),
		DefiniteFailureInert, Reads)
	bad(t, tell(a, compacted, b3, get("a").on("m2").at(8, 9).ok(3, found(kv("a", 2, 3, 2, 9)))), Reads)
}

// TestLeaseTimes: the calls say when a lease had ended as well as the events.
func TestLeaseTimes(t *testing.T) {
	lease := grant(7, 2).at(0, 1).ok(1)
	a := create("a", 1).leased(7).at(2, 3).ok(2)
	va := holding(7, kv("a", 2, 2, 1, 1))
	ended := func(at int) []*history.StoreWatch { return watched("m1", at, event(va), gone("a", 3)) }
	// An answer shows that it ended early, long before the event comes.
	bad(t, tell(lease, a, get("b").at(30, 31).ok(3, found())).seen(ended(2300)), LeaseHonest, NoPhantom)
	good(t, tell(lease, a, get("b").at(2000, 2100).ok(3, found())).seen(ended(2300)))

	// etcd's bound is 10 s and one more time to live: here 14 s after the grant.
	for at, judge := range map[int]func(story){
		13_900: func(s story) { good(t, s) },
		14_100: func(s story) { bad(t, s, LeaseHonest) },
	} {
		// A read of another key shows that the end had not come.
		judge(tell(lease, a, get("b").at(at, at+1).ok(2, found()), get("a").at(15_000, 15_001).ok(3, found())).seen(ended(14_500)))
		// The outlived key is deleted, or put again, by a call.
		judge(tell(lease, a, remove("a", 2).at(at, at+1).ok(3, deleted(1))))
		judge(tell(lease, a, update("a", 2, 2).at(at, at+1).ok(3)))
	}
	judged := func(name string, s story, want checkers.Outcome) {
		t.Helper()
		if v := s.judge()[LeaseHonest]; v.Outcome != want {
			t.Errorf("%s: %s", name, v)
		}
	}
	// A member alone may be behind.
	judged("local", tell(lease, a, get("b").local().at(14_100, 14_101).ok(2, found()), get("a").at(15_000, 15_001).ok(3, found())).seen(ended(14_500)), checkers.Pass)
	// Renewed, perhaps or for certain.
	for _, kind := range []history.StoreErrorKind{history.ErrorNone, history.ErrorUnknown} {
		renewal := newCall(history.MethodLeaseKeepAlive).at(1500, 1501)
		renewal.Lease, renewal.GrantedLease, renewal.GrantedTTL, renewal.Header, renewal.Error.Kind = 7, 7, 2, 2, kind
		judged("renewed", tell(lease, a, renewal, remove("a", 2).at(14_100, 14_101).ok(3, deleted(1))), checkers.Pass)
	}
	// Revoked: no call may find the key from then on.
	revoked := func(at int) call { return revoke(7).at(at, at+10).ok(2) }
	judged("revoked", tell(lease, a, revoked(50), remove("a", 2).at(70, 80).ok(3, deleted(1))), checkers.Fail)
	judged("while it is revoked", tell(lease, a, revoke(7).at(50, 75).ok(3), remove("a", 2).at(70, 80).ok(3, deleted(1))), checkers.Pass)
	judged("granted again", tell(lease, revoke(7).at(10, 20).ok(1), grant(7, 2).at(30, 31).ok(1),
		create("a", 1).leased(7).at(40, 41).ok(2), remove("a", 2).at(70, 80).ok(3, deleted(1))), checkers.Pass)
	// A key cannot be given to a lease that has surely ended.
	judged("put with an ended lease", tell(lease, create("a", 1).leased(7).at(14_100, 14_101).ok(2), remove("a", 2).at(14_102, 14_103).ok(3, deleted(1))), checkers.Fail)
	judged("put in time", tell(lease, create("a", 1).leased(7).at(13_800, 13_801).ok(2), remove("a", 2).at(13_802, 13_803).ok(3, deleted(1))), checkers.Pass)
}
