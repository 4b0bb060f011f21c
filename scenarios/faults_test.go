package scenarios_test

import (
	"encoding/json"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/power/tally"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

// Whatever is taken away from a control plane with standbys, nothing is lost and
// it comes back. The short forms take one thing after the other.
var _ = Describe("Under faults", func() {
	for _, s := range scenarios.Registry() {
		if !strings.HasPrefix(s.Name, "faults/") {
			continue
		}
		It(s.Name+" passes, with evidence of every fault", append(labels(s), func(ctx SpecContext) {
			run := runSmall(ctx, s, func(o *scenarios.Options) { o.World.Nodes, o.Pods = 20, 100 })
			Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
			for _, name := range []string{"Intervened", "Recovered"} {
				Expect(run.Verdict.Guarantees).To(ContainElement(And(
					HaveField("Guarantee", name), HaveField("Outcome", BeEquivalentTo(checkers.Pass)))))
			}
			Expect(run.Availability.Faults).To(HaveEach(HaveField("Evidence", Not(BeEmpty()))))
			expectJudged(run)
		})...)
	}
})

// What no correct control plane can survive has to fail, by the guarantee that
// it breaks: else a Pass under faults would mean nothing.
var _ = Describe("A control plane that is broken on purpose", func() {
	n := 0
	for _, s := range scenarios.Registry() {
		if len(s.Breaks) == 0 {
			continue
		}
		n++
		half := fmt.Sprintf("broken%d", 1+n%2) // make power runs two halves at once
		It("fails: "+s.Name, append(labels(s), Label("power", half), func(ctx SpecContext) {
			run, _ := runOnce(ctx, s, func(o *scenarios.Options) { o.World.Nodes, o.Pods = 20, 100 })
			Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Fail), run.Verdict.Reason)
			Expect(failed(run)).To(ContainElements(s.Breaks), run.Verdict.Reason)
			if s.Interventions != nil {
				Expect(run.Verdict.Guarantees).To(ContainElement(And(
					HaveField("Guarantee", "Intervened"), HaveField("Outcome", BeEquivalentTo(checkers.Pass)))))
			}
			if planned(run).Lie != "" {
				Expect(run.Lies).To(BeNumerically(">", 0), "the lie was never told")
			}
			tallyBroken(s, run)
		})...)
	}
})

// planned is the World of a run.
func planned(run *results.Run) scenarios.World {
	GinkgoHelper()
	var plan struct {
		World scenarios.World `json:"world"`
	}
	Expect(json.Unmarshal(run.Plan, &plan)).To(Succeed())
	return plan.World
}

// failed are the guarantees that did, of all areas.
func failed(run *results.Run) []string {
	var names []string
	for _, v := range run.Verdict.Guarantees {
		if v.Outcome == checkers.Fail {
			names = append(names, v.Guarantee)
		}
	}
	return names
}

// tallyBroken adds a line to the table of make power.
func tallyBroken(s scenarios.Scenario, run *results.Run) {
	GinkgoHelper()
	addLine("PLANECHECK_BROKEN_TABLE", fmt.Sprintf("| %s | %s | %s |", s.Name, strings.Join(s.Breaks, ", "), strings.Join(failed(run), ", ")),
		tally.Live(func(guarantee string) string { return areaOf(run, guarantee) }, s.Breaks, failed(run)))
}

// areaOf is that of a guarantee in the verdicts of a run, which may have two of a
// name: the one that failed counts.
func areaOf(run *results.Run, guarantee string) (area string) {
	for _, v := range run.Verdict.Guarantees {
		if v.Guarantee != guarantee {
			continue
		}
		if area = v.Area; v.Outcome == checkers.Fail {
			break
		}
	}
	return area
}
