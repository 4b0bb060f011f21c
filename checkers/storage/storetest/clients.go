package storetest

import (
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// client makes one call at a time through one connection to one member.
type client struct {
	conn   uint32
	member *member
	known  map[string]int64 // modification revisions it has seen, perhaps stale
	page   *history.StoreAction
	lease  int64
	last   int64 // highest revision it has seen
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

func (s *sim) connection() uint32 { s.conns++; return s.conns }

func (s *sim) newClient() *client {
	return &client{
		conn: s.connection(), member: s.members[s.rng.IntN(len(s.members))], known: map[string]int64{},
	}
}

// reconnect is what a client does after a call whose outcome it does not know.
func (s *sim) reconnect(c *client) {
	c.conn, c.member = s.connection(), s.members[s.rng.IntN(len(s.members))]
}

// step makes a client's next call.
func (s *sim) step(c *client) {
	if s.left <= 0 {
		s.busy--
		return
	}
	s.left--
	op := s.request(c)
	s.send(c, op, func() { s.after(s.pause(s.cfg.Think), func() { s.step(c) }) })
}

// send makes a call, decides its fate and goes on when the client has an answer.
func (s *sim) send(c *client, op *history.StoreOp, next func()) {
	s.open(c, op)
	m := c.member
	fate := s.rng.Float64()
	switch {
	case fate < s.cfg.Unknown && op.Method != history.MethodCompact:
		s.sendUnknown(c, op, next)
		return
	case fate < s.cfg.Unknown+s.cfg.Refused:
		kinds := []history.StoreErrorKind{history.ErrorTooManyRequests, history.ErrorTooLarge, history.ErrorInvalid}
		fail(op, kinds[s.rng.IntN(len(kinds))])
		s.after(s.pause(time.Millisecond), func() { s.answer(c, op, next) })
		return
	}
	s.after(s.pause(2*time.Millisecond), func() {
		s.execute(op, m)
		// A member answers when it has applied what it answers about.
		back := max(s.now.Add(s.pause(2*time.Millisecond)), m.last+1)
		if op.Method == history.MethodStatus || (len(op.Then) > 0 && op.Then[0].Serializable) {
			back = s.now.Add(s.pause(time.Millisecond))
		}
		s.at(back, func() {
			s.overtake(op)
			s.answer(c, op, next)
		})
	})
}

// overtake fails a RangeStream whose revision was compacted while its chunks
// were on their way (etcdserver/v3_server.go, rangeStream).
func (s *sim) overtake(op *history.StoreOp) {
	if op.Method != history.MethodRangeStream || op.Error.Kind != history.ErrorNone {
		return
	}
	at := op.Header
	if op.Then[0].Revision > 0 {
		at = op.Then[0].Revision
	}
	if at < s.store.compact && s.chance(0.5) {
		fail(op, history.ErrorCompacted)
	}
}

// sendUnknown loses a call's answer. Before, after or instead of that the call
// takes effect.
func (s *sim) sendUnknown(c *client, op *history.StoreOp, next func()) {
	kind := history.ErrorUnknown
	effect, back := s.pause(5*time.Millisecond), s.pause(20*time.Millisecond)
	switch {
	case s.chance(0.2) && op.Method == history.MethodTxn:
		kind, effect = history.ErrorNoSpace, time.Duration(float64(back)*s.rng.Float64())
	case s.chance(0.4):
		effect = 0 // never
	case s.chance(0.3):
		effect = back + s.pause(50*time.Millisecond)
	}
	if effect > 0 {
		s.after(effect, func() {
			ghost := op.Clone()
			ghost.Error = history.StoreError{}
			s.execute(ghost, c.member)
		})
	}
	hangs := kind == history.ErrorUnknown && s.chance(0.2)
	s.after(back, func() {
		s.reconnect(c)
		if hangs {
			s.hung = append(s.hung, op)
			next()
			return
		}
		fail(op, kind)
		s.answer(c, op, next)
	})
}

func (s *sim) answer(c *client, op *history.StoreOp, next func()) {
	op.Returned = s.now
	s.learn(c, op)
	s.sink.StoreOp(op)
	next()
}

// learn updates what a client believes.
func (s *sim) learn(c *client, op *history.StoreOp) {
	if op.Error.Kind != history.ErrorNone {
		if op.Error.Kind == history.ErrorCompacted {
			c.page = nil
		}
		if op.Error.Kind == history.ErrorLeaseNotFound {
			c.lease = 0
		}
		return
	}
	c.last = max(c.last, op.Header)
	switch op.Method {
	case history.MethodLeaseGrant:
		c.lease = op.GrantedLease
	case history.MethodLeaseRevoke:
		c.lease = 0
	}
	branch := op.Then
	if !op.Succeeded {
		branch = op.Else
	}
	for i, a := range branch {
		s.learnResult(c, op, a, op.Results[i])
	}
}

func (s *sim) learnResult(c *client, op *history.StoreOp, a history.StoreAction, r history.StoreResult) {
	switch a.Kind {
	case history.ActionPut:
		c.known[a.Key] = op.Header
	case history.ActionDelete:
		delete(c.known, a.Key)
	case history.ActionRange:
		if a.End == "" && !a.CountOnly {
			delete(c.known, a.Key)
		}
		for _, kv := range r.KVs {
			c.known[kv.Key] = kv.Mod
		}
		c.page = nil
		if r.More && len(r.KVs) > 0 {
			next := a
			next.Key = r.KVs[len(r.KVs)-1].Key + "\x00"
			if next.Revision == 0 {
				next.Revision = op.Header
			}
			c.page = &next
		}
	}
}

// compactor does what an API server does every compaction interval: it agrees
// with the others by a transaction on compact_rev_key and compacts the revision
// that this transaction had the time before.
type compactor struct {
	*client
	version, rev int64
}

func (s *sim) compaction(c *compactor) {
	if s.busy <= 1 {
		s.busy--
		return
	}
	again := func() { s.after(s.pause(s.cfg.CompactEvery), func() { s.compaction(c) }) }
	op := &history.StoreOp{
		Method:   history.MethodTxn,
		Compares: []history.StoreCompare{{Key: compactKey, Target: history.CompareVersion, Op: "=", Number: c.version}},
		Then:     []history.StoreAction{{Kind: history.ActionPut, Key: compactKey, Value: s.value(), Bytes: 8}},
		Else:     []history.StoreAction{{Kind: history.ActionRange, Key: compactKey}},
	}
	s.send(c.client, op, func() {
		if op.Error.Kind != history.ErrorNone || op.Header == 0 {
			again()
			return
		}
		old := c.rev
		c.rev = op.Header
		if !op.Succeeded {
			c.version = 0
			if kvs := op.Results[0].KVs; len(kvs) > 0 {
				c.version = kvs[0].Version
			}
			again()
			return
		}
		c.version++
		if old == 0 || old > s.shown() {
			again()
			return
		}
		s.send(c.client, &history.StoreOp{Method: history.MethodCompact, Revision: old}, func() { s.hashes(c.client, old, again) })
	})
}

// shown returns the revision from which on some watch of the whole key space has
// still to show events. Compacting above it would leave revisions that nobody
// can know, which is an incomplete history and not a valid one.
func (s *sim) shown() int64 {
	low := s.store.rev
	for _, st := range s.streams {
		if st.whole {
			for _, w := range st.watches {
				low = min(low, w.next)
			}
		}
	}
	return low
}

// hashes asks every member for its hash at a revision.
func (s *sim) hashes(c *client, rev int64, next func()) {
	for _, m := range s.members {
		on := &client{conn: s.connection(), member: m, known: map[string]int64{}}
		op := &history.StoreOp{Method: history.MethodHashKV, Revision: rev}
		s.send(on, op, func() {})
	}
	next()
}
