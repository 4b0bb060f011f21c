package apipower

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
	Bases   int // histories
	Quota   int // mutants per guarantee that were to count
	Mutants mutants.List[*teller]
	// FalseAlarms are failures of histories without a lie.
	FalseAlarms []string
	// FalseObjections are what the model has against them: errors of the model.
	FalseObjections []string
}

// Table renders the report in Markdown. Below the counts it names the lies that were
// not always caught by themselves, those that were told nowhere, and those that the
// model acquitted somewhere: first where a checker did not.
func (r *Report) Table() string {
	var b strings.Builder
	b.WriteString(r.Mutants.Table(Guarantees()))
	fmt.Fprintf(&b, "\nFalse alarms: %d over %d histories without a lie.\n", len(r.FalseAlarms), r.Bases)
	t := r.Tally()
	for _, line := range slices.Concat(t.Survivors, t.Unproven, t.Disputed, r.Mutants.Acquitted(Catalogue())) {
		fmt.Fprintf(&b, "\n%s.\n", line)
	}
	return b.String()
}

// Tally is what the README tells of the report.
func (r *Report) Tally() tally.Part {
	p := r.Mutants.Tally(Guarantees(), Catalogue(), func(guarantee string) string {
		if half(guarantee) == "cluster" {
			return checkers.AreaCluster
		}
		return checkers.AreaAPI
	})
	p.Clean, p.CleanOf, p.FalseAlarms = r.Bases, "recorded runs, judged without floors", len(r.FalseAlarms)
	for _, lie := range Catalogue() {
		if c := r.Mutants.Lie(lie); c.Tried() == 0 {
			p.Unproven = append(p.Unproven, fmt.Sprintf("Unproven: %s, %s (acquitted %d times)", lie.Breaks, lie.Name, c.Acquitted))
		}
	}
	return p
}
