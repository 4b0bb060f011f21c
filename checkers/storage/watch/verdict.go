package watch

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers"
)

// verdicts renders what was found. A history that no recorder makes proves nothing,
// neither way: records that lack or come out of order look like events that do. A
// violation outweighs a lack of evidence.
func (c *Checker) verdicts() []checkers.Verdict {
	var verdicts []checkers.Verdict
	for _, g := range Guarantees() {
		v := checkers.Verdict{
			Guarantee: string(g), Outcome: checkers.Pass, Statement: c.statement(g), Checked: c.checked(g),
		}
		f := c.found[g]
		if c.malformed != "" {
			v.Outcome, v.Detail, v.Unfit = checkers.Invalid, "the history is not complete: "+c.malformed, true
			if f != nil {
				v.Detail += "; what is there seems to show: " + c.detail(f)
			}
		} else if f != nil {
			v.Outcome, v.Detail = checkers.Fail, c.detail(f)
		} else if reason := c.short(g); reason != "" {
			v.Outcome, v.Detail = checkers.Invalid, reason
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}

func (c *Checker) statement(g Guarantee) string {
	s := statements[g]
	if g == Fresh {
		s += fmt.Sprintf(" The bound here is %v.", c.opt.Bound)
	}
	return s
}

// floor is one thing that a history must hold enough of.
type floor struct {
	have, want int64
	what       string
}

func (c *Checker) floors(g Guarantee) []floor {
	n, f := &c.counts, &c.opt.Floors
	switch g {
	case Atomic:
		return []floor{{n.multi, f.Multi, "revisions with several events for a watch"}}
	case Resumable:
		return []floor{{n.resumed, f.Resumed, "resumed watches that had a past to read"}}
	case PrevKV:
		return []floor{{n.previous, f.Previous, "events whose previous version was asked for"}}
	case IsCreate:
		return []floor{{n.creations, f.Creations, "events of creations"}, {n.updates, f.Creations, "events of updates"}}
	case Bookmarkable:
		return []floor{{n.progress, f.Progress, "progress of watches"}}
	case CompactedCancel:
		// Only a watch that needs what was compacted shows what becomes of it. Those
		// that a member serves all the same, because it lags, are not counted.
		return []floor{{c.compact.acked, f.Compactions, "compactions"}, {n.compacted, f.Compacted, "watches canceled by compaction"}}
	case Fresh:
		return []floor{{n.timed, f.Events, "events whose commit has a time"}}
	default:
		return []floor{{n.events - n.unjudged, f.Events, "events"}}
	}
}

// short says what a guarantee that was not seen broken lacks to pass.
func (c *Checker) short(g Guarantee) string {
	if g == Fresh && !c.timesFresh() {
		return "no times of commits, or no moment from which on the run caused no faults"
	}
	for _, f := range c.floors(g) {
		if f.have < f.want {
			return fmt.Sprintf("%d %s, of which at least %d are needed", f.have, f.what, f.want)
		}
	}
	return ""
}

// checked says what a verdict rests on, and the floor.
func (c *Checker) checked(g Guarantee) string {
	n := &c.counts
	text := fmt.Sprintf("%d watches, %d events in %d answers", n.watches, n.events, n.answers)
	if n.unjudged > 0 {
		text += fmt.Sprintf(" (%d of revisions that the timeline lacks)", n.unjudged)
	}
	switch g {
	case Atomic:
		text += fmt.Sprintf(", %d fragments", n.fragments)
	case PrevKV:
		if n.early > 0 {
			text += fmt.Sprintf(", %d first events without it (known, docs/findings/0007)", n.early)
		}
	case Resumable:
		text += fmt.Sprintf(", %d resumed watches", n.resumedAny)
	case Bookmarkable:
		text += fmt.Sprintf(", %d progress messages of whole streams", n.progressAll)
	}
	for _, f := range c.floors(g) {
		if f.want > 0 {
			text += fmt.Sprintf(", %d %s (floor %d)", f.have, f.what, f.want)
		}
	}
	return text
}
