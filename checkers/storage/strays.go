package storage

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// stray is what a member showed of a revision instead of what the revision did.
//
// A write that one member refused and others did (etcd #18667) leaves no
// revision without a cause: the member that refused gives the revision to the
// next write. What gives it away is only what the others show of it.
type stray struct {
	rev     int64
	member  string
	at      history.Time
	changes []timeline.Change
	whole   bool // changes are all that the revision did there
}

// strayLimit is how many are kept. Members that have parted once differ in all
// that follows, which says nothing new.
const strayLimit = 256

func (c *Checker) stray(s stray) {
	if len(c.strays) < strayLimit && len(s.changes) > 0 {
		c.strays = append(c.strays, s)
	}
}

// finishStrays looks whether something that was refused is what members showed.
func (c *Checker) finishStrays() {
	for _, s := range c.strays {
		if c.elsewhere(s) {
			continue
		}
		if _, ok := c.doer(&c.causes.unknown, s); ok {
			continue
		}
		if r, ok := c.doer(&c.causes.refused, s); ok {
			c.fail(DefiniteFailureInert, because("#%d was refused, and yet member %s did it at revision %d", r.op.ID, s.member, s.rev).
				op(r.op).event(s.member, s.at, s.rev, s.changes).state(s.rev, c.t.At(s.rev)))
		}
	}
}

// doer returns a write that does what a member showed.
func (c *Checker) doer(among *writes, s stray) (record, bool) {
	for _, r := range among.candidates(s.changes) {
		if r.op.Called >= s.at || r.op.Method == history.MethodLeaseRevoke {
			continue
		}
		c.sweep.MoveTo(s.rev - 1)
		for _, branch := range possible(r.op, c.sweep) {
			if s.fits(timeline.Effect(branch, c.sweep, s.rev), c.sweep) {
				return r, true
			}
		}
	}
	return record{}, false
}

func (s stray) fits(effect []timeline.Change, before timeline.View) bool {
	for i := range effect {
		timeline.Adopt(&effect[i], s.changes)
	}
	if s.whole {
		return timeline.Same(effect, timeline.Known(s.changes, before))
	}
	return slices.ContainsFunc(effect, func(e timeline.Change) bool {
		return timeline.Same([]timeline.Change{e}, s.changes)
	})
}

// elsewhere says that the same was done at another revision: then the member is
// ahead or behind, and what it shows need not come from a write that was refused
// and perhaps tried again.
func (c *Checker) elsewhere(s stray) bool {
	const most = 1000 // versions of one key
	shown := s.changes[0]
	_, rev := c.t.Bounds()
	for range most {
		latest, ok := c.t.Latest(shown.Key, rev)
		if !ok {
			return false
		}
		for _, change := range onlyKey(c.t.At(latest), shown.Key) {
			if latest != s.rev && change.Delete == shown.Delete && change.KV.Value == shown.KV.Value {
				return true
			}
		}
		rev = latest - 1
	}
	return false
}
