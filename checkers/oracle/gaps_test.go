package oracle

import (
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// TestClosedGaps holds the smallest histories in which the revision checker once
// missed what porcupine found.
func TestClosedGaps(t *testing.T) {
	for name, h := range map[string]storetest.History{
		"the end of a lease is dated by its event only":             earlyEnd(),
		"an unknown put keeps the value of a key that is not there": keptNothing(),
	} {
		if got := byPorcupine(h, deadline); got != bad {
			t.Errorf("%s: porcupine says %s", name, got)
		}
		if got, broken := byRevision(h); got != bad {
			t.Errorf("%s: the revision checker says %s\n%s", name, got, verdicts(broken))
		}
	}
}

func ms(n int) history.Time { return history.Time(time.Hour).Add(time.Duration(n) * time.Millisecond) }

// call is a call of one millisecond.
func call(id uint64, at int, op history.StoreOp) *history.StoreOp {
	op.ID, op.Client, op.Member, op.Called, op.Returned = id, uint32(id), "m1", ms(at), ms(at+1)
	return &op
}

// earlyEnd: an answer of another key shows the revision in which a lease ended
// before its second has passed. The event comes after it, and only that is
// looked at.
func earlyEnd() storetest.History {
	put := history.StoreKV{Key: "a", Create: 2, Mod: 2, Version: 1, Lease: 7, Value: 1}
	watch := func(at int, w history.StoreWatch) *history.StoreWatch {
		w.Stream, w.Member, w.At = 1, "m1", ms(at)
		return &w
	}
	return storetest.History{
		Ops: []*history.StoreOp{
			call(1, 10, history.StoreOp{Method: history.MethodLeaseGrant, TTL: 1, Header: 1, GrantedLease: 7, GrantedTTL: 1}),
			call(2, 20, history.StoreOp{
				Method: history.MethodPut, Header: 2, Succeeded: true,
				Then:    []history.StoreAction{{Kind: history.ActionPut, Key: "a", Value: 1, Lease: 7}},
				Results: []history.StoreResult{{}},
			}),
			call(3, 30, history.StoreOp{
				Method: history.MethodRange, Header: 3, Succeeded: true,
				Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "b"}},
				Results: []history.StoreResult{{}},
			}),
		},
		Watches: []*history.StoreWatch{
			watch(1, history.StoreWatch{Kind: history.WatchCreate, Key: "\x00", End: "\x00", Start: 2, PrevKV: true}),
			watch(2, history.StoreWatch{Kind: history.WatchCreated, Header: 1}),
			watch(40, history.StoreWatch{Kind: history.WatchEvents, Header: 2, Events: []history.StoreEvent{{KV: put}}}),
			watch(1500, history.StoreWatch{Kind: history.WatchEvents, Header: 3, Events: []history.StoreEvent{
				{Delete: true, KV: history.StoreKV{Key: "a", Mod: 3}, Prev: put},
			}}),
		},
	}
}

// keptNothing: a put that keeps the present value is refused where there is
// none, so it cannot have created the key that revision 2 must have created.
func keptNothing() storetest.History {
	unknown := call(1, 10, history.StoreOp{
		Method: history.MethodPut, Error: history.StoreError{Kind: history.ErrorUnknown},
		Then: []history.StoreAction{{Kind: history.ActionPut, Key: "a", IgnoreValue: true}},
	})
	put := call(2, 20, history.StoreOp{
		Method: history.MethodPut, Header: 3, Succeeded: true,
		Then:    []history.StoreAction{{Kind: history.ActionPut, Key: "a", Value: 1}},
		Results: []history.StoreResult{{}},
	})
	read := call(3, 30, history.StoreOp{
		Method: history.MethodRange, Header: 3, Succeeded: true,
		Then: []history.StoreAction{{Kind: history.ActionRange, Key: "a"}},
		Results: []history.StoreResult{{Count: 1, KVs: []history.StoreKV{
			{Key: "a", Create: 2, Mod: 3, Version: 2, Value: 1},
		}}},
	})
	return storetest.History{Ops: []*history.StoreOp{unknown, put, read}}
}
