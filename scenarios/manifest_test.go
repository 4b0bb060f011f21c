package scenarios_test

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/scenarios"
)

var _ = Describe("A person's manifest", func() {
	It("is applied in copies, becomes ready, and is removed again", func(ctx SpecContext) {
		found, err := scenarios.Find("scale/density")
		Expect(err).NotTo(HaveOccurred())
		run := runSmall(ctx, found[0], func(o *scenarios.Options) {
			o.Pods, o.World.Nodes = 0, 5
			o.Manifest, o.Copies = "testdata/shop.yaml", 3
		})
		Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
		By("running each copy's pods: three of the Deployment, two of the StatefulSet")
		counts := phase(run, "manifest").Pods.Counts
		Expect(counts.Running).To(BeEquivalentTo(3 * 5))
		Expect(phase(run, "drain").Pods.Counts.Deleted).To(BeEquivalentTo(3 * 5))
	}, Label("quick"))

	It("that is broken is refused with its file and line", func() {
		file := filepath.Join(GinkgoT().TempDir(), "broken.yaml")
		Expect(os.WriteFile(file, []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\nkind: [\n"), 0o600)).To(Succeed())
		out, status := planecheck("scale", "--nodes", "1", "--manifest", file, "--runs", filepath.Join(GinkgoT().TempDir(), "runs"))
		Expect(status).To(Equal(scenarios.ExitUsage), out)
		Expect(out).To(MatchRegexp(`broken\.yaml:[5-6]: `))
	}, Label("quick"))
})
