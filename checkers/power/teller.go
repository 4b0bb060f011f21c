package power

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/power/mutants"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// A Lie is one way in which a store, or what stands between it and the
// recorder, may deceive its clients.
type Lie = mutants.Lie[*teller]

// teller is a copy of a valid history in which a lie is told.
type teller struct {
	rng *rand.Rand
	h   storetest.History
	f   *facts  // of the history before the lie
	was *before // for the model; nil: it is to judge the whole
}

// newTeller copies a history. known is what the model knows of it, nil: nothing yet.
func newTeller(h storetest.History, known *accepted, seed uint64) *teller {
	t := &teller{rng: rand.New(rand.NewPCG(seed, 0x6c6965)), h: h.Clone()}
	if known == nil {
		t.f = learn(t.h)
	} else {
		t.f, t.was = known.of(h, t.h), newBefore(known, t.h)
	}
	return t
}

// of returns the facts of a history as those of a copy of it. What lies change of
// them is copied too: the last state, and what is appended.
func (f *facts) of(h, c storetest.History) *facts {
	twin := make(map[*history.StoreOp]*history.StoreOp, len(h.Ops))
	for i, op := range h.Ops {
		twin[op] = c.Ops[i]
	}
	g := *f
	g.ops, g.watches = c.Ops, c.Watches
	g.byMethod, g.asks, g.ended = nil, nil, 0
	g.changes, g.states = slices.Clone(f.changes), slices.Clone(f.states)
	g.states[f.last] = maps.Clone(f.states[f.last])
	g.cause, g.used = make([]*history.StoreOp, len(f.cause)), make(map[*history.StoreOp]int64, len(f.used))
	for rev, op := range f.cause {
		g.cause[rev] = twin[op] // nil stays nil
	}
	for op, rev := range f.used {
		g.used[twin[op]] = rev
	}
	return &g
}

// draw draws one of the items that fit.
func draw[T any](t *teller, items []T, fits func(T) bool) (T, bool) {
	var fitting []T
	for _, item := range items {
		if fits(item) {
			fitting = append(fitting, item)
		}
	}
	if len(fitting) == 0 {
		var none T
		return none, false
	}
	return fitting[t.rng.IntN(len(fitting))], true
}

func (t *teller) op(fits func(*history.StoreOp) bool) (*history.StoreOp, bool) {
	return draw(t, t.h.Ops, fits)
}

func (t *teller) watch(fits func(*request) bool) (*request, bool) {
	return draw(t, requests(t.h.Watches), func(r *request) bool { return r.created != nil && fits(r) })
}

// message draws a message of a watch. What the watches of everything show of a
// revision that nobody acknowledged is all that is known of it: a lie there is
// one about the store, not about the watch, and is left to the lies of members.
func (t *teller) message(accept func(*request, *history.StoreWatch) bool) (*request, *history.StoreWatch, bool) {
	fits := func(r *request, m *history.StoreWatch) bool {
		return accept(r, m) && r.index(m) <= r.end() && !(r.create.End == "\x00" && slices.ContainsFunc(m.Events, func(e history.StoreEvent) bool {
			cause := t.f.cause[e.KV.Mod]
			return cause == nil || !acked(cause)
		}))
	}
	r, ok := t.watch(func(r *request) bool {
		return slices.ContainsFunc(r.messages, func(m *history.StoreWatch) bool { return fits(r, m) })
	})
	if !ok {
		return nil, nil, false
	}
	m, _ := draw(t, r.messages, func(m *history.StoreWatch) bool { return fits(r, m) })
	return r, m, true
}

// end is the place of the message that ends a watch; what comes behind it tells it
// nothing.
func (r *request) end() int {
	if r.last == 0 {
		r.last = len(r.messages) + 1
		if end := slices.IndexFunc(r.messages, func(m *history.StoreWatch) bool { return m.Kind == history.WatchCanceled }); end >= 0 {
			r.last = end + 1
		}
	}
	return r.last - 1
}

// insert puts a message behind another one, at the same time.
func (t *teller) insert(after, m *history.StoreWatch) {
	i := slices.Index(t.h.Watches, after)
	t.h.Watches = slices.Insert(t.h.Watches, i+1, m)
}

func (t *teller) insertBefore(before, m *history.StoreWatch) {
	i := slices.Index(t.h.Watches, before)
	t.h.Watches = slices.Insert(t.h.Watches, i, m)
}

func (t *teller) remove(m *history.StoreWatch) {
	i := slices.Index(t.h.Watches, m)
	t.h.Watches = slices.Delete(t.h.Watches, i, i+1)
}

// tidy takes away messages that a lie has left without events, and puts the
// rest in the order of their times.
func (t *teller) tidy() {
	t.h.Watches = slices.DeleteFunc(t.h.Watches, func(w *history.StoreWatch) bool {
		return w.Kind == history.WatchEvents && len(w.Events) == 0
	})
	slices.SortStableFunc(t.h.Watches, func(a, b *history.StoreWatch) int { return int(min(max(a.At-b.At, -1), 1)) })
}

// closing returns the calls that read everything through every member at the
// end of a history.
func (t *teller) closing() []*history.StoreOp {
	var calls []*history.StoreOp
	n := len(t.f.ops) - 1
	for ; n >= 0; n-- {
		op := t.f.ops[n]
		if op.Method == history.MethodRange && acked(op) && op.Then[0].Key == "\x00" {
			calls = append(calls, op)
		} else if op.Method != history.MethodHashKV {
			break
		}
	}
	return calls
}

// eachKV shows every version of a key in the history to a function, which may
// change it.
func (t *teller) eachKV(change func(*history.StoreKV)) {
	for _, op := range t.h.Ops {
		for i := range op.Results {
			for j := range op.Results[i].KVs {
				change(&op.Results[i].KVs[j])
			}
		}
	}
	for _, w := range t.h.Watches {
		for i := range w.Events {
			change(&w.Events[i].KV)
			change(&w.Events[i].Prev)
		}
	}
}

// renumber replaces every revision in the history.
func (t *teller) renumber(to func(int64) int64) {
	rev := func(n *int64) {
		if *n > 0 {
			*n = to(*n)
		}
	}
	t.eachKV(func(kv *history.StoreKV) { rev(&kv.Mod); rev(&kv.Create) })
	for _, op := range t.h.Ops {
		rev(&op.Header)
		rev(&op.Revision)
		rev(&op.CompactRevision)
		for i, c := range op.Compares {
			if c.Target == history.CompareMod || c.Target == history.CompareCreate {
				rev(&op.Compares[i].Number)
			}
		}
		for _, branch := range [][]history.StoreAction{op.Then, op.Else} {
			for i := range branch {
				rev(&branch[i].Revision)
			}
		}
		for i := range op.Results {
			rev(&op.Results[i].Header)
		}
	}
	for _, w := range t.h.Watches {
		rev(&w.Header)
		rev(&w.Start)
		rev(&w.CompactRevision)
	}
}

// setHeader lets a call answer at another revision, inside and outside.
func setHeader(op *history.StoreOp, rev int64) {
	op.Header = rev
	for i := range op.Results {
		if op.Results[i].Header != 0 {
			op.Results[i].Header = rev
		}
	}
}

// refuse replaces an answer by an error.
func refuse(op *history.StoreOp, kind history.StoreErrorKind) {
	op.Error = history.StoreError{Kind: kind, Message: "told: " + string(kind)}
	op.Header, op.Succeeded, op.Results = 0, false, nil
	op.GrantedLease, op.GrantedTTL, op.Hash, op.CompactRevision = 0, 0, 0, 0
}

// answer lets a call that changes nothing answer from another revision, header
// and body alike.
func (t *teller) answer(op *history.StoreOp, rev int64) {
	op.Error, op.Header, op.Succeeded = history.StoreError{}, rev, true
	op.Succeeded = holdAll(op.Compares, t.f.states[rev])
	_, op.Results, _ = t.f.execute(executed(op), t.f.states[rev], rev)
	if op.Method == history.MethodTxn {
		for i := range op.Results {
			op.Results[i].Header = rev
		}
	}
}

// quorumRead says that a call is a read which all members agreed on.
func quorumRead(op *history.StoreOp) bool {
	return (op.Method == history.MethodRange || op.Method == history.MethodRangeStream) &&
		acked(op) && !local(op) && len(op.Results) == 1 && len(op.Results[0].Chunks) == 0
}

func currentRead(op *history.StoreOp) bool { return quorumRead(op) && op.Then[0].Revision == 0 }
