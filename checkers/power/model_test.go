package power

import (
	"slices"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

const key = "/registry/a"

func second(n float64) history.Time {
	return history.Time(time.Hour).Add(time.Duration(n * float64(time.Second)))
}

var (
	first = history.StoreKV{Key: key, Create: 2, Mod: 2, Version: 1, Lease: 7, Value: 9}
	gone  = history.StoreEvent{Delete: true, KV: history.StoreKV{Key: key, Mod: 3}}
)

func readAt(id uint64, at float64, rev int64, kvs ...history.StoreKV) *history.StoreOp {
	return &history.StoreOp{
		ID: id, Client: uint32(id), Member: "m1", Method: history.MethodRange,
		Called: second(at), Returned: second(at + 0.1), Header: rev, Succeeded: true,
		Then:    []history.StoreAction{{Kind: history.ActionRange, Key: key}},
		Results: []history.StoreResult{{Count: int64(len(kvs)), KVs: kvs}},
	}
}

func eventsAt(at float64, rev int64, events ...history.StoreEvent) *history.StoreWatch {
	return &history.StoreWatch{
		Stream: 1, Member: "m1", Kind: history.WatchEvents, At: second(at), Header: rev, Events: events,
	}
}

// smallest is a key with a lease of 2 s that was put at 1.2 s, read at 2 s and
// gone at 4 s.
func smallest() storetest.History {
	return storetest.History{
		Ops: []*history.StoreOp{
			{
				ID: 1, Client: 1, Member: "m1", Method: history.MethodLeaseGrant, Called: second(1), Returned: second(1.1),
				Lease: 7, TTL: 2, GrantedLease: 7, GrantedTTL: 2, Header: 1,
			},
			{
				ID: 2, Client: 2, Member: "m1", Method: history.MethodPut, Called: second(1.2), Returned: second(1.3),
				Header: 2, Succeeded: true, Results: []history.StoreResult{{}},
				Then: []history.StoreAction{{Kind: history.ActionPut, Key: key, Value: 9, Lease: 7}},
			},
			readAt(3, 2, 2, first),
			readAt(4, 5, 3),
		},
		Watches: []*history.StoreWatch{
			{Stream: 1, Member: "m1", Kind: history.WatchCreate, At: second(0.1), Key: "\x00", End: "\x00", Start: 2},
			{Stream: 1, Member: "m1", Kind: history.WatchCreated, At: second(0.2), Header: 1},
			eventsAt(1.25, 2, history.StoreEvent{KV: first}),
			eventsAt(4, 3, gone),
		},
	}
}

// The model rejects what is wrong in the smallest way, and nothing else.
func TestModelRejects(t *testing.T) {
	f := func(what string, want bool, change func(h *storetest.History)) {
		t.Helper()
		h := smallest()
		change(&h)
		if bad := objections(h, etcdBounds()); (len(bad) > 0) != want {
			t.Errorf("%s: objections %q, want some: %v", what, bad, want)
		}
	}
	f("nothing", false, func(*storetest.History) {})
	f("a read beside the end of the lease", false, func(h *storetest.History) { h.Ops[2].Called = second(3.9); h.Ops[2].Returned = second(4.1) })
	f("changed value", true, func(h *storetest.History) { h.Ops[2].Results[0].KVs[0].Value++ })
	f("wrong count", true, func(h *storetest.History) { h.Ops[2].Results[0].Count++ })
	f("stale read", true, func(h *storetest.History) { h.Ops = append(h.Ops, readAt(5, 6, 2, first)) })
	f("early read", true, func(h *storetest.History) { h.Ops[2] = readAt(3, 1.11, 2, first); h.Ops[1].Called = second(1.22) })
	f("early death", true, func(h *storetest.History) { h.Ops[0].TTL, h.Ops[0].GrantedTTL = 9, 9 })
	f("late death", true, func(h *storetest.History) {
		h.Ops[2], h.Ops[3] = readAt(3, 60, 2, first), readAt(4, 62, 3)
		h.Watches[3].At = second(61)
	})
	f("a write without a call", true, func(h *storetest.History) { h.Ops = append(h.Ops[:1:1], h.Ops[2:]...) })
	f("a lost write", true, func(h *storetest.History) { h.Ops[2] = readAt(3, 2, 2) })
	f("a lost event", true, func(h *storetest.History) { h.Watches = append(h.Watches[:2:2], h.Watches[3]) })
	f("an event twice", true, func(h *storetest.History) { h.Watches = append(h.Watches, h.Watches[3]) })
	f("progress ahead", true, func(h *storetest.History) { h.Watches[2].Kind, h.Watches[2].Events = history.WatchProgress, nil })
	f("a compaction error", true, func(h *storetest.History) {
		h.Ops[2].Then[0].Revision = 1
		refuse(h.Ops[2], history.ErrorCompacted)
	})
}

// A client may ask for the end of a watch that the store has just ended for a compaction,
// and is answered once. Nothing else may come then.
func TestModelLetsCancelsCross(t *testing.T) {
	said := func(at float64, kind history.WatchKind, compacted int64) *history.StoreWatch {
		return &history.StoreWatch{Stream: 2, Member: "m1", Kind: kind, At: second(at), Header: 3, CompactRevision: compacted}
	}
	f := func(what string, want bool, late ...*history.StoreWatch) {
		t.Helper()
		h := smallest()
		h.Ops = append(h.Ops, &history.StoreOp{
			ID: 5, Client: 5, Member: "m1", Method: history.MethodCompact, Called: second(5.2), Returned: second(5.3), Revision: 3, Header: 3, Succeeded: true,
		})
		create := &history.StoreWatch{Stream: 2, Member: "m1", Kind: history.WatchCreate, At: second(5.4), Key: key, Start: 2}
		h.Watches = append(h.Watches, create, said(5.5, history.WatchCreated, 0), said(5.6, history.WatchCanceled, 3))
		h.Watches = append(h.Watches, late...)
		if bad := objections(h, etcdBounds()); (len(bad) > 0) != want {
			t.Errorf("%s: objections %q, want some: %v", what, bad, want)
		}
	}
	asked, answered := said(5.7, history.WatchCancel, 0), said(5.8, history.WatchCanceled, 0)
	f("nothing more", false)
	f("a request that crossed", false, asked)
	f("one with its answer", false, asked, answered)
	f("an answer to nobody", true, answered)
	f("two answers", true, asked, answered, answered)
	f("an event", true, asked, &history.StoreWatch{
		Stream: 2, Member: "m1", Kind: history.WatchEvents, At: second(5.8), Header: 3, Events: []history.StoreEvent{gone},
	})
}

// These are the smallest histories with lies that the checkers once missed.
func TestFormerSurvivors(t *testing.T) {
	f := func(guarantee, lie string, change func(h *storetest.History)) {
		t.Helper()
		h := smallest()
		change(&h)
		if len(objections(h, etcdBounds())) == 0 {
			t.Errorf("%s: the model accepts it", lie)
		}
		if !slices.ContainsFunc(judge(h, etcdBounds()), func(v checkers.Verdict) bool { return v.Guarantee == guarantee && v.Outcome == checkers.Fail }) {
			t.Errorf("%s, %s is missed", guarantee, lie)
		}
		if !slices.ContainsFunc(Catalogue(), func(l Lie) bool { return l.Breaks == guarantee && l.Name == lie && l.Missed == "" }) {
			t.Errorf("%s, %s is not in the catalogue, or marked as missed", guarantee, lie)
		}
	}
	f(storage.LeaseHonest, "leases outlive a pause", func(h *storetest.History) {
		h.Ops[2], h.Ops[3] = readAt(3, 60, 2, first), readAt(4, 62, 3)
		h.Watches[3].At = second(61)
	})
	f(storage.LeaseHonest, "leases outlive a pause", func(h *storetest.History) {
		// Written and deleted by calls, long after the end of the lease.
		for i, at := range []float64{60, 61} {
			op := readAt(uint64(5+i), at, int64(3+i))
			op.Method, op.Results = history.MethodPut, []history.StoreResult{{}}
			op.Then = []history.StoreAction{{Kind: history.ActionPut, Key: "/registry/b", Value: 3}}
			h.Ops = append(h.Ops, op)
		}
		last := h.Ops[len(h.Ops)-1]
		last.Method, last.Results[0].Deleted = history.MethodDeleteRange, 1
		last.Then = []history.StoreAction{{Kind: history.ActionDelete, Key: key}}
		h.Ops[3] = readAt(4, 62, 4)
		h.Watches[3] = eventsAt(60.05, 3, history.StoreEvent{KV: history.StoreKV{Key: "/registry/b", Create: 3, Mod: 3, Version: 1, Value: 3}})
		lie := gone
		lie.KV.Mod = 4
		h.Watches = append(h.Watches, eventsAt(61.05, 4, lie))
	})
	f(string(watch.Reliable), "a deletion carries a value", func(h *storetest.History) {
		lie := gone
		lie.KV.Value = 5
		told := []*history.StoreWatch{
			{Kind: history.WatchCreate, Key: "/registry/", End: "/registry0", Start: 2, At: second(0.1)},
			{Kind: history.WatchCreated, Header: 1, At: second(0.2)},
			eventsAt(1.25, 2, history.StoreEvent{KV: first}),
			eventsAt(4, 3, lie),
		}
		for _, w := range told {
			w.Stream, w.Member = 2, "m1"
		}
		h.Watches = append(h.Watches, told...)
	})
}
