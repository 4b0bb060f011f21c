package apipower

import (
	"fmt"
	"slices"
	"strings"
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
	Caught, Neighbour, ByAnother, Escaped, Acquitted int
}

// Tried is the number of mutants that count.
func (c Count) Tried() int { return c.Caught + c.Neighbour + c.ByAnother + c.Escaped }

func (c *Count) add(f Fate) {
	switch f {
	case Caught:
		c.Caught++
	case Neighbour:
		c.Neighbour++
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

// Table renders the report in Markdown.
func (r *Report) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| guarantee | lies | counted | caught by itself | by a declared neighbour | by another | escaped | acquitted |\n|---|---|---|---|---|---|---|---|\n")
	row := func(name string, kinds int, c Count) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d |\n", name, kinds, c.Tried(), c.Caught, c.Neighbour, c.ByAnother, c.Escaped, c.Acquitted)
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
// the model acquitted somewhere, and those that were told nowhere.
func (r *Report) details(b *strings.Builder) {
	for _, lie := range Catalogue() {
		c := r.Lie(lie)
		if c.Escaped+c.ByAnother > 0 {
			fmt.Fprintf(b, "\nEscaped: %s, %s: %d of %d escaped, %d were caught by another only.", lie.Breaks, lie.Name, c.Escaped, c.Tried(), c.ByAnother)
			if lie.Missed != "" {
				fmt.Fprintf(b, " Known: %s.", lie.Missed)
			}
			fmt.Fprintln(b)
		}
		if c.Neighbour > 0 {
			fmt.Fprintf(b, "\nBy a neighbour: %s, %s: %d of %d by %s, because %s.\n",
				lie.Breaks, lie.Name, c.Neighbour, c.Tried(), strings.Join(lie.Also, " or "), lie.Because)
		}
		if c.Acquitted > 0 {
			fmt.Fprintf(b, "\nAcquitted: %s, %s: %d times.\n", lie.Breaks, lie.Name, c.Acquitted)
		}
		if c.Tried() == 0 {
			fmt.Fprintf(b, "\nUnproven: %s, %s (acquitted %d times).\n", lie.Breaks, lie.Name, c.Acquitted)
		}
	}
}
