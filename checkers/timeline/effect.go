package timeline

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// Branch returns the actions that a call executed.
func Branch(op *history.StoreOp) []history.StoreAction {
	if op.Method == history.MethodTxn && !op.Succeeded {
		return op.Else
	}
	return op.Then
}

// MayChange says that a call could have changed the store.
func MayChange(op *history.StoreOp) bool {
	if op.Method == history.MethodLeaseRevoke {
		return true
	}
	writes := func(a history.StoreAction) bool { return a.Kind == history.ActionPut || a.Kind == history.ActionDelete }
	return slices.ContainsFunc(op.Then, writes) || slices.ContainsFunc(op.Else, writes)
}

// Changed says by its answer that a call changed the store: the branch that was
// executed holds a Put or a DeleteRange that deleted something. A Put always
// makes a revision, a deletion of nothing never (storage/mvcc/kvstore_txn.go,
// Put and DeleteRange). The answer of a LeaseRevoke does not say.
func Changed(op *history.StoreOp) bool {
	if op.Error.Kind != history.ErrorNone {
		return false
	}
	for i, a := range Branch(op) {
		switch a.Kind {
		case history.ActionPut:
			return true
		case history.ActionDelete:
			if i < len(op.Results) && op.Results[i].Deleted > 0 {
				return true
			}
		}
	}
	return false
}

// Local says that one member answered on its own: serializable ranges and
// transactions of nothing else (etcdserver/txn/txn.go, IsTxnSerializable and
// IsTxnReadonly), and methods that only look at a member.
func Local(op *history.StoreOp) bool {
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream:
		return len(op.Then) > 0 && op.Then[0].Serializable
	case history.MethodTxn:
		linear := func(a history.StoreAction) bool { return a.Kind != history.ActionRange || !a.Serializable }
		return !slices.ContainsFunc(op.Then, linear) && !slices.ContainsFunc(op.Else, linear)
	case history.MethodPut, history.MethodDeleteRange, history.MethodLeaseRevoke, history.MethodLeaseGrant, history.MethodCompact:
		return false
	}
	return true
}

// Txn executes actions on a view, as etcd does within one revision: later ones
// see what earlier ones did.
type Txn struct {
	view    View
	rev     int64
	changes []Change
}

var _ View = (*Txn)(nil)

// Begin starts a transaction on a view, whose changes will get the revision rev.
func Begin(view View, rev int64) *Txn { return &Txn{view: view, rev: rev} }

// Changes returns what the transaction has changed so far.
func (x *Txn) Changes() []Change { return x.changes }

// Put executes a put and returns the version before.
func (x *Txn) Put(a history.StoreAction) (prev history.StoreKV, known bool) {
	prev, known = x.Get(a.Key)
	kv := history.StoreKV{Key: a.Key, Create: x.rev, Mod: x.rev, Version: 1, Lease: a.Lease, Value: a.Value}
	switch {
	case !known:
		kv.Create, kv.Version = Unknown, Unknown
	case prev.Version == Unknown, prev.Version == Uncounted:
		kv.Create, kv.Version = prev.Create, prev.Version
	case prev.Version != 0:
		kv.Create, kv.Version = prev.Create, prev.Version+1
	}
	if a.IgnoreValue {
		kv.Value = prev.Value
	}
	if a.IgnoreLease {
		kv.Lease = prev.Lease
	}
	x.changes = append(x.changes, Change{Key: a.Key, KV: kv, Prev: prev})
	return prev, known
}

// Delete executes a deletion and returns the versions before.
func (x *Txn) Delete(start, end string) (prevs []history.StoreKV) {
	x.List(start, end, func(kv history.StoreKV) bool {
		prevs = append(prevs, kv)
		return true
	})
	for _, prev := range prevs {
		x.changes = append(x.changes, Change{
			Key: prev.Key, Delete: true, KV: history.StoreKV{Key: prev.Key, Mod: x.rev}, Prev: prev,
		})
	}
	return prevs
}

// Get implements View.
func (x *Txn) Get(key string) (history.StoreKV, bool) {
	for i := len(x.changes) - 1; i >= 0; i-- {
		if c := &x.changes[i]; c.Key == key {
			if c.Delete {
				return history.StoreKV{}, true
			}
			return c.KV, true
		}
	}
	return x.view.Get(key)
}

// List implements View.
func (x *Txn) List(start, end string, yield func(history.StoreKV) bool) {
	own := x.touched(start, end)
	more := true
	emit := func(key string) {
		if kv, _ := x.Get(key); kv.Version != 0 && more {
			more = yield(kv)
		}
	}
	x.view.List(start, end, func(kv history.StoreKV) bool {
		for len(own) > 0 && own[0] < kv.Key {
			emit(own[0])
			own = own[1:]
		}
		if len(own) > 0 && own[0] == kv.Key {
			emit(own[0])
			own = own[1:]
		} else if more {
			more = yield(kv)
		}
		return more
	})
	for _, key := range own {
		emit(key)
	}
}

// touched returns the changed keys of a range in order.
func (x *Txn) touched(start, end string) []string {
	var keys []string
	for i := range x.changes {
		if InRange(x.changes[i].Key, start, end) {
			keys = append(keys, x.changes[i].Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Count implements View.
func (x *Txn) Count(start, end string) int64 {
	n := x.view.Count(start, end)
	for _, key := range x.touched(start, end) {
		before, _ := x.view.Get(key)
		after, _ := x.Get(key)
		if before.Version == 0 && after.Version != 0 {
			n++
		}
		if before.Version != 0 && after.Version == 0 {
			n--
		}
	}
	return n
}

// Complete implements View.
func (x *Txn) Complete() bool { return x.view.Complete() }

// Refused says that the store surely refuses a branch in a state: a put that
// keeps the value or the lease of a key needs one (etcdserver/txn/put.go,
// checkAndGetPrevKV, which a transaction is asked before any of it is done).
func Refused(branch []history.StoreAction, view View) bool {
	for _, a := range branch {
		if a.Kind != history.ActionPut || !(a.IgnoreValue || a.IgnoreLease) {
			continue
		}
		if kv, known := view.Get(a.Key); known && kv.Version == 0 {
			return true
		}
	}
	return false
}

// Effect returns what a branch of a call does to a view.
func Effect(branch []history.StoreAction, view View, rev int64) []Change {
	x := Begin(view, rev)
	for _, a := range branch {
		switch a.Kind {
		case history.ActionPut:
			x.Put(a)
		case history.ActionDelete:
			x.Delete(a.Key, a.End)
		}
	}
	return x.changes
}

// Holds decides the comparisons of a transaction on a view, as etcdserver/txn/
// txn.go does in applyCompare: the value of a missing key compares false, its
// revisions, version and lease are 0. Where a key is unknown it is not decided;
// nor is the order of values, of which a history only knows the hashes.
func Holds(compares []history.StoreCompare, view View) (holds, decided bool) {
	decided = true
	for _, c := range compares {
		h, d := holdsOne(c, view)
		if d && !h {
			return false, true
		}
		decided = decided && d
	}
	return decided, decided
}

func holdsOne(c history.StoreCompare, view View) (holds, decided bool) {
	if c.Target == history.CompareValue && c.Op != "=" && c.Op != "!=" {
		return false, false
	}
	missing := c.Target != history.CompareValue && compareNumber(0, c.Op, c.Number)
	if c.End == "" {
		kv, known := view.Get(c.Key)
		switch {
		case !known:
			return false, false
		case kv.Version == 0:
			return missing, true
		}
		return holdsFor(c, kv)
	}
	found, refuted, decided := false, false, view.Complete()
	view.List(c.Key, c.End, func(kv history.StoreKV) bool {
		found = true
		h, d := holdsFor(c, kv)
		refuted = d && !h
		decided = decided && d
		return !refuted
	})
	switch {
	case refuted:
		return false, true
	case !found:
		return missing, decided
	}
	return true, decided
}

func holdsFor(c history.StoreCompare, kv history.StoreKV) (holds, decided bool) {
	var n int64
	switch c.Target {
	case history.CompareMod:
		n = kv.Mod
	case history.CompareCreate:
		n = kv.Create
	case history.CompareVersion:
		n = kv.Version
	case history.CompareLease:
		n = kv.Lease
	case history.CompareValue:
		n = int64(kv.Value)
	}
	partial := kv.Version == Unknown && (c.Target == history.CompareCreate || c.Target == history.CompareVersion) ||
		kv.Version == Uncounted && c.Target == history.CompareVersion
	return compareNumber(n, c.Op, c.Number), !partial
}

func compareNumber(n int64, op string, with int64) bool {
	switch op {
	case "=":
		return n == with
	case "!=":
		return n != with
	case "<":
		return n < with
	case ">":
		return n > with
	}
	return false
}
