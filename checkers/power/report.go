package power

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/power/tally"
)

// Report is what a run came to.
type Report struct {
	Config  Config
	Mutants []Mutant
	Clean   int // histories without a lie that were judged
	// Recorded: the histories are those of runs. What finds no place in them is
	// proven by generated ones.
	Recorded bool
	// FalseAlarms are verdicts other than Pass on histories without a lie.
	FalseAlarms []string
	// FalseObjections are what the model has against them: errors of the model.
	FalseObjections []string
}

// Count is how the mutants of one guarantee fared.
type Count struct {
	Caught, ByAnother, Survived, Equivalent int
}

// Tried is the number of mutants that count.
func (c Count) Tried() int { return c.Caught + c.ByAnother + c.Survived }

func (c *Count) add(f Fate) {
	switch f {
	case Caught:
		c.Caught++
	case ByAnother:
		c.ByAnother++
	case Survived:
		c.Survived++
	default:
		c.Equivalent++
	}
}

// Guarantee counts the mutants of one guarantee, of all for "".
func (r *Report) Guarantee(name string) Count {
	return r.count(func(m Mutant) bool { return name == "" || m.Lie.Breaks == name })
}

// Lie counts the mutants of one lie.
func (r *Report) Lie(lie Lie) Count {
	return r.count(func(m Mutant) bool { return m.Lie.Breaks == lie.Breaks && m.Lie.Name == lie.Name })
}

func (r *Report) count(fits func(Mutant) bool) Count {
	var c Count
	for _, m := range r.Mutants {
		if fits(m) {
			c.add(m.Fate)
		}
	}
	return c
}

// Kinds returns the number of different lies of a guarantee that counted at
// least once.
func (r *Report) Kinds(guarantee string) int {
	var kinds []string
	for _, m := range r.Mutants {
		if m.Lie.Breaks == guarantee && m.Fate != Equivalent && !slices.Contains(kinds, m.Lie.Name) {
			kinds = append(kinds, m.Lie.Name)
		}
	}
	return len(kinds)
}

// Unproven returns the guarantees of which no mutant counted, and the lies that
// were told nowhere or only where the model accepts them.
func (r *Report) Unproven() []string {
	names := r.Lacking()
	for _, lie := range Catalogue() {
		if r.Lie(lie).Tried() == 0 {
			names = append(names, lie.Breaks+": "+lie.Name)
		}
	}
	return names
}

// Short returns the guarantees of which fewer mutants counted than there were to be,
// with how many.
func (r *Report) Short() []string {
	var names []string
	for _, g := range Guarantees() {
		if n := r.Guarantee(g).Tried(); n < r.Config.Mutants {
			names = append(names, fmt.Sprintf("%s (%d)", g, n))
		}
	}
	return names
}

// Lacking returns the guarantees of which no mutant counted.
func (r *Report) Lacking() []string {
	var names []string
	for _, g := range Guarantees() {
		if r.Guarantee(g).Tried() == 0 {
			names = append(names, g)
		}
	}
	return names
}

// Weak returns the guarantees that did not fail themselves in 99 % of their mutants,
// but for lies that are known to be missed, with the counts.
func (r *Report) Weak() (weak []string) {
	for _, g := range Guarantees() {
		c := r.count(func(m Mutant) bool { return m.Lie.Breaks == g && m.Lie.Missed == "" })
		if 100*c.Caught < 99*c.Tried() {
			weak = append(weak, fmt.Sprintf("%s caught %d of %d", g, c.Caught, c.Tried()))
		}
	}
	return weak
}

// Disputes returns the mutants that the model accepts and a checker fails, where no
// lie says why it may.
func (r *Report) Disputes() []Mutant {
	return slices.DeleteFunc(slices.Clone(r.Mutants), func(m Mutant) bool { return !m.disputed() || m.Lie.Lenient != "" })
}

func (m Mutant) disputed() bool { return m.Fate == Equivalent && len(m.Failed) > 0 }

// disputed returns what failed of each of those of a lie.
func (r *Report) disputed(lie Lie) (failed [][]string) {
	for _, m := range r.Mutants {
		if m.Lie.Breaks == lie.Breaks && m.Lie.Name == lie.Name && m.disputed() {
			failed = append(failed, m.Failed)
		}
	}
	return failed
}

// Table renders the report in Markdown.
func (r *Report) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| guarantee | lies | tried | caught by itself | by another | survived | equivalent |\n|---|---|---|---|---|---|---|\n")
	row := func(name string, kinds int, c Count) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d |\n", name, kinds, c.Tried(), c.Caught, c.ByAnother, c.Survived, c.Equivalent)
	}
	kinds := 0
	for _, g := range Guarantees() {
		kinds += r.Kinds(g)
		row(g, r.Kinds(g), r.Guarantee(g))
	}
	row("all", kinds, r.Guarantee(""))
	fmt.Fprintf(&b, "\nFalse alarms: %d over %d histories without a lie.\n", len(r.FalseAlarms), r.Clean)
	t := r.Tally()
	for _, line := range slices.Concat(t.Survivors, t.Unproven, t.Disputed) {
		fmt.Fprintf(&b, "\n%s.\n", line)
	}
	for _, lie := range Catalogue() {
		if c := r.Lie(lie); c.Equivalent > 0 {
			fmt.Fprintf(&b, "\n%s.\n", tally.Acquitted(lie.Breaks, lie.Name, c.Equivalent))
		}
	}
	if short := r.Short(); r.Recorded && len(short) > 0 {
		fmt.Fprintf(&b, "\nFewer than %d, for want of a place in these histories: %s.\n", r.Config.Mutants, strings.Join(short, ", "))
	}
	if names := r.Unproven(); r.Recorded && len(names) > 0 {
		fmt.Fprintf(&b, "\nNo place in these histories, or none that counts: %s.\n", strings.Join(names, "; "))
	}
	return b.String()
}

// Tally is what the README tells of the report.
func (r *Report) Tally() tally.Part {
	p := tally.Part{Clean: r.Clean, CleanOf: "histories of a generated store", FalseAlarms: len(r.FalseAlarms)}
	for _, g := range Guarantees() {
		c := r.Guarantee(g)
		p.Rows = append(p.Rows, tally.Row{Area: checkers.AreaStore, Guarantee: g, Caught: c.Caught, Tried: c.Tried()})
	}
	for _, lie := range Catalogue() {
		c := r.Lie(lie)
		if c.Survived+c.ByAnother > 0 {
			p.Survivors = append(p.Survivors, tally.Survivor(lie.Breaks, lie.Name, c.Survived, c.ByAnother, c.Tried(), lie.Missed))
		}
		if failed := r.disputed(lie); len(failed) > 0 {
			p.Disputed = append(p.Disputed, tally.Dispute(lie.Breaks, lie.Name, failed, c.Equivalent, lie.Lenient))
		}
	}
	if r.Recorded {
		p.CleanOf = "histories of the store of recorded runs"
		return p
	}
	for _, name := range r.Unproven() {
		p.Unproven = append(p.Unproven, "Unproven: "+name)
	}
	return p
}
