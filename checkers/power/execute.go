package power

import (
	"fmt"
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// holdAll decides the comparisons of a transaction as etcd does
// (etcdserver/txn/txn.go, applyCompare).
func holdAll(compares []history.StoreCompare, s state) bool {
	for _, c := range compares {
		keys := s.keys(c.Key, c.End)
		if len(keys) == 0 && (c.Target == history.CompareValue || !holds(c, history.StoreKV{})) {
			return false
		}
		for _, k := range keys {
			if !holds(c, s[k]) {
				return false
			}
		}
	}
	return true
}

func holds(c history.StoreCompare, kv history.StoreKV) bool {
	n := map[history.CompareTarget]int64{
		history.CompareMod: kv.Mod, history.CompareCreate: kv.Create, history.CompareVersion: kv.Version,
		history.CompareLease: kv.Lease, history.CompareValue: int64(kv.Value),
	}[c.Target]
	switch c.Op {
	case "=":
		return n == c.Number
	case "!=":
		return n != c.Number
	case "<":
		return n < c.Number
	}
	return n > c.Number
}

// execute carries out actions on a state, which it leaves as it is. Whatever they
// change gets the revision rev; a read of the past looks into the states that are known.
func (f *facts) execute(actions []history.StoreAction, before state, rev int64) (state, []history.StoreResult, []history.StoreEvent) {
	s, own := before, false
	write := func() {
		if !own {
			s, own = maps.Clone(before), true
		}
	}
	var results []history.StoreResult
	var changes []history.StoreEvent
	for _, a := range actions {
		switch a.Kind {
		case history.ActionPut:
			prev, existed := s[a.Key]
			kv := stored(a, prev, existed, rev)
			write()
			s[a.Key] = kv
			changes = append(changes, history.StoreEvent{KV: kv, Prev: prev})
			var r history.StoreResult
			if a.PrevKV && existed {
				r.KVs = []history.StoreKV{prev}
			}
			results = append(results, r)
		case history.ActionDelete:
			var r history.StoreResult
			var prevs []history.StoreKV
			for _, k := range s.keys(a.Key, a.End) {
				prevs = append(prevs, s[k])
				changes = append(changes, history.StoreEvent{Delete: true, KV: history.StoreKV{Key: k, Mod: rev}, Prev: s[k]})
				write()
				delete(s, k)
				r.Deleted++
			}
			if a.PrevKV {
				listed(&r, prevs)
			}
			results = append(results, r)
		default:
			from := s
			if a.Revision > 0 && a.Revision < int64(len(f.states)) {
				from = f.states[a.Revision]
			}
			results = append(results, list(a, from))
		}
	}
	return s, results, changes
}

// stored is what a put makes of a key.
func stored(a history.StoreAction, prev history.StoreKV, existed bool, rev int64) history.StoreKV {
	kv := history.StoreKV{Key: a.Key, Create: rev, Mod: rev, Version: prev.Version + 1, Lease: a.Lease, Value: a.Value}
	if existed {
		kv.Create = prev.Create
	}
	if a.IgnoreValue {
		kv.Value = prev.Value
	}
	if a.IgnoreLease {
		kv.Lease = prev.Lease
	}
	return kv
}

// list answers a range on a state.
func list(a history.StoreAction, s state) history.StoreResult {
	var r history.StoreResult
	var kvs []history.StoreKV
	for _, k := range s.keys(a.Key, a.End) {
		r.Count++
		if a.CountOnly {
			continue
		}
		if a.Limit > 0 && r.Count > a.Limit {
			r.More = true
			continue
		}
		kv := s[k]
		if a.KeysOnly {
			kv.Value, kv.Lease = 0, 0 // etcd answers from its index
		}
		kvs = append(kvs, kv)
	}
	listed(&r, kvs)
	return r
}

func listed(r *history.StoreResult, kvs []history.StoreKV) {
	if len(kvs) > history.MaxListed {
		r.Chunks = history.Chunks(kvs)
		return
	}
	r.KVs = kvs
}

// differ says how a call's answer differs from the right one.
func differ(op *history.StoreOp, want []history.StoreResult) string {
	if len(op.Results) != len(want) {
		return fmt.Sprintf("%d results, want %d", len(op.Results), len(want))
	}
	for i, w := range want {
		g := op.Results[i]
		if g.Header != 0 && g.Header > op.Header {
			return fmt.Sprintf("result %d has a later revision than the answer", i)
		}
		if g.Count != w.Count || g.More != w.More || g.Deleted != w.Deleted ||
			!slices.Equal(g.KVs, w.KVs) || !slices.Equal(g.Chunks, w.Chunks) {
			return fmt.Sprintf("result %d is %+v, want %+v", i, g, w)
		}
	}
	return ""
}
