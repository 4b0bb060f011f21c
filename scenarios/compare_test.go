package scenarios_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/results/compare"
	"github.com/planecheck/planecheck/scenarios"
)

// tiny is the smallest trial that can pass: every node has to renew its lease
// once, which takes ten seconds.
var tiny = []string{"--nodes", "5", "--pods", "20", "--hold", "11s", "--contract", "15"}

var _ = Describe("planecheck compare", func() {
	compareIn := func(dir string, args ...string) *command {
		GinkgoHelper()
		args = append([]string{"compare", "--runs-dir", filepath.Join(dir, "runs")}, args...)
		return start(dir, append(args, tiny...)...)
	}

	It("saves each trial, goes on after one that dies, and ends in order with Ctrl-C, with the table of what there is", func() {
		c := compareIn(GinkgoT().TempDir(), "--backends", "memory,etcd:members=1", "--runs", "2")
		Eventually(c.output, bound).Should(MatchRegexp(`round 1/2  memory .*Pass, \S+ pods/s`))
		By("having saved the first")
		Eventually(func(g Gomega) {
			saved, err := compare.Load(c.comparisonDir())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(saved.Trials).To(HaveLen(1))
		}, 5*time.Second).Should(Succeed())
		Eventually(c.output, bound).Should(MatchRegexp(`round 1/2  etcd:members=1 .*Pass, \S+ pods/s`))

		By("killing the third")
		Expect(syscall.Kill(c.trial("round-02/1-etcd"), syscall.SIGKILL)).To(Succeed())
		Eventually(c.output, bound).Should(MatchRegexp(`round 2/2  etcd:members=1 .*not done: signal: killed`))

		By("pressing Ctrl-C in the fourth")
		c.trial("round-02/2-memory")
		Expect(c.cmd.Process.Signal(os.Interrupt)).To(Succeed())
		Expect(c.wait()).To(Equal(scenarios.ExitInterrupted), c.output())
		c.expectNothingLeft()

		saved, err := compare.Load(c.comparisonDir())
		Expect(err).NotTo(HaveOccurred())
		Expect(saved.Trials).To(HaveLen(4))
		for i, cause := range []string{"", "", "signal: killed", "interrupted"} {
			t := saved.Trials[i]
			Expect(t.Cause).To(HavePrefix(cause))
			Expect(t.Cause == "").To(Equal(cause == ""), t.Cause)
			if cause != "" {
				Expect(t.Figures).To(BeEmpty(), t.Variant)
				continue
			}
			Expect(t.Outcome).To(BeEquivalentTo(checkers.Pass), t.Variant)
			c.expectTrafficInHold(filepath.Join(c.comparisonDir(), t.Dir))
		}
		Expect(saved.Trials[2].Outcome).To(BeEmpty(), "a trial that was killed has no verdict")
		Expect(saved.Trials[3].Outcome).To(BeEquivalentTo(checkers.Invalid), "it ended in order, so it says that it proves nothing")
		rows := map[string]compare.Metric{}
		for _, m := range saved.Metrics {
			rows[m.Name] = m
		}
		for _, name := range []string{"pods/s, fill", "CPU per 1,000 pods, kube-apiserver", "peak RSS, kube-apiserver", "consistent lists from cache"} {
			Expect(rows).To(HaveKey(name))
			Expect(rows[name].Cells[0].Median).To(BeNumerically(">", 0), name)
			Expect(rows[name].Cells[1].Ratio).NotTo(BeNil(), name)
			Expect(rows[name].Cells[1].Ratio.Pairs).To(Equal(1), name)
			Expect(rows[name].Cells[1].Interval).To(BeNil(), "of one trial")
		}

		By("having measured what the proxies before both stores cost")
		Expect(saved.Proxy).NotTo(BeNil(), c.output())
		Expect(saved.Proxy.Through.Measures).To(HaveLen(len(saved.Proxy.Direct.Measures)))

		By("printing it again")
		text, err := os.ReadFile(filepath.Join(c.comparisonDir(), "compare.txt"))
		Expect(err).NotTo(HaveOccurred())
		Expect(c.output()).To(ContainSubstring(string(text)))
		out, status := planecheck("compare", "--render", c.comparisonDir())
		Expect(out).To(HavePrefix(string(text)))
		Expect(status).To(Equal(scenarios.ExitHarness), "two trials could not be done")
	})

	It("compares configurations and a store of others, and does not rank what failed", func(ctx SpecContext) {
		theirs, err := storage.Open("etcd:members=1", storage.Options{Dir: GinkgoT().TempDir()})
		Expect(err).NotTo(HaveOccurred())
		Expect(theirs.Start(ctx)).To(Succeed())
		DeferCleanup(theirs.Stop)

		c := compareIn(GinkgoT().TempDir(), "--backends", "memory", "--set", "json:storage-media-type=application/json", "--runs", "1",
			"--variant", "theirs: --backend=external --etcd-endpoints="+theirs.Endpoints()[0],
			"--variant", "liar: --backend=etcd-process:members=1 --lie=store/update-shown-as-creation")
		Expect(c.waitWithin(4*bound)).To(Equal(scenarios.ExitFail), "four trials: %s", c.output())
		saved, err := compare.Load(c.comparisonDir())
		Expect(err).NotTo(HaveOccurred())
		outcomes := map[string]checkers.Outcome{}
		for _, t := range saved.Trials {
			outcomes[t.Variant] = t.Outcome
		}
		Expect(outcomes).To(Equal(map[string]checkers.Outcome{
			"memory": checkers.Pass, "json": checkers.Pass, "theirs": checkers.Pass, "liar": checkers.Fail,
		}), "%s", c.output())
		Expect(c.output()).To(MatchRegexp(`store  IsCreate .* Fail`), "%s", c.output())
		Expect(c.output()).To(MatchRegexp(`pods/s, fill +[0-9.]+ .*  \([0-9.]+\)  `), "in brackets: %s", c.output())
		Expect(c.output()).To(ContainSubstring("not ranked: liar\n"))

		By("having left nothing in the store of others")
		client, err := clientv3.New(clientv3.Config{Endpoints: theirs.Endpoints()})
		Expect(err).NotTo(HaveOccurred())
		defer client.Close()
		left, err := client.Get(ctx, "", clientv3.WithFromKey(), clientv3.WithKeysOnly())
		Expect(err).NotTo(HaveOccurred())
		Expect(left.Kvs).To(BeEmpty())
		Expect(left.Header.Revision).To(BeNumerically(">", 100), "a cluster was in it")
		c.expectNothingLeft()
	})

	It("takes its trial with it when it is killed", Label("long"), func() {
		c := compareIn(GinkgoT().TempDir(), "--backends", "memory,etcd")
		c.trial("round-01/1-memory")
		Expect(c.cmd.Process.Kill()).To(Succeed())
		c.wait()
		c.expectNothingLeft()
	})

	It("ends a trial that takes too long, and says so", Label("long"), func() {
		dir := GinkgoT().TempDir()
		c := compareIn(dir, "--backends", "memory", "--set", "json:storage-media-type=application/json", "--runs", "1", "--trial-timeout", "100ms",
			"--gogc", "kube-apiserver=100", "--gogc", "harness=200", "--apiserver-arg=--v=1", "--apiserver-arg=--feature-gates=A=true,B=true")
		Expect(c.wait()).To(Equal(scenarios.ExitHarness), c.output())
		Expect(c.output()).To(MatchRegexp(`round 1/1  memory .*not done: it took longer than 100ms`))
		Expect(c.output()).To(MatchRegexp(`round 1/1  json .*not done: it took longer than 100ms`))
		By("having given it every flag, each as it was given")
		saved, err := compare.Load(c.comparisonDir())
		Expect(err).NotTo(HaveOccurred())
		Expect(saved.Flags).To(ContainElements("--nodes=5", "--rate=max", "--drain=false", "--gogc=kube-apiserver=100", "--gogc=harness=200",
			"--apiserver-arg=--v=1", "--apiserver-arg=--feature-gates=A=true,B=true"))
		Expect(c.output()).To(ContainSubstring("planecheck: 2 of 2 trials could not be done"))
		c.expectNothingLeft()
	})

	It("marks a variant whose store there is not, goes on with the others, and a person's own compaction wins", func() {
		c := compareIn(GinkgoT().TempDir(), "--backends", "memory,zookeeper,etcd:members=4", "--runs", "1", "--trial-timeout", "100ms",
			"--variant", "quiet: --contract=0", "--apiserver-arg=--etcd-compaction-interval=3s")
		Expect(c.wait()).To(Equal(scenarios.ExitHarness), c.output())
		Expect(c.output()).To(MatchRegexp(`round 1/1  memory .*not done: it took longer than 100ms`))
		Expect(c.output()).To(ContainSubstring(`zookeeper: refused: unknown storage backend "zookeeper"`))
		Expect(c.output()).To(ContainSubstring("planecheck: 2 of 4 variants were refused"))
		saved, err := compare.Load(c.comparisonDir())
		Expect(err).NotTo(HaveOccurred())
		Expect(saved.Trials).To(HaveLen(2))
		Expect(saved.Refused()).To(HaveLen(2))
		Expect(saved.Flags).To(ContainElement("--contract-from=hold"), "the default, which has no effect on one variant")
		Expect(saved.Flags).To(ContainElements("--apiserver-arg=--etcd-compaction-interval=5s", "--apiserver-arg=--etcd-compaction-interval=3s"))
		Expect(slices.Index(saved.Flags, "--apiserver-arg=--etcd-compaction-interval=3s")).To(
			BeNumerically(">", slices.Index(saved.Flags, "--apiserver-arg=--etcd-compaction-interval=5s")), "the last is heeded")
		c.expectNothingLeft()
	})

	DescribeTable("refuses in one line, with status 2, before anything starts",
		func(message string, args ...string) {
			dir := GinkgoT().TempDir()
			runs := filepath.Join(dir, "runs")
			out, status := planecheck(append([]string{"compare", "--runs-dir", runs}, args...)...)
			Expect(status).To(Equal(scenarios.ExitUsage), out)
			Expect(out).To(And(HavePrefix("planecheck: "), ContainSubstring(message)))
			Expect(bytes.Count([]byte(out), []byte("\n"))).To(Equal(1), out)
			Expect(runs).NotTo(BeADirectory())
		},
		Entry("nothing to compare", "nothing to compare", "--backends", "etcd"),
		Entry("nothing but unknown backends", `unknown storage backend "zookeeper"`, "--backends", "zookeeper,consul"),
		Entry("an unknown workload", "no workload", "--backends", "etcd,memory", "--workload", "scale/.*"),
		Entry("a flag that run has not", "unknown flag: --nope", "--variant", "a: --nope"),
		Entry("a binary that is no kube-apiserver", "no kube-apiserver", "--variant", "mine: --kube-apiserver=/bin/true"),
		Entry("a number that is none", "etcd: --contract is NaN", "--backends", "etcd,memory", "--contract", "nan"),
		Entry("no runs", "at least 1", "--backends", "etcd,memory", "--runs", "0"),
		Entry("a directory without a comparison", "no comparison directory", "--render", "/"),
	)
})

// expectTrafficInHold looks when the contract traffic of a trial was sent: not in
// the fill, which has no fixed pace.
func (c *command) expectTrafficInHold(dir string) {
	GinkgoHelper()
	run, err := results.Load(dir)
	Expect(err).NotTo(HaveOccurred())
	sent := map[string]int64{}
	for _, p := range run.Phases {
		sent[p.Name] = 0
		for _, r := range p.API.Requests {
			if r.Class == history.ClassContract {
				sent[p.Name] += r.Requests
			}
		}
	}
	Expect(sent).To(And(HaveLen(3), HaveKeyWithValue("register", BeZero()), HaveKeyWithValue("fill", BeZero()),
		HaveKeyWithValue("hold", BeNumerically(">", 50))), "15/s for 11 s")
}

func (c *command) comparisonDir() string {
	GinkgoHelper()
	return c.find(`comparison directory: (\S+)`)
}

// trial waits until the trial whose directory is named has an API server, and
// returns its process.
func (c *command) trial(place string) (pid int) {
	GinkgoHelper()
	find := func(part string) []int {
		var found []int
		for _, pid := range c.children("") {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if err == nil && bytes.Contains(line, []byte(place)) && bytes.Contains(line, []byte("\x00"+part+"\x00")) {
				found = append(found, pid)
			}
		}
		return found
	}
	Eventually(func() []int { return find("kube-apiserver") }, bound, 20*time.Millisecond).ShouldNot(BeEmpty(), "API server of %s: %s", place, c.output())
	trials := find("run")
	Expect(trials).To(HaveLen(1))
	return trials[0]
}
