package storage

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// What a contract does not promise is taken out of the records, and nothing else.
func TestContractAdmits(t *testing.T) {
	op := func() *history.StoreOp {
		return &history.StoreOp{
			Method: history.MethodTxn, Succeeded: true,
			Compares: []history.StoreCompare{{Key: compactKey}},
			Then:     []history.StoreAction{{Kind: history.ActionDelete, Key: "/a"}, {Kind: history.ActionRange, Key: "/a"}},
			Results: []history.StoreResult{
				{Deleted: 1, KVs: []history.StoreKV{{Key: "/a", Mod: 3}}},
				{Count: 1, KVs: []history.StoreKV{{Key: "/a", Mod: 3}, {}}},
			},
		}
	}
	watch := func() *history.StoreWatch {
		return &history.StoreWatch{Key: "\x00", End: "\xff", Events: []history.StoreEvent{
			{KV: history.StoreKV{Key: "/a", Mod: 3}, Prev: history.StoreKV{Key: "/a", Mod: 2}},
			{Delete: true, KV: history.StoreKV{Key: "/b", Mod: 4, Create: 2}},
			{KV: history.StoreKV{Key: "gap-5", Mod: 5}}, {KV: history.StoreKV{Key: compactKey, Mod: 6, Version: 7}},
		}}
	}
	same := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	got, seen := op(), watch()
	Etcd().Op(got)
	Etcd().Watch(seen)
	same("etcd, a call", op(), got)
	same("etcd, a watch", watch(), seen)

	got = op()
	Contract{Uncounted: true}.Op(got)
	want := op()
	want.Results[0].KVs[0].Version, want.Results[1].KVs[0].Version = timeline.Uncounted, timeline.Uncounted
	same("uncounted", want, got)

	got, want = op(), op()
	Contract{Unasked: true}.Op(got)
	want.Results[0].KVs = nil
	same("unasked", want, got)

	got, want = op(), op()
	Contract{Terse: true}.Op(got)
	want.Results = make([]history.StoreResult, 2)
	same("terse", want, got)
	got.Succeeded, got.Else = false, []history.StoreAction{{Kind: history.ActionRange}}
	Contract{Terse: true}.Op(got)
	want.Succeeded, want.Results = false, nil
	same("terse, refused", want, got)

	for range 2 { // again changes nothing
		Kine().Watch(seen)
	}
	same("kine, a watch", &history.StoreWatch{Key: "\x00", End: "\x00", Events: []history.StoreEvent{
		{KV: history.StoreKV{Key: "/a", Mod: 3, Version: timeline.Uncounted}, Prev: history.StoreKV{Key: "/a", Mod: 2, Version: timeline.Uncounted}},
		{Delete: true, KV: history.StoreKV{Key: "/b", Mod: 4}},
		{KV: history.StoreKV{Key: compactKey, Mod: 6, Version: timeline.Uncounted}},
	}}, seen)
}

// With versions that are not counted a wrong creation, value or list is seen as
// ever, and only a key that the store makes needs no cause.
func TestUncounted(t *testing.T) {
	watched := true
	judge := func(change func(put, list *history.StoreOp)) map[string]checkers.Outcome {
		contract := Kine()
		c := New(Options{Contract: contract, Start: 1, Floors: Floors{Operations: -1, Conflicts: -1, Compactions: -1, Leases: -1, Members: -1}})
		create := &history.StoreOp{
			ID: 1, Method: history.MethodTxn, Member: "kine", Called: 10, Returned: 20, Header: 3, Succeeded: true,
			Compares: []history.StoreCompare{{Key: "/a", Target: history.CompareMod, Op: "="}},
			Then:     []history.StoreAction{{Kind: history.ActionPut, Key: "/a", Value: 7}}, Results: make([]history.StoreResult, 1),
		}
		put := &history.StoreOp{
			ID: 2, Method: history.MethodTxn, Member: "kine", Called: 30, Returned: 40, Header: 5, Succeeded: true,
			Compares: []history.StoreCompare{{Key: "/a", Target: history.CompareMod, Op: "=", Number: 3}},
			Then:     []history.StoreAction{{Kind: history.ActionPut, Key: "/a", Value: 8}}, Results: make([]history.StoreResult, 1),
		}
		list := &history.StoreOp{
			ID: 3, Method: history.MethodRange, Member: "kine", Called: 50, Returned: 60, Header: 5,
			Then: []history.StoreAction{{Kind: history.ActionRange, Key: "/", End: "0"}},
			Results: []history.StoreResult{{Count: 2, KVs: []history.StoreKV{
				{Key: "/a", Create: 3, Mod: 5, Value: 8}, {Key: "/registry/health", Create: 2, Mod: 2, Value: 9},
			}}},
		}
		all := &history.StoreWatch{Stream: 1, Kind: history.WatchCreate, Member: "kine", At: 1, Key: "\x00", End: "\xff", Start: 1}
		made := &history.StoreWatch{Stream: 1, Watch: 1, Kind: history.WatchCreated, Member: "kine", At: 2, Header: 1}
		events := &history.StoreWatch{Stream: 1, Watch: 1, Kind: history.WatchEvents, Member: "kine", At: 55, Header: 5, Events: []history.StoreEvent{
			{KV: history.StoreKV{Key: "/registry/health", Create: 2, Mod: 2, Value: 9}},
			{KV: history.StoreKV{Key: "/a", Create: 3, Mod: 3, Value: 7}},
			{KV: history.StoreKV{Key: "/a", Create: 3, Mod: 5, Value: 8}},
		}}
		change(put, list)
		for _, op := range []*history.StoreOp{create, put, list} {
			contract.Op(op)
			c.StoreOp(op)
		}
		for _, w := range []*history.StoreWatch{all, made, events} {
			if contract.Watch(w); watched {
				c.StoreWatch(w)
			}
		}
		outcomes := map[string]checkers.Outcome{}
		for _, v := range c.Finish() {
			if outcomes[v.Guarantee] = v.Outcome; v.Outcome == checkers.Fail {
				t.Log(v)
			}
		}
		return outcomes
	}
	f := func(what string, want checkers.Outcome, guarantee string, change func(put, list *history.StoreOp)) {
		t.Helper()
		if got := judge(change)[guarantee]; got != want {
			t.Errorf("%s: %s is %s, want %s", what, guarantee, got, want)
		}
	}
	nothing := func(put, list *history.StoreOp) {}
	for _, guarantee := range []string{Order, Replay, Reads, RealTime, NoPhantom} {
		f("a good history", checkers.Pass, guarantee, nothing)
	}
	f("another creation", checkers.Fail, Reads, func(_, list *history.StoreOp) { list.Results[0].KVs[0].Create = 5 })
	f("another value", checkers.Fail, Reads, func(_, list *history.StoreOp) { list.Results[0].KVs[0].Value = 7 })
	f("chunks", checkers.Pass, Reads, func(_, list *history.StoreOp) {
		r := &list.Results[0]
		r.Chunks, r.KVs = history.Chunks(r.KVs), nil
	})
	f("chunks of another value", checkers.Fail, Reads, func(_, list *history.StoreOp) {
		r := &list.Results[0]
		r.KVs[0].Value = 7
		r.Chunks, r.KVs = history.Chunks(r.KVs), nil
	})
	watched = false // the versions are known from the writes alone
	f("chunks that nobody watched", checkers.Pass, Reads, func(_, list *history.StoreOp) {
		a, r := &list.Then[0], &list.Results[0]
		a.Key, a.End = "/a", "/b"
		r.Count, r.Chunks, r.KVs = 1, history.Chunks(r.KVs[:1]), nil
	})
	watched = true
	f("a comparison that does not hold", checkers.Fail, Replay, func(put, _ *history.StoreOp) { put.Compares[0].Number = 2 })
	f("one that cannot be decided", checkers.Pass, Replay, func(put, _ *history.StoreOp) {
		put.Compares[0].Target, put.Compares[0].Number = history.CompareVersion, 1
	})
	f("a revision without a cause", checkers.Fail, NoPhantom, func(put, _ *history.StoreOp) { put.Error.Kind, put.Header = history.ErrorInvalid, 0 })
}
