package oracle

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// answered returns the state after a call with exactly this answer, nil if the
// store would not have given it now.
func (m *etcdModel) answered(s *state, op *history.StoreOp) *state {
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream:
		return m.read(s, op)
	case history.MethodPut, history.MethodDeleteRange, history.MethodTxn:
		return m.txn(s, op)
	}
	d := begin(s)
	switch op.Method {
	case history.MethodLeaseGrant:
		if s.hasLease(op.GrantedLease) && !m.narrow {
			return nil
		}
		d.grant(op.GrantedLease)
	case history.MethodLeaseRevoke:
		if !s.hasLease(op.Lease) && !m.narrow {
			return nil
		}
		d.revoke(op.Lease)
	case history.MethodCompact:
		// The header is made after it was applied, see toItems.
		if op.Revision <= s.compact || op.Revision > s.rev {
			return nil
		}
		d.next.compact = op.Revision
		return d.next
	}
	next := m.commit(d)
	if next == nil || next.rev != op.Header {
		return nil
	}
	return next
}

// read judges a range. A serializable one is answered by one member alone, which
// may be behind: its answer is the state of its header, and that is committed.
func (m *etcdModel) read(s *state, op *history.StoreOp) *state {
	a := op.Then[0]
	rev := op.Header
	if a.Revision > 0 {
		rev = a.Revision
	}
	if a.Serializable {
		if op.Header > s.rev || rev > op.Header || !m.sameList(a, op.Results[0], s.at(rev)) {
			return nil
		}
		return s
	}
	if op.Header != s.rev || rev > s.rev || rev < s.compact {
		return nil
	}
	if m.narrow && rev < s.rev {
		return s
	}
	if !m.sameList(a, op.Results[0], s.at(rev)) {
		return nil
	}
	return s
}

func (m *etcdModel) txn(s *state, op *history.StoreOp) *state {
	actions, succeeded, allowed := branch(s, op)
	if !allowed || op.Method == history.MethodTxn && succeeded != op.Succeeded {
		return nil
	}
	d := begin(s)
	for i, a := range actions {
		if !m.action(d, a, op.Results[i]) {
			return nil
		}
	}
	next := m.commit(d)
	if next == nil || next.rev != op.Header {
		return nil
	}
	return next
}

// action executes one action and says whether its answer is right.
func (m *etcdModel) action(d *draft, a history.StoreAction, r history.StoreResult) bool {
	ok := true
	switch a.Kind {
	case history.ActionPut:
		if previous := d.put(a); previous != nil {
			ok = m.samePrevious(a, r, []history.StoreKV{*previous})
		} else {
			ok = m.samePrevious(a, r, nil)
		}
	case history.ActionDelete:
		previous := d.remove(a.Key, a.End)
		ok = r.Deleted == int64(len(previous)) && m.samePrevious(a, r, previous)
	case history.ActionRange:
		if a.Revision > 0 && a.Revision <= d.base.rev {
			ok = m.sameList(a, r, d.base.at(a.Revision))
		} else {
			ok = m.sameList(a, r, d.next)
		}
	}
	return ok && (m.narrow || r.Header == 0 || r.Header == d.current())
}

func (m *etcdModel) samePrevious(a history.StoreAction, r history.StoreResult, was []history.StoreKV) bool {
	if m.narrow {
		return true
	}
	if !a.PrevKV {
		was = nil
	}
	return m.sameKVs(r, was)
}

// sameList compares the answer of a range with what a state holds.
func (m *etcdModel) sameList(a history.StoreAction, r history.StoreResult, s *state) bool {
	if s == nil {
		return false
	}
	var want []history.StoreKV
	var count int64
	s.each(a.Key, a.End, func(_ int, kv *history.StoreKV) {
		count++
		if !a.CountOnly && (a.Limit <= 0 || count <= a.Limit) {
			want = append(want, *kv)
		}
	})
	more := !a.CountOnly && a.Limit > 0 && count > a.Limit
	if r.Count != count || !m.narrow && r.More != more {
		return false
	}
	if !a.KeysOnly {
		return m.sameKVs(r, want)
	}
	for i := range want {
		want[i].Value = 0
	}
	if m.sameKVs(r, want) {
		return true
	}
	// Of keys alone etcd may know no lease: its index has none.
	for i := range want {
		want[i].Lease = 0
	}
	return m.sameKVs(r, want)
}

func (m *etcdModel) sameKVs(r history.StoreResult, want []history.StoreKV) bool {
	if len(r.Chunks) > 0 {
		return slices.Equal(r.Chunks, history.Chunks(want))
	}
	return slices.EqualFunc(r.KVs, want, func(a, b history.StoreKV) bool {
		if m.narrow {
			a.Create, a.Lease = b.Create, b.Lease
		}
		return a == b
	})
}
