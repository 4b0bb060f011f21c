package reads

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers"
)

// Floors are how much a history must hold of what a guarantee is about before
// the guarantee can pass; below, its verdict is Invalid. A zero field means its
// default, a negative one no floor. Counted are answers that could have been
// wrong: about objects that had changed before, and lists that are not empty.
type Floors struct {
	Reads   int64 // judged GETs and LISTs of all kinds together, but for what could not be wrong: of every guarantee; default 1000
	Recent  int64 // MostRecent; default 200
	Bounded int64 // NotOlderThan, and as many Any; default 100
	Exact   int64 // default 50
	Lists   int64 // Snapshot; default 200
	Pages   int64 // continued pages: Paged; default 50
	Expired int64 // 410 of lists: ExpiredHonest; default 10
	TooNew  int64 // 504 of revisions that are too large: TooNewHonest; default 10
}

func (f Floors) withDefaults() Floors {
	for _, d := range []struct {
		field *int64
		value int64
	}{
		{&f.Reads, 1000}, {&f.Recent, 200}, {&f.Bounded, 100}, {&f.Exact, 50},
		{&f.Lists, 200}, {&f.Pages, 50}, {&f.Expired, 10}, {&f.TooNew, 10},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return f
}

// floorOf is one thing that a history must hold enough of.
type floorOf struct {
	have, want int64
	what       string
}

func (c *Checker) floors(g Guarantee) []floorOf {
	f, n := &c.opt.Floors, &c.counts
	own := floorOf{have: n.telling[g]}
	switch g {
	case MostRecent:
		own.want, own.what = f.Recent, "of something that had changed"
	case NotOlderThan, Any:
		own.want, own.what = f.Bounded, "of something that had changed"
	case Exact:
		own.want, own.what = f.Exact, "not empty"
	case Snapshot:
		own.want, own.what = f.Lists, "not empty"
	case Paged:
		own.want, own.what = f.Pages, "not empty"
	case ExpiredHonest:
		own.want, own.what = f.Expired, "of a list"
	case TooNewHonest:
		own.want, own.what = f.TooNew, "of a GET or LIST"
	}
	return []floorOf{own, {c.reads(), f.Reads, "reads judged in all"}}
}

// reads is the number of answers that were judged by their parameters, and could have
// been wrong.
func (c *Checker) reads() int64 {
	n := -c.counts.inert
	for _, g := range []Guarantee{MostRecent, NotOlderThan, Exact, Any, Paged, ExpiredHonest, TooNewHonest} {
		n += c.counts.judged[g]
	}
	return n
}

// verdicts renders what was found. A violation that was seen stays one in a
// history that is otherwise too small.
func (c *Checker) verdicts() []checkers.Verdict {
	var verdicts []checkers.Verdict
	for _, g := range Guarantees() {
		v := checkers.Verdict{
			Area: checkers.AreaAPI, Guarantee: string(g), Outcome: checkers.Pass,
			Statement: statements[g], Checked: c.checked(g),
		}
		if reason := c.unfit(); reason != "" {
			v.Outcome, v.Detail, v.Unfit = checkers.Invalid, reason, true
		} else if f := c.found[g]; f != nil {
			v.Outcome, v.Detail = checkers.Fail, f.detail
			if f.count > 1 {
				v.Detail += fmt.Sprintf("\n%d violations; the first is shown", f.count)
			}
		} else if reason := c.invalid(g); reason != "" {
			v.Outcome, v.Detail = checkers.Invalid, reason
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// unfit says why nothing can be judged, not even a violation.
func (c *Checker) unfit() string {
	switch {
	case c.opt.Versions == nil || c.opt.Window == nil:
		return "there is no storage history to judge by"
	case c.opt.Versions.Dropped() > 0:
		return fmt.Sprintf("the version table is not complete: %d versions came out of order", c.opt.Versions.Dropped())
	}
	return ""
}

// invalid says why a guarantee that was not seen broken cannot pass.
func (c *Checker) invalid(g Guarantee) string {
	for _, f := range c.floors(g) {
		if f.have < f.want {
			return fmt.Sprintf("%d %s, of which at least %d are needed", f.have, f.what, f.want)
		}
	}
	return ""
}

var answers = map[Guarantee]string{
	MostRecent: "GETs and LISTs", NotOlderThan: "GETs and LISTs", Any: "GETs and LISTs",
	Exact: "LISTs", Snapshot: "LISTs", Paged: "continued pages", ExpiredHonest: "answers 410", TooNewHonest: "answers 504",
}

// checked says what a verdict rests on, the floors, and what was left out.
func (c *Checker) checked(g Guarantee) string {
	n := &c.counts
	text := fmt.Sprintf("%d %s", n.judged[g], answers[g])
	for _, f := range c.floors(g) {
		text += fmt.Sprintf(", %d %s", f.have, f.what)
		if f.want > 0 {
			text += fmt.Sprintf(" (floor %d)", f.want)
		}
	}
	add := func(count int64, what string) {
		if count > 0 {
			text += fmt.Sprintf(", %d %s", count, what)
		}
	}
	c.observed(g, add)
	if g == Snapshot || g == MostRecent {
		add(n.inert, "404s of what nobody had made yet, or at 0 (cannot be wrong, not counted)")
		add(n.events, "of Events (excepted)")
		add(n.unstored, "of resources that are not known to be stored (not judged)")
		add(n.unread, "that could not be decoded (not judged)")
		add(n.unbounded, "of revisions that the version table lacks (not judged)")
	}
	return text
}

// observed adds what is allowed and worth knowing.
func (c *Checker) observed(g Guarantee, add func(int64, string)) {
	n := &c.counts
	switch g {
	case NotOlderThan:
		add(n.single, "lists of one named object at N with a limit that were newer (the server takes N for a lower bound)")
	case Exact:
		add(n.outlived, "of a revision that was compacted (allowed, observed)")
	case Any:
		add(c.back.objectsAcross, "objects that went back in time from one server to another (allowed, observed)")
		add(c.back.objectsOnOne, "objects that went back in time on one server (allowed, observed)")
		add(c.back.listsAcross, "lists that went back in time from one server to another (allowed, observed)")
		add(c.back.listsOnOne, "list revisions that fell on one server (allowed, observed)")
	case Snapshot:
		add(n.items, "objects in them")
		add(n.chunked, "compared by digests")
		add(n.unselect, "with selectors that the version table cannot evaluate (not judged)")
	case Paged:
		add(n.cut, "lists that their limit cut")
		add(n.narrowed, "wrong in lists that a field selector narrows to one namespace (known: docs/findings/0001)")
		add(n.restarted, "behind a token that came with a 410")
		add(n.strangers, "whose token no page of the history has (not judged)")
	case TooNewHonest:
		add(n.refused, "of a revision that the store may have lacked")
		add(n.lagging, "of one that the store had: a watch cache that lagged (allowed, observed)")
	}
}
