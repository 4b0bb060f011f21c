package scenarios_test

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
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
		By("running each copy's pods: three of the Deployment, two of the StatefulSet, one of the Job")
		counts := phase(run, "manifest").Pods.Counts
		Expect(counts.Running).To(BeEquivalentTo(3 * 6))
		Expect(phase(run, "drain").Pods.Counts.Deleted).To(BeEquivalentTo(3 * 6))
	}, Label("quick"))

	It("with Jobs puts to the test that these come to their end, and that its namespaces become empty", func(ctx SpecContext) {
		found, err := scenarios.Find("scale/density")
		Expect(err).NotTo(HaveOccurred())
		run := runSmall(ctx, found[0], func(o *scenarios.Options) {
			o.Pods, o.World.Nodes = 0, 5
			o.Manifest, o.Copies, o.Hold = "testdata/jobs.yaml", 3, scenarios.Duration(20*time.Second)
		})
		for _, g := range []string{cluster.JobCompletionsExact, cluster.NamespaceEmpties} {
			Expect(run.Verdict.Guarantees).To(ContainElement(And(
				HaveField("Guarantee", g), HaveField("Outcome", BeEquivalentTo(checkers.Pass)))))
		}
		By("completing three Jobs of each copy")
		Expect(run.Verdict.Guarantees).To(ContainElement(And(
			HaveField("Guarantee", cluster.JobCompletionsExact), HaveField("Checked", HavePrefix("9 Jobs that are Complete")))))
	}, Label("quick"))

	It("that is broken is refused with its file and line", func() {
		file := filepath.Join(GinkgoT().TempDir(), "broken.yaml")
		Expect(os.WriteFile(file, []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\nkind: [\n"), 0o600)).To(Succeed())
		out, status := planecheck("scale", "--nodes", "1", "--manifest", file, "--runs", filepath.Join(GinkgoT().TempDir(), "runs"))
		Expect(status).To(Equal(scenarios.ExitUsage), out)
		Expect(out).To(MatchRegexp(`broken\.yaml:[5-6]: `))
	}, Label("quick"))

	DescribeTable("that no server would take is refused with its file and line",
		func(manifest, want string, dirs int) {
			dir := GinkgoT().TempDir()
			file := filepath.Join(dir, "app.yaml")
			Expect(os.WriteFile(file, []byte(manifest), 0o600)).To(Succeed())
			out, status := planecheck("scale", "--nodes", "1", "--manifest", file, "--runs", filepath.Join(dir, "runs"))
			Expect(status).To(Equal(scenarios.ExitUsage), out)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			Expect(lines[len(lines)-1]).To(HavePrefix("planecheck: --manifest: " + file + want))
			Expect(started(dir)).To(HaveLen(dirs))
		},
		Entry("an unknown field, before anything starts", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndatta: {}\n",
			`:1: ConfigMap a: strict decoding error: unknown field "datta"`, 0),
		Entry("an unknown kind, before anything starts", "\napiVersion: v1\nkind: ConfigMp\nmetadata: {name: a}\n", `:2: kind "ConfigMp" in "v1"`, 0),
		Entry("a pod's annotation that cannot be followed, before anything starts", "apiVersion: v1\nkind: Pod\n"+
			"metadata: {name: a, annotations: {planecheck.dev/run-for: soon}}\nspec: {containers: [{name: a, image: a}]}\n",
			`:1: Pod a: annotation planecheck.dev/run-for is "soon": want a duration`, 0),
		Entry("what only the server can tell, when it says so", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: No_Name}\n", `:1: apply ConfigMap default/No_Name: `, 1),
		Label("quick"))
})
