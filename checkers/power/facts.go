package power

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// state is the whole key space at one revision.
type state map[string]history.StoreKV

func (s state) keys(key, end string) []string {
	if end == "" {
		if _, ok := s[key]; ok {
			return []string{key}
		}
		return nil
	}
	var found []string
	for k := range s {
		if inRange(k, key, end) {
			found = append(found, k)
		}
	}
	slices.Sort(found)
	return found
}

func inRange(k, key, end string) bool {
	switch end {
	case "":
		return k == key
	case "\x00":
		return k >= key
	}
	return k >= key && k < end
}

// facts is what the model makes of a history: what each revision changed, why,
// and the whole key space after each. It costs quadratic memory, which small
// histories can afford and which leaves no room for cleverness. Of a history with a lie
// the rest is shared with that before it, see before.
type facts struct {
	ops     []*history.StoreOp
	watches []*history.StoreWatch
	last    int64
	changes [][]history.StoreEvent // by revision, in the order of execution
	states  []state                // by revision
	cause   []*history.StoreOp     // by revision; nil: the end of a lease
	known   []history.Time         // by revision: when a record first showed it or a later one
	used    map[*history.StoreOp]int64
	bad     []string

	byMethod map[history.StoreMethod][]*history.StoreOp // see calls; nil: not asked for yet
	asks     []*request                                 // see requests; nil: not asked for yet
	ended    history.Time                               // see end; 0: not asked for yet

	was *before // nil: nothing is known of the history
	changed
}

// firstRevision is the revision of a new store (etcd, storage/mvcc/kvstore.go).
const firstRevision = 1

func (f *facts) reject(format string, args ...any) {
	f.bad = append(f.bad, fmt.Sprintf(format, args...))
}

// learn finds out what a history says of the store.
func learn(h storetest.History) *facts { return learnSince(h, nil, false) }

// learnSince does so where the history before a lie is known, nil: it is not. hasty:
// the first objection is enough, and nothing is learned behind it.
func learnSince(h storetest.History, was *before, hasty bool) *facts {
	f := &facts{ops: h.Ops, watches: h.Watches, last: firstRevision, used: map[*history.StoreOp]int64{}, was: was}
	for _, op := range h.Ops {
		if acked(op) {
			f.last = max(f.last, op.Header)
		}
	}
	for _, w := range h.Watches {
		f.last = max(f.last, w.Header)
		for _, e := range w.Events {
			f.last = max(f.last, e.KV.Mod)
		}
	}
	if f.last > 1<<14 {
		f.reject("revision %d is out of reach", f.last)
		f.last = firstRevision
		return f
	}
	f.sight()
	f.compare()
	writers := f.writers()
	seen := f.seen()
	f.changes = make([][]history.StoreEvent, f.last+1)
	f.cause = make([]*history.StoreOp, f.last+1)
	f.states = []state{{}, {}}
	for rev := int64(firstRevision + 1); rev <= f.last; rev++ {
		if hasty && len(f.bad) > 0 {
			return f
		}
		if !f.keep(rev, writers[rev]) {
			f.replay(rev, writers[rev], seen[rev])
		}
		f.hold(rev)
	}
	return f
}

// calls are those of a method.
func (f *facts) calls(method history.StoreMethod) []*history.StoreOp {
	if f.byMethod == nil {
		f.byMethod = map[history.StoreMethod][]*history.StoreOp{}
		for _, op := range f.ops {
			f.byMethod[op.Method] = append(f.byMethod[op.Method], op)
		}
	}
	return f.byMethod[method]
}

// requests are the watches.
func (f *facts) requests() []*request {
	if f.asks == nil {
		f.asks = requests(f.watches)
	}
	return f.asks
}

func acked(op *history.StoreOp) bool {
	return op.Returned != 0 && op.Error.Kind == history.ErrorNone
}

func unknown(op *history.StoreOp) bool {
	return op.Returned == 0 || (op.Error.Kind != history.ErrorNone && !op.Error.Definite())
}

func executed(op *history.StoreOp) []history.StoreAction {
	if op.Method == history.MethodTxn && !op.Succeeded {
		return op.Else
	}
	return op.Then
}

// wrote says by a call's own answer that it made a revision.
func wrote(op *history.StoreOp) bool {
	if !acked(op) {
		return false
	}
	for i, a := range executed(op) {
		if a.Kind == history.ActionPut ||
			(a.Kind == history.ActionDelete && i < len(op.Results) && op.Results[i].Deleted > 0) {
			return true
		}
	}
	return false
}

// sight fills in when each revision was first known to exist.
func (f *facts) sight() {
	f.known = make([]history.Time, f.last+2)
	for i := range f.known {
		f.known[i] = math.MaxInt64
	}
	note := func(rev int64, at history.Time) {
		if rev > 0 && rev <= f.last {
			f.known[rev] = min(f.known[rev], at)
		}
	}
	for _, op := range f.ops {
		if acked(op) {
			note(op.Header, op.Returned)
		}
	}
	for _, w := range f.watches {
		note(w.Header, w.At)
		for _, e := range w.Events {
			note(e.KV.Mod, w.At)
		}
	}
	for rev := f.last; rev > 0; rev-- {
		f.known[rev] = min(f.known[rev], f.known[rev+1])
	}
}

func (f *facts) writers() map[int64]*history.StoreOp {
	writers := map[int64]*history.StoreOp{}
	for _, op := range f.ops {
		if !wrote(op) {
			continue
		}
		if other := writers[op.Header]; other != nil {
			f.reject("calls %d and %d both wrote revision %d", other.ID, op.ID, op.Header)
		}
		writers[op.Header] = op
	}
	return writers
}

type watchID struct {
	stream uint64
	watch  int64
}

// seen collects what watches of everything showed of each revision. Where they
// disagree the first one is taken; the others are rejected later.
func (f *facts) seen() map[int64][]history.StoreEvent {
	seen := map[int64][]history.StoreEvent{}
	from := map[int64]watchID{}
	for _, r := range f.requests() {
		if r.create.Key > "\x00" || r.create.End != "\x00" || r.create.NoPut || r.create.NoDelete {
			continue
		}
		id := watchID{r.create.Stream, r.id}
		for _, w := range r.messages {
			for _, e := range w.Events {
				if first, ok := from[e.KV.Mod]; !ok || first == id {
					from[e.KV.Mod] = id
					seen[e.KV.Mod] = append(seen[e.KV.Mod], e)
				}
			}
		}
	}
	return seen
}

// replay settles one revision on the state before it.
func (f *facts) replay(rev int64, writer *history.StoreOp, seen []history.StoreEvent) {
	before := f.states[rev-1]
	if writer != nil {
		holds := holdAll(writer.Compares, before)
		if writer.Method == history.MethodTxn && holds != writer.Succeeded {
			f.reject("call %d at revision %d: comparisons are %v, answer says %v", writer.ID, rev, holds, writer.Succeeded)
		}
		after, results, changes := f.execute(executed(writer), before, rev)
		if why := differ(writer, results); why != "" {
			f.reject("call %d at revision %d: %s", writer.ID, rev, why)
		}
		f.settle(rev, writer, after, changes)
		return
	}
	if len(seen) == 0 {
		f.reject("nothing made revision %d", rev)
	}
	after := maps.Clone(before)
	var changes []history.StoreEvent
	for _, e := range seen {
		e.Prev = before[e.KV.Key]
		changes = append(changes, e)
		after[e.KV.Key] = e.KV
		if e.Delete {
			delete(after, e.KV.Key)
		}
	}
	cause, ok := f.explain(rev, before, changes)
	if !ok && len(seen) > 0 {
		f.reject("revision %d has no cause", rev)
	}
	f.settle(rev, cause, after, changes)
}

func (f *facts) settle(rev int64, cause *history.StoreOp, after state, changes []history.StoreEvent) {
	f.states = append(f.states, after)
	f.changes[rev], f.cause[rev] = changes, cause
	if cause == nil {
		return
	}
	f.used[cause] = rev
	if cause.Called > f.known[rev] {
		f.reject("revision %d was known before call %d, which made it", rev, cause.ID)
	}
}

// explain finds what made a revision that nobody acknowledged. The end of a
// lease comes before unknown calls because it uses up nothing.
func (f *facts) explain(rev int64, before state, changes []history.StoreEvent) (*history.StoreOp, bool) {
	lease, whole := ofLease(before, changes)
	if whole {
		for _, op := range f.calls(history.MethodLeaseRevoke) {
			if op.Lease == lease && acked(op) && op.Header == rev {
				return op, true
			}
		}
		if f.mayExpire(lease, rev, before) {
			return nil, true
		}
	}
	for _, op := range f.ops {
		if !unknown(op) || f.used[op] != 0 || op.Called > f.known[rev] {
			continue
		}
		if op.Method == history.MethodLeaseRevoke {
			if whole && op.Lease == lease {
				return op, true
			}
			continue
		}
		branch := op.Then
		if !holdAll(op.Compares, before) {
			branch = op.Else
		}
		if _, _, does := f.execute(branch, before, rev); len(does) > 0 && sameEvents(does, changes) {
			return op, true
		}
	}
	return nil, false
}

// ofLease says whose end deletes exactly these keys.
func ofLease(before state, changes []history.StoreEvent) (int64, bool) {
	if len(changes) == 0 {
		return 0, false
	}
	lease := before[changes[0].KV.Key].Lease
	held := 0
	for _, kv := range before {
		if kv.Lease == lease {
			held++
		}
	}
	for _, e := range changes {
		if !e.Delete || before[e.KV.Key].Lease != lease {
			return 0, false
		}
	}
	return lease, lease != 0 && held == len(changes)
}

func sameEvents(a, b []history.StoreEvent) bool {
	return slices.EqualFunc(a, b, func(x, y history.StoreEvent) bool { return x.Delete == y.Delete && x.KV == y.KV })
}
