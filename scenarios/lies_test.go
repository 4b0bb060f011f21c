package scenarios_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/apiserver/lies"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/power/tally"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

// What a liar tells before the API servers must be found, by the guarantee that
// it breaks. All lies take an hour: make power. Those that are told here show
// that the way from the liar to the verdict is whole.
var _ = Describe("A lie before the API servers", func() {
	few := []string{"list-without-an-item", "event-dropped"}
	for i, lie := range lies.Catalogue() {
		labels := []any{Label("power", "lies", fmt.Sprintf("lies%d", 1+i%2))} // make power tells two halves at once
		if !slices.Contains(few, lie.Name) {
			labels = append(labels, Label("long"))
		}
		It(lie.Name+" is found", append(labels, func(ctx SpecContext) {
			run, dir := runLying(ctx, lie.Name, "")
			Expect(run.Lies).To(BeNumerically(">", 0), "it was never told")
			publishLie(lie, run) // also where it was not seen
			Expect(broken(run)).To(ContainElements(lie.Breaks), "%d lies told", run.Lies)
			if slices.Contains(few, lie.Name) { // what was seen broken is so to whoever looks again
				expectSameAgain(ctx, run, dir)
			}
		})...)
	}

	// Of what nodes and controllers live of, too, the traffic's own are lied about, which
	// has to be seen by itself.
	for i, one := range []struct{ lie, about string }{{"event-dropped", "pods"}, {"write-not-done", "leases"}} {
		It(one.lie+" is found where it is about "+one.about+" alone", Label("power", "lies", fmt.Sprintf("lies%d", 1+i%2), "long"), func(ctx SpecContext) {
			run, _ := runLying(ctx, one.lie, one.about)
			Expect(run.Lies).To(BeNumerically(">", 0), "it was never told")
			lie := lies.Catalogue()[slices.IndexFunc(lies.Catalogue(), func(l lies.Lie) bool { return l.Name == one.lie })]
			lie.Name += ", of " + one.about + " alone"
			publishLie(lie, run)
			Expect(broken(run)).To(ContainElements(lie.Breaks), "%d lies told", run.Lies)
			for _, name := range []string{"EveryPodRunning", "NoLeaseMissed"} { // the rest of the cluster lives on
				Expect(run.Verdict.Guarantees).To(ContainElement(And(
					HaveField("Guarantee", name), HaveField("Outcome", BeEquivalentTo(checkers.Pass)))))
			}
		})
	}
})

// runLying runs contract traffic in a small cluster, through liars, and also says where
// the run's directory is. They lie about what is named, or "": all that they can.
func runLying(ctx SpecContext, lie, about string) (run *results.Run, dir string) {
	GinkgoHelper()
	found, err := scenarios.Find("contract/api")
	Expect(err).NotTo(HaveOccurred())
	o := scenarios.DefaultOptions()
	o.World.Program = program()
	o.World.Nodes, o.Pods, o.PodsPerDeployment = 2, 4, 2
	o.World.Lie, o.World.LieAbout, o.Hold, o.Drain = lie, about, scenarios.Duration(15*time.Second), false
	o.RunsDir = filepath.Join(GinkgoT().TempDir(), "runs")
	report, err := (&scenarios.Runner{Out: GinkgoWriter, Planecheck: "test"}).Run(ctx, found[0], o)
	Expect(err).NotTo(HaveOccurred())
	run, err = results.Load(report.Dir)
	Expect(err).NotTo(HaveOccurred())
	return run, report.Dir
}

// broken are the guarantees of the API that failed.
func broken(run *results.Run) []string {
	var names []string
	for _, v := range run.Verdict.Guarantees {
		if v.Area == checkers.AreaAPI && v.Outcome == checkers.Fail {
			names = append(names, v.Guarantee)
		}
	}
	return names
}

// publishLie adds a line to the table of make power.
func publishLie(lie lies.Lie, run *results.Run) {
	GinkgoHelper()
	addLine("PLANECHECK_LIES_TABLE", fmt.Sprintf("| %s | %d | %s | %s |",
		lie.Name, run.Lies, strings.Join(lie.Breaks, ", "), strings.Join(broken(run), ", ")),
		tally.Live(func(string) string { return checkers.AreaAPI }, lie.Breaks, broken(run)))
}

// addLine adds a line to the file that a variable names, if it is set, and what
// the README tells of it to the one beside that.
func addLine(variable, line string, part tally.Part) {
	GinkgoHelper()
	path := os.Getenv(variable)
	if path == "" {
		return
	}
	Expect(part.Append(path)).To(Succeed())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	_, err = fmt.Fprintln(f, line)
	Expect(err).NotTo(HaveOccurred())
}
