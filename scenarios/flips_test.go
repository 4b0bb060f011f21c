package scenarios_test

import (
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

var _ = Describe("Pods that are not ready now and then", func() {
	It("are so through the hold, and the rest of the run is as ever", Label("quick"), func(ctx SpecContext) {
		found, err := scenarios.Find("scale/density")
		Expect(err).NotTo(HaveOccurred())
		run, dir := runJudged(ctx, found[0], func(o *scenarios.Options) {
			o.World.Nodes, o.Pods, o.Hold = 20, 100, scenarios.Duration(20*time.Second)
			o.PodsPerDeployment, o.Churn.Pods = 10, 20
			o.World.UnreadyEvery, o.World.UnreadyFor = scenarios.Duration(4*time.Second), scenarios.Duration(2*time.Second)
			o.World.UnreadyShare = 0.5
		})
		Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
		Expect(phase(run, "churn").Pods.Counts.Created).To(BeNumerically(">=", 10))

		By("having had pods become unready, and ready again")
		rows := readSeries(dir)
		i := slices.IndexFunc(rows, func(r results.Row) bool { return r.Event == "pods stay ready" })
		Expect(i).To(BeNumerically(">=", 0))
		Expect(rows[i].Values["flips"]).To(BeNumerically(">", 50))
	})
})
