package power

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/power/mutants"
	"github.com/planecheck/planecheck/checkers/power/tally"
)

// Report is what a run came to.
type Report struct {
	Config  Config
	Mutants mutants.List[*teller]
	Clean   int // histories without a lie that were judged
	// Recorded: the histories are those of runs. What finds no place in them is
	// proven by generated ones.
	Recorded bool
	// FalseAlarms are verdicts other than Pass on histories without a lie.
	FalseAlarms []string
	// FalseObjections are what the model has against them: errors of the model.
	FalseObjections []string
}

// Unproven returns the guarantees of which no mutant counted, and the lies that
// were told nowhere or only where the model accepts them.
func (r *Report) Unproven() []string {
	names := r.Lacking()
	for _, lie := range Catalogue() {
		if r.Mutants.Lie(lie).Tried() == 0 {
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
		if n := r.Mutants.Guarantee(g).Tried(); n < r.Config.Mutants {
			names = append(names, fmt.Sprintf("%s (%d)", g, n))
		}
	}
	return names
}

// Lacking returns the guarantees of which no mutant counted.
func (r *Report) Lacking() []string {
	var names []string
	for _, g := range Guarantees() {
		if r.Mutants.Guarantee(g).Tried() == 0 {
			names = append(names, g)
		}
	}
	return names
}

// Table renders the report in Markdown.
func (r *Report) Table() string {
	var b strings.Builder
	b.WriteString(r.Mutants.Table(Guarantees()))
	fmt.Fprintf(&b, "\nFalse alarms: %d over %d histories without a lie.\n", len(r.FalseAlarms), r.Clean)
	t := r.Tally()
	for _, line := range slices.Concat(t.Survivors, t.Unproven, t.Disputed, r.Mutants.Acquitted(Catalogue())) {
		fmt.Fprintf(&b, "\n%s.\n", line)
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
	p := r.Mutants.Tally(Guarantees(), Catalogue(), func(string) string { return checkers.AreaStore })
	p.Clean, p.CleanOf, p.FalseAlarms = r.Clean, "histories of a generated store", len(r.FalseAlarms)
	if r.Recorded {
		p.CleanOf = "histories of the store of recorded runs"
		return p
	}
	for _, name := range r.Unproven() {
		p.Unproven = append(p.Unproven, "Unproven: "+name)
	}
	return p
}
