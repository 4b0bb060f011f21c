package scenarios_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

// These specs use the program as a person does: built by `make build`, started
// with flags, watched by its output, exit status and what it leaves behind.

// bound is how long a person would wait for a command to start or to end.
const bound = 90 * time.Second

var _ = Describe("Bad input", func() {
	var dir string
	BeforeEach(func() { dir = GinkgoT().TempDir() })

	DescribeTable("is refused in one line, with status 2, before anything starts",
		func(message string, args func() []string) {
			out, status := planecheck(append(args(), "--runs", filepath.Join(dir, "runs"))...)
			Expect(status).To(Equal(scenarios.ExitUsage), out)
			Expect(out).To(ContainSubstring(message))
			lines := strings.Split(strings.TrimSpace(out), "\n")
			Expect(lines[len(lines)-1]).To(HavePrefix("planecheck: "))
			Expect(started(dir)).To(BeEmpty())
		},
		Entry("an unknown flag", "unknown flag: --node", args("scale", "--node", "5")),
		Entry("a value of the wrong type", "invalid argument", args("scale", "--nodes", "many")),
		Entry("no nodes", "must be at least 1", args("run", "scale/density", "--nodes", "0")),
		Entry("fewer than no pods", "must be at least 0", args("scale", "--nodes", "5", "--pods", "-1")),
		Entry("a fault without pods", "--pods 0 is not for it", args("run", "faults/etcd-leader-stop", "--nodes", "5", "--pods", "0")),
		Entry("an unknown profile", "lean, kubelet", args("scale", "--nodes", "5", "--pods", "5", "--profile", "fat")),
		Entry("an unknown backend", "etcd", args("scale", "--nodes", "5", "--pods", "5", "--backend", "zookeeper")),
		Entry("a rate that is none", "--rate", args("scale", "--nodes", "5", "--pods", "5", "--rate", "fast")),
		Entry("a scenario that does not exist", "planecheck list", args("run", "scale/none")),
		Entry("more pods than the nodes hold", "--nodes 10", args("scale", "--nodes", "5", "--pods", "1100")),
		Entry("more than the machine has", "--force", args("scale", "--nodes", "30000", "--pods", "3000000")),
		Entry("a manifest that is not there", "no such file", args("scale", "--nodes", "5", "--manifest", "/nowhere.yaml")),
		Entry("a kube-apiserver that is not there", "no such file", args("scale", "--nodes", "5", "--pods", "5", "--kube-apiserver", "/nowhere")),
		Entry("a binary that is no kube-apiserver", "no kube-apiserver", args("scale", "--nodes", "5", "--pods", "5", "--kube-apiserver", "/bin/true")),
		Entry("a lie before members that nothing can stand before", "--backend etcd:proxy=off has none",
			args("run", "contract/api", "--backend", "etcd:proxy=off", "--lie", "uid-again")),
		Entry("a component without a collector", "no component", args("scale", "--gogc", "kubelet=100")),
	)

	It("names a directory that holds no run to judge", func() {
		out, status := planecheck("check", dir)
		Expect(status).To(Equal(scenarios.ExitUsage), out)
		Expect(out).To(And(ContainSubstring("no run directory"), HavePrefix("planecheck: ")))
	})

	It("names a directory that holds no run to print or to compare", func() {
		for _, args := range [][]string{{"report", dir}, {"diff", dir, dir}} {
			out, status := planecheck(args...)
			Expect(status).To(Equal(scenarios.ExitUsage), out)
			Expect(out).To(And(ContainSubstring("no run directory"), HavePrefix("planecheck: ")))
			Expect(strings.Count(out, "\n")).To(Equal(1), out)
		}
	})

	It("names a run directory that cannot be written", func() {
		file := filepath.Join(dir, "file")
		Expect(os.WriteFile(file, nil, 0o600)).To(Succeed())
		out, status := planecheck("scale", "--nodes", "5", "--pods", "5", "--runs", filepath.Join(file, "runs"))
		Expect(status).To(Equal(scenarios.ExitUsage), out)
		Expect(out).To(ContainSubstring("not a directory"))
	})

	It("names a port that is taken", func() {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		defer taken.Close()
		port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
		out, status := planecheck("scale", "--nodes", "5", "--pods", "5", "--port", port, "--runs", filepath.Join(dir, "runs"))
		Expect(status).To(Equal(scenarios.ExitUsage), out)
		Expect(out).To(ContainSubstring("address already in use"))
	})

	It("names a component that there is not", func() {
		for message, args := range map[string][]string{
			`unknown component "etcd", known are kube-apiserver`: {"component", "etcd", "--version"},
			`unknown component "", known are kube-apiserver`:     {"component"},
		} {
			out, status := planecheck(args...)
			Expect(status).To(Equal(scenarios.ExitUsage), out)
			Expect(out).To(ContainSubstring(message))
		}
	})

	It("names what is no period for an API server to compare its caches in", func() {
		for _, text := range []string{"soon", "-1s", "0s"} {
			cmd := exec.Command(program(), "component", apiserver.KubeAPIServer, "--version")
			cmd.Env = append(os.Environ(), apiserver.ConsistencyEnv+"="+text)
			out, status := run(cmd)
			Expect(status).To(Equal(scenarios.ExitUsage), out)
			Expect(out).To(ContainSubstring(strconv.Quote(text) + " is no period"))
		}
	})
})

var _ = Describe("A run that is judged while it goes on", func() {
	It("passes, as seen from its own process and from another one, which Ctrl-C ends", func() {
		c := startCommand("scale", "--nodes", "20", "--pods", "400", "--hold", "2s", "--fail-fast")
		c.waitForPhase("fill")
		follower, given := start(c.dir, "check", "--follow", c.runDir()), start(c.dir, "check", "--follow", c.runDir())
		given.waitFor("following the run")
		Expect(given.cmd.Process.Signal(os.Interrupt)).To(Succeed())
		Expect(given.wait()).To(Equal(scenarios.ExitInterrupted), given.output())
		Expect(c.wait()).To(Equal(scenarios.ExitPass), c.output())
		Expect(follower.wait()).To(Equal(scenarios.ExitPass), follower.output())
		Expect(follower.output()).To(MatchRegexp(`Pass +Reliable`))
		Expect(follower.output()).NotTo(ContainSubstring("is broken"))

		By("having left in its directory all that it printed at its end")
		summary, status := planecheck("report", c.runDir())
		Expect(status).To(Equal(scenarios.ExitPass), summary)
		Expect(summary).To(HavePrefix("scale/density: Pass\n"))
		Expect(c.output()).To(HaveSuffix("\n" + summary))

		By("differing from itself in nothing")
		diff, status := planecheck("diff", c.runDir(), c.runDir())
		Expect(status).To(Equal(scenarios.ExitPass), diff)
		Expect(diff).To(And(ContainSubstring("as far as they differ\n  nothing\n"), MatchRegexp(`Verdicts that differ\n  none of \d+\n`)))
		Expect(diff).To(MatchRegexp(`fill +Running +400 +400 +(\S+) +\S+ +(\S+) +\S+ +1\.00×`))
	})

	// A part of a history is judged when its segment is closed, after half a minute.
	It("ends at the first violation, long before the end of its plan, where the servers lie", Label("long"), func() {
		c := startCommand("run", "contract/api", "--nodes", "2", "--pods", "4", "--pods-per-deployment", "2",
			"--lie", "list-without-an-item", "--hold", "1h", "--fail-fast")
		c.waitForPhase("hold")
		Expect(c.waitWithin(patience)).To(Equal(scenarios.ExitFail), c.output())
		Expect(c.output()).To(MatchRegexp(`the history shows that \S+ was broken: the run ends here`))
		run, err := results.Load(c.runDir())
		Expect(err).NotTo(HaveOccurred())
		Expect(failed(run)).To(ContainElement("Snapshot"))
		Expect(phase(run, "hold").Incomplete).NotTo(BeEmpty(), "the hold lasts an hour")
		c.expectNothingLeft()
	})
})

var _ = Describe("planecheck up", Ordered, func() {
	var c *command
	BeforeAll(func() {
		c = startCommand("up", "--nodes", "3")
		c.waitFor("export KUBECONFIG=")
	})

	It("can be used with kubectl", func() {
		kubeconfig := c.find(`KUBECONFIG=(\S+)`)
		nodes, status := kubectl(kubeconfig, "get", "nodes", "--no-headers")
		Expect(status).To(BeZero(), nodes)
		Expect(strings.Count(nodes, " Ready ")).To(Equal(3), nodes)
		version, status := kubectl(kubeconfig, "version")
		Expect(status).To(BeZero(), version)
		Expect(version).To(MatchRegexp(`Server Version: v1\.\d+\.\d+\n`), "the server's version must parse")

		By("running a pod")
		out, status := kubectl(kubeconfig, "create", "deployment", "web", "--image=nginx", "--replicas=2")
		Expect(status).To(BeZero(), out)
		out, status = kubectl(kubeconfig, "rollout", "status", "deployment/web", "--timeout=60s")
		Expect(status).To(BeZero(), out)

		By("running a Job to its end")
		out, status = kubectl(kubeconfig, "create", "job", "load", "--image=busybox")
		Expect(status).To(BeZero(), out)
		out, status = kubectl(kubeconfig, "wait", "--for=condition=complete", "job/load", "--timeout=120s")
		Expect(status).To(BeZero(), out)
	})

	It("starts containers again that fail, and has pods become unready", func() {
		kubeconfig := c.find(`KUBECONFIG=(\S+)`)
		// A kubelet says that containers wait when it looks at them again, which may be
		// the moment at which it starts them: only a watch is sure to see it.
		reasons := kubectlWatch(kubeconfig, "pods", "-l", "app=failing", "-o", `jsonpath={.status.containerStatuses[0].state.waiting.reason}{"\n"}`)
		out, status := kubectl(kubeconfig, "apply", "-f", "testdata/moody.yaml")
		Expect(status).To(BeZero(), out)
		shows := func(what, selector, path string, seen OmegaMatcher) {
			GinkgoHelper()
			Eventually(func() string {
				out, _ := kubectl(kubeconfig, "get", what, "-l", selector, "-o", "jsonpath="+path)
				return out
			}, bound).Should(seen)
		}
		const container = "{.items[*].status.containerStatuses[0]"
		shows("pods", "app=failing", container+".lastState.terminated.exitCode}", Equal("2"))
		Eventually(reasons, bound).Should(gbytes.Say("CrashLoopBackOff"))
		shows("pods", "app=failing", container+".restartCount}", Not(BeElementOf("", "0", "1")))

		By("having endpoints follow")
		for _, ready := range []string{"false", "true", "false"} {
			shows("endpointslices", "kubernetes.io/service-name=moody", "{.items[*].endpoints[*].conditions.ready}", ContainSubstring(ready))
		}
		out, status = kubectl(kubeconfig, "delete", "-f", "testdata/moody.yaml", "--wait", "--timeout=60s")
		Expect(status).To(BeZero(), out)
	})

	// When this fails, Kubernetes has mended what docs/findings/0001 reports, and
	// the checker may take such pages for violations again.
	It("shows that pages of one namespace by field selector are wrong", func() {
		kubeconfig := c.find(`KUBECONFIG=(\S+)`)
		for _, name := range []string{"loose", "object"} {
			out, status := kubectl(kubeconfig, "create", "configmap", name)
			Expect(status).To(BeZero(), out)
		}
		list := func(args ...string) []string {
			GinkgoHelper()
			out, status := kubectl(kubeconfig, append([]string{"get", "configmaps", "-o", "name", "--chunk-size=1"}, args...)...)
			Expect(status).To(BeZero(), out)
			return strings.Fields(out)
		}
		Expect(list("--namespace=default")).To(HaveLen(3))
		Expect(list("--all-namespaces", "--field-selector=metadata.namespace=default")).To(HaveLen(1))
	})

	It("goes away with Ctrl-C and leaves nothing behind", func() {
		Expect(c.cmd.Process.Signal(os.Interrupt)).To(Succeed())
		Expect(c.wait()).To(Equal(scenarios.ExitPass), c.output())
		c.expectNothingLeft()
		Expect(filepath.Glob(filepath.Join(c.dir, "runs", "*"))).To(BeEmpty())
	})
})

// program is what `make build` has built.
func program() string {
	GinkgoHelper()
	path, err := filepath.Abs("../bin/planecheck")
	Expect(err).NotTo(HaveOccurred())
	Expect(path).To(BeAnExistingFile(), "run `make build` first")
	return path
}

func args(a ...string) func() []string { return func() []string { return a } }

// planecheck runs the program to its end and returns all its output.
func planecheck(args ...string) (out string, status int) {
	GinkgoHelper()
	cmd, tmp := exec.Command(program(), args...), GinkgoT().TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, status = run(cmd)
	Expect(os.ReadDir(tmp)).To(BeEmpty(), "temporary files that outlived the command")
	return out, status
}

func kubectl(kubeconfig string, args ...string) (out string, status int) {
	GinkgoHelper()
	return run(exec.Command(program(), append([]string{"component", "kubectl", "--kubeconfig", kubeconfig}, args...)...))
}

// kubectlWatch is kubectl get --watch, to the end of the spec.
func kubectlWatch(kubeconfig string, args ...string) *gbytes.Buffer {
	GinkgoHelper()
	out := gbytes.NewBuffer()
	cmd := exec.Command(program(), append([]string{"component", "kubectl", "--kubeconfig", kubeconfig, "get", "--watch"}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // that it was killed
	})
	return out
}

func run(cmd *exec.Cmd) (string, int) {
	GinkgoHelper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	timer := time.AfterFunc(bound, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		Expect(err).NotTo(HaveOccurred())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// started lists the run directories below dir.
func started(dir string) []string {
	found, err := filepath.Glob(filepath.Join(dir, "runs", "*", "run.json"))
	Expect(err).NotTo(HaveOccurred())
	return found
}

// command is the program at work.
type command struct {
	cmd  *exec.Cmd
	dir  string
	done chan struct{}
	// tidy are its directories for temporary files and for work: nothing may stay there.
	tidy []string

	mu  sync.Mutex
	out bytes.Buffer
}

// startCommand starts the program with a run directory of its own.
func startCommand(args ...string) *command {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	return start(dir, append(args, "--runs", filepath.Join(dir, "runs"))...)
}

// start starts the program and sees to it that it ends with the spec.
func start(dir string, args ...string) *command {
	GinkgoHelper()
	c := &command{dir: dir, done: make(chan struct{}), tidy: []string{filepath.Join(dir, "tmp"), filepath.Join(dir, "cwd")}}
	for _, d := range c.tidy {
		Expect(os.MkdirAll(d, 0o755)).To(Succeed())
	}
	c.cmd = exec.Command(program(), args...)
	c.cmd.Env, c.cmd.Dir = append(os.Environ(), "TMPDIR="+c.tidy[0]), c.tidy[1]
	out, err := c.cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	c.cmd.Stderr = c.cmd.Stdout
	Expect(c.cmd.Start()).To(Succeed())
	go c.read(out)
	DeferCleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
	})
	return c
}

func (c *command) read(out io.Reader) {
	defer close(c.done)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		c.mu.Lock()
		fmt.Fprintln(&c.out, lines.Text())
		c.mu.Unlock()
	}
}

func (c *command) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

func (c *command) waitFor(text string) {
	GinkgoHelper()
	Eventually(c.output, bound, 50*time.Millisecond).Should(ContainSubstring(text), "output of the command")
}

// waitForPhase waits until the harness says in its log that a phase begins.
func (c *command) waitForPhase(phase string) {
	GinkgoHelper()
	c.waitFor("run directory: ")
	if phase == "start" {
		Eventually(func() []int { return c.children("kube-apiserver") }, bound, 20*time.Millisecond).ShouldNot(BeEmpty())
		return
	}
	c.waitForLog(`msg="phase begins" phase=` + phase)
}

// waitForLog waits until the harness says something in its log.
func (c *command) waitForLog(text string) {
	GinkgoHelper()
	c.waitFor("run directory: ")
	Eventually(c.log, bound, 20*time.Millisecond).Should(ContainSubstring(text), "log of the harness; its output: %s", c.output())
}

// log is that of the harness.
func (c *command) log() (string, error) {
	b, err := os.ReadFile(filepath.Join(c.runDir(), "logs", "harness.log"))
	return string(b), err
}

func firstGroup(expr, text string) string {
	return regexp.MustCompile(expr).FindStringSubmatch(text)[1]
}

// find returns the first group of a regular expression in the output.
func (c *command) find(expr string) string {
	GinkgoHelper()
	Expect(c.output()).To(MatchRegexp(expr))
	return firstGroup(expr, c.output())
}

func (c *command) runDir() string {
	GinkgoHelper()
	return c.find(`run directory: (\S+)`)
}

// wait waits for the end of the program and returns its exit status.
func (c *command) wait() int {
	GinkgoHelper()
	return c.waitWithin(bound)
}

func (c *command) waitWithin(bound time.Duration) int {
	GinkgoHelper()
	Eventually(c.done, bound).Should(BeClosed(), "the command did not end; its output: %s", c.output())
	_ = c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

// expectNothingLeft looks for processes that mention the run directory, which
// every component and every member of the store does in its arguments, and for
// temporary files: those for the system's place, the directory in which the command
// was started, and what should have become the record of a run.
func (c *command) expectNothingLeft() {
	GinkgoHelper()
	Eventually(func() []int { return c.children("") }, 5*time.Second, 50*time.Millisecond).
		Should(BeEmpty(), "processes of the run that outlived it")
	left, err := filepath.Glob(filepath.Join(c.dir, "runs", "*", "*.tmp*"))
	Expect(err).NotTo(HaveOccurred())
	for _, dir := range c.tidy {
		entries, err := os.ReadDir(dir)
		Expect(err).NotTo(HaveOccurred())
		for _, e := range entries {
			left = append(left, filepath.Join(dir, e.Name()))
		}
	}
	Expect(left).To(BeEmpty(), "files of the run that outlived it")
}

func (c *command) child(kind string) int {
	GinkgoHelper()
	pids := c.children(kind)
	Expect(pids).NotTo(BeEmpty(), "no process of "+kind)
	return pids[0]
}

// children finds the components of a kind that the run has started, by its
// directory in their command lines; "": all processes, the store's too.
func (c *command) children(kind string) []int {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Expect(err).NotTo(HaveOccurred())
	var pids []int
	for _, path := range lines {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		line := string(b)
		if !strings.Contains(line, c.dir) || kind != "" && !strings.Contains(line, "\x00component\x00"+kind) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		Expect(err).NotTo(HaveOccurred())
		if pid == c.cmd.Process.Pid {
			continue
		}
		pids = append(pids, pid)
	}
	return pids
}
