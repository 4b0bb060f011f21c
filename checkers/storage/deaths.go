package storage

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// deaths judges how long keys lived, by the calls: whoever was answered at a
// revision below the one that ended a key's life had been called while the key
// was there. That holds whatever ended it, its lease or another call.
type deaths struct {
	open     []death // not judged yet, by revision
	answers  []step
	latest   step      // the latest call of an answer below the present revision
	suspects []suspect // that calls without an answer, recorded last, may explain
}

// death is the end of what a put with a lease made.
type death struct {
	lease    int64
	key      string
	mod, rev int64        // revisions of the put and of the end
	due      history.Time // from here on everything about it has been handed over
}

type suspect struct {
	death
	alive step // the call that was made while the key was there
}

// suspectLimit is how many suspects are kept: one is enough to fail.
const suspectLimit = 1 << 10

func (d *deaths) see(op *history.StoreOp) {
	if !acknowledged(op) || op.Header <= 0 || timeline.Local(op) {
		return
	}
	rev := op.Header
	if timeline.Changed(op) {
		rev--
	}
	d.answers = append(d.answers, step{op.Returned, op.Called, rev, op.ID, op.Method, op.Member, op.Term})
}

// note takes in what a revision ended, one key for each lease.
func (d *deaths) note(s timeline.Sealed, due history.Time) {
	first := len(d.open)
	for i := range s.Changes {
		prev := &s.Changes[i].Prev
		if prev.Lease == 0 || slices.ContainsFunc(d.open[first:], func(o death) bool { return o.lease == prev.Lease }) {
			continue
		}
		d.open = append(d.open, death{lease: prev.Lease, key: prev.Key, mod: prev.Mod, rev: s.Rev, due: due})
	}
}

// advance takes answers below a revision into account and returns the others.
func (d *deaths) advance(answers []step, rev int64) []step {
	for len(answers) > 0 && answers[0].rev < rev {
		if answers[0].called > d.latest.called {
			d.latest = answers[0]
		}
		answers = answers[1:]
	}
	return answers
}

// judgeDeaths judges the deaths of which everything is known by a moment.
func (c *Checker) judgeDeaths(until history.Time, final bool) {
	d := &c.leases.deaths
	slices.SortFunc(d.answers, func(a, b step) int { return cmp.Compare(a.rev, b.rev) })
	answers := d.answers
	n := 0
	for ; n < len(d.open) && (final || d.open[n].due <= until); n++ {
		answers = d.advance(answers, d.open[n].rev)
		s := suspect{d.open[n], d.latest}
		if len(d.suspects) < suspectLimit && c.outlived(s) != nil {
			d.suspects = append(d.suspects, s)
		}
	}
	d.open = slices.Delete(d.open, 0, n)
	_, last := c.t.Bounds()
	next := last + 1
	if len(d.open) > 0 {
		next = d.open[0].rev
	}
	d.answers = append(d.answers[:0], d.advance(answers, next)...)
}

// outlived returns why a key should have died sooner, nil: it is in order.
func (c *Checker) outlived(s suspect) *evidence {
	life := c.leases.byID[s.lease]
	if life == nil || s.alive.called == 0 {
		return nil
	}
	grant, _, sure := life.incarnation(s.mod)
	if grant == nil || !sure {
		return nil
	}
	var e *evidence
	if end := c.latestEnd(life, grant, s.alive.term); end != 0 && s.alive.called > end {
		e = because("%s outlived lease %x by more than %s", show(s.key), s.lease, c.opts.Contract.LeaseOverrun).op(grant)
	}
	for _, revoke := range life.revokes {
		if e == nil && acknowledged(revoke) && revoke.Called > grant.Returned && revoke.Returned < s.alive.called {
			e = because("%s outlived lease %x, which had been revoked", show(s.key), s.lease).op(grant).op(revoke)
		}
	}
	if e == nil {
		return nil
	}
	alive := s.alive.row()
	alive.Text = fmt.Sprintf("%s while it was there, revision %d being the last", s.alive.method, s.alive.rev)
	e.rows = append(e.rows, alive)
	return e.state(s.rev, onlyKey(c.t.At(s.rev), s.key))
}

func (c *Checker) finishDeaths() {
	for _, s := range c.leases.deaths.suspects {
		if e := c.outlived(s); e != nil {
			c.fail(LeaseHonest, e)
		}
	}
}
