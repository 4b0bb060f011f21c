package residual

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// answer executes a call on a state and says what it changes and whether the
// answer is that of the store. What the state does not tell is right.
func answer(s *state, c step) (changes []timeline.Change, right bool) {
	op := c.op
	if op.Method == history.MethodTxn {
		if holds, decided := timeline.Holds(op.Compares, s); decided && holds != op.Succeeded {
			return nil, false
		}
	}
	branch := timeline.Branch(op)
	right = !timeline.Refused(branch, s)
	x := timeline.Begin(s, c.basis+1)
	for i, a := range branch {
		right = action(x, a, op.Results[i], op.Method) && right
	}
	if !timeline.Changed(op) && len(x.Changes()) > 0 {
		right = false
	}
	return x.Changes(), right
}

func action(x *timeline.Txn, a history.StoreAction, r history.StoreResult, method history.StoreMethod) bool {
	switch a.Kind {
	case history.ActionPut:
		prev, known := x.Put(a)
		if prev.Version == 0 {
			return !known || previous(a, r, nil)
		}
		return previous(a, r, []history.StoreKV{prev})
	case history.ActionDelete:
		prevs := x.Delete(a.Key, a.End)
		return !x.Complete() || r.Deleted == int64(len(prevs)) && previous(a, r, prevs)
	case history.ActionRange:
		// The old state that a range within a transaction asked for is gone.
		return method == history.MethodTxn && a.Revision > 0 || list(x, a, r)
	}
	return true
}

func previous(a history.StoreAction, r history.StoreResult, was []history.StoreKV) bool {
	if !a.PrevKV {
		was = nil
	}
	return same(r, was)
}

// list compares the answer of a range with the state.
func list(view timeline.View, a history.StoreAction, r history.StoreResult) bool {
	if !view.Complete() {
		return one(view, a, r)
	}
	var want []history.StoreKV
	var count int64
	view.List(a.Key, a.End, func(kv history.StoreKV) bool {
		if count++; !a.CountOnly && (a.Limit <= 0 || count <= a.Limit) {
			want = append(want, kv)
		}
		return true
	})
	switch {
	case a.Sorted:
		return true // in which order, or how filtered, is not recorded
	case r.Count != count || r.More != (!a.CountOnly && a.Limit > 0 && count > a.Limit):
		return false
	case a.KeysOnly:
		return sameKeys(r, want)
	}
	return same(r, want)
}

// one judges a single key of a history that began when keys existed; more cannot
// be told there.
func one(view timeline.View, a history.StoreAction, r history.StoreResult) bool {
	kv, known := view.Get(a.Key)
	switch {
	case a.End != "" || !known || a.Sorted || a.KeysOnly || len(r.Chunks) > 0:
		return true
	case kv.Version == 0:
		return r.Count == 0 && len(r.KVs) == 0
	case a.CountOnly:
		return r.Count == 1
	}
	return r.Count == 1 && len(r.KVs) == 1 && timeline.SameKV(r.KVs[0], kv)
}

// same compares shown keys, or what was kept of a long list, with what was.
func same(r history.StoreResult, want []history.StoreKV) bool {
	if len(r.Chunks) > 0 {
		exact := !slices.ContainsFunc(want, func(kv history.StoreKV) bool { return kv.Version == timeline.Unknown })
		return !exact || slices.Equal(r.Chunks, history.Chunks(want))
	}
	return slices.EqualFunc(r.KVs, want, timeline.SameKV)
}

// sameKeys compares a list without values. It has no leases either where the
// store answers from its index alone.
func sameKeys(r history.StoreResult, want []history.StoreKV) bool {
	bare := slices.Clone(want)
	for i := range bare {
		bare[i].Value = 0
	}
	if same(r, bare) {
		return true
	}
	if len(r.Chunks) > 0 {
		for i := range bare {
			bare[i].Lease = 0
		}
		return same(r, bare)
	}
	return slices.EqualFunc(r.KVs, bare, func(shown, was history.StoreKV) bool {
		if shown.Lease == 0 {
			was.Lease = 0
		}
		return timeline.SameKV(shown, was)
	})
}
