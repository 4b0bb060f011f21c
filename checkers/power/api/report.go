package apipower

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/power/tally"
)

// Report is what a run came to.
type Report struct {
	Bases   int // histories
	Quota   int // mutants per guarantee that were to count
	Mutants []Mutant
	// FalseAlarms are failures of histories without a lie.
	FalseAlarms []string
	// FalseObjections are what the model has against them: errors of the model.
	FalseObjections []string
}

// Count is how mutants fared.
type Count struct {
	Caught, ByAnother, Escaped, Acquitted int
}

// Tried is the number of mutants that count.
func (c Count) Tried() int { return c.Caught + c.ByAnother + c.Escaped }

func (c *Count) add(f Fate) {
	switch f {
	case Caught:
		c.Caught++
	case ByAnother:
		c.ByAnother++
	case Escaped:
		c.Escaped++
	default:
		c.Acquitted++
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
		if m.Lie.Breaks == guarantee && m.Fate != Acquitted && !slices.Contains(kinds, m.Lie.Name) {
			kinds = append(kinds, m.Lie.Name)
		}
	}
	return len(kinds)
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

func (m Mutant) disputed() bool { return m.Fate == Acquitted && len(m.Failed) > 0 }

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
	fmt.Fprintf(&b, "| guarantee | lies | counted | caught by itself | by another | escaped | acquitted |\n|---|---|---|---|---|---|---|\n")
	row := func(name string, kinds int, c Count) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d |\n", name, kinds, c.Tried(), c.Caught, c.ByAnother, c.Escaped, c.Acquitted)
	}
	kinds := 0
	for _, g := range Guarantees() {
		kinds += r.Kinds(g)
		row(g, r.Kinds(g), r.Guarantee(g))
	}
	row("all", kinds, r.Guarantee(""))
	fmt.Fprintf(&b, "\nFalse alarms: %d over %d histories without a lie.\n", len(r.FalseAlarms), r.Bases)
	r.details(&b)
	return b.String()
}

// details names the lies that were not always caught by themselves, those that
// were told nowhere, and those that the model acquitted somewhere: first where a checker
// did not.
func (r *Report) details(b *strings.Builder) {
	t := r.Tally()
	for _, line := range slices.Concat(t.Survivors, t.Unproven, t.Disputed) {
		fmt.Fprintf(b, "\n%s.\n", line)
	}
	for _, lie := range Catalogue() {
		if c := r.Lie(lie); c.Acquitted > 0 {
			fmt.Fprintf(b, "\n%s.\n", tally.Acquitted(lie.Breaks, lie.Name, c.Acquitted))
		}
	}
}

// Tally is what the README tells of the report.
func (r *Report) Tally() tally.Part {
	p := tally.Part{Clean: r.Bases, CleanOf: "recorded runs, judged without floors", FalseAlarms: len(r.FalseAlarms)}
	for _, g := range Guarantees() {
		c := r.Guarantee(g)
		area := checkers.AreaAPI
		if half(g) == "cluster" {
			area = checkers.AreaCluster
		}
		p.Rows = append(p.Rows, tally.Row{Area: area, Guarantee: g, Caught: c.Caught, Tried: c.Tried()})
	}
	for _, lie := range Catalogue() {
		c := r.Lie(lie)
		if c.Escaped+c.ByAnother > 0 {
			p.Survivors = append(p.Survivors, tally.Survivor(lie.Breaks, lie.Name, c.Escaped, c.ByAnother, c.Tried(), lie.Missed))
		}
		if failed := r.disputed(lie); len(failed) > 0 {
			p.Disputed = append(p.Disputed, tally.Dispute(lie.Breaks, lie.Name, failed, c.Acquitted, lie.Lenient))
		}
		if c.Tried() == 0 {
			p.Unproven = append(p.Unproven, fmt.Sprintf("Unproven: %s, %s (acquitted %d times)", lie.Breaks, lie.Name, c.Acquitted))
		}
	}
	return p
}
