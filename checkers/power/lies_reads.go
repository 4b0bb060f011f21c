package power

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
)

// readLies are told in the bodies of answers whose headers are right.
func readLies() []Lie {
	list := func(name string, least int, change func(t *teller, op *history.StoreOp, r *history.StoreResult)) Lie {
		return Lie{Name: name, Breaks: storage.Reads, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return quorumRead(op) && len(op.Results[0].KVs) >= least })
			if ok {
				change(t, op, &op.Results[0])
			}
			return ok
		}}
	}
	return []Lie{
		{Name: "a transaction does not read what it wrote", Breaks: storage.Reads, Tell: func(t *teller) bool {
			r, ok := t.writeResult(func(a history.StoreAction, r history.StoreResult) bool {
				return a.Kind == history.ActionRange && len(r.KVs) > 0
			})
			if ok {
				i := t.rng.IntN(len(r.KVs))
				r.KVs[i].Mod--
				r.KVs[i].Version--
			}
			return ok
		}},
		list("stale body under a fresh header", 1, func(t *teller, op *history.StoreOp, r *history.StoreResult) {
			at := op.Then[0].Revision
			if at == 0 {
				at = op.Header
			}
			_, stale, _ := t.f.execute([]history.StoreAction{current(op.Then[0])}, t.f.states[max(1, at-1-t.rng.Int64N(10))], 0)
			op.Results = stale
		}),
		list("a key is missing", 1, func(t *teller, _ *history.StoreOp, r *history.StoreResult) {
			i := t.rng.IntN(len(r.KVs))
			r.KVs = slices.Delete(r.KVs, i, i+1)
			r.Count--
		}),
		list("a key comes twice", 1, func(t *teller, _ *history.StoreOp, r *history.StoreResult) {
			i := t.rng.IntN(len(r.KVs))
			r.KVs = slices.Insert(r.KVs, i, r.KVs[i])
			r.Count++
		}),
		list("two keys are swapped", 2, func(t *teller, _ *history.StoreOp, r *history.StoreResult) {
			i := t.rng.IntN(len(r.KVs) - 1)
			r.KVs[i], r.KVs[i+1] = r.KVs[i+1], r.KVs[i]
		}),
		list("changed value", 1, func(t *teller, op *history.StoreOp, r *history.StoreResult) {
			r.KVs[t.rng.IntN(len(r.KVs))].Value++
		}),
		list("lowered revision of a key", 1, func(t *teller, _ *history.StoreOp, r *history.StoreResult) {
			kv := &r.KVs[t.rng.IntN(len(r.KVs))]
			kv.Mod--
			kv.Create = min(kv.Create, kv.Mod)
		}),
		list("wrong count", 0, func(t *teller, _ *history.StoreOp, r *history.StoreResult) { r.Count++ }),
		list("wrong more", 0, func(t *teller, _ *history.StoreOp, r *history.StoreResult) { r.More = !r.More }),
		list("torn list", 2, func(t *teller, op *history.StoreOp, r *history.StoreResult) {
			at := op.Then[0].Revision
			if at == 0 {
				at = op.Header
			}
			old := t.f.states[max(1, at-1-t.rng.Int64N(10))]
			cut := r.KVs[t.rng.IntN(len(r.KVs))].Key
			torn := state{}
			for k, kv := range t.f.states[at] {
				if k >= cut {
					torn[k] = kv
				}
			}
			for k, kv := range old {
				if k < cut {
					torn[k] = kv
				}
			}
			_, op.Results, _ = t.f.execute([]history.StoreAction{current(op.Then[0])}, torn, 0)
		}),
		list("the next page is of another revision", 0, func(t *teller, op *history.StoreOp, _ *history.StoreResult) {
			at := op.Then[0].Revision
			if at == 0 || at == op.Header {
				at = max(1, op.Header-1)
			} else {
				at = op.Header
			}
			_, op.Results, _ = t.f.execute([]history.StoreAction{current(op.Then[0])}, t.f.states[at], 0)
		}),
	}
}

// current is the same range without its revision.
func current(a history.StoreAction) history.StoreAction {
	a.Revision = 0
	return a
}

func compactionLies() []Lie {
	asks := func(op *history.StoreOp) bool {
		return (op.Method == history.MethodRange || op.Method == history.MethodRangeStream) &&
			!op.Then[0].Serializable && op.Then[0].Revision > 0 && op.Returned != 0
	}
	return []Lie{
		{Name: "a compacted read succeeds", Breaks: storage.CompactionHonest, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return asks(op) && op.Error.Kind == history.ErrorCompacted })
			if ok {
				t.answer(op, t.headerAt(op))
			}
			return ok
		}},
		{Name: "a past read of what is compacted", Breaks: storage.CompactionHonest, Tell: func(t *teller) bool {
			var compact *history.StoreOp
			op, ok := t.op(func(op *history.StoreOp) bool { return currentRead(op) && t.compactedBy(op) != nil })
			if !ok {
				return false
			}
			compact = t.compactedBy(op)
			op.Then[0].Revision = 1 + t.rng.Int64N(compact.Revision-1)
			t.answer(op, op.Header)
			return true
		}},
		{Name: "compaction error without compaction", Breaks: storage.CompactionHonest, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return asks(op) && acked(op) })
			if ok {
				refuse(op, history.ErrorCompacted)
			}
			return ok
		}},
		{Name: "the compaction went further than asked", Breaks: storage.CompactionHonest, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool {
				return op.Method == history.MethodCompact && acked(op) && op.Revision > 2
			})
			if ok {
				op.Revision -= 1 + t.rng.Int64N(op.Revision-2)
			}
			return ok
		}},
		{Name: "a known revision is said to be in the future", Breaks: storage.CompactionHonest, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return asks(op) && acked(op) })
			if ok {
				refuse(op, history.ErrorFutureRev)
			}
			return ok
		}},
	}
}

// compactedBy returns a compaction that had ended before a call was made.
func (t *teller) compactedBy(op *history.StoreOp) *history.StoreOp {
	var latest *history.StoreOp
	for _, c := range t.f.calls(history.MethodCompact) {
		if acked(c) && c.Returned < op.Called && c.Revision > 1 {
			latest = c
		}
	}
	return latest
}

// headerAt returns a revision that an answer to a failed call may have had: the
// latest one that was surely there when it was made.
func (t *teller) headerAt(op *history.StoreOp) int64 {
	rev := int64(firstRevision)
	for _, a := range t.h.Ops {
		if acked(a) && a.Returned < op.Called {
			rev = max(rev, a.Header)
		}
	}
	return rev
}
