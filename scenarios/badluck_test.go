package scenarios_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

var _ = Describe("Bad luck", func() {
	// Each phase is planned to last a minute and longer, so that Ctrl-C meets it on any
	// machine. The teardown is what it is: a second or two.
	DescribeTable("Ctrl-C ends a run in any phase, with all that was measured and nothing left",
		func(reached func(c *command), measured []string, flags ...string) {
			c := startCommand(append([]string{"scale", "--nodes", "10"}, flags...)...)
			reached(c)
			Expect(c.cmd.Process.Signal(os.Interrupt)).To(Succeed())
			Expect(c.wait()).To(Equal(scenarios.ExitInterrupted), c.output())
			Expect(c.output()).To(HaveSuffix("\nplanecheck: interrupted\n"))
			run, err := results.Load(c.runDir())
			Expect(err).NotTo(HaveOccurred())
			Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Invalid), "an interrupted run proves nothing")
			Expect(phasesOf(run)).To(Equal(measured))
			c.expectNothingLeft()
		},
		Entry("while the control plane starts", phaseBegins("start"), nil, "--pods", "100"),
		Entry("while nodes register", phaseBegins("register"), []string{"register, cut short"},
			"--nodes", "500", "--profile", "lean", "--pods", "100"),
		Entry("while a manifest becomes ready", phaseBegins("manifest"), []string{"register", "manifest, cut short"},
			"--manifest", testdata("notReady")),
		Entry("while pods are created", phaseBegins("fill"), []string{"register", "fill, cut short"},
			"--pods", "100", "--rate", "1"),
		Entry("while the full cluster is held", phaseBegins("hold"), []string{"register", "fill", "hold, cut short"},
			"--pods", "20", "--rate", "max", "--hold", "5m"),
		Entry("while pods are replaced, and the histories judged as they come", phaseBegins("churn"), []string{"register", "fill", "churn, cut short"},
			"--pods", "20", "--pods-per-deployment", "5", "--rate", "max", "--hold", "0s", "--churn-pods", "200", "--churn-rate", "1", "--fail-fast"),
		Entry("while the load is deleted", phaseBegins("drain"), []string{"register", "manifest", "drain, cut short"},
			"--manifest", testdata("slowToStop"), "--hold", "0s", "--stop-time", "5m"),
		Entry("while everything is stopped, before it is judged", func(c *command) { c.waitForLog(`msg="teardown begins"`) }, []string{"register", "fill"},
			"--pods", "20", "--rate", "max", "--hold", "0s", "--drain=false"),
	)

	It("a second Ctrl-C ends a run at once, and everything that it has started", func() {
		c := startCommand("scale", "--nodes", "10", "--pods", "100", "--rate", "1")
		c.waitForPhase("fill")
		Expect(c.cmd.Process.Signal(os.Interrupt)).To(Succeed())
		c.waitForLog(`msg="teardown begins"`)
		Expect(c.cmd.Process.Signal(os.Interrupt)).To(Succeed())
		c.wait()
		status := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
		Expect(status.Signaled() && status.Signal() == syscall.SIGINT).To(BeTrue(), "%s: %s", c.cmd.ProcessState, c.output())
		run, err := results.Load(c.runDir())
		Expect(err).NotTo(HaveOccurred())
		Expect(phasesOf(run)).To(Equal([]string{"register", "fill, cut short"}))
		Expect(run.Verdict.Outcome).To(BeEmpty(), "nobody judged it")
		c.expectNothingLeft()
	})

	// Each in a phase of its own, and the others are still there: what they say when
	// they miss it must not be taken for the cause.
	DescribeTable("a component that is killed ends the run with its name and last log lines, status 1, and nothing left",
		func(component, in string, measured []string, flags ...string) {
			c := startCommand(append([]string{"scale", "--nodes", "10", "--rate", "max"}, flags...)...)
			c.waitForPhase(in)
			Expect(syscall.Kill(c.child(component), syscall.SIGKILL)).To(Succeed())
			Expect(c.wait()).To(Equal(scenarios.ExitFail), c.output())
			name := component + "-0"
			out := c.output()
			By("telling of it before it tears the world down, judges and sums up")
			told, _, _ := strings.Cut(out, "scale/density: Fail")
			Expect(told).To(MatchRegexp(`(?m)^` + name + ` died: signal: killed .*; from its log \S*/logs/` + name + `\.log:\n  [EIW]\d{4} `))
			run, err := results.Load(c.runDir())
			Expect(err).NotTo(HaveOccurred())
			Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Fail))
			Expect(run.Verdict.Reason).To(HavePrefix(name + " died: signal: killed"))
			Expect(phasesOf(run)).To(Equal(append(measured, in+", cut short")), "it goes on with nothing after it")
			c.expectNothingLeft()

			log, err := c.log()
			Expect(err).NotTo(HaveOccurred())
			Expect(log).To(MatchRegexp(`(?s)msg="phase begins" phase=` + in + `\n.*msg="component died" component=` + name + ` .*msg="phase ends" phase=` + in + ` .*msg="teardown begins" died=` + name + ` `))
			Expect(run.Death).NotTo(BeNil())
			Expect(run.Death.Component).To(Equal(name))
			// On a quiet machine it is a tenth of a second. What a run could wait for, metrics
			// of its components say, has half a minute.
			AddReportEntry("from the death of a component until the teardown", run.Death.Teardown.String())
			Expect(run.Death.Teardown.Duration()).To(And(BeNumerically(">", 0), BeNumerically("<", 10*time.Second)))
		},
		Entry("kube-apiserver, while nodes register", "kube-apiserver", "register", nil, "--nodes", "500", "--profile", "lean", "--pods", "50"),
		Entry("kube-controller-manager, while pods are created", "kube-controller-manager", "fill", []string{"register"}, "--pods", "50", "--rate", "1"),
		Entry("kube-scheduler, while the full cluster is held", "kube-scheduler", "hold", []string{"register", "fill"}, "--pods", "50", "--hold", "5m"),
	)

	It("a harness that is killed takes its children with it, and what was measured stays", func() {
		c := startCommand("scale", "--nodes", "10", "--pods", "50", "--rate", "max", "--hold", "5m")
		c.waitForPhase("hold")
		Expect(c.cmd.Process.Kill()).To(Succeed())
		c.wait()
		run, err := results.Load(c.runDir())
		Expect(err).NotTo(HaveOccurred())
		Expect(phasesOf(run)).To(Equal([]string{"register", "fill"}), "hold had not ended")
		Expect(run.Verdict.Outcome).To(BeEmpty(), "nobody judged it")
		c.expectNothingLeft()
	})
})

func phaseBegins(phase string) func(*command) {
	return func(c *command) { c.waitForPhase(phase) }
}

// phasesOf names the phases that were measured, and which of them in part.
func phasesOf(run *results.Run) (names []string) {
	for _, p := range run.Phases {
		if p.Incomplete != "" {
			p.Name += ", cut short"
		}
		names = append(names, p.Name)
	}
	return names
}

// testdata is the path of a file of the tests.
func testdata(name string) string {
	path, err := filepath.Abs(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		panic(err) // there is no working directory
	}
	return path
}
