package storage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// judgement turns what was found into verdicts, in the order of the guarantees.
func (c *Checker) judgement() []checkers.Verdict {
	var list []checkers.Verdict
	for _, g := range guarantees {
		v := checkers.Verdict{Guarantee: g.name, Statement: g.statement, Outcome: checkers.Pass}
		v.Checked = c.checked(g.name)
		c.decide(&v)
		list = append(list, v)
	}
	return list
}

// decide orders the reasons: a history that is unfit proves nothing, neither
// way; a violation outweighs a lack of evidence.
func (c *Checker) decide(v *checkers.Verdict) {
	broken := c.violations[v.Guarantee]
	if unfit := c.unfit(); unfit != "" {
		v.Outcome, v.Detail, v.Unfit = checkers.Invalid, unfit, true
		if broken != nil {
			v.Detail += "; it seems that " + cmp.Or(broken.evidence, broken.doubted).String()
		}
		return
	}
	if broken != nil && broken.evidence == nil {
		v.Outcome, v.Detail = checkers.Unknown, broken.doubt.why+broken.doubted.String()+c.remark()
		return
	}
	if broken != nil {
		v.Outcome, v.Detail = checkers.Fail, broken.evidence.String()
		if broken.searched {
			v.Detail += c.remark()
		}
		if broken.count > 1 {
			v.Detail += fmt.Sprintf("\n(the first of %d violations)", broken.count)
		}
		return
	}
	if short := c.short(v.Guarantee); short != "" {
		v.Outcome, v.Detail = checkers.Invalid, short
		return
	}
	switch {
	case v.Guarantee == LeaseHonest && c.opts.Contract.LeaseIDIsTTL:
		v.Outcome, v.Detail = checkers.NotExercised, "leases of "+c.opts.Contract.Name+" are not judged"
	case v.Guarantee == MembersAgree && c.alone():
		v.Outcome, v.Detail = checkers.NotExercised, "there is one member, and too much in it to be read whole"
	}
}

// unfit says why a history cannot be judged at all.
func (c *Checker) unfit() string {
	var reasons []string
	for _, what := range slices.Sorted(maps.Keys(c.invalid)) {
		reasons = append(reasons, fmt.Sprintf("%d %s", c.invalid[what], what))
	}
	return strings.Join(reasons, ", ")
}

// short says which floor the evidence for a guarantee does not reach.
func (c *Checker) short(name string) string {
	f := c.opts.Floors
	below := func(n, floor int64, what string) string {
		if n >= floor {
			return ""
		}
		return fmt.Sprintf("%d %s, the floor is %d", n, what, floor)
	}
	if s := below(c.counts.answered, f.Operations, "operations"); s != "" {
		return s
	}
	if n, what := c.subject(name); n == 0 && f.Operations > 0 {
		return "no " + what
	}
	switch name {
	case Replay:
		return below(c.counts.conflicts, f.Conflicts, "conflicts")
	case CompactionHonest:
		return below(c.compact.succeeded, f.Compactions, "compactions")
	case LeaseHonest:
		if c.opts.Contract.LeaseIDIsTTL {
			return "" // they are not judged, however many there are
		}
		return below(c.leases.ended(), f.Leases, "leases that ended with their keys")
	case DefiniteFailureInert:
		return below(c.counts.refused, f.Refusals, "refused writes")
	case Durable:
		return below(c.crashed(), f.Crashes, crashes)
	case MembersAgree:
		return c.shortOfMembers()
	}
	return ""
}

// subject is how much there is of what a guarantee is about: a history may have many
// operations and none of these.
func (c *Checker) subject(name string) (n int64, what string) {
	switch name {
	case Order, NoPhantom, Durable:
		return c.counts.writes, "acknowledged writes"
	case Reads:
		return c.counts.reads, "reads"
	case CompactionHonest:
		return c.compact.reads, "reads of a revision"
	}
	return c.counts.operations, "operations"
}

// checked says what a verdict rests on, with the floors.
func (c *Checker) checked(name string) string {
	first, last := c.t.Bounds()
	f := c.opts.Floors
	text := fmt.Sprintf("%d operations (floor %d), revisions %d to %d", c.counts.answered, f.Operations, first+1, last)
	switch name {
	case Replay:
		text += fmt.Sprintf(", %d writes, %d conflicts (floor %d)", c.counts.writes, c.counts.conflicts, f.Conflicts)
		if c.counts.undecided > 0 {
			text += fmt.Sprintf(", %d comparisons not decidable", c.counts.undecided)
		}
	case Reads:
		text += fmt.Sprintf(", %d reads of which %d local, %d keys listed", c.counts.reads, c.counts.local, c.counts.listed)
		if c.counts.partial > 0 {
			text += fmt.Sprintf(", %d sorted or filtered answers in part", c.counts.partial)
		}
	case NoPhantom:
		text += fmt.Sprintf(", %d unknown writes of which %d took effect, %d ends of leases", c.counts.unknown, c.causes.resolved, c.causes.expired)
	case DefiniteFailureInert:
		text += fmt.Sprintf(", %d refused writes (floor %d)", c.counts.refused, f.Refusals)
	case CompactionHonest:
		text += fmt.Sprintf(", %d compactions (floor %d), %d uses of a revision, %d errors", c.compact.succeeded, f.Compactions, c.compact.pinned, c.compact.errors)
	case LeaseHonest:
		text += fmt.Sprintf(", %d leases that ended with their keys (floor %d), %d revoked, %d given to keys, overrun %s",
			c.leases.ended(), f.Leases, c.leases.revoked, c.leases.given(), c.opts.Contract.LeaseOverrun)
	case Durable:
		text += fmt.Sprintf(", %d acknowledged writes, %d %s (floor %d)", c.counts.writes, c.crashed(), crashes, f.Crashes)
	case MembersAgree:
		text += ", " + c.membersChecked()
	}
	if !c.t.Complete() {
		text += ", keys from before are unknown until first seen"
	}
	if except := c.opts.Contract.exceptions(); len(except) > 0 {
		text += "; " + c.opts.Contract.Name + ": " + strings.Join(except, ", ")
	}
	return text
}
