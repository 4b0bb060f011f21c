package scenarios_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
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
			expectJudged(run)
		})...)
	}
})
