package scenarios_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/scenarios"
)

const schedulerHead = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

var _ = Describe("What cannot be done as it is asked for", Label("quick"), func() {
	refused := func(args []string, wants ...string) {
		GinkgoHelper()
		dir := GinkgoT().TempDir()
		out, status := planecheck(append(args, "--runs", filepath.Join(dir, "runs"))...)
		Expect(status).To(Equal(scenarios.ExitUsage), out)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		Expect(lines[len(lines)-1]).To(HavePrefix("planecheck: "))
		for _, want := range wants {
			Expect(lines[len(lines)-1]).To(ContainSubstring(want))
		}
		Expect(started(dir)).To(BeEmpty())
	}

	DescribeTable("is a manifest of too many copies",
		func(want, nodes, copies string) {
			refused([]string{"scale", "--nodes", nodes, "--manifest", testdata("packed"), "--copies", copies}, want)
		},
		Entry("for the nodes", "3000 pods, those of 1000 copies", "5", "1000"),
		Entry("for the machine", "does not fit on this machine: it needs ", "30000", "1000000"),
	)

	DescribeTable("is a configuration that the scheduler does not take",
		func(text, want string) {
			file := filepath.Join(GinkgoT().TempDir(), "scheduler.yaml")
			Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
			for _, command := range []string{"scale", "up"} {
				refused([]string{command, "--nodes", "5", "--scheduler-config", file}, "planecheck: scheduler configuration "+file+": ", want)
			}
		},
		Entry("which is no YAML", schedulerHead+"profiles: [\n", "error converting YAML to JSON"),
		Entry("of another kind", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "kind is ConfigMap, want KubeSchedulerConfiguration"),
		Entry("of a version that there is not", "apiVersion: kubescheduler.config.k8s.io/v7\nkind: KubeSchedulerConfiguration\n", `no kind "KubeSchedulerConfiguration" is registered for version "kubescheduler.config.k8s.io/v7"`),
		Entry("with a field that there is not", schedulerHead+"parallelizm: 4\n", `strict decoding error: unknown field "parallelizm"`),
		Entry("with an argument of a plugin that there is not",
			schedulerHead+"profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrateggy: {}}}]}]\n", `unknown field "scoringStrateggy"`),
		Entry("with a value that cannot be", schedulerHead+"parallelism: -1\n", "parallelism: Invalid value: -1"),
		Entry("with a plugin that there is not", schedulerHead+"profiles: [{plugins: {score: {enabled: [{name: Luck}]}}}]\n", "Luck"),
	)

	DescribeTable("is a flag that has no effect",
		func(want string, args ...string) { refused(append([]string{"scale", "--nodes", "5"}, args...), want) },
		Entry("without pods", "--churn-pods has no effect", "--pods", "0", "--churn-pods", "5"),
		Entry("beside a manifest alone", "--rate has no effect", "--manifest", testdata("packed"), "--rate", "5"),
		Entry("without a manifest", "--copies has no effect", "--pods", "5", "--copies", "2"),
		Entry("with a file of all settings", "--scheduler has no effect", "--scheduler", "default", "--scheduler-config", testdata("scheduler")),
		Entry("without contract traffic", "--contract-from has no effect", "--contract", "0", "--contract-from", "nap"),
		Entry("and a value that is none", "--rate: ", "--pods", "0", "--rate", "fast"),
	)

	It("is a flag that has no effect on a cluster to play with", func() {
		refused([]string{"up", "--nodes", "5", "--unrecorded"}, "--unrecorded has no effect")
	})

	It("is a run of heartbeats that ends before they come", func() {
		refused([]string{"scale", "--nodes", "5", "--pods", "0", "--hold", "0s"}, "planecheck: --hold is 0s; without pods the hold, of at least 25s,")
	})

	It("is a number that is none, whatever flag it is for", func() {
		for command, least := range map[string]int{"scale": 3, "up": 1} {
			help, _ := planecheck(command, "--help")
			flags := regexp.MustCompile(`(?m)^ +--(\S+) float`).FindAllStringSubmatch(help, -1)
			Expect(len(flags)).To(BeNumerically(">=", least), help)
			for _, flag := range flags {
				for _, number := range []string{"inf", "nan"} {
					refused([]string{command, "--nodes", "5", "--" + flag[1], number}, "planecheck: --"+flag[1]+" is ")
				}
			}
		}
		refused([]string{"scale", "--nodes", "5", "--rate", "inf"}, "planecheck: --rate: ")
	})

	It("is no reason to blame binaries that Ctrl-C keeps from answering", func() {
		dir := GinkgoT().TempDir()
		asked, binary := filepath.Join(dir, "asked"), filepath.Join(dir, "slow")
		Expect(os.WriteFile(binary, []byte("#!/bin/sh\ntouch "+asked+"\nexec sleep 1000\n"), 0o755)).To(Succeed())
		c := startCommand("scale", "--nodes", "5", "--pods", "5", "--kube-apiserver", binary)
		Eventually(func() error { _, err := os.Stat(asked); return err }, bound, 20*time.Millisecond).Should(Succeed())
		Expect(c.cmd.Process.Signal(os.Interrupt)).To(Succeed())
		Expect(c.wait()).To(Equal(scenarios.ExitInterrupted), c.output())
		Expect(c.output()).To(HaveSuffix("\nplanecheck: interrupted\n"))
		Expect(started(c.dir)).To(BeEmpty())
		c.expectNothingLeft()
	})
})
