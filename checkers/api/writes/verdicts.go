package writes

import (
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
		v := checkers.Verdict{Area: checkers.AreaAPI, Guarantee: g.name, Statement: g.statement, Outcome: checkers.Pass}
		amounts := c.amounts(g.name)
		v.Checked = c.checked(g.name, amounts)
		if broken := c.violations[g.name]; broken != nil {
			v.Outcome, v.Detail = checkers.Fail, broken.evidence.String()
			if broken.count > 1 {
				v.Detail += fmt.Sprintf("\n(the first of %d violations)", broken.count)
			}
		} else if short := below(amounts); short != "" {
			v.Outcome, v.Detail = checkers.Invalid, short
		}
		// A table that is not in order proves nothing, neither way.
		if n := c.table.Dropped(); n > 0 {
			v.Detail = strings.TrimSuffix(fmt.Sprintf("%d versions came out of order; %s", n, v.Detail), "; ")
			v.Outcome, v.Unfit = checkers.Invalid, true
		}
		list = append(list, v)
	}
	return list
}

// amount is how much there was of something, and how much there has to be.
type amount struct {
	n, floor int64
	what     string
}

// amounts lists what a guarantee needs.
func (c *Checker) amounts(name string) []amount {
	f := c.floors
	answered := amount{c.counts.writes, f.Writes, "answered writes"}
	switch name {
	case ConflictHonest:
		return []amount{answered, {c.refusals[name], f.Conflicts, "conflicts"},
			{c.judged[name] - c.refusals[name], 0, "successes of writes with a version or uid"}}
	case ExistsHonest:
		return []amount{answered, {c.judged[name], f.Exists, "creates refused with AlreadyExists"}}
	case NotFoundHonest:
		return []amount{answered, {c.judged[name], f.NotFound, "writes refused with NotFound"}}
	case PreconditionHonest:
		return []amount{answered, {c.judged[name], f.Preconditions, "deletions with preconditions"},
			{c.refusals[name], 0, "of them refused"}}
	case NoLostUpdate:
		return []amount{answered, {c.counts.marked, f.Marked, "revisions that changed marks"},
			{c.counts.removals, 0, "removals of objects with marks"}, {c.counts.sweeps, 0, "deletions of collections"}}
	case IdentityStable:
		return []amount{{c.counts.versions, f.Versions, "versions"}}
	case UIDUnique:
		return []amount{{c.counts.versions, f.Versions, "versions"}, {c.counts.objects, 0, "lives"}}
	case RVMonotonic:
		return []amount{answered, {c.counts.repeated, f.Repeated, "writes of a key after another one"}}
	case DryRunInert:
		return []amount{answered, {c.counts.dryRuns, f.DryRuns, "dry runs that succeeded"}}
	case ErrorHonest:
		return []amount{{c.counts.calls, 0, "calls"}, {c.judged[name], f.Errors, "errors"}, {c.counts.illegal, f.Illegal, "illegal calls"}}
	}
	return nil
}

func below(amounts []amount) string {
	for _, a := range amounts {
		if a.n < a.floor {
			return fmt.Sprintf("%d %s, the floor is %d", a.n, a.what, a.floor)
		}
	}
	return ""
}

// checked says what a verdict rests on, with the floors and with what could not
// be judged.
func (c *Checker) checked(name string, amounts []amount) string {
	var parts []string
	for _, a := range amounts {
		text := fmt.Sprintf("%d %s", a.n, a.what)
		if a.floor > 0 {
			text += fmt.Sprintf(" (floor %d)", a.floor)
		}
		parts = append(parts, text)
	}
	add := func(n int64, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(c.open[name], "not decidable: beyond the version table")
	switch name {
	case ConflictHonest:
		add(c.counts.excepted, "about something else than a version or uid of the object")
	case ExistsHonest:
		add(c.counts.generated, "of generated names, not judged")
	case NotFoundHonest:
		add(c.counts.elsewhere, "about things that are not in the table")
		add(c.counts.admission, "of pods that the informer of NodeRestriction lacked, not judged")
	case NoLostUpdate:
		add(c.judged[name], "acknowledged writes at their revision")
		add(c.counts.finalized, "removals of the last finalizer, whose content is never stored")
		add(c.counts.bare, "answers without an object")
		add(c.counts.unknown, "writes of unknown outcome")
		add(c.counts.foreign, "removals that controllers may have made, not judged")
		add(c.counts.vague, "deletions of a part of a collection, not judged")
	case DryRunInert:
		add(c.counts.dryUnseen, "dry runs of deletions of what bears no marks, is deleted already, or may be by controllers, not judged")
	case IdentityStable, UIDUnique:
		add(c.counts.unread, "versions that could not be read")
	case PreconditionHonest:
		add(c.counts.collector, "of them although nothing had changed, where the last finalizer was the garbage collector's (known: docs/findings/0006)")
	case ErrorHonest:
		for _, kind := range slices.Sorted(maps.Keys(c.kinds)) {
			add(c.kinds[kind], kind)
		}
		add(c.counts.malformed, "malformed resourceVersions answered 500 without a reason (known: docs/findings/0002)")
		add(c.counts.before, "illegal calls that were shed, or failed for another reason first, not judged")
		add(c.counts.strange, "illegal calls of kinds that are not known here, not judged")
		add(c.counts.oddReasons, "reasons that are not of Kubernetes, not judged")
		add(c.counts.refused, "refusals of legal calls that no other guarantee judges")
		add(c.counts.untold, "refusals of legal calls, or of what may be legal, whose reason no record tells, not judged")
		add(c.counts.shed, "legal calls answered 429, not judged")
		add(c.counts.broken, "legal calls answered 5xx, not judged")
		add(c.counts.held, "answers of success that hold what they must")
		add(c.counts.opaque, "calls whose answers client-go read, not judged")
	}
	if name != IdentityStable && name != UIDUnique && name != ErrorHonest {
		add(c.counts.events, "writes of API events, excepted")
		add(c.counts.untabled, "writes of resources that are not in the version table")
	}
	return strings.Join(parts, ", ")
}
