package oracle

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// toPorcupine turns a history into porcupine's operations and the model that
// they are to be judged with.
func toPorcupine(h storetest.History) (*etcdModel, []porcupine.Operation) {
	m := &etcdModel{names: names(h), log: events(h.Watches)}
	var ops []porcupine.Operation
	var last history.Time
	for _, op := range h.Ops {
		last = max(last, op.Called, op.Returned)
		ops = append(ops, toItems(op)...)
	}
	ops = append(ops, expiries(h.Ops)...)
	var seen int64
	for rev := range m.log {
		seen = max(seen, rev)
	}
	return m, finish(ops, last, seen)
}

// finish adds the end of a history, at which all that was seen is there.
func finish(ops []porcupine.Operation, last history.Time, seen int64) []porcupine.Operation {
	end := operation(item{kind: itemEnd, rev: seen}, last+1, math.MaxInt64-1)
	ops = append(ops, end)
	for i := range ops {
		ops[i].ClientId = i // overlapping calls of one client confuse both judges
	}
	return ops
}

func operation(it item, call, ret history.Time) porcupine.Operation {
	return porcupine.Operation{Input: it, Call: int64(call), Return: int64(ret)}
}

const never = history.Time(math.MaxInt64)

// answered says that a call came back with an answer.
func answered(op *history.StoreOp) bool {
	return op.Returned != 0 && op.Error.Kind == history.ErrorNone
}

// toItems returns what a call means to the model. A definite failure means
// nothing: it has no effect, which shows if it had one.
func toItems(op *history.StoreOp) []porcupine.Operation {
	switch {
	case answered(op):
		return answeredItems(op)
	case op.Error.Kind == history.ErrorCompacted || op.Error.Kind == history.ErrorFutureRev:
		local := op.Method == history.MethodHashKV || (len(op.Then) > 0 && op.Then[0].Serializable)
		if op.Returned == 0 || local {
			return nil // a member that is behind or ahead may say so
		}
		return []porcupine.Operation{operation(item{kind: itemRefused, op: op}, op.Called, op.Returned)}
	case op.Error.Definite() || !writes(op):
		return nil
	}
	return []porcupine.Operation{operation(item{kind: itemMaybe, op: op}, op.Called, never)}
}

func answeredItems(op *history.StoreOp) []porcupine.Operation {
	known := operation(item{kind: itemKnown, rev: op.Header}, op.Called, op.Returned)
	call := operation(item{kind: itemAnswered, op: op}, op.Called, op.Returned)
	switch op.Method {
	case history.MethodHashKV, history.MethodStatus, history.MethodLeaseKeepAlive, history.MethodLeaseTTL:
		return []porcupine.Operation{known}
	case history.MethodCompact:
		// Its header is made some time after it was applied: a second
		// operation, which reads the revision and nothing else.
		header := operation(item{kind: itemAnswered, op: &history.StoreOp{
			Method: history.MethodRange, Header: op.Header,
			Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "\x01"}},
			Results: []history.StoreResult{{}},
		}}, op.Called, op.Returned)
		return []porcupine.Operation{call, header}
	}
	return []porcupine.Operation{call}
}

// writes says that a call may change the store's state, leases included.
func writes(op *history.StoreOp) bool {
	switch op.Method {
	case history.MethodLeaseGrant, history.MethodLeaseRevoke, history.MethodCompact:
		return true
	case history.MethodPut, history.MethodDeleteRange, history.MethodTxn:
		return slices.ContainsFunc(slices.Concat(op.Then, op.Else), func(a history.StoreAction) bool {
			return a.Kind != history.ActionRange
		})
	}
	return false
}

// expiries are the ends of leases that some call gave to a key, and of those
// that were granted more than once, which is only possible after an end. How
// often a lease was renewed is not looked at: it may end at any time after its
// first time to live, which allows more than etcd does.
func expiries(ops []*history.StoreOp) []porcupine.Operation {
	used, granted := map[int64]bool{}, map[int64]bool{}
	for _, op := range ops {
		if op.Method == history.MethodLeaseGrant && op.Lease != 0 {
			used[op.Lease] = used[op.Lease] || granted[op.Lease]
			granted[op.Lease] = true
		}
		for _, a := range slices.Concat(op.Then, op.Else) {
			used[a.Lease] = used[a.Lease] || a.Lease != 0
		}
	}
	var list []porcupine.Operation
	for _, op := range ops {
		id, ttl := op.Lease, op.TTL
		if answered(op) {
			id, ttl = op.GrantedLease, op.GrantedTTL
		}
		if op.Method == history.MethodLeaseGrant && used[id] && !op.Error.Definite() {
			due := op.Called.Add(time.Duration(ttl) * time.Second)
			list = append(list, operation(item{kind: itemExpire, lease: id}, due, never))
		}
	}
	return list
}

// events returns what the watches of the whole key space showed of each
// revision. Where members differ the first one counts: that they do is beyond a
// model with one state.
func events(watches []*history.StoreWatch) map[int64][]change {
	whole := map[[2]uint64]bool{}
	asked := map[uint64]bool{}
	shown := map[int64]map[string]change{}
	by := map[int64][2]uint64{}
	for _, w := range watches {
		id := [2]uint64{w.Stream, uint64(w.Watch)}
		switch w.Kind {
		case history.WatchCreate:
			asked[w.Stream] = w.Key <= "\x00" && w.End == "\x00" && !w.NoPut && !w.NoDelete
		case history.WatchCreated:
			whole[id] = asked[w.Stream]
		case history.WatchEvents:
			if !whole[id] {
				continue
			}
			for _, e := range w.Events {
				rev := e.KV.Mod
				if by[rev] == ([2]uint64{}) {
					by[rev], shown[rev] = id, map[string]change{}
				}
				if by[rev] == id {
					shown[rev][e.KV.Key] = eventChange(e)
				}
			}
		}
	}
	log := map[int64][]change{}
	for rev, changes := range shown {
		for _, c := range changes {
			log[rev] = append(log[rev], c)
		}
		slices.SortFunc(log[rev], func(a, b change) int { return cmp.Compare(a.key, b.key) })
	}
	return log
}

func eventChange(e history.StoreEvent) change {
	if e.Delete {
		return change{key: e.KV.Key}
	}
	kv := e.KV
	return change{kv.Key, &kv}
}

// names returns all keys that calls or events of a history name.
func names(h storetest.History) []string {
	set := map[string]bool{}
	for _, op := range h.Ops {
		for _, a := range slices.Concat(op.Then, op.Else) {
			if a.Kind != history.ActionRange {
				set[a.Key] = true
			}
		}
	}
	list := make([]string, 0, len(set))
	for name := range set {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
