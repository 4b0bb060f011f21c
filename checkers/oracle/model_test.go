package oracle

import (
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/planecheck/planecheck/checkers/history"
)

// item is what is put in order: a call with its answer, or something that
// happens by itself.
type item struct {
	kind itemKind
	op   *history.StoreOp // of a call
	// lease ends by its time, of itemExpire.
	lease int64
	// rev is known to be there, of itemKnown and itemEnd.
	rev int64
}

type itemKind int

const (
	itemAnswered itemKind = iota
	// itemRefused was refused with Compacted or FutureRev, which says something
	// about the state. Other refusals are no operations at all.
	itemRefused
	// itemMaybe is a write of unknown outcome: it may take effect at any time
	// after its call, and what takes effect after itemEnd never did.
	itemMaybe
	itemExpire
	// itemKnown is an answer that says only that a revision is committed:
	// members give it on their own.
	itemKnown
	itemEnd
)

// etcdModel is etcd as porcupine sees it.
type etcdModel struct {
	names []string
	// log is what watches of the whole key space showed of each revision. It
	// holds for every order: a revision that changes something else is wrong.
	log map[int64][]change
	// narrow leaves out what etcd's own model does not know: creation
	// revisions, leases and previous values in answers, more, the content of
	// old revisions.
	narrow bool
}

func (m *etcdModel) porcupine() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return newState(m.names) },
		Step: func(st, in, _ any) (bool, any) {
			next := m.step(st.(*state), in.(item))
			return next != nil, next
		},
		Equal: func(a, b any) bool { return a.(*state).equal(b.(*state)) },
		Hash:  func(s any) uint64 { return s.(*state).sum() },
	}
}

// step returns the state after an item, nil if it cannot come now.
func (m *etcdModel) step(s *state, it item) *state {
	switch it.kind {
	case itemAnswered:
		return m.answered(s, it.op)
	case itemRefused:
		return m.refused(s, it.op)
	case itemMaybe:
		return m.effect(s, func(d *draft) bool { return m.apply(d, it.op) })
	case itemExpire:
		return m.effect(s, func(d *draft) bool { d.revoke(it.lease); return true })
	case itemKnown:
		if s.rev < it.rev {
			return nil
		}
		return s
	}
	if s.rev < it.rev {
		return nil
	}
	next := *s
	next.ended = true
	return &next
}

// effect takes an effect that nobody acknowledged. One that changes nothing now
// may as well come after the end, where everything is allowed: postponing it
// there loses no order and saves the search of those that differ in it only.
func (m *etcdModel) effect(s *state, apply func(*draft) bool) *state {
	if s.ended {
		return s
	}
	d := begin(s)
	if !apply(d) {
		return nil
	}
	next := m.commit(d)
	if next == nil || next.equal(s) {
		return nil
	}
	return next
}

// commit ends a draft unless its revision is known to be another one.
func (m *etcdModel) commit(d *draft) *state {
	if len(d.changes) > 0 {
		if known, ok := m.log[d.base.rev+1]; ok && !sameChanges(known, d.net()) {
			return nil
		}
	}
	return d.commit()
}

func sameChanges(a, b []change) bool {
	return slices.EqualFunc(a, b, func(a, b change) bool {
		if a.key != b.key || (a.kv == nil) != (b.kv == nil) {
			return false
		}
		return a.kv == nil || *a.kv == *b.kv
	})
}

// holds decides the comparisons of a transaction. A missing key has zeros, but
// no value, not even an unequal one.
func holds(s *state, compares []history.StoreCompare) bool {
	for _, c := range compares {
		found, ok := false, true
		s.each(c.Key, c.End, func(_ int, kv *history.StoreKV) {
			found = true
			ok = ok && compare(c, *kv)
		})
		if !found {
			ok = c.Target != history.CompareValue && compare(c, history.StoreKV{})
		}
		if !ok {
			return false
		}
	}
	return true
}

func compare(c history.StoreCompare, kv history.StoreKV) bool {
	var value int64
	switch c.Target {
	case history.CompareMod:
		value = kv.Mod
	case history.CompareCreate:
		value = kv.Create
	case history.CompareVersion:
		value = kv.Version
	case history.CompareLease:
		value = kv.Lease
	case history.CompareValue:
		value = int64(kv.Value)
	}
	switch c.Op {
	case "=":
		return value == c.Number
	case "!=":
		return value != c.Number
	case "<":
		return value < c.Number
	}
	return value > c.Number
}

// branch returns the actions that a call executes in a state, and whether the
// store would execute them rather than refuse.
func branch(s *state, op *history.StoreOp) (actions []history.StoreAction, succeeded, allowed bool) {
	succeeded = holds(s, op.Compares)
	actions = op.Then
	if !succeeded {
		actions = op.Else
	}
	for _, a := range actions {
		switch {
		case a.Kind == history.ActionRange && (a.Revision > s.rev || (a.Revision > 0 && a.Revision < s.compact)):
			return actions, succeeded, false
		case a.Kind != history.ActionPut:
		case a.Lease != 0 && !s.hasLease(a.Lease), (a.IgnoreValue || a.IgnoreLease) && s.find(a.Key) == nil:
			return actions, succeeded, false
		}
	}
	return actions, succeeded, true
}

// apply takes the effect of a call of which there is no answer. It says whether
// there is one.
func (m *etcdModel) apply(d *draft, op *history.StoreOp) bool {
	s := d.base
	switch op.Method {
	case history.MethodLeaseGrant:
		if op.Lease == 0 || s.hasLease(op.Lease) {
			return false
		}
		d.grant(op.Lease)
		return true
	case history.MethodLeaseRevoke:
		d.revoke(op.Lease)
		return s.hasLease(op.Lease)
	case history.MethodCompact:
		d.next.compact = op.Revision
		return op.Revision > s.compact && op.Revision <= s.rev
	}
	actions, _, allowed := branch(s, op)
	if !allowed {
		return false
	}
	for _, a := range actions {
		switch a.Kind {
		case history.ActionPut:
			d.put(a)
		case history.ActionDelete:
			d.remove(a.Key, a.End)
		}
	}
	return true
}

// refused judges an error that says something about revisions.
func (m *etcdModel) refused(s *state, op *history.StoreOp) *state {
	asked := op.Revision
	for _, a := range slices.Concat(op.Then, op.Else) {
		asked = max(asked, a.Revision)
	}
	ok := false
	switch {
	case op.Error.Kind == history.ErrorFutureRev:
		ok = asked > s.rev
	case op.Method == history.MethodCompact:
		ok = asked <= s.compact
	case asked == 0:
		// A stream of the current revision may be overtaken by a compaction of
		// that revision while it is sent; when it began is not known.
		ok = op.Method == history.MethodRangeStream && s.compact > 0
	default:
		ok = asked < s.compact
	}
	if !ok {
		return nil
	}
	return s
}
