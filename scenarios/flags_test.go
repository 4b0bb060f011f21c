package scenarios_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

// What no other spec asks for, all in one run: a control plane costs more than all of it.
var _ = Describe("A run with a person's own", Ordered, ContinueOnFailure, func() {
	const nodes, pods, packed = 5, 60, 3
	var c *command
	var run *results.Run
	own := map[string]string{}

	BeforeAll(func() {
		scripts := GinkgoT().TempDir()
		flags := []string{
			"scale", "--nodes", strconv.Itoa(nodes), "--pods", strconv.Itoa(pods), "--pods-per-deployment", "15",
			"--rate", "max", "--contract", "0", "--hold", "8s", "--drain=false",
			"--connections", "own", "--controllers", "2", "--slo-fail", "--apiserver-arg=--v=3",
			"--scheduler-config", testdata("scheduler"), "--manifest", testdata("packed"),
		}
		for _, kind := range apiserver.Kinds() {
			own[kind] = ownBuild(scripts, kind)
			flags = append(flags, "--"+kind, own[kind])
		}
		c = startCommand(flags...)
		c.waitForPhase("hold")
	})

	It("connections has one at the load balancer for each node and each kube-proxy", func() {
		Expect(c.connectionsTo(c.port())).To(BeNumerically(">=", 2*nodes))
	})

	It("scheduler configuration schedules by a profile of its own", func(ctx SpecContext) {
		found, err := c.api().CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "spec.schedulerName=packer"})
		Expect(err).NotTo(HaveOccurred())
		places := map[string]int{}
		for _, p := range found.Items {
			places[p.Spec.NodeName]++
		}
		Expect(slices.Collect(maps.Values(places))).To(Equal([]int{packed}), "where its pods are: %v", places)
	})

	It("controllers writes what they count", func(ctx SpecContext) {
		api := c.api()
		Eventually(func() (map[string]int, error) { return counted(ctx, api) }, bound, 100*time.Millisecond).
			Should(Equal(map[string]int{"pods": pods, "running": pods, "ready": pods}))
	})

	It("ends with status 5 for the SLO that its scheduler misses, and passes", func() {
		Expect(c.wait()).To(Equal(scenarios.ExitSLOMissed), c.output())
		Expect(c.output()).To(HaveSuffix("\nplanecheck: a service level objective was missed\n"))
		c.expectNothingLeft()
		var err error
		run, err = results.Load(c.runDir())
		Expect(err).NotTo(HaveOccurred())
		Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
		Expect(phase(run, "fill").SLOs).To(ContainElement(And(HaveField("Name", "pod start-up"), HaveField("Outcome", results.Fail))))
	})

	It("builds of the components has run them", func() {
		var settings struct {
			Components []apiserver.Component `json:"components"`
		}
		Expect(json.Unmarshal(run.Settings, &settings)).To(Succeed())
		Expect(settings.Components).To(HaveLen(len(own)))
		for _, component := range settings.Components {
			Expect(component.Binary).To(Equal(own[component.Kind]))
			log, err := os.ReadFile(filepath.Join(c.runDir(), "logs", component.Name+".log"))
			Expect(err).NotTo(HaveOccurred())
			Expect(string(log)).To(HavePrefix(greeting(component.Kind) + "\n"))
		}
	})

	It("files has copies of them in its directory, and names these in its record", func() {
		var plan struct{ Files []scenarios.GivenFile }
		Expect(json.Unmarshal(run.Plan, &plan)).To(Succeed())
		given := map[string]string{"manifest": testdata("packed"), "scheduler-config": testdata("scheduler")}
		Expect(plan.Files).To(HaveLen(len(given)))
		for _, f := range plan.Files {
			kept, err := os.ReadFile(filepath.Join(c.runDir(), f.Path))
			Expect(err).NotTo(HaveOccurred())
			own, err := os.ReadFile(given[f.Name])
			Expect(err).NotTo(HaveOccurred())
			Expect(string(kept)).To(Equal(string(own)))
			Expect(f.SHA256).To(Equal(fmt.Sprintf("%x", sha256.Sum256(own))))
		}
	})

	It("controllers reports how far they were behind", func() {
		operators := phase(run, "fill").Operators
		Expect(operators).NotTo(BeNil())
		Expect(operators.Lag.Count).To(BeNumerically(">=", 2*pods), "each pod is created, bound, and runs")
		Expect(operators.Lag.Max).To(BeNumerically(">", 0))
		Expect(operators.Writes).To(BeNumerically(">", 0))
		Expect(c.output()).To(MatchRegexp(`(?m)^Simulated controllers \(lag(?:.+\n)+ *fill +[0-9]`))
	})

	It("connections serves each node, and each kube-proxy, on one that no other has", func() {
		log, err := os.ReadFile(filepath.Join(c.runDir(), "logs", "kube-apiserver-0.log"))
		Expect(err).NotTo(HaveOccurred())
		taken := map[string]bool{}
		for node, sources := range sourcesOf(string(log), `/apis/coordination\.k8s\.io/v1/namespaces/kube-node-lease/leases/(node-\d+)[?"]`) {
			Expect(sources).To(HaveLen(1), "connections with heartbeats of %s", node)
			maps.Copy(taken, sources)
		}
		Expect(taken).To(HaveLen(nodes))
		proxies := sourcesOf(string(log), `/apis/discovery\.k8s\.io/v1/(endpointslices)\?[^"]*headless`)
		Expect(proxies["endpointslices"]).To(HaveLen(nodes))
		maps.Copy(taken, proxies["endpointslices"])
		Expect(taken).To(HaveLen(2*nodes), "a kube-proxy has the connection of a node")
	})
})

// sourcesOf are, by the group of an expression for the path of requests, the ends of the
// connections by which the harness sent them, from the log of an API server.
func sourcesOf(log, path string) map[string]map[string]bool {
	line := regexp.MustCompile(`"HTTP" verb="\w+" URI="` + path + `.* userAgent="planecheck" .*srcIP="([^"]+)"`)
	sources := map[string]map[string]bool{}
	for _, m := range line.FindAllStringSubmatch(log, -1) {
		if sources[m[1]] == nil {
			sources[m[1]] = map[string]bool{}
		}
		sources[m[1]][m[2]] = true
	}
	return sources
}

// ownBuild is the path of a program that is a component, as a person would build it: it
// has no idea that it is one of ours.
func ownBuild(dir, kind string) string {
	GinkgoHelper()
	path := filepath.Join(dir, "my-"+kind)
	script := fmt.Sprintf("#!/bin/sh\necho '%s' >&2\nexec '%s' component %s \"$@\"\n", greeting(kind), program(), kind)
	Expect(os.WriteFile(path, []byte(script), 0o755)).To(Succeed())
	return path
}

func greeting(kind string) string { return "this is a " + kind + " of my own" }

// counted sums up what the simulated controllers say of the namespaces of the load.
func counted(ctx context.Context, api kubernetes.Interface) (map[string]int, error) {
	found, err := api.CoreV1().ConfigMaps(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	sum := map[string]int{}
	for _, status := range found.Items {
		if !strings.HasPrefix(status.Name, "planecheck-operator-") || !strings.HasPrefix(status.Namespace, "density-") {
			continue
		}
		for what, text := range status.Data {
			n, err := strconv.Atoi(text)
			if err != nil {
				return nil, err
			}
			sum[what] += n
		}
	}
	return sum, nil
}

// kubeconfig is the person's, in the run directory.
func (c *command) kubeconfig() string { return filepath.Join(c.runDir(), "kubeconfig") }

// port is that of the load balancer.
func (c *command) port() int {
	GinkgoHelper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig())
	Expect(err).NotTo(HaveOccurred())
	u, err := url.Parse(config.Host)
	Expect(err).NotTo(HaveOccurred())
	_, text, err := net.SplitHostPort(u.Host)
	Expect(err).NotTo(HaveOccurred())
	port, err := strconv.Atoi(text)
	Expect(err).NotTo(HaveOccurred())
	return port
}

// api is the person's client.
func (c *command) api() kubernetes.Interface {
	GinkgoHelper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig())
	Expect(err).NotTo(HaveOccurred())
	api, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	return api
}

// connectionsTo counts the connections of the harness to a port, see proc_net_tcp(5).
func (c *command) connectionsTo(port int) (n int) {
	GinkgoHelper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", c.cmd.Process.Pid))
	Expect(err).NotTo(HaveOccurred())
	sockets := map[string]bool{}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil { // else it was closed meanwhile
			sockets[target] = true
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(table)) {
		const remote, state, inode, established = 2, 3, 9, "01"
		f := strings.Fields(line)
		if len(f) > inode && strings.HasSuffix(f[remote], fmt.Sprintf(":%04X", port)) && f[state] == established && sockets["socket:["+f[inode]+"]"] {
			n++
		}
	}
	return n
}
