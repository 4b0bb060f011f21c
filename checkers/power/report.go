package power

import (
	"fmt"
	"slices"
	"strings"
)

// Report is what a run came to.
type Report struct {
	Config  Config
	Mutants []Mutant
	Clean   int // histories without a lie that were judged
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

// Guarantee counts the mutants of one guarantee.
func (r *Report) Guarantee(name string) Count {
	return r.count(func(m Mutant) bool { return m.Lie.Breaks == name })
}

// Neighbour counts the mutants of a guarantee, or of all for "", that count as
// caught only because the lie declares another guarantee that it breaks too.
func (r *Report) Neighbour(name string) int {
	return r.count(func(m Mutant) bool {
		return (name == "" || m.Lie.Breaks == name) && m.Fate == Caught && !slices.Contains(m.Failed, m.Lie.Breaks)
	}).Caught
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
	var names []string
	for _, g := range Guarantees() {
		if r.Guarantee(g).Tried() == 0 {
			names = append(names, g)
		}
	}
	for _, lie := range Catalogue() {
		if r.Lie(lie).Tried() == 0 {
			names = append(names, lie.Breaks+": "+lie.Name)
		}
	}
	return names
}

// Table renders the report in Markdown.
func (r *Report) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| guarantee | lies | caught / tried | of these by a declared neighbour only | caught by another only | survived | equivalent |\n|---|---|---|---|---|---|---|\n")
	var all Count
	for _, g := range Guarantees() {
		c := r.Guarantee(g)
		all = Count{all.Caught + c.Caught, all.ByAnother + c.ByAnother, all.Survived + c.Survived, all.Equivalent + c.Equivalent}
		fmt.Fprintf(&b, "| %s | %d | %d / %d | %d | %d | %d | %d |\n", g, r.Kinds(g), c.Caught, c.Tried(), r.Neighbour(g), c.ByAnother, c.Survived, c.Equivalent)
	}
	fmt.Fprintf(&b, "| all | | %d / %d | %d | %d | %d | %d |\n\n", all.Caught, all.Tried(), r.Neighbour(""), all.ByAnother, all.Survived, all.Equivalent)
	fmt.Fprintf(&b, "False alarms: %d over %d histories without a lie.\n", len(r.FalseAlarms), r.Clean)
	for _, lie := range Catalogue() {
		c := r.Lie(lie)
		if c.Survived+c.ByAnother == 0 {
			continue
		}
		fmt.Fprintf(&b, "\nSurvivor: %s, %s: %d of %d survived, %d caught by another only.", lie.Breaks, lie.Name, c.Survived, c.Tried(), c.ByAnother)
		if lie.Missed != "" {
			fmt.Fprintf(&b, " Known: %s.", lie.Missed)
		}
		fmt.Fprintln(&b)
	}
	for _, name := range r.Unproven() {
		fmt.Fprintf(&b, "\nUnproven: %s.\n", name)
	}
	return b.String()
}
