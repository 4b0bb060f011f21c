package oracle

import (
	"math/rand/v2"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// lie is one way in which a store may be wrong. Some have an innocent
// explanation in some histories: whether a history is bad is for the judges to
// say, not for the lie.
type lie struct {
	name string
	// tell changes a history and says whether it found a place for the lie.
	tell func(r *rand.Rand, h *storetest.History) bool
}

var lies = []lie{
	{"stale read", staleRead},
	{"lost write", lostWrite},
	{"wrong value", func(r *rand.Rand, h *storetest.History) bool {
		return shown(r, h, func(kv *history.StoreKV) { kv.Value++ })
	}},
	{"older version", func(r *rand.Rand, h *storetest.History) bool {
		return shown(r, h, func(kv *history.StoreKV) { kv.Mod, kv.Version = kv.Mod-1, kv.Version-1 })
	}},
	{"wrong create revision", func(r *rand.Rand, h *storetest.History) bool {
		return shown(r, h, func(kv *history.StoreKV) { kv.Create-- })
	}},
	{"wrong lease", func(r *rand.Rand, h *storetest.History) bool {
		return shown(r, h, func(kv *history.StoreKV) { kv.Lease ^= 1 })
	}},
	{"false compare", falseCompare},
	{"failed compare that holds", deafCompare},
	{"header one too high", func(r *rand.Rand, h *storetest.History) bool { return header(r, h, 1) }},
	{"header one too low", func(r *rand.Rand, h *storetest.History) bool { return header(r, h, -1) }},
	{"swapped revisions", swapped},
	{"missing key", missingKey},
	{"wrong count", func(r *rand.Rand, h *storetest.History) bool {
		op := pick(r, h, isRead)
		if op != nil {
			op.Results[0].Count++
		}
		return op != nil
	}},
	{"wrong deleted", func(r *rand.Rand, h *storetest.History) bool {
		op := pick(r, h, func(op *history.StoreOp) bool { return len(op.Results) == 1 && op.Results[0].Deleted > 0 })
		if op != nil {
			op.Results[0].Deleted++
		}
		return op != nil
	}},
	{"nobody wrote it", func(r *rand.Rand, h *storetest.History) bool {
		lost := pick(r, h, wrote)
		h.Ops = slices.DeleteFunc(h.Ops, func(op *history.StoreOp) bool { return op == lost })
		return lost != nil
	}},
	{"refused and done", func(r *rand.Rand, h *storetest.History) bool {
		op := pick(r, h, wrote)
		if op != nil {
			op.Error.Kind = history.ErrorTooManyRequests
			op.Header, op.Results, op.Succeeded = 0, nil, false
		}
		return op != nil
	}},
	{"done before it was asked", func(r *rand.Rand, h *storetest.History) bool {
		op, last := pick(r, h, wrote), h.Ops[len(h.Ops)-1]
		if op != nil {
			op.Called, op.Returned = last.Called+10, last.Called+20
		}
		return op != nil
	}},
	{"done before it was asked, unanswered", func(r *rand.Rand, h *storetest.History) bool {
		op, last := pick(r, h, wrote), h.Ops[len(h.Ops)-1]
		if op != nil {
			op.Called, op.Returned = last.Called+10, 0
			op.Header, op.Results, op.Succeeded = 0, nil, false
		}
		return op != nil
	}},
	{"read long after", func(r *rand.Rand, h *storetest.History) bool {
		op, last := pick(r, h, isRead), h.Ops[len(h.Ops)-1]
		if op != nil {
			op.Called, op.Returned = last.Called+10, last.Called+20
		}
		return op != nil
	}},
	{"compacted for no reason", func(r *rand.Rand, h *storetest.History) bool {
		op := pick(r, h, func(op *history.StoreOp) bool { return isRead(op) && op.Then[0].Revision > 0 })
		if op != nil {
			op.Error.Kind = history.ErrorCompacted
			op.Header, op.Results, op.Succeeded = 0, nil, false
		}
		return op != nil
	}},
	// No lie at all: answers that are forgotten leave a valid history.
	{"forgotten answers", func(r *rand.Rand, h *storetest.History) bool {
		for range 3 {
			if op := pick(r, h, wrote); op != nil {
				op.Error.Kind = history.ErrorUnknown
				op.Header, op.Results, op.Succeeded = 0, nil, false
			}
		}
		return true
	}},
}

// pick returns a random call of a kind, nil if there is none.
func pick(r *rand.Rand, h *storetest.History, fit func(*history.StoreOp) bool) *history.StoreOp {
	var list []*history.StoreOp
	for _, op := range h.Ops {
		if answered(op) && fit(op) {
			list = append(list, op)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[r.IntN(len(list))]
}

func isRead(op *history.StoreOp) bool {
	return (op.Method == history.MethodRange || op.Method == history.MethodRangeStream) && !op.Then[0].Serializable
}

// wrote says that a call put a single key, whatever else it may have done.
func wrote(op *history.StoreOp) bool {
	actions := op.Then
	if op.Method == history.MethodTxn && !op.Succeeded {
		actions = op.Else
	}
	return len(actions) == 1 && actions[0].Kind == history.ActionPut && len(op.Results) == 1
}

// shown changes one key of one answer.
func shown(r *rand.Rand, h *storetest.History, change func(*history.StoreKV)) bool {
	op := pick(r, h, func(op *history.StoreOp) bool {
		return isRead(op) && len(op.Results[0].KVs) > 0 && !op.Then[0].KeysOnly
	})
	if op == nil {
		return false
	}
	kvs := op.Results[0].KVs
	change(&kvs[r.IntN(len(kvs))])
	return true
}

// staleRead gives a read the whole answer, header included, of an equal one that
// was over before it began.
func staleRead(r *rand.Rand, h *storetest.History) bool {
	older := map[*history.StoreOp][]*history.StoreOp{}
	for _, a := range h.Ops {
		for _, b := range h.Ops {
			same := answered(a) && answered(b) && isRead(a) && isRead(b) && a.Then[0] == b.Then[0]
			if same && a.Returned < b.Called && a.Header < b.Header {
				older[b] = append(older[b], a)
			}
		}
	}
	op := pick(r, h, func(op *history.StoreOp) bool { return len(older[op]) > 0 })
	if op == nil {
		return false
	}
	from := older[op][r.IntN(len(older[op]))].Clone()
	op.Header, op.Results = from.Header, from.Results
	return true
}

// lostWrite takes the last put of a key out of all later answers, as if it had
// never happened, and leaves its acknowledgement.
func lostWrite(r *rand.Rand, h *storetest.History) bool {
	last := map[string]int64{}
	previous := map[int64]history.StoreKV{}
	for _, w := range h.Watches {
		for _, e := range w.Events {
			last[e.KV.Key] = max(last[e.KV.Key], e.KV.Mod)
			previous[e.KV.Mod] = e.Prev
		}
	}
	lost := pick(r, h, func(op *history.StoreOp) bool {
		return wrote(op) && len(op.Else) <= 1 && last[op.Then[0].Key] == op.Header && op.Succeeded
	})
	if lost == nil {
		return false
	}
	told := false
	for _, op := range h.Ops {
		for i := range op.Results {
			told = forget(&op.Results[i], lost, previous[lost.Header]) || told
		}
	}
	return told
}

// forget replaces what a write left in an answer by what was there before.
func forget(r *history.StoreResult, lost *history.StoreOp, previous history.StoreKV) bool {
	i := slices.IndexFunc(r.KVs, func(kv history.StoreKV) bool {
		return kv.Key == lost.Then[0].Key && kv.Mod == lost.Header
	})
	switch {
	case i < 0:
		return false
	case previous.Mod == 0:
		r.KVs = slices.Delete(r.KVs, i, i+1)
		r.Count--
	default:
		r.KVs[i] = previous
	}
	return true
}

// falseCompare makes a comparison that held one that did not.
func falseCompare(r *rand.Rand, h *storetest.History) bool {
	op := pick(r, h, func(op *history.StoreOp) bool { return wrote(op) && op.Succeeded && len(op.Compares) == 1 })
	if op == nil {
		return false
	}
	op.Compares[0].Number++
	return true
}

// deafCompare makes a comparison that failed one that holds.
func deafCompare(r *rand.Rand, h *storetest.History) bool {
	op := pick(r, h, func(op *history.StoreOp) bool {
		return op.Method == history.MethodTxn && !op.Succeeded && len(op.Compares) == 1 && len(op.Results) == 1 &&
			op.Else[0].Kind == history.ActionRange && op.Compares[0].Target == history.CompareMod
	})
	if op == nil {
		return false
	}
	op.Compares[0].Number = 0
	if kvs := op.Results[0].KVs; len(kvs) > 0 {
		op.Compares[0].Number = kvs[0].Mod
	}
	return true
}

// header moves the revision of one answer, in its parts too.
func header(r *rand.Rand, h *storetest.History, by int64) bool {
	op := pick(r, h, func(op *history.StoreOp) bool {
		return op.Header > 2 && (isRead(op) || op.Method == history.MethodTxn || op.Method == history.MethodPut)
	})
	if op == nil {
		return false
	}
	setHeader(op, op.Header+by)
	return true
}

func setHeader(op *history.StoreOp, rev int64) {
	for i := range op.Results {
		if op.Results[i].Header != 0 {
			op.Results[i].Header += rev - op.Header
		}
	}
	op.Header = rev
}

// swapped exchanges the revisions of two writes.
func swapped(r *rand.Rand, h *storetest.History) bool {
	a := pick(r, h, wrote)
	b := pick(r, h, func(op *history.StoreOp) bool { return op != a && wrote(op) })
	if a == nil || b == nil {
		return false
	}
	one, two := a.Header, b.Header
	setHeader(a, two)
	setHeader(b, one)
	return true
}

// missingKey leaves a key out of a list, and out of its count.
func missingKey(r *rand.Rand, h *storetest.History) bool {
	op := pick(r, h, func(op *history.StoreOp) bool { return isRead(op) && len(op.Results[0].KVs) > 0 })
	if op == nil {
		return false
	}
	list := &op.Results[0]
	i := r.IntN(len(list.KVs))
	list.KVs = slices.Delete(list.KVs, i, i+1)
	list.Count--
	return true
}
