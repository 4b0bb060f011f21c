package scenarios_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/scenarios"
)

var _ = Describe("The limit of open files", Label("quick"), func() {
	// limited runs the program with a limit as ulimit sets it.
	limited := func(ulimit string, args ...string) (string, int) {
		GinkgoHelper()
		cmd := exec.Command("sh", append([]string{"-c", "ulimit " + ulimit + ` && exec "$0" "$@"`, program()}, args...)...)
		return run(cmd)
	}

	It("is in the way of a run that needs more files: it is refused with the estimate and the way out, with status 2, before anything starts", func() {
		dir := GinkgoT().TempDir()
		for _, command := range [][]string{{"scale", "--pods", "5"}, {"run", "contract/api", "--pods", "5"}, {"up"}} {
			out, status := limited("-n 200", append(command, "--nodes", "5", "--runs", filepath.Join(dir, "runs"))...)
			Expect(status).To(Equal(scenarios.ExitUsage), out)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			Expect(lines[len(lines)-1]).To(MatchRegexp(`^planecheck: the run does not fit on this machine: it needs \S+ [MG]iB of memory, \d{3,} file descriptors, \S+ [MG]iB of disk; ` +
				`there is too little of file descriptors, of which a process may have 200 \(ulimit -Hn\); take fewer nodes, pods or copies, or --force to try$`))
			Expect(filepath.Join(dir, "runs")).NotTo(BeADirectory())
		}
	})

	It("is raised as far as the machine lets us where it is only the soft one, of the harness and of what it starts", func() {
		dir := GinkgoT().TempDir()
		// The first thing that a run starts is a person's own binary, for its version.
		seen, binary := filepath.Join(dir, "seen"), filepath.Join(dir, "own")
		script := fmt.Sprintf("#!/bin/sh\nulimit -Sn > %[1]s\ngrep -h '^Max open files' /proc/$PPID/limits >> %[1]s\n", seen)
		Expect(os.WriteFile(binary, []byte(script), 0o755)).To(Succeed())
		hard, status := run(exec.Command("sh", "-c", "ulimit -Hn"))
		Expect(status).To(BeZero(), hard)
		out, status := limited("-Sn 50", "scale", "--nodes", "5", "--pods", "5", "--kube-apiserver", binary, "--runs", filepath.Join(dir, "runs"))
		Expect(status).To(Equal(scenarios.ExitUsage), out)
		Expect(out).To(And(ContainSubstring("no kube-apiserver"), Not(ContainSubstring("does not fit"))))
		limits, err := os.ReadFile(seen)
		Expect(err).NotTo(HaveOccurred())
		most := strings.TrimSpace(hard)
		Expect(strings.Fields(string(limits))).To(Equal([]string{most, "Max", "open", "files", most, most, "files"}))
	})
})
