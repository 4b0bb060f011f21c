package watches

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// verdicts turns what was found into verdicts, in the order of the guarantees.
func (c *Checker) verdicts() []checkers.Verdict {
	var list []checkers.Verdict
	for _, g := range guarantees {
		v := checkers.Verdict{
			Area: checkers.AreaAPI, Guarantee: g.name, Statement: g.statement,
			Outcome: checkers.Pass, Checked: c.checked(g.name),
		}
		c.decide(&v)
		list = append(list, v)
	}
	return list
}

// emptyStore is the revision of an etcd in which nothing was ever written.
const emptyStore = 1

// decide orders the reasons: a table that is unfit proves nothing, neither way;
// a violation outweighs a lack of evidence.
func (c *Checker) decide(v *checkers.Verdict) {
	broken := c.found[v.Guarantee]
	if n := c.opt.Versions.Dropped(); n > 0 {
		v.Outcome, v.Detail, v.Unfit = checkers.Invalid, fmt.Sprintf("%d versions came out of order", n), true
		return
	}
	if broken != nil {
		v.Outcome, v.Detail = checkers.Fail, broken.evidence.String()
		if broken.count > 1 {
			v.Detail += fmt.Sprintf("\n(the first of %d violations)", broken.count)
		}
		if c.first > emptyStore {
			v.Outcome = checkers.Unknown
			v.Detail = fmt.Sprintf("the version table begins after revision %d; if nothing was in the store by then, %s", c.first, v.Detail)
		}
		return
	}
	for _, f := range c.floors(v.Guarantee) {
		if f.n < f.floor {
			v.Outcome, v.Detail = checkers.Invalid, fmt.Sprintf("%d %s, the floor is %d", f.n, f.what, f.floor)
			return
		}
	}
}

// floor is how much of what was seen, and how much is needed.
type floor struct {
	n, floor int64
	what     string
}

func (f floor) String() string { return fmt.Sprintf("%d %s (floor %d)", f.n, f.what, f.floor) }

func (c *Checker) floors(name string) []floor {
	f, n := c.opt.Floors, &c.counts
	switch name {
	case InitialState:
		return []floor{{n.initial, f.Initial, "initial states"}}
	case InitialEventsEnd:
		return []floor{{n.ends, f.Ends, "ends of initial events"}}
	case BookmarkNotAhead:
		return []floor{{n.bookmarks, f.Bookmarks, "bookmarks"}}
	case Transitions:
		// A deletion is one without any selector. What the guarantee adds are the
		// objects that stay and that a selector takes in or lets go.
		return []floor{
			{n.deleted, f.Deleted, "DELETED events"},
			{n.began, f.Matching, "objects that began to match"}, {n.ceased, f.Matching, "objects that ceased to match"},
		}
	case ExpiredHonest:
		return []floor{{n.expired - n.untold, f.Expired, "watches refused as too old"}}
	case TooNewHonest:
		return []floor{{n.future, f.Future, "watches from the future"}}
	}
	return []floor{{n.judged(), f.Events, "changes"}}
}

// judged counts the changes that came on watches, without initial events.
func (n *counts) judged() int64 { return n.added + n.modified + n.deleted }

// unjudged says how many watches are not judged, and why.
func (c *Checker) unjudged() string {
	var total int64
	var list []string
	for _, why := range slices.Sorted(maps.Keys(c.skipped)) {
		total += c.skipped[why]
		list = append(list, fmt.Sprintf("%d of %s", c.skipped[why], why))
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("%d watches not judged: %s", total, strings.Join(list, "; "))
}

// checked says what a verdict rests on, with its floor.
func (c *Checker) checked(name string) string {
	n := &c.counts
	var parts []string
	for _, f := range c.floors(name) {
		parts = append(parts, f.String())
	}
	parts = append(parts, fmt.Sprintf("%d watches", n.watches))
	add := func(count int64, format string) {
		if count > 0 {
			parts = append(parts, fmt.Sprintf(format, count))
		}
	}
	switch name {
	case InitialState:
		add(n.unfinished, "%d ended before their state was complete")
		add(n.owing, "%d had to be complete at their end")
	case Delivered:
		add(n.owing, "%d had to have shown everything at their end")
	case ExpiredHonest:
		add(n.accepted, "%d watches served from a revision")
		add(n.relisted, "%d refused from before a list or a compaction of the store")
		add(n.outrun, "%d refused from 100 or more changes before")
		add(n.untold, "%d more of which nobody can tell what the server held")
	case TooNewHonest:
		add(n.tooLarge, "%d refused")
		add(n.lagging, "%d of them for a revision that the store had (allowed, observed)")
	}
	add(n.excepted, "%d watches of Events excepted")
	if list := c.unjudged(); list != "" {
		parts = append(parts, list)
	}
	add(n.unjudged, "%d events of revisions that the version table does not have")
	add(n.strangers, "%d messages of watches whose call is not known")
	return strings.Join(parts, ", ")
}
