package storetest

import (
	"github.com/planecheck/planecheck/checkers/history"
)

// open notes the request of a call.
func (s *sim) open(c *client, op *history.StoreOp) {
	s.ids++
	op.ID, op.Client, op.Member, op.Called = s.ids, c.conn, c.member.name, s.now
}

func fail(op *history.StoreOp, kind history.StoreErrorKind) {
	op.Error = history.StoreError{Kind: kind, Message: "simulated: " + string(kind)}
	op.Header, op.Succeeded, op.Results = 0, false, nil
	op.GrantedLease, op.GrantedTTL = 0, 0
}

// execute carries out a call at the present moment and fills in the answer.
func (s *sim) execute(op *history.StoreOp, m *member) {
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream:
		s.executeRange(op, m)
	case history.MethodPut, history.MethodDeleteRange, history.MethodTxn:
		s.executeTxn(op)
	case history.MethodCompact:
		s.executeCompact(op)
	case history.MethodHashKV:
		s.executeHash(op, m)
	case history.MethodStatus:
		op.Header = m.applied
	default:
		s.executeLease(op, m)
	}
}

func (s *sim) executeRange(op *history.StoreOp, m *member) {
	a := op.Then[0]
	rev, compact := s.store.rev, s.store.compact
	if a.Serializable {
		rev, compact = m.applied, m.compact
	}
	at := rev
	if a.Revision > 0 {
		at = a.Revision
	}
	switch {
	case at > rev:
		fail(op, history.ErrorFutureRev)
		return
	case at < compact:
		fail(op, history.ErrorCompacted)
		return
	}
	op.Header, op.Succeeded = rev, true
	op.Results = []history.StoreResult{s.store.list(a, at)}
}

// executeTxn follows etcd's order: compare, check the branch, then apply it
// (etcdserver/txn/txn.go).
func (s *sim) executeTxn(op *history.StoreOp) {
	branch := op.Then
	op.Succeeded = true
	for _, c := range op.Compares {
		if !s.store.holds(c) {
			op.Succeeded, branch = false, op.Else
			break
		}
	}
	for _, a := range branch {
		if kind := s.refuses(a); kind != history.ErrorNone {
			fail(op, kind)
			return
		}
	}
	for _, a := range branch {
		op.Results = append(op.Results, s.apply(a, op.Method == history.MethodTxn))
	}
	op.Header = s.store.current()
	s.commit()
}

func (s *sim) refuses(a history.StoreAction) history.StoreErrorKind {
	switch a.Kind {
	case history.ActionRange:
		if a.Revision > s.store.rev {
			return history.ErrorFutureRev
		}
		if a.Revision != 0 && a.Revision < s.store.compact {
			return history.ErrorCompacted
		}
	case history.ActionPut:
		if a.Lease != 0 && s.store.leases[a.Lease] == nil {
			return history.ErrorLeaseNotFound
		}
		if (a.IgnoreValue || a.IgnoreLease) && s.store.get(a.Key, s.store.rev).Version == 0 {
			return history.ErrorInvalid
		}
	}
	return history.ErrorNone
}

func (s *sim) apply(a history.StoreAction, inTxn bool) history.StoreResult {
	var r history.StoreResult
	switch a.Kind {
	case history.ActionPut:
		r = s.store.put(a)
	case history.ActionDelete:
		r = s.store.remove(a)
	default:
		at := s.store.current()
		if a.Revision > 0 {
			at = a.Revision
		}
		r = s.store.list(a, at)
		r.Header = s.store.current()
	}
	if !inTxn {
		r.Header = 0
	}
	return r
}

func (s *sim) executeCompact(op *history.StoreOp) {
	switch {
	case op.Revision <= s.store.compact:
		fail(op, history.ErrorCompacted)
		return
	case op.Revision > s.store.rev:
		fail(op, history.ErrorFutureRev)
		return
	}
	rev := op.Revision
	s.store.compact = rev
	op.Header = s.store.rev
	s.replicate(func(m *member) {
		m.compact = rev
		slowest := rev
		for _, m := range s.members {
			slowest = min(slowest, m.compact)
		}
		s.store.prune(slowest)
	})
}

// executeHash answers with a hash that equal states share.
func (s *sim) executeHash(op *history.StoreOp, m *member) {
	rev := op.Revision
	if rev == 0 {
		rev = m.applied
	}
	switch {
	case rev > m.applied:
		fail(op, history.ErrorFutureRev)
		return
	case rev < m.compact:
		fail(op, history.ErrorCompacted)
		return
	}
	var kvs []history.StoreKV
	for i := range s.store.names {
		if kv := s.store.at(i, rev); kv.Version != 0 {
			kvs = append(kvs, kv)
		}
	}
	op.Header, op.CompactRevision, op.Succeeded = m.applied, m.compact, true
	op.Hash = history.Digest(kvs) & 0xffffffff
}

func (s *sim) executeLease(op *history.StoreOp, m *member) {
	l := s.store.leases[op.Lease]
	op.Header = s.store.rev
	switch op.Method {
	case history.MethodLeaseGrant:
		id := op.Lease
		if id == 0 {
			s.leaseID++
			id = 0x7000 + s.leaseID
		} else if l != nil {
			fail(op, history.ErrorLeaseExists)
			return
		}
		s.grant(id, op.TTL)
		op.GrantedLease, op.GrantedTTL = id, op.TTL
	case history.MethodLeaseRevoke:
		if l == nil {
			fail(op, history.ErrorLeaseNotFound)
			return
		}
		s.store.revoke(op.Lease)
		op.Header = s.store.current()
		s.commit()
	case history.MethodLeaseKeepAlive:
		op.Header, op.GrantedLease = m.applied, op.Lease
		if l != nil && s.now < l.expires {
			l.expires = s.now.Add(seconds(l.ttl))
			op.GrantedTTL = l.ttl
		}
	case history.MethodLeaseTTL:
		op.Header, op.GrantedLease, op.GrantedTTL = m.applied, op.Lease, -1
		if l != nil {
			op.GrantedTTL = max(0, int64(l.expires.Sub(s.now).Seconds()))
		}
	}
}
