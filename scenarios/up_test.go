package scenarios_test

import (
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/scenarios"
)

var _ = Describe("A cluster to play with", Label("quick"), func() {
	It("ends with status 1 when a component dies, says so once, and keeps its logs", func() {
		c := startCommand("up", "--nodes", "3")
		c.waitFor("export KUBECONFIG=")
		Expect(syscall.Kill(c.child("kube-scheduler"), syscall.SIGKILL)).To(Succeed())
		c.expectBroken("kube-scheduler-0", "died: signal: killed")
	})

	It("ends with status 1 when a component does not start, says so once, and keeps its logs", func() {
		startCommand("up", "--nodes", "3", "--apiserver-arg", "--no-such-flag").
			expectBroken("kube-apiserver-0", "exited before it was ready: exit status 1")
	})
})

// expectBroken holds that `up` has ended because of a component, as a run does.
func (c *command) expectBroken(component, how string) {
	GinkgoHelper()
	Expect(c.wait()).To(Equal(scenarios.ExitFail), c.output())
	Expect(strings.Count(c.output(), component+" "+how)).To(Equal(1), c.output())
	Expect(c.output()).NotTo(ContainSubstring("planecheck: "))
	Expect(filepath.Glob(filepath.Join(c.dir, "runs", "*", "logs", component+".log"))).To(HaveLen(1))
	c.expectNothingLeft()
}
