package scenarios_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/scenarios"
	"github.com/planecheck/planecheck/scenarios/faults"
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
			expectJudged(run)
		})...)
	}
})

// What no correct control plane can survive has to fail, by the guarantee that
// it breaks: else a Pass under faults would mean nothing.
var _ = Describe("A control plane that is broken on purpose", func() {
	for _, s := range scenarios.Registry() {
		fault, ok := strings.CutPrefix(s.Name, "broken/")
		if !ok {
			continue
		}
		It("fails: "+fault, append(labels(s), func(ctx SpecContext) {
			f, ok := faults.Find(fault)
			Expect(ok).To(BeTrue())
			run, _ := runOnce(ctx, s, func(o *scenarios.Options) { o.World.Nodes, o.Pods = 20, 100 })
			Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Fail), run.Verdict.Reason)
			for _, name := range f.Breaks {
				Expect(run.Verdict.Guarantees).To(ContainElement(And(
					HaveField("Guarantee", name), HaveField("Outcome", BeEquivalentTo(checkers.Fail)))))
			}
			Expect(run.Verdict.Guarantees).To(ContainElement(And(
				HaveField("Guarantee", "Intervened"), HaveField("Outcome", BeEquivalentTo(checkers.Pass)))))
		})...)
	}
})
