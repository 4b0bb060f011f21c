package storage

import (
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// durable collects acknowledged writes that a later answer denies: it shows a
// key as it was before the write, or it was read at a revision below the write's.
// A write that is seen again after that was not lost but hidden, which is for
// other guarantees to judge.
//
// Only answers that members agreed on count, on either side: what one member
// says on its own (a serializable read, Status, a hash) may be behind, and a
// member left behind may still show what the others have lost. Such an audit
// comes with a read of the quorum, whose header says the same.
type durable struct {
	acked  stairs // of writes alone
	lost   map[string]*loss
	denied *denial
	others map[int64]bool // revisions that no acknowledged write caused

	began history.Time            // when the first acknowledged write had returned; 0: there was none
	asked map[string]history.Time // by member: the last call that it answered
}

type loss struct {
	rev      int64
	at       int64 // the revision at which the change was not there
	returned history.Time
	evidence *evidence
}

// denial is an answer from before an acknowledged write, the highest one that
// was denied so: the store is one log, which loses its end. A write of unknown
// outcome and the end of a lease promise nothing, even if somebody saw them.
type denial struct {
	write  step
	answer *history.StoreOp // the first of those that deny it
	until  history.Time     // when the last of those had returned
	keys   []string         // that the write changed, once anybody asks
}

// ackedLimit is lower than that of all answers: only calls that were waiting when
// a store lost its end ask for a write that is not among the last.
const ackedLimit = 1 << 17

func (d *durable) init() { d.acked.limit, d.asked = ackedLimit, map[string]history.Time{} }

func (d *durable) see(op *history.StoreOp) {
	if !acknowledged(op) {
		return
	}
	d.asked[op.Member] = max(d.asked[op.Member], op.Called)
	if op.Header > 0 && timeline.Changed(op) {
		d.acked.add(op)
		if d.began == 0 || op.Returned < d.began {
			d.began = op.Returned
		}
	}
}

// crashes is what crashed counts.
const crashes = "ends of members that came back and were asked again"

// crashed counts the ends of members by which a write could have been lost: one was
// acknowledged before, and the member has answered since it came back.
func (c *Checker) crashed() (n int64) {
	d := &c.durable
	for _, crash := range c.opts.Crashes {
		if d.began != 0 && d.began < crash.Ended && d.asked[crash.Member] >= crash.Back {
			n++
		}
	}
	return n
}

// other notes that no acknowledged write caused a revision.
func (d *durable) other(rev int64) {
	if d.others == nil {
		d.others = map[int64]bool{}
	}
	d.others[rev] = true
}

// contradict notes that what showed a key as it was at a revision, at, did not know
// of its change at an earlier one, rev.
func (d *durable) contradict(key string, rev, at int64, returned history.Time, e *evidence) {
	if d.lost == nil {
		d.lost = map[string]*loss{}
	}
	l := d.lost[key]
	if l == nil || rev > l.rev {
		l = &loss{rev: rev, at: at, evidence: e}
		d.lost[key] = l
	}
	l.returned = max(l.returned, returned)
}

// deny notes that a call whose revision is too low for its time was made after
// a write had been acknowledged, and does not know of it.
func (d *durable) deny(op *history.StoreOp) {
	w := d.acked.before(op.Called)
	switch n := d.denied; {
	case w.rev <= op.Header || (n != nil && w.rev < n.write.rev):
		return
	case n == nil || w.rev > n.write.rev:
		d.denied = &denial{write: w, answer: op}
	case op.Called < n.answer.Called:
		n.answer = op
	}
	d.denied.until = max(d.denied.until, op.Returned)
}

// confirm takes back what a correct read of a range shows not to be lost.
func (c *Checker) confirm(op *history.StoreOp, a history.StoreAction, r history.StoreResult, rev int64) {
	d := &c.durable
	if (len(d.lost) == 0 && d.denied == nil) || timeline.Local(op) || a.CountOnly || a.Sorted || (a.Limit > 0 && r.More) {
		return
	}
	within := func(key string, _ int64) bool { return timeline.InRange(key, a.Key, a.End) }
	c.confirmKeys(within, op.Called, rev)
}

// confirmCompared takes back what a comparison shows not to be lost. One that
// failed would have failed without the write as well, and one with a later change
// of the key says nothing of the changes before that.
func (c *Checker) confirmCompared(op *history.StoreOp, before int64) {
	if !op.Succeeded || (len(c.durable.lost) == 0 && c.durable.denied == nil) {
		return
	}
	for _, cmp := range op.Compares {
		if cmp.End == "" && cmp.Target == history.CompareMod && cmp.Op == "=" {
			c.confirmKeys(func(key string, rev int64) bool {
				return key == cmp.Key && (cmp.Number == rev || cmp.Number == 0)
			}, op.Called, before)
		}
	}
}

// confirmKeys takes back what is said of some keys, which a call showed as they
// are at a revision; shown says whether that tells of a key's change at another.
func (c *Checker) confirmKeys(shown func(key string, rev int64) bool, called history.Time, rev int64) {
	d := &c.durable
	for key, l := range d.lost {
		if rev >= l.rev && called > l.returned && shown(key, l.rev) {
			delete(d.lost, key)
		}
	}
	n := d.denied
	if n != nil && rev >= n.write.rev && called > n.until &&
		slices.ContainsFunc(c.written(n), func(key string) bool { return shown(key, n.write.rev) }) {
		d.denied = nil
	}
}

// written returns the keys of a write that was denied. That its revision is there
// again proves nothing: it may have been given away a second time.
func (c *Checker) written(n *denial) []string {
	if n.keys == nil {
		for _, change := range c.t.At(n.write.rev) {
			n.keys = append(n.keys, change.Key)
		}
	}
	return n.keys
}

// contest notes that two acknowledged writes have one revision: only one of
// them can be there.
func (d *durable) contest(c *Checker, rev int64, kept, other *history.StoreOp) {
	e := because("revision %d was acknowledged for two writes, one of them is lost", rev).op(kept).op(other)
	if kept == nil {
		e.state(rev, c.t.At(rev))
	}
	c.fail(Durable, e)
}

// finishDurable reports the writes that were acknowledged, denied by an answer
// and never seen again.
func (c *Checker) finishDurable() {
	c.finishDenied()
	for _, key := range slices.Sorted(maps.Keys(c.durable.lost)) {
		l := c.durable.lost[key]
		if c.durable.others[l.rev] {
			continue
		}
		e := because("the write of %s at revision %d was acknowledged and is gone", show(key), l.rev)
		if w, ok := c.durable.acked.firstStep(l.rev); ok && w.rev == l.rev {
			e.rows = append(e.rows, w.row())
		}
		e.state(l.rev, onlyKey(c.t.At(l.rev), key))
		e.rows = append(e.rows, l.evidence.rows...)
		// A write of unknown outcome between the two may have taken it away.
		e.changes = append(e.changes, timeline.Change{Key: key, KV: history.StoreKV{Key: key, Mod: l.at}})
		c.fail(Durable, e)
	}
}

func (c *Checker) finishDenied() {
	n := c.durable.denied
	if n == nil {
		return
	}
	w := n.write
	e := because("#%d was acknowledged at revision %d and is gone: #%d was called after that, and the store was at revision %d",
		w.id, w.rev, n.answer.ID, n.answer.Header)
	e.rows = append(e.rows, w.row())
	e.state(w.rev, c.t.At(w.rev)).op(n.answer)
	e.timed = true
	c.fail(Durable, e)
}
