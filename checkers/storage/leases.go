package storage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// leases knows the lives of leases: when they were granted, renewed and revoked.
type leases struct {
	byID    map[int64]*leaseLife
	terms   map[uint64]history.Time // of raft: when the first linearizable answer of each came
	called  history.Time            // call of the latest acknowledged linearizable call
	witness *history.StoreOp
	// suspects contradict what is known so far of a lease. Calls without an
	// answer, which are recorded last, may yet explain them.
	suspects []*history.StoreOp
	deaths   deaths
	revoked  int64 // leases that took keys with them because a client asked for it
}

type leaseLife struct {
	grants, renewals, revokes []*history.StoreOp
	keys                      int   // how often it was given to a key
	ended                     int64 // how often it took keys with it when its time was over

	// Of all renewals: the longest time to live, the latest end, and whether
	// there is one of which nobody knows when it was done.
	longest time.Duration
	end     history.Time
	open    bool
}

func (l *leases) init() { l.byID, l.terms = map[int64]*leaseLife{}, map[uint64]history.Time{} }

func (l *leases) life(id int64) *leaseLife {
	if l.byID[id] == nil {
		l.byID[id] = &leaseLife{}
	}
	return l.byID[id]
}

func (l *leases) see(op *history.StoreOp) {
	if acknowledged(op) && !timeline.Local(op) {
		if op.Called > l.called {
			l.called, l.witness = op.Called, op
		}
		if first := l.terms[op.Term]; op.Term > 0 && (first == 0 || op.Returned < first) {
			l.terms[op.Term] = op.Returned
		}
	}
	if op.Error.Definite() {
		return
	}
	if len(l.byID) > 0 {
		l.deaths.see(op)
	}
	switch op.Method {
	case history.MethodLeaseGrant:
		if id := cmp.Or(op.GrantedLease, op.Lease); id != 0 {
			life := l.life(id)
			life.grants = append(life.grants, op)
		}
	case history.MethodLeaseKeepAlive:
		if !acknowledged(op) || op.GrantedTTL > 0 {
			life := l.life(op.Lease)
			life.renewals = append(life.renewals, op)
			life.longest = max(life.longest, ttl(op))
			life.end = max(life.end, op.Returned.Add(ttl(op)))
			life.open = life.open || !acknowledged(op)
		}
	case history.MethodLeaseRevoke:
		life := l.life(op.Lease)
		life.revokes = append(life.revokes, op)
	}
}

func (l *leases) attach(s timeline.Sealed) {
	for i := range s.Changes {
		if id := s.Changes[i].KV.Lease; id != 0 {
			l.life(id).keys++
		}
	}
}

// ended counts the ends of leases whose time was known. A grant without an answer,
// which is recorded last, makes it a guess.
func (l *leases) ended() int64 {
	var n int64
	for _, life := range l.byID {
		if !slices.ContainsFunc(life.grants, func(g *history.StoreOp) bool { return !acknowledged(g) }) {
			n += life.ended
		}
	}
	return n
}

// given counts the leases that keys held. It is no floor: a key may change its lease
// until the end, as the record of an API server that lives does, and a history in
// which no lease ended shows nothing of how they do.
func (l *leases) given() int64 {
	var n int64
	for _, life := range l.byID {
		if life.keys > 0 {
			n++
		}
	}
	return n
}

func ttl(op *history.StoreOp) time.Duration { return time.Duration(op.GrantedTTL) * time.Second }

// renewalRace is the time after a renewal during which a lease may die all the
// same: its end may have been on its way (lease/lessor.go, Renew looks twice,
// but not at what is proposed already).
const renewalRace = time.Second

// incarnation returns the grant under which a lease lived just before a
// revision, and when the next one was asked for. A grant's header is the
// revision at which it was applied (etcdserver/apply/backend.go). It is not sure
// if a grant without an answer may be meant.
func (l *leaseLife) incarnation(rev int64) (grant *history.StoreOp, next history.Time, sure bool) {
	sure, next = true, 1<<63-1
	for _, g := range l.grants {
		switch {
		case !acknowledged(g):
			sure = false
		case g.Header < rev && (grant == nil || g.Called > grant.Called):
			grant = g
		case g.Header >= rev:
			next = min(next, g.Called)
		}
	}
	return grant, next, sure
}

// deadline returns the earliest moment at which a lease may end: its time to
// live after the grant or a renewal was asked for, both of which etcd does
// later than that. A new leader only prolongs leases (lease/lessor.go, Promote).
func (l *leaseLife) deadline(grant *history.StoreOp, before, next history.Time) history.Time {
	end := grant.Called.Add(ttl(grant))
	slices.SortFunc(l.renewals, func(a, b *history.StoreOp) int { return cmp.Compare(a.Returned, b.Returned) })
	for _, k := range l.renewals {
		if !acknowledged(k) || k.Called < grant.Called || k.Returned > next || k.Returned > before {
			continue
		}
		if k.Returned <= end || before > k.Returned.Add(renewalRace) {
			end = max(end, k.Called.Add(ttl(k)))
		}
	}
	return end
}

// latestEnd returns the moment by which a lease must have ended, as long as
// answers of a term of raft came after it; 0: none can be named. Without a leader
// no lease ends, and a new leader gives each of them its whole time again
// (lease/lessor.go, Promote). It does so with the first entry of its term, which
// was there before a member could give a linearizable answer in that term.
func (c *Checker) latestEnd(l *leaseLife, grant *history.StoreOp, term uint64) history.Time {
	if l.open {
		return 0
	}
	end := max(l.end, grant.Returned.Add(ttl(grant)), c.leases.terms[term])
	return end.Add(max(l.longest, ttl(grant)) + c.opts.Contract.LeaseOverrun)
}

// seenBy returns the moment by which a revision had been made, 0: none can be
// named. An answer may show that before the event does.
func (c *Checker) seenBy(e *effect) history.Time {
	at := c.stairs.first(e.rev)
	if at == 0 || (e.seen != 0 && e.seen < at) {
		return e.seen
	}
	return at
}

// expiredHonestly says whether a revision may be the end of a lease that had
// lived its time, and whether that time is known. Whether it came too late is
// judged in the end.
func (c *Checker) expiredHonestly(e *effect) (honest, timed bool) {
	if c.opts.Contract.LeaseIDIsTTL {
		return true, false
	}
	if e.rest > 0 {
		return false, false
	}
	life := c.leases.life(e.lease)
	grant, next, sure := life.incarnation(e.rev)
	if grant == nil {
		return !sure || c.grantsUnseen(), false
	}
	at := c.seenBy(e)
	return !sure || at == 0 || at >= life.deadline(grant, at, next), at != 0
}

// expired says whether a revision may be the end of a lease, and counts it.
func (c *Checker) expired(e *effect) bool {
	honest, timed := c.expiredHonestly(e)
	if honest {
		c.causes.expired++
	}
	if honest && timed {
		c.leases.life(e.lease).ended++
	}
	return honest
}

// grantsUnseen says that leases may have been granted before the history began.
func (c *Checker) grantsUnseen() bool { return !c.t.Complete() || c.opts.Initial != nil }

// blameLease reports a revision that looks like the end of a lease and cannot
// be.
func (c *Checker) blameLease(e *effect, changes []timeline.Change) {
	why := fmt.Sprintf("lease %x ended before its time to live had passed", e.lease)
	if e.rest > 0 {
		why = fmt.Sprintf("the end of lease %x left it %d keys", e.lease, e.rest)
	}
	ev := because("%s", why)
	grant, _, _ := c.leases.life(e.lease).incarnation(e.rev)
	if grant == nil {
		ev.note(fmt.Sprintf("lease %x", e.lease), "was never granted")
	}
	ev.op(grant)
	if s, ok := c.stairs.firstStep(e.rev); ok && (e.seen == 0 || s.at < e.seen) {
		ev.rows = append(ev.rows, s.row())
	}
	ev.event("some member", e.seen, e.rev, changes).state(e.rev, changes)
	if r, ok := c.author(&c.causes.refused, e, changes); ok {
		c.fail(DefiniteFailureInert, because("#%d was refused, and yet it is revision %d", r.op.ID, e.rev).op(r.op).state(e.rev, changes))
	}
	c.fail(LeaseHonest, ev)
	c.fail(NoPhantom, ev)
}

// checkRest judges the revocation of a lease by what it left.
func (c *Checker) checkRest(e *effect, r record) {
	if e.rest > 0 {
		c.fail(LeaseHonest, because("the revocation of lease %x left it %d keys", e.lease, e.rest).op(r.op).state(e.rev, c.t.At(e.rev)))
	}
}

// judgeLease keeps the calls that contradict what is known of their leases.
func (c *Checker) judgeLease(r record) {
	if !c.opts.Contract.LeaseIDIsTTL && c.leaseLie(r.op) != nil {
		c.leases.suspects = append(c.leases.suspects, r.op)
	}
}

// leaseLie returns the contradiction in what a call says of the life of a
// lease, if there is one.
func (c *Checker) leaseLie(op *history.StoreOp) *evidence {
	switch {
	case op.Method == history.MethodLeaseKeepAlive && acknowledged(op) && op.GrantedTTL <= 0:
		return c.checkAlive(op, op.Lease)
	case op.Error.Kind == history.ErrorLeaseNotFound && op.Method == history.MethodLeaseRevoke:
		return c.checkAlive(op, op.Lease)
	case op.Error.Kind == history.ErrorLeaseNotFound:
		leased := map[int64]bool{}
		puts(op.Then, leased)
		puts(op.Else, leased)
		if len(leased) == 1 {
			for id := range leased {
				return c.checkAlive(op, id)
			}
		}
	case acknowledged(op):
		leased := map[int64]bool{}
		puts(timeline.Branch(op), leased)
		for _, id := range slices.Sorted(maps.Keys(leased)) {
			if e := c.checkDead(op, id); e != nil {
				return e
			}
		}
	}
	return nil
}

func puts(branch []history.StoreAction, into map[int64]bool) {
	for _, a := range branch {
		if a.Kind == history.ActionPut && a.Lease != 0 {
			into[a.Lease] = true
		}
	}
}

// checkAlive judges the answer that there is no such lease: it is a lie while
// the lease cannot have ended yet.
func (c *Checker) checkAlive(op *history.StoreOp, id int64) *evidence {
	life := c.leases.byID[id]
	if life == nil {
		return nil
	}
	var grant *history.StoreOp
	for _, g := range life.grants {
		if !acknowledged(g) || (g.Returned >= op.Called && g.Called < op.Returned) {
			return nil
		}
		if g.Returned < op.Called && (grant == nil || g.Called > grant.Called) {
			grant = g
		}
	}
	if grant == nil || op.Returned >= life.deadline(grant, op.Returned, 1<<63-1) {
		return nil
	}
	for _, revoke := range life.revokes {
		if revoke != op && revoke.Called < op.Returned && (!acknowledged(revoke) || revoke.Returned > grant.Called) {
			return nil
		}
	}
	return because("#%d was told that lease %x is gone before its time to live had passed", op.ID, id).op(grant).op(op)
}

// checkDead judges a put with a lease that is known to be gone.
func (c *Checker) checkDead(op *history.StoreOp, id int64) *evidence {
	life := c.leases.life(id)
	if grant, _, sure := life.incarnation(op.Header); grant != nil && sure {
		if end := c.latestEnd(life, grant, op.Term); end != 0 && op.Called > end {
			return because("#%d put a key with lease %x, which had ended more than %s before", op.ID, id, c.opts.Contract.LeaseOverrun).op(grant).op(op)
		}
	}
	for _, revoke := range life.revokes {
		if !acknowledged(revoke) || revoke.Returned >= op.Called {
			continue
		}
		again := slices.ContainsFunc(life.grants, func(g *history.StoreOp) bool {
			return !acknowledged(g) || g.Returned > revoke.Called
		})
		if !again {
			return because("#%d put a key with lease %x, which had been revoked", op.ID, id).op(revoke).op(op)
		}
	}
	return nil
}

// finishLeases judges what waited for all calls to be known, and the keys that
// are still there at the end.
func (c *Checker) finishLeases() {
	if c.opts.Contract.LeaseIDIsTTL {
		return
	}
	for _, op := range c.leases.suspects {
		if e := c.leaseLie(op); e != nil {
			c.fail(LeaseHonest, e)
		}
	}
	c.finishDeaths()
	for _, id := range slices.Sorted(maps.Keys(c.leases.byID)) {
		life := c.leases.byID[id]
		if c.builder.Attached(id) == 0 {
			continue
		}
		_, last := c.t.Bounds()
		grant, _, sure := life.incarnation(last + 1)
		if !sure {
			continue
		}
		if grant == nil {
			if !c.grantsUnseen() {
				c.fail(LeaseHonest, because("keys hold lease %x, which was never granted", id).held(c, id))
			}
			continue
		}
		if w := c.leases.witness; w != nil { // else no call says how late it became
			if end := c.latestEnd(life, grant, w.Term); end != 0 && c.leases.called > end {
				c.fail(LeaseHonest, because("keys outlive lease %x by more than %s", id, c.opts.Contract.LeaseOverrun).op(grant).held(c, id).op(w))
			}
		}
		for _, revoke := range life.revokes {
			if acknowledged(revoke) && revoke.Called > grant.Returned {
				c.fail(LeaseHonest, because("keys outlive lease %x, which was revoked", id).op(grant).op(revoke).held(c, id))
			}
		}
	}
}
