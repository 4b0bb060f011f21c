package residual

import (
	"context"
	"hash/maphash"
	"slices"
	"sort"

	"github.com/anishathalye/porcupine"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// state is the part of the store that matters, at one revision. It is never
// changed, a step makes a new one.
type state struct {
	p      *problem
	rev    int64
	read   bool // the run that begins with this revision was executed
	over   bool
	kvs    []*history.StoreKV // by problem.names; nil: there is none
	hash   uint64             // of all changes, whatever made them
	chosen *choice            // not a part of the state, but how it came about
}

// choice is a missing revision with what made it, and the choices before.
type choice struct {
	rev    int64
	it     item
	before *choice
}

// untold stands for a key of which nobody knows what it was before the history.
var untold = &history.StoreKV{Version: timeline.Unknown}

var seed = maphash.MakeSeed()

func newState(p *problem, w storage.Window) *state {
	s := &state{p: p, rev: w.First - 1, read: true, kvs: make([]*history.StoreKV, len(p.names))}
	for i, name := range p.names {
		switch kv, known := w.State.Get(name); {
		case !known:
			s.kvs[i] = untold
		case kv.Version != 0:
			s.kvs[i] = &kv
		}
	}
	return s
}

// equal is exact but for collisions of a 64-bit hash of the changes.
func (s *state) equal(o *state) bool {
	return s.rev == o.rev && s.read == o.read && s.over == o.over && s.hash == o.hash
}

func (s *state) sum() uint64 { return s.hash ^ uint64(s.rev)*0x9e3779b97f4a7c15 }

// next returns a copy that can be changed until it is handed on.
func (s *state) next() *state {
	n := *s
	n.kvs = slices.Clone(s.kvs)
	return &n
}

// apply changes a state that nobody else has yet.
func (s *state) apply(changes []timeline.Change) {
	for i := range changes {
		c := &changes[i]
		at, ok := slices.BinarySearch(s.p.names, c.Key)
		if !ok {
			continue
		}
		s.kvs[at] = nil
		if !c.Delete {
			s.kvs[at] = &c.KV
		}
		s.hash = maphash.Comparable(seed, struct {
			before uint64
			kv     history.StoreKV
			gone   bool
		}{s.hash, c.KV, c.Delete})
	}
}

var _ timeline.View = (*state)(nil)

// Get implements timeline.View.
func (s *state) Get(key string) (history.StoreKV, bool) {
	i, ok := slices.BinarySearch(s.p.names, key)
	switch {
	case !ok || s.kvs[i] == untold:
		return history.StoreKV{}, false
	case s.kvs[i] == nil:
		return history.StoreKV{}, true
	}
	return *s.kvs[i], true
}

// List implements timeline.View.
func (s *state) List(start, end string, yield func(history.StoreKV) bool) {
	for i := sort.SearchStrings(s.p.names, start); i < len(s.p.names); i++ {
		name := s.p.names[i]
		if end == "" && name != start || end != "" && end != "\x00" && name >= end {
			return
		}
		if kv := s.kvs[i]; kv != nil && kv != untold && !yield(*kv) {
			return
		}
	}
}

// Count implements timeline.View.
func (s *state) Count(start, end string) int64 {
	var n int64
	s.List(start, end, func(history.StoreKV) bool { n++; return true })
	return n
}

// Complete implements timeline.View. It speaks of the ranges that the model
// knows; no other is asked for.
func (s *state) Complete() bool { return s.p.whole }

func (m *model) porcupine() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return m.first },
		StepContext: func(ctx context.Context, st, in, _ any) (bool, any) {
			next := m.step(ctx, st.(*state), in.(item))
			return next != nil, next
		},
		Equal: func(a, b any) bool { return a.(*state).equal(b.(*state)) },
		Hash:  func(s any) uint64 { return s.(*state).sum() },
	}
}

// step returns the state after an item, nil if it cannot come now.
func (m *model) step(ctx context.Context, s *state, it item) *state {
	if m.work.Add(1) > m.limit {
		return nil
	}
	switch it.kind {
	case itemRun:
		if s.read || s.rev != m.runs[it.run].from {
			return nil
		}
		return m.execute(ctx, s, m.runs[it.run])
	case itemOver:
		n := *s
		n.over = true
		m.over = &n
		return &n
	}
	if s.over {
		return s // it never happened
	}
	rev := s.rev + 1
	if !s.read || it.after >= rev || it.only != 0 && it.only != rev {
		return nil
	}
	changes := m.effect(s, it, rev)
	if len(changes) == 0 {
		return nil
	}
	m.work.Add(int64(len(s.kvs) / 32)) // what the copy costs
	n := s.next()
	n.apply(changes)
	n.rev, n.read, n.chosen = rev, false, &choice{rev, it, s.chosen}
	return n
}

// effect returns what a candidate does, nothing if the store would refuse it.
// Where a comparison cannot be decided the branch that holds is taken, as the
// checker does.
func (m *model) effect(s *state, it item, rev int64) []timeline.Change {
	if it.kind == itemEnd && !it.at[rev] {
		return nil
	}
	if it.kind == itemEnd || it.op.Method == history.MethodLeaseRevoke {
		x := timeline.Begin(s, rev)
		for i, kv := range s.kvs {
			if kv != nil && kv != untold && kv.Lease == it.lease {
				x.Delete(m.names[i], "")
			}
		}
		return x.Changes()
	}
	branch := it.op.Then
	switch holds, decided := timeline.Holds(it.op.Compares, s); {
	case !decided:
		m.blurred.Store(true)
	case !holds:
		branch = it.op.Else
	}
	if timeline.Refused(branch, s) {
		return nil
	}
	return timeline.Effect(branch, s, rev)
}

// execute runs the calls between two missing revisions. Nil: an answer is wrong,
// or the search is over.
func (m *model) execute(ctx context.Context, s *state, r run) *state {
	if m.work.Add(int64(len(r.calls)+len(s.kvs)/32)) > m.limit {
		return nil
	}
	n := s.next()
	for i, c := range r.calls {
		if i%256 == 255 && ctx.Err() != nil {
			return nil
		}
		changes, right := answer(n, c)
		if c.checked && !right {
			return nil
		}
		if timeline.Changed(c.op) {
			n.apply(changes)
		}
	}
	n.rev, n.read = r.to, true
	return n
}
