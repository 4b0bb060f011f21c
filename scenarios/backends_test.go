package scenarios_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

// The stores beside etcd in their shortest form. kine breaks promises now and
// then (docs/findings), so what is asked of it is that the run is whole and that
// its store is judged by its own contract.
var _ = Describe("On another store than etcd", func() {
	judged := func(c *command, guarantee string) checkers.Verdict {
		GinkgoHelper()
		run, err := results.Load(c.runDir())
		Expect(err).NotTo(HaveOccurred())
		for _, v := range run.Verdict.Guarantees {
			if v.Guarantee == guarantee {
				return v
			}
		}
		Fail("no verdict of " + guarantee)
		return checkers.Verdict{}
	}

	It("a run on the store in memory passes, with status 0 if all SLOs were met", func() {
		c := startCommand("scale", "--backend", "memory", "--nodes", "10", "--pods", "100", "--hold", "12s", "--slo-fail")
		status := c.wait()
		run, err := results.Load(c.runDir())
		Expect(err).NotTo(HaveOccurred())
		Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
		met := run.SLOsMet()
		Expect(met).NotTo(BeEmpty(), "no SLO was judged")
		Expect(status).To(Equal(map[checkers.Outcome]int{
			checkers.Pass: scenarios.ExitPass, checkers.Fail: scenarios.ExitSLOMissed, // a machine may be too slow
		}[met]), c.output())
		c.expectNothingLeft()
	})

	It("a run on kine is whole, and judged by what kine promises", func() {
		c := startCommand("scale", "--backend", "kine-sqlite", "--nodes", "10", "--pods", "100", "--hold", "12s")
		Expect(c.waitWithin(kineBound)).To(BeElementOf(scenarios.ExitPass, scenarios.ExitFail), c.output())
		for _, guarantee := range []string{"PlanComplete", "EveryPodRunning", "NoComponentDied"} {
			Expect(judged(c, guarantee).Outcome).To(BeEquivalentTo(checkers.Pass), guarantee)
		}
		order := judged(c, "Order")
		Expect(order.Outcome).To(BeElementOf(checkers.Pass, checkers.Fail, checkers.NotExercised), order.Detail)
		Expect(order.Checked).To(ContainSubstring("kine: revisions may have gaps"))
		c.expectNothingLeft()
	})

	It("a store that ends by itself fails the run, with its name and why", Label("long"), func() {
		c := startCommand("scale", "--backend", "kine-sqlite", "--nodes", "10", "--pods", "100", "--hold", "5m")
		c.waitForPhase("hold")
		Expect(syscall.Kill(kine(c), syscall.SIGKILL)).To(Succeed())
		Expect(c.wait()).To(Equal(scenarios.ExitFail), c.output())
		v := judged(c, "StoreLived")
		Expect(v.Outcome).To(BeEquivalentTo(checkers.Fail))
		Expect(v.Detail).To(ContainSubstring("kine died: signal: killed"))
		Expect(judged(c, "NoComponentDied").Outcome).To(BeEquivalentTo(checkers.Pass))
		c.expectNothingLeft()
	})
})

// kineBound is how long a run on kine may take, which may have to build it.
const kineBound = 10 * time.Minute

// kine finds the process of the store.
func kine(c *command) int {
	GinkgoHelper()
	for _, pid := range c.children("") {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), "--endpoint=sqlite://") {
			return pid
		}
	}
	Fail("no process of kine")
	return 0
}
