package scenarios_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

var _ = Describe("A cluster without pods", func() {
	It("registers its nodes, renews their leases and passes, without a word about pods", Label("quick"), func(ctx SpecContext) {
		found, err := scenarios.Find("scale/density")
		Expect(err).NotTo(HaveOccurred())
		run := runSmall(ctx, found[0], func(o *scenarios.Options) { o.Pods, o.NoPods, o.World.Nodes = 0, true, 10 })
		Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
		Expect(run.Phases).To(HaveExactElements(HaveField("Name", "register"), HaveField("Name", "hold")))
		Expect(phase(run, "hold").Leases.Renewals).To(BeNumerically(">=", 2*10))
		Expect(run.Verdict.Guarantees).To(ContainElement(And(HaveField("Guarantee", "NoLeaseMissed"), HaveField("Outcome", checkers.Pass))))
		Expect(run.Verdict.Guarantees).NotTo(ContainElement(HaveField("Guarantee", "EveryPodRunning")))
		Expect(results.Render(run)).To(ContainSubstring("pace with all SLOs met: - (no phase created pods)"))
	})
})
