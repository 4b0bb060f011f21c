package scenarios_test

import (
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

// Every scenario passes in a small size, with all its figures on disk.
var _ = Describe("Scenario", func() {
	for _, s := range scenarios.Registry() {
		if strings.HasPrefix(s.Name, "faults/") || strings.HasPrefix(s.Name, "broken/") || s.Name == "contract/store" {
			continue // see faults_test.go and storagecontract_test.go
		}
		It(s.Name+" passes and leaves its figures behind", append(labels(s), func(ctx SpecContext) {
			run, dir := runJudged(ctx, s, func(*scenarios.Options) {})
			Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
			expectComplete(run)
			if check := checks[s.Name]; check != nil {
				check(run, dir)
			}
		})...)
	}
})

func labels(s scenarios.Scenario) []any {
	var labels []any
	for _, l := range s.Labels {
		labels = append(labels, Label(l))
	}
	if s.Name == "scale/frozen-scheduler" { // its pace yields to whatever else runs on the machine
		labels = append(labels, Serial)
	}
	return labels
}

// checks are what a scenario's record, and its directory, must show, beyond its Pass.
var checks = map[string]func(run *results.Run, dir string){
	"scale/density": func(run *results.Run, _ string) {
		Expect(phase(run, "drain").Pods.Counts.Deleted).To(BeEquivalentTo(smallPods))
	},
	"scale/two-apiservers": func(run *results.Run, _ string) {
		Expect(run.Peak.Components).To(HaveKey("kube-apiserver-1"))
		By("serving from both")
		Expect(run.Peak.Components["kube-apiserver-1"].CPUSeconds).To(BeNumerically(">", 1))
		Expect(phase(run, "churn").Pods.Counts.Created).To(BeNumerically(">=", smallPods/2))
	},
	"contract/api": expectContract,
	"contract/faults": func(run *results.Run, dir string) {
		expectContract(run, dir)
		By("having said when there were faults")
		Expect(run.Struck).To(BeNumerically(">", 0))
		Expect(run.Calm).To(BeNumerically(">", run.Struck))
	},
	"scale/frozen-scheduler": func(run *results.Run, dir string) {
		fill := phase(run, "fill")
		Expect(fill.Pace.Backoffs).To(BeNumerically(">=", 1), "the pace never backed off")
		change, err := paceThatYielded(readSeries(dir), "scheduler-freeze")
		Expect(err).NotTo(HaveOccurred())
		GinkgoWriter.Printf("gave way %.1f s into the run: %s\n", change.Time.Duration().Seconds(), change.Reason)
		By("the freeze being felt: a pod that was created in it waited for its node")
		Expect(hop(fill, "created", "bound").Max.Duration().Seconds()).To(BeNumerically(">", 5))
	},
}

// expectContract holds that contract traffic put to the test what it is for.
func expectContract(run *results.Run, _ string) {
	GinkgoHelper()
	Expect(run.Contract.Sent()).To(BeNumerically(">", 4000))
	var counted, illegal int64
	for _, c := range run.Contract.Calls {
		counted, illegal = counted+c.Requests, illegal+c.Illegal
	}
	Expect(counted).To(Equal(run.Contract.Sent()), "the requests by their kind, and those that its clients counted")
	Expect(illegal).To(BeNumerically(">", 10))
	Expect(run.Contract.WatchesResumed).To(BeNumerically(">", 20))
	Expect(run.History.APIDeliveries).NotTo(BeEmpty())
	Expect(run.Peak.Components).To(HaveKey("kube-apiserver-1"))
	for _, name := range []string{"Snapshot", "Delivered", "NoLostUpdate", "ExpiredHonest"} {
		Expect(run.Verdict.Guarantees).To(ContainElement(And(
			HaveField("Area", checkers.AreaAPI), HaveField("Guarantee", name), HaveField("Outcome", checkers.Pass))))
	}
	for _, name := range []string{"NoDoubleBind", "NoOvercommit", "ReplicasConverge", "EndpointsMatch"} {
		Expect(run.Verdict.Guarantees).To(ContainElement(And(
			HaveField("Area", checkers.AreaCluster), HaveField("Guarantee", name), HaveField("Outcome", checkers.Pass))))
	}
}

const (
	smallNodes = 50
	smallPods  = 500
)

// runSmall runs a scenario with 50 nodes and 500 pods, which has to pass.
func runSmall(ctx SpecContext, s scenarios.Scenario, adjust func(*scenarios.Options)) *results.Run {
	GinkgoHelper()
	run, _ := runJudged(ctx, s, adjust)
	return run
}

// runJudged is runSmall that also says where the run's directory is.
func runJudged(ctx SpecContext, s scenarios.Scenario, adjust func(*scenarios.Options)) (run *results.Run, dir string) {
	GinkgoHelper()
	run, dir = runOnce(ctx, s, adjust)
	Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
	expectSameAgain(ctx, run, dir)
	return run, dir
}

// runOnce runs a scenario, however it ends.
func runOnce(ctx SpecContext, s scenarios.Scenario, adjust func(*scenarios.Options)) (run *results.Run, dir string) {
	GinkgoHelper()
	o := scenarios.DefaultOptions()
	o.World.Program = program()
	o.World.Nodes, o.Pods = smallNodes, smallPods
	o.RunsDir = filepath.Join(GinkgoT().TempDir(), "runs")
	adjust(&o)
	report, err := (&scenarios.Runner{Out: GinkgoWriter, Planecheck: "test"}).Run(ctx, s, o)
	Expect(err).NotTo(HaveOccurred())
	run, err = results.Load(report.Dir)
	Expect(err).NotTo(HaveOccurred(), "the record of the run must be readable")
	return run, report.Dir
}

// expectComplete holds the record against what every run must show: figures
// that are zero because nobody took them would pass for good ones.
func expectComplete(run *results.Run) {
	GinkgoHelper()
	Expect(run.Plan).NotTo(BeEmpty())
	Expect(run.Versions).To(HaveKeyWithValue("kube-apiserver", HavePrefix("v1.")))
	fill := phase(run, "fill")
	Expect(fill.Pods.Counts.Created).To(BeEquivalentTo(smallPods))
	for _, h := range [][2]string{
		{"due", "created"}, {"created", "bound"}, {"bound", "kubelet saw"},
		{"kubelet saw", "Running written"}, {"Running written", "seen by a watcher"},
	} {
		Expect(hop(fill, h[0], h[1]).Count).To(BeEquivalentTo(smallPods), "pods that went from %s to %s", h[0], h[1])
	}
	Expect(fill.SLOs).To(ContainElement(HaveField("Outcome", Not(BeEmpty()))))
	Expect(fill.Servers.Calls).NotTo(BeEmpty(), "the servers' histograms")
	Expect(fill.Servers.Scheduler).NotTo(BeEmpty(), "the scheduler's histograms")
	Expect(fill.Profile).NotTo(BeNil())
	Expect(run.Peak.Components).To(And(haveUsed(results.HarnessName), haveUsed("kube-apiserver-0"),
		haveUsed("kube-scheduler-0"), haveUsed("kube-controller-manager-0")))
	Expect(run.Peak.DiskBytes).To(BeNumerically(">", 0))
	expectJudged(run)
}

// expectJudged holds that the history of the store was recorded whole, and that
// what every load puts to the test was judged.
func expectJudged(run *results.Run) {
	GinkgoHelper()
	Expect(run.History).NotTo(BeNil())
	Expect(run.History.Lost).To(BeZero())
	Expect(run.History.Operations).To(BeNumerically(">", 1000))
	Expect(run.History.Events).To(BeNumerically(">", 1000))
	for _, name := range []string{"Order", "Reads", "RealTime", "NoPhantom", "MembersAgree", "Ordered", "Unique", "Reliable", "PrevKV"} {
		Expect(run.Verdict.Guarantees).To(ContainElement(And(
			HaveField("Area", checkers.AreaStore), HaveField("Guarantee", name), HaveField("Outcome", checkers.Pass))))
	}
	Expect(run.Verdict.Guarantees).To(ContainElement(And(
		HaveField("Guarantee", "MembersAgree"), HaveField("Checked", ContainSubstring("3 members, 3 with a watch of everything")))))
}

func haveUsed(component string) types.GomegaMatcher {
	return HaveKeyWithValue(component, And(
		HaveField("CPUSeconds", BeNumerically(">", 0)), HaveField("PeakRSS", BeNumerically(">", 0))))
}

func phase(run *results.Run, name string) results.Phase {
	GinkgoHelper()
	for _, p := range run.Phases {
		if p.Name == name {
			return p
		}
	}
	Fail("the run has no phase " + name)
	return results.Phase{}
}

func hop(p results.Phase, from, to string) results.Latency {
	GinkgoHelper()
	for _, h := range p.Pods.Hops {
		if h.From == from && h.To == to {
			return h.Latency
		}
	}
	Fail("phase " + p.Name + " has no hop " + from + " → " + to)
	return results.Latency{}
}
