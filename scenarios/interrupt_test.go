package scenarios_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
	"github.com/planecheck/planecheck/scenarios/faults"
)

// patience is how long a run with its twin may take until its fault acts, and how
// long a fault may take to heal.
const patience = 6 * time.Minute

// Ctrl-C may come at any moment of any fault: it is healed, nothing is left
// running, and what was measured can be judged. Of one area:
//
//	make long LABELS='interrupt && nodes'
var _ = Describe("Ctrl-C in a fault", Label("long"), func() {
	for _, f := range faults.Catalogue() {
		It("of "+string(f.Area)+" heals it: "+f.Name, Label("interrupt", string(f.Area)), func() {
			scenario := "faults/" + f.Name
			if len(f.Breaks) > 0 {
				scenario = "broken/" + f.Name
			}
			c := startCommand("run", scenario, "--nodes", "20", "--pods", "100")
			moment := "fault acts"
			if f.For == 0 {
				moment = "fault inject" // it is over as soon as it acts
			}
			c.waitForFault(moment, f.Name)
			Expect(c.cmd.Process.Signal(os.Interrupt)).To(Succeed())
			Expect(c.waitWithin(patience)).To(Equal(scenarios.ExitInterrupted), c.output())
			c.expectNothingLeft()
			if f.For > 0 {
				Expect(c.said("fault healed", f.Name)).To(BeTrue(), "log of the harness in %s", c.lastRunDir())
			}
			By("reading what was measured")
			run, err := results.Load(c.lastRunDir())
			Expect(err).NotTo(HaveOccurred())
			Expect(run.Verdict.Outcome).To(BeElementOf(checkers.Invalid, checkers.Fail), "an interrupted run proves nothing")
			out, status := planecheck("check", c.lastRunDir())
			Expect(status).To(BeElementOf(scenarios.ExitPass, scenarios.ExitUndecided, scenarios.ExitFail), out)
			Expect(status == scenarios.ExitFail && len(f.Breaks) == 0).To(BeFalse(), out)
			Expect(out).To(MatchRegexp(`(Pass|Invalid) +Order`))
		})
	}
})

// lastRunDir is that of the run that is on: one with a twin has two.
func (c *command) lastRunDir() string {
	all := regexp.MustCompile(`run directory: (\S+)`).FindAllStringSubmatch(c.output(), -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// said looks in the harness' log for how far a fault is.
func (c *command) said(moment, fault string) bool {
	b, err := os.ReadFile(filepath.Join(c.lastRunDir(), "logs", "harness.log"))
	return err == nil && slices.ContainsFunc(strings.Split(string(b), "\n"), func(line string) bool {
		return strings.Contains(line, `msg="`+moment+`"`) && strings.Contains(line, "fault="+fault+" ")
	})
}

// waitForFault waits until a fault is so far, or the command has ended.
func (c *command) waitForFault(moment, fault string) {
	GinkgoHelper()
	Eventually(func() bool {
		select {
		case <-c.done:
			return true
		default:
			return c.said(moment, fault)
		}
	}, patience, 50*time.Millisecond).Should(BeTrue(), "%s %s: %s", moment, fault, c.output())
	Expect(c.done).NotTo(BeClosed(), c.output())
}
