package scenarios_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

var _ = Describe("A disk that fills during a run", func() {
	// etcd dies of it. A store that writes nothing there lives: the histories end.
	DescribeTable("ends it with one line and status 4, with all that was measured and nothing left",
		func(backend, first string) {
			dir := GinkgoT().TempDir()
			fill := smallDisk(filepath.Join(dir, "runs"))
			c := start(dir, "scale", "--nodes", "5", "--pods", "10", "--rate", "max", "--hold", "1h",
				"--backend", backend, "--runs", filepath.Join(dir, "runs"))
			c.waitForPhase("hold")
			fill()
			Expect(c.wait()).To(Equal(scenarios.ExitHarness), c.output())

			By("saying so in one line")
			_, last, _ := strings.Cut(c.output(), "\nEverything measured: ")
			lines := strings.Split(strings.TrimSpace(last), "\n")
			Expect(lines).To(HaveLen(2), last)
			Expect(lines[1]).To(MatchRegexp(`^planecheck: the disk is full: ` + first + `.*: no space left on device$`))

			By("keeping what was measured, and a verdict that is no pass")
			run, err := results.Load(c.runDir())
			Expect(err).NotTo(HaveOccurred())
			Expect(phasesOf(run)).To(Equal([]string{"register", "fill", "hold, cut short"}))
			Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Invalid))
			Expect(run.Verdict.Reason).To(And(HavePrefix("the disk is full: "), Not(ContainSubstring("\n"))))
			report, status := planecheck("report", c.runDir())
			Expect(status).To(Equal(scenarios.ExitPass), report)
			Expect(report).To(MatchRegexp(`(?m)^ +fill +\S+ +10 `))
			out, status := planecheck("check", c.runDir())
			Expect(status).To(Equal(scenarios.ExitUndecided), out)
			c.expectNothingLeft()
		},
		Entry("of a store in memory", "memory", "the history cannot be written, so the run can prove nothing any more"),
		Entry("of an etcd of three members", Label("long"), "etcd", "the store lost a member that nobody stopped: etcd member etcd-[0-2] died"),
	)
})

// smallDisk gives a directory a disk of its own, and returns what leaves nothing of it
// free. A machine that does not let us mount one cannot show what the specs are about.
func smallDisk(dir string) (fill func()) {
	GinkgoHelper()
	Expect(os.Mkdir(dir, 0o755)).To(Succeed())
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4g"); err != nil {
		Skip(fmt.Sprintf("mounting a small disk takes root and a machine that allows it: %v", err))
	}
	// What was started there is killed before: cleanups run last first.
	DeferCleanup(func() {
		Eventually(func() error { return unix.Unmount(dir, 0) }, bound, 50*time.Millisecond).Should(Succeed(), "something still uses the disk")
	})
	return func() {
		GinkgoHelper()
		// It may not become smaller than what is on it, which grows meanwhile.
		Eventually(func() error {
			var s unix.Statfs_t
			if err := unix.Statfs(dir, &s); err != nil {
				return err
			}
			used := (s.Blocks - s.Bfree) * uint64(s.Bsize)
			return unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", used))
		}, bound, time.Millisecond).Should(Succeed(), "fill the disk")
		var s unix.Statfs_t
		Expect(unix.Statfs(dir, &s)).To(Succeed())
		Expect(s.Bfree).To(BeZero())
		Expect(os.WriteFile(filepath.Join(dir, "more"), make([]byte, s.Bsize), 0o600)).To(MatchError(syscall.ENOSPC))
		Expect(os.Remove(filepath.Join(dir, "more"))).To(Succeed())
	}
}
