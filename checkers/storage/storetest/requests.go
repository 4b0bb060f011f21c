package storetest

import (
	"github.com/planecheck/planecheck/checkers/history"
)

// request draws a client's next request: mostly what API servers send.
func (s *sim) request(c *client) *history.StoreOp {
	if c.page != nil && s.chance(0.8) {
		return s.listing(*c.page)
	}
	if s.chance(s.cfg.Raw) {
		return s.rawRequest()
	}
	key := s.store.names[s.rng.IntN(len(s.store.names))]
	for key == compactKey {
		key = s.store.names[s.rng.IntN(len(s.store.names))]
	}
	switch n := s.rng.IntN(100); {
	case n < 50:
		return s.mutate(c, key)
	case n < 70:
		a := history.StoreAction{Kind: history.ActionRange, Key: key, Serializable: s.chance(s.cfg.Local)}
		return &history.StoreOp{Method: history.MethodRange, Then: []history.StoreAction{a}}
	case n < 88:
		return s.listing(s.newList(c))
	case n < 90:
		return &history.StoreOp{Method: history.MethodStatus}
	default:
		return s.leasing(c)
	}
}

// mutate compares and swaps, as API servers do (client/v3/kubernetes).
func (s *sim) mutate(c *client, key string) *history.StoreOp {
	rev := c.known[key]
	op := &history.StoreOp{
		Method:   history.MethodTxn,
		Compares: []history.StoreCompare{{Key: key, Target: history.CompareMod, Op: "=", Number: rev}},
	}
	if rev == 0 || s.chance(0.7) {
		put := history.StoreAction{Kind: history.ActionPut, Key: key, Value: s.value(), Bytes: 100}
		if c.lease != 0 && s.chance(s.cfg.Leased) {
			put.Lease = c.lease
		}
		op.Then = []history.StoreAction{put}
	} else {
		op.Then = []history.StoreAction{{Kind: history.ActionDelete, Key: key}}
	}
	if rev != 0 || s.chance(0.5) {
		op.Else = []history.StoreAction{{Kind: history.ActionRange, Key: key}}
	}
	return op
}

// newList draws the first page of a list.
func (s *sim) newList(c *client) history.StoreAction {
	prefix := prefixName(s.rng.IntN(s.cfg.Prefixes))
	a := history.StoreAction{
		Kind: history.ActionRange, Key: prefix, End: prefix[:len(prefix)-1] + "0",
		Serializable: s.chance(s.cfg.Local / 2),
	}
	switch n := s.rng.IntN(10); {
	case n < 5:
		a.Limit = 1 + s.rng.Int64N(5)
	case n < 6:
		a.CountOnly = true
	case n < 7:
		a.KeysOnly = true
	}
	switch n := s.rng.IntN(10); {
	case n < 3 && c.last > 0:
		a.Revision = max(1, c.last-s.rng.Int64N(40)) // perhaps compacted
	case n < 4:
		a.Revision = c.last + s.rng.Int64N(3) // perhaps in the future
	}
	return a
}

func (s *sim) listing(a history.StoreAction) *history.StoreOp {
	method := history.MethodRange
	if !a.Serializable && s.chance(0.3) {
		method = history.MethodRangeStream
	}
	return &history.StoreOp{Method: method, Then: []history.StoreAction{a}}
}

func (s *sim) leasing(c *client) *history.StoreOp {
	if c.lease == 0 {
		op := &history.StoreOp{Method: history.MethodLeaseGrant, TTL: 1 + s.rng.Int64N(3)}
		if s.chance(0.3) {
			op.Lease = 0x100 + s.rng.Int64N(40)
		}
		return op
	}
	method := history.MethodLeaseKeepAlive
	switch s.rng.IntN(10) {
	case 0:
		method = history.MethodLeaseRevoke
	case 1, 2:
		method = history.MethodLeaseTTL
	case 3, 4:
		return &history.StoreOp{Method: history.MethodLeaseGrant, TTL: 1 + s.rng.Int64N(3)}
	}
	return &history.StoreOp{Method: method, Lease: c.lease}
}

// rawRequest draws what only raw clients of etcd send.
func (s *sim) rawRequest() *history.StoreOp {
	names := s.store.names[:len(s.store.names)-1] // compact_rev_key sorts last
	if names[0] == compactKey {
		names = s.store.names[1:]
	}
	i := s.rng.IntN(len(names))
	a, b := names[i], names[(i+1)%len(names)]
	switch s.rng.IntN(8) {
	case 0:
		return &history.StoreOp{Method: history.MethodPut, Then: []history.StoreAction{
			{Kind: history.ActionPut, Key: a, Value: s.value(), Bytes: 100, PrevKV: s.chance(0.5)}}}
	case 1:
		return &history.StoreOp{Method: history.MethodPut, Then: []history.StoreAction{
			{Kind: history.ActionPut, Key: a, IgnoreValue: true, PrevKV: true}}}
	case 2:
		return &history.StoreOp{Method: history.MethodDeleteRange, Then: []history.StoreAction{
			{Kind: history.ActionDelete, Key: a, PrevKV: s.chance(0.5)}}}
	case 3:
		end := names[min(len(names)-1, i+3)]
		return &history.StoreOp{Method: history.MethodDeleteRange, Then: []history.StoreAction{
			{Kind: history.ActionDelete, Key: a, End: end, PrevKV: true}}}
	case 4:
		// A transaction that reads what it has just written.
		return &history.StoreOp{
			Method:   history.MethodTxn,
			Compares: []history.StoreCompare{{Key: a, Target: history.CompareVersion, Op: ">", Number: 0}},
			Then: []history.StoreAction{
				{Kind: history.ActionRange, Key: a, End: "\x00"},
				{Kind: history.ActionPut, Key: a, IgnoreLease: true, Value: s.value(), Bytes: 100},
				{Kind: history.ActionDelete, Key: b},
				{Kind: history.ActionRange, Key: a, End: "\x00", Limit: 2},
			},
			Else: []history.StoreAction{{Kind: history.ActionPut, Key: a, Value: s.value(), Bytes: 100}, {Kind: history.ActionRange, Key: b}},
		}
	case 5:
		// The value of no put: false for a missing key and for any other value.
		return &history.StoreOp{
			Method:   history.MethodTxn,
			Compares: []history.StoreCompare{{Key: a, Target: history.CompareValue, Op: "!=", Number: int64(history.HashValue(nil))}},
			Then:     []history.StoreAction{{Kind: history.ActionPut, Key: b, Value: s.value(), Bytes: 100, PrevKV: true}},
		}
	case 6:
		return &history.StoreOp{
			Method:   history.MethodTxn,
			Compares: []history.StoreCompare{{Key: "/registry/", End: "/registry0", Target: history.CompareCreate, Op: "<", Number: s.store.rev - 20}},
			Then:     []history.StoreAction{{Kind: history.ActionRange, Key: a}},
			Else:     []history.StoreAction{{Kind: history.ActionRange, Key: b}, {Kind: history.ActionRange, Key: "/registry/", End: "/registry0", CountOnly: true}},
		}
	default:
		return &history.StoreOp{Method: history.MethodRange, Then: []history.StoreAction{
			{Kind: history.ActionRange, Key: "\x00", End: "\x00"}}}
	}
}
