package storage

import (
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// causes finds for every revision the one thing that caused it.
type causes struct {
	open      map[int64]*effect // revisions without a cause so far
	unknown   writes            // whose outcome nobody knows
	refused   writes            // that failed definitely
	sightings map[int64][]history.StoreKV
	searched  bool     // the window of revisions without a known author
	guesses   []record // unknown writes in the order of their calls
	guessed   map[*history.StoreOp]bool
	resolved  int64 // unknown writes that took effect
	expired   int64 // revisions caused by the end of a lease
}

// effect is a revision that is known from events only.
type effect struct {
	rev  int64
	seen history.Time // no later than this it had been committed
	// lease is set if the revision only deletes keys of one lease; rest is the
	// number of keys that it left to that lease.
	lease int64
	rest  int
}

func (c *causes) init() {
	c.open = map[int64]*effect{}
	c.unknown, c.refused = newWrites(), newWrites()
}

// onSealed notes who wrote a revision, if that is known already.
func (c *Checker) onSealed(s timeline.Sealed) {
	c.leases.attach(s)
	c.leases.deaths.note(s, c.newest.Add(c.opts.Horizon))
	if s.Op != nil {
		c.sealed[s.Rev] = s.Op
		if s.Op.Method == history.MethodLeaseRevoke {
			c.leases.revoked++
		}
		return
	}
	if c.opts.Contract.makes(s.Changes) {
		return
	}
	e := &effect{rev: s.Rev, seen: s.Seen}
	if lease := oneLease(s.Changes); lease != 0 {
		e.lease, e.rest = lease, c.builder.Attached(lease)
	}
	c.causes.open[s.Rev] = e
}

// oneLease returns the lease whose keys, and nothing else, a revision deletes.
func oneLease(changes []timeline.Change) int64 {
	var lease int64
	for i := range changes {
		c := &changes[i]
		if !c.Delete || c.Prev.Lease == 0 || (lease != 0 && c.Prev.Lease != lease) {
			return 0
		}
		lease = c.Prev.Lease
	}
	return lease
}

// claim makes an acknowledged write the cause of its revision. effect is what it
// does; the end of a lease is recognized by the lease.
func (c *Checker) claim(r record, effect []timeline.Change) {
	op := r.op
	rev := op.Header
	if c.sealed[rev] == op {
		delete(c.sealed, rev)
		return
	}
	e := c.causes.open[rev]
	if op.Method == history.MethodLeaseRevoke {
		if e != nil && e.lease == op.Lease {
			delete(c.causes.open, rev)
			c.leases.revoked++
			c.checkRest(e, r)
		}
		return
	}
	if e == nil && c.durable.others[rev] {
		// It looked like the end of a lease until its answer came, very late.
		delete(c.durable.others, rev)
		return
	}
	if e == nil {
		if first, _ := c.t.Bounds(); rev > first && c.sealed[rev] == nil {
			at := c.t.At(rev)
			c.fail(Order, because("revision %d was written twice", rev).op(op).state(rev, at))
			c.durable.contest(c, rev, nil, op)
		}
		return
	}
	delete(c.causes.open, rev)
	shown := c.t.At(rev)
	for i := range effect {
		timeline.Adopt(&effect[i], shown)
	}
	c.sweep.MoveTo(rev - 1)
	if !timeline.Same(effect, timeline.Known(shown, c.sweep)) {
		c.fail(Replay, because("revision %d is not what its write does", rev).op(op).state(rev, effect).event("a member", e.seen, rev, shown))
		if !sameKeys(effect, shown) {
			c.fail(NoPhantom, because("revision %d changed keys that its write does not name", rev).op(op).event("a member", e.seen, rev, shown))
		}
	}
}

// resolve looks for the causes of revisions that no acknowledged write claimed:
// first the ends of leases that had passed, then, when everything is known,
// unknown writes.
func (c *Checker) resolve(until history.Time, final bool) {
	var revs []int64
	for rev, e := range c.causes.open {
		if final || e.lease != 0 {
			revs = append(revs, rev)
		}
	}
	slices.Sort(revs)
	var left []*effect
	for _, rev := range revs {
		e := c.causes.open[rev]
		settled := final || (e.seen != 0 && e.seen.Add(c.opts.Horizon) < until)
		switch {
		case settled && e.lease != 0 && c.expired(e):
		case !final:
			continue
		default:
			left = append(left, e)
		}
		c.durable.other(rev)
		delete(c.causes.open, rev)
	}
	matched := c.match(left)
	for _, rev := range slices.Sorted(maps.Keys(matched)) {
		r := matched[rev]
		c.causes.resolved++
		c.causes.unknown.remove(r)
		c.leases.deaths.answers = append(c.leases.deaths.answers, step{rev: rev - 1, called: r.op.Called, id: r.op.ID, method: r.op.Method, member: r.op.Member, term: r.op.Term})
	}
	for _, e := range left {
		if _, ok := matched[e.rev]; !ok {
			c.attribute(e)
		}
	}
}

// attribute blames somebody for a revision that no write can have made in time.
func (c *Checker) attribute(e *effect) {
	changes := c.t.At(e.rev)
	if r, ok := c.author(&c.causes.unknown, e, changes); ok {
		c.causes.unknown.remove(r)
		ev := because("#%d was called after revision %d had been returned, but wrote revision %d", r.op.ID, r.after.rev, e.rev)
		ev.rows = append(ev.rows, r.after.row())
		ev.attributed = true
		c.fail(RealTime, ev.op(r.op).state(e.rev, changes))
		return
	}
	if e.lease != 0 {
		c.blameLease(e, changes)
		return
	}
	why := because("nothing caused revision %d", e.rev)
	r, ok := c.author(&c.causes.refused, e, changes)
	if !ok {
		r, ok = c.heedless(&c.causes.refused, e, changes)
	}
	if ok {
		c.fail(DefiniteFailureInert, because("#%d was refused, and yet it is revision %d", r.op.ID, e.rev).op(r.op).
			event("some member", e.seen, e.rev, changes))
		why = because("revision %d comes from #%d, which was refused", e.rev, r.op.ID).op(r.op)
	}
	c.fail(NoPhantom, why.event("some member", e.seen, e.rev, changes).state(e.rev, changes))
}

// author returns the earliest of some writes that does exactly what a revision
// did and was called before anybody saw it.
func (c *Checker) author(among *writes, e *effect, changes []timeline.Change) (record, bool) {
	for _, r := range among.candidates(changes) {
		if e.seen != 0 && r.op.Called >= e.seen {
			continue
		}
		if c.couldBe(r.op, e, changes) {
			return r, true
		}
	}
	return record{}, false
}

// heedless returns the earliest of some transactions that would have done exactly
// what a revision did if they had not compared anything.
func (c *Checker) heedless(among *writes, e *effect, changes []timeline.Change) (record, bool) {
	for _, r := range among.candidates(changes) {
		if e.seen != 0 && r.op.Called >= e.seen || r.op.Method == history.MethodLeaseRevoke {
			continue
		}
		c.sweep.MoveTo(e.rev - 1)
		for _, branch := range [][]history.StoreAction{r.op.Then, r.op.Else} {
			if !timeline.Refused(branch, c.sweep) && c.does(branch, e, changes) {
				return r, true
			}
		}
	}
	return record{}, false
}

func (c *Checker) couldBe(op *history.StoreOp, e *effect, changes []timeline.Change) bool {
	if op.Method == history.MethodLeaseRevoke {
		return e.lease == op.Lease && e.rest == 0
	}
	c.sweep.MoveTo(e.rev - 1)
	return slices.ContainsFunc(possible(op, c.sweep), func(branch []history.StoreAction) bool { return c.does(branch, e, changes) })
}

// does says that a branch comes to exactly what a revision did.
func (c *Checker) does(branch []history.StoreAction, e *effect, changes []timeline.Change) bool {
	effect := timeline.Effect(branch, c.sweep, e.rev)
	for i := range effect {
		timeline.Adopt(&effect[i], changes)
	}
	return timeline.Same(effect, timeline.Known(changes, c.sweep))
}

// possible returns the branches that a transaction may take in a state.
func possible(op *history.StoreOp, view timeline.View) [][]history.StoreAction {
	holds, decided := timeline.Holds(op.Compares, view)
	branches := [][]history.StoreAction{op.Then, op.Else}
	if decided && holds {
		branches = branches[:1]
	} else if decided {
		branches = branches[1:]
	}
	return slices.DeleteFunc(branches, func(b []history.StoreAction) bool { return timeline.Refused(b, view) })
}

// prepareHoles collects what calls saw of revisions that may turn out to be
// unexplained, and files the failed writes that may explain them.
func (c *Checker) prepareHoles() {
	kept := c.waiting[:0]
	for _, op := range c.waiting {
		if acknowledged(op) || !timeline.MayChange(op) || !unknown(op) {
			kept = append(kept, op)
			continue
		}
		c.judgeFailed(record{op: op, after: c.stairs.before(op.Called)})
	}
	c.waiting = kept
}

// onHole guesses the author of a revision that no event shows: an unknown write
// that would do in this state what calls have seen of the revision.
func (c *Checker) onHole(rev int64, view timeline.View) []timeline.Change {
	if c.causes.sightings == nil {
		c.collectSightings()
	}
	seen := c.causes.sightings[rev]
	if len(seen) == 0 && rev <= c.builder.Passed() {
		return nil // a watch of everything has gone past it, and no call shows it either
	}
	if !c.causes.searched {
		c.causes.searched = true
		c.search(rev, view)
	}
	found, author := c.foundAuthor(rev, view)
	differ := false
	for _, r := range c.causes.guesses {
		if r.after.rev >= rev || c.causes.guessed[r.op] {
			continue
		}
		changes := c.guess(r.op, rev, view)
		if len(changes) == 0 || !fits(changes, seen) {
			continue
		}
		if found == nil {
			found, author = changes, r.op
		} else if !timeline.Same(found, changes) || author == nil || !twins(author, r.op) {
			differ = true
			break
		}
	}
	c.causes.guessed[author] = true
	if len(seen) == 0 {
		ended := c.expirable(rev)
		differ = differ || len(ended) > 0
		c.doubtful(noWatch, rev, ended)
	}
	if found != nil && differ {
		c.doubtGuesses(rev)
	}
	return found
}

func (c *Checker) guess(op *history.StoreOp, rev int64, view timeline.View) []timeline.Change {
	if op.Method == history.MethodLeaseRevoke {
		return c.builder.Revocation(op.Lease, rev, view)
	}
	branches := possible(op, view)
	if len(branches) == 0 {
		return nil
	}
	return timeline.Effect(branches[0], view, rev)
}

func fits(changes []timeline.Change, seen []history.StoreKV) bool {
	for _, kv := range seen {
		if !slices.ContainsFunc(changes, func(c timeline.Change) bool {
			return c.Key == kv.Key && !c.Delete && (kv.Value == 0 || kv.Value == c.KV.Value)
		}) {
			return false
		}
	}
	return true
}

// collectSightings notes the keys that calls showed, or compared successfully,
// by the revision of their last change.
func (c *Checker) collectSightings() {
	c.causes.sightings = map[int64][]history.StoreKV{}
	c.causes.guesses = c.causes.unknown.all()
	c.causes.guessed = map[*history.StoreOp]bool{}
	note := func(kv history.StoreKV) {
		c.causes.sightings[kv.Mod] = append(c.causes.sightings[kv.Mod], kv)
	}
	_, last := c.t.Bounds()
	for _, op := range c.waiting {
		for _, r := range op.Results {
			for _, kv := range r.KVs {
				if kv.Mod > last {
					note(kv)
				}
			}
		}
		for _, cmp := range op.Compares {
			if op.Succeeded && cmp.Target == history.CompareMod && cmp.Op == "=" && cmp.End == "" && cmp.Number > last {
				note(history.StoreKV{Key: cmp.Key, Mod: cmp.Number})
			}
		}
	}
}
