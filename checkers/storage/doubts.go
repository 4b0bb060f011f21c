package storage

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// doubt is a revision of which the history does not say what it did. What is
// found wrong with its keys from then on may be the fault of a guess, and
// nothing else may.
type doubt struct {
	rev  int64
	why  string
	keys map[string]bool
	wide []history.StoreAction // deletions of ranges
}

const (
	noTelling = "writes of unknown outcome could not be told apart; if the guess was right, "
	noWatch   = "no watch of the whole key space shows the last revisions, of which one may be the end of a lease; if not, "
)

// about says that some key of a range is in doubt.
func (d *doubt) about(key, end string) bool {
	if end == "" && d.keys[key] {
		return true
	}
	if end != "" {
		for k := range d.keys {
			if timeline.InRange(k, key, end) {
				return true
			}
		}
	}
	return slices.ContainsFunc(d.wide, func(a history.StoreAction) bool {
		// Two ranges meet where one of them begins.
		return timeline.InRange(a.Key, key, end) || timeline.InRange(key, a.Key, a.End)
	})
}

// doubtful notes that keys may have changed at a revision. Doubts of one kind
// are one.
func (c *Checker) doubtful(why string, rev int64, keys []string) {
	if len(keys) == 0 {
		return
	}
	i := slices.IndexFunc(c.doubts, func(d doubt) bool { return d.why == why })
	if i < 0 {
		i = len(c.doubts)
		c.doubts = append(c.doubts, doubt{rev: rev, why: why, keys: map[string]bool{}})
	}
	for _, key := range keys {
		c.doubts[i].keys[key] = true
	}
}

// doubtGuesses doubts all that writes of unknown outcome may have changed from a
// revision on: the next guess rests on the first one.
func (c *Checker) doubtGuesses(rev int64) {
	if slices.ContainsFunc(c.doubts, func(d doubt) bool { return d.why == noTelling }) {
		return
	}
	d := doubt{rev: rev, why: noTelling, keys: map[string]bool{}}
	for _, r := range c.causes.guesses {
		for _, a := range slices.Concat(r.op.Then, r.op.Else) {
			switch {
			case a.Kind == history.ActionRange:
			case a.End == "":
				d.keys[a.Key] = true
			default:
				d.wide = append(d.wide, a)
			}
		}
		if r.op.Method == history.MethodLeaseRevoke {
			for _, key := range c.builder.Keys(r.op.Lease) {
				d.keys[key] = true
			}
		}
	}
	c.doubts = append(c.doubts, d)
}

// doubtOf returns the doubt that a violation may come from, nil: it is certain.
func (c *Checker) doubtOf(guarantee string, e *evidence) *doubt {
	if e.timed || (guarantee == RealTime && !e.attributed) || guarantee == CompactionHonest {
		return nil // headers and times alone
	}
	for i := range c.doubts {
		d := &c.doubts[i]
		switch {
		case e.hole != 0:
			if e.hole >= d.rev {
				return d // what was guessed for one revision is missing for another
			}
		case guarantee == LeaseHonest && e.reaches(d.rev):
			return d // which keys a lease holds follows from all that was put
		case e.touches(d):
			return d
		}
	}
	return nil
}

// reaches says that a counter-example is about a revision or a later one.
func (e *evidence) reaches(rev int64) bool {
	return slices.ContainsFunc(e.ops, func(op *history.StoreOp) bool { return op.Header >= rev }) ||
		slices.ContainsFunc(e.changes, func(c timeline.Change) bool { return c.KV.Mod >= rev })
}

// touches says that a counter-example rests on what is in doubt.
func (e *evidence) touches(d *doubt) bool {
	for _, op := range e.ops {
		if acknowledged(op) && (op.Header < d.rev || pinned(op) < d.rev) {
			continue
		}
		for _, branch := range [][]history.StoreAction{op.Then, op.Else} {
			if slices.ContainsFunc(branch, func(a history.StoreAction) bool { return d.about(a.Key, a.End) }) {
				return true
			}
		}
		if slices.ContainsFunc(op.Compares, func(c history.StoreCompare) bool { return d.about(c.Key, c.End) }) {
			return true
		}
	}
	return slices.ContainsFunc(e.changes, func(c timeline.Change) bool { return c.KV.Mod >= d.rev && d.about(c.Key, "") })
}

// pinned is the revision that a read asked for, the highest of all if it did
// not.
func pinned(op *history.StoreOp) int64 {
	read := op.Method == history.MethodRange || op.Method == history.MethodRangeStream
	if read && op.Then[0].Revision > 0 {
		return op.Then[0].Revision
	}
	return 1<<63 - 1
}

// expirable returns the keys of leases that may have ended by themselves in a
// revision that no watch of the whole key space shows.
func (c *Checker) expirable(rev int64) []string {
	if rev <= c.builder.Passed() {
		return nil
	}
	var list []string
	at := c.stairs.first(rev)
	for id, life := range c.leases.byID {
		keys := c.builder.Keys(id)
		if len(keys) == 0 {
			continue
		}
		grant, next, sure := life.incarnation(rev)
		if sure && (grant == nil || (at != 0 && at < life.deadline(grant, at, next))) {
			continue
		}
		list = append(list, keys...)
	}
	return list
}
