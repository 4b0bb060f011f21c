package power

import (
	"math"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
)

// orderLies are lies about the order of writes and what they were answered.
func orderLies() []Lie {
	return []Lie{
		{Name: "two writes share a revision", Breaks: storage.Order, Tell: func(t *teller) bool {
			rev, ok := t.writtenPair()
			t.renumber(func(n int64) int64 {
				if n > rev {
					return n - 1
				}
				return n
			})
			return ok
		}},
		{Name: "a revision is left out", Breaks: storage.Order, Tell: func(t *teller) bool {
			// Before the first call of unknown fate and the first key with a lease
			// nothing can be in the gap.
			return t.leaveOut(false)
		}},
		{Name: "a revision is left out beside leases and calls of unknown fate", Breaks: storage.Order,
			Tell: func(t *teller) bool { return t.leaveOut(true) }},
		{Name: "a write answers with the revision of another", Breaks: storage.Order, Tell: func(t *teller) bool {
			a, ok := t.op(wrote)
			b, _ := t.op(func(op *history.StoreOp) bool { return wrote(op) && op != a })
			if ok && b != nil {
				setHeader(b, a.Header)
			}
			return ok && b != nil
		}},
		{Name: "a write answers with the revision before", Breaks: storage.Order, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool {
				return wrote(op) && op.Header > 2 && t.f.cause[op.Header-1] != nil && wrote(t.f.cause[op.Header-1])
			})
			if ok {
				setHeader(op, op.Header-1)
			}
			return ok
		}},
	}
}

// leaveOut gives all revisions from a random one on the number after theirs.
func (t *teller) leaveOut(unsure bool) bool {
	first := history.Time(math.MaxInt64) // of the calls of unknown fate
	for _, op := range t.h.Ops {
		if unknown(op) {
			first = min(first, op.Called)
		}
	}
	var revs []int64
	for rev := int64(firstRevision + 1); rev <= t.f.last; rev++ {
		explained := first <= t.f.known[rev]
		for _, kv := range t.f.states[rev-1] {
			explained = explained || kv.Lease != 0
		}
		if unsure == explained {
			revs = append(revs, rev)
		}
	}
	rev, ok := draw(t, revs, func(int64) bool { return true })
	if !ok {
		return false
	}
	t.renumber(func(n int64) int64 {
		if n >= rev {
			return n + 1
		}
		return n
	})
	return true
}

// writtenPair draws a revision that was acknowledged like the one after it.
func (t *teller) writtenPair() (int64, bool) {
	op, ok := t.op(func(op *history.StoreOp) bool {
		next := op.Header + 1
		return wrote(op) && next <= t.f.last && t.f.cause[next] != nil && wrote(t.f.cause[next])
	})
	if !ok {
		return 0, false
	}
	return op.Header, true
}

func replayLies() []Lie {
	return []Lie{
		{Name: "a false comparison passes", Breaks: storage.Replay, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return wrote(op) && op.Succeeded && len(op.Compares) == 1 })
			if !ok {
				return false
			}
			c := &op.Compares[0]
			switch c.Op {
			case "=":
				c.Number += 1 + t.rng.Int64N(5)
			case "!=":
				c.Op = "="
			default:
				c.Op = map[string]string{"<": ">", ">": "<"}[c.Op]
			}
			return true
		}},
		{Name: "a true comparison fails", Breaks: storage.Replay, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool {
				return op.Method == history.MethodTxn && acked(op) && !op.Succeeded && len(op.Compares) == 1 &&
					op.Compares[0].Target == history.CompareMod && op.Compares[0].Op == "="
			})
			if ok {
				before := op.Header
				if wrote(op) {
					before--
				}
				op.Compares[0].Number = t.f.states[before][op.Compares[0].Key].Mod
			}
			return ok
		}},
		{Name: "wrong previous value", Breaks: storage.Replay, Tell: func(t *teller) bool {
			return t.previous(func(kv *history.StoreKV) { kv.Value++ })
		}},
		{Name: "previous value of an earlier revision", Breaks: storage.Replay, Tell: func(t *teller) bool {
			return t.previous(func(kv *history.StoreKV) { kv.Mod--; kv.Create = min(kv.Create, kv.Mod) })
		}},
		{Name: "wrong number of deleted keys", Breaks: storage.Replay, Tell: func(t *teller) bool {
			r, ok := t.writeResult(func(a history.StoreAction, r history.StoreResult) bool { return r.Deleted > 0 })
			if ok {
				r.Deleted++
			}
			return ok
		}},
	}
}

// writeResult draws one result of a write.
func (t *teller) writeResult(fits func(history.StoreAction, history.StoreResult) bool) (*history.StoreResult, bool) {
	var all []*history.StoreResult
	for _, op := range t.h.Ops {
		if !wrote(op) {
			continue
		}
		for i, a := range executed(op) {
			if fits(a, op.Results[i]) {
				all = append(all, &op.Results[i])
			}
		}
	}
	return draw(t, all, func(*history.StoreResult) bool { return true })
}

func (t *teller) previous(change func(*history.StoreKV)) bool {
	r, ok := t.writeResult(func(a history.StoreAction, r history.StoreResult) bool {
		return a.Kind != history.ActionRange && len(r.KVs) > 0
	})
	if ok {
		change(&r.KVs[t.rng.IntN(len(r.KVs))])
	}
	return ok
}

func realTimeLies() []Lie {
	stale := func(op *history.StoreOp) bool {
		return acked(op) && !wrote(op) && !local(op) && len(op.Results) > 0 && op.Header > 12 &&
			!slices.ContainsFunc(executed(op), func(a history.StoreAction) bool { return a.Revision > 0 })
	}
	return []Lie{
		{Name: "stale read", Breaks: storage.RealTime, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return stale(op) && op.Method != history.MethodTxn })
			if ok {
				t.answer(op, op.Header-1-t.rng.Int64N(10))
			}
			return ok
		}},
		{Name: "stale refusal of a transaction", Breaks: storage.RealTime, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return stale(op) && op.Method == history.MethodTxn })
			if !ok {
				return false
			}
			rev := op.Header - 1 - t.rng.Int64N(10)
			if holdAll(op.Compares, t.f.states[rev]) != op.Succeeded {
				return false
			}
			t.answer(op, rev)
			return true
		}},
		{Name: "a read of the future", Breaks: storage.RealTime, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool {
				return stale(op) && op.Method != history.MethodTxn && op.Header+10 < t.f.last
			})
			if ok {
				t.answer(op, op.Header+1+t.rng.Int64N(9))
			}
			return ok
		}},
		{Name: "a write goes back in time", Breaks: storage.RealTime, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return wrote(op) && op.Header > 12 })
			if ok {
				late := time.Duration(200+t.rng.IntN(2000)) * time.Millisecond
				op.Called, op.Returned = op.Called.Add(late), op.Returned.Add(late)
			}
			return ok
		}},
		{Name: "a write is answered ahead of its time", Breaks: storage.RealTime, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return wrote(op) && op.Header > 12 })
			if ok {
				early := time.Duration(200+t.rng.IntN(500)) * time.Millisecond
				op.Called, op.Returned = op.Called.Add(-early), op.Returned.Add(-early)
			}
			return ok
		}},
	}
}
