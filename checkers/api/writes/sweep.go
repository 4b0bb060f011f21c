package writes

import (
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// life is where a uid was first seen.
type life struct {
	target
	rev int64
}

// sweep is how far the versions of objects have been judged.
type sweep struct {
	to   int64                  // the revision
	next map[*versions.Kind]int // by resource: the first version that is left
	uids map[string]life
	// guessed are the revisions whose cause no answer names.
	guessed map[int64]bool
	late    bool
}

// Advance judges the versions of all objects up to a revision and who caused
// them, in the order of revisions per resource. The calls that may have to do
// with them should have been handed over; see Late.
func (c *Checker) Advance(rev int64) {
	c.first, c.last = c.table.Bounds()
	for _, kind := range c.table.Kinds() {
		n := c.sweep.next[kind]
		for ch := range kind.Since(n, rev) {
			n++
			c.version(kind, ch.Now, ch.Prev)
		}
		c.sweep.next[kind] = n
	}
	c.sweep.to = max(c.sweep.to, rev)
	c.forget()
}

// forget drops what bears on nothing but versions that have been judged, so that
// who judges as a history grows keeps only what is under way. One that is judged
// after its end is judged with all of it: less than a hundred bytes of each deletion
// of an object with marks, and of a write that declares what it does (BenchmarkDeclared).
func (c *Checker) forget() {
	past := func(d deletion) bool { return d.upto <= c.sweep.to }
	maps.DeleteFunc(c.claims, func(at claim, _ *history.APICall) bool { return at.rev <= c.sweep.to })
	for t, kept := range c.removers {
		if c.removers[t] = slices.DeleteFunc(kept, past); len(c.removers[t]) == 0 {
			delete(c.removers, t)
		}
	}
	c.sweepers = slices.DeleteFunc(c.sweepers, func(s sweeper) bool { return past(s.deletion) })
}

// Late says that a call came after versions had been judged that it may have to
// do with: they may have been judged wrongly.
func (c *Checker) Late() bool { return c.sweep.late }

// lateFor takes note that a call may have had an effect from a revision on.
func (c *Checker) lateFor(rev int64) { c.sweep.late = c.sweep.late || rev <= c.sweep.to }

func (c *Checker) version(kind *versions.Kind, now, prev *history.Version) {
	c.counts.versions++
	t := target{kind, now.Namespace, now.Name}
	c.removal(t, now, prev)
	if now.Delete {
		return
	}
	if now.Unread || prev != nil && prev.Unread {
		c.counts.unread++
		return
	}
	c.identity(now, prev)
	c.unique(t, now, prev)
	if now.Revision > c.from && now.Resource != "events" && c.known(t, now.Revision-1) {
		c.cause(t, now, prev)
	}
}

// identity judges what of an object never changes, or only one way. Values of
// the store that are no objects of the API, such as the allocation maps of the
// API servers, have no uid.
func (c *Checker) identity(now, prev *history.Version) {
	if prev == nil || prev.UID == "" {
		return
	}
	var what string
	switch {
	case now.UID != prev.UID:
		what = "the uid of an object changed"
	case now.Created != prev.Created:
		what = "the creationTimestamp of an object changed"
	case prev.Deleting && !now.Deleting:
		what = "the deletionTimestamp of an object was unset"
	case now.Generation < prev.Generation:
		what = "the generation of an object fell"
	default:
		return
	}
	c.fail(IdentityStable, func() *evidence {
		return because("%s", what).version(prev, prev.Revision).version(now, now.Revision)
	})
}

// unique judges the uid of a new object.
func (c *Checker) unique(t target, now, prev *history.Version) {
	if now.UID == "" || prev != nil && prev.UID == now.UID {
		return
	}
	c.counts.objects++
	if call := c.dryUIDs[now.UID]; call != nil {
		c.fail(DryRunInert, func() *evidence {
			return because("the uid that a dry run made up is that of an object").call(call).version(now, now.Revision)
		})
	}
	before, used := c.sweep.uids[now.UID]
	if !used {
		c.sweep.uids[now.UID] = life{t, now.Revision}
		return
	}
	c.fail(UIDUnique, func() *evidence {
		return because("two objects, or two lives of one, have the uid %s", now.UID).
			version(before.at(before.rev), before.rev).version(now, now.Revision)
	})
}
