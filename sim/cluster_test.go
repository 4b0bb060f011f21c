package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

func start(t *testing.T, f *fakeAPI, cfg Config) *Cluster {
	t.Helper()
	cfg.Layer, cfg.Seed, cfg.RegisterPerSecond, cfg.ReadyTimeout = f.layer, 1, 1000, patience
	if cfg.Nodes == 0 {
		cfg.Nodes = 1
	}
	c := New(cfg)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// goroutines counts those that run code of this package, tests aside.
func goroutines() int {
	buf := make([]byte, 1<<20)
	count := 0
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "planecheck/sim.") && !strings.Contains(g, "testing.tRunner") && !strings.Contains(g, "fakeAPI") {
			count++
		}
	}
	return count
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestPodLife(t *testing.T) {
	for _, profile := range []Profile{Lean, Kubelet} {
		t.Run(string(profile), func(t *testing.T) { podLife(t, profile) })
	}
}

func podLife(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	var mu sync.Mutex
	var seen []string
	c := start(t, f, Config{Nodes: 3, Profile: profile, Hooks: Hooks{PodSeen: func(ns, name string, at history.Time) {
		mu.Lock()
		defer mu.Unlock()
		if at > history.Now() || at == 0 {
			t.Errorf("pod seen at %d", at)
		}
		seen = append(seen, ns+"/"+name)
	}}})
	f.addPod("web", "node-00001")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	p := f.podNamed("web")
	if p.Status.Phase != corev1.PodRunning || !isReady(p) || p.Status.PodIP != "10.128.1.2" || p.Status.HostIP != "10.32.0.1" {
		t.Errorf("status of the running pod: %+v", p.Status)
	}
	f.deletePod("web", 30)
	eventually(t, "pod is gone", func() bool { return f.podNamed("web") == nil && c.Stats().PodsHeld == 0 })
	eventually(t, "its deletion is acknowledged", func() bool { return c.Stats().PodDeletes == 1 })

	want := []string{"PATCH", "PATCH", "DELETE"}
	if profile == Kubelet {
		want = []string{
			"GET", "PATCH", "GET", "PATCH", // waiting, running
			"GET", "PATCH", "GET", "PATCH", "GET", "DELETE", // deletion seen, ended
		}
	}
	var got []string
	for _, line := range f.sent("pods/web") {
		got = append(got, strings.Fields(line)[0])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if last := f.patches[len(f.patches)-1]; !strings.Contains(last, `"phase":"Succeeded"`) || !strings.Contains(last, `"exitCode":0`) {
		t.Errorf("final status: %s", last)
	}
	if profile == Kubelet {
		if d := cmp.Diff(observation, f.patches[2]); d != "" {
			t.Errorf("first status of the deletion: %s", d)
		}
	}
	// The generation that the deletion has made is reported once.
	started := f.patches[0] // of kubelet it is of what is created as yet nothing
	if profile == Kubelet {
		started = f.patches[1]
	}
	if strings.Contains(started, `"user"`) != (profile == Kubelet) {
		t.Errorf("profile %s says %s of containers that run", profile, started)
	}
	if last := f.patches[len(f.patches)-1]; strings.Contains(last, `"observedGeneration"`) != (profile == Lean) {
		t.Errorf("observed generation in the final status: %s", last)
	}
	if d := cmp.Diff([]string{"default/web"}, seen); d != "" {
		t.Errorf("pods seen: %s", d)
	}
	if s := c.Stats(); s.PodsRunning != 0 || s.WriteErrors != 0 || s.NodesRegistered != 3 || s.NodesReady != 3 {
		t.Errorf("%+v", s)
	}
	watches := int64(3 + 1)
	if profile == Kubelet {
		watches = 3*4 + 1
	}
	eventually(t, "all watches are open", func() bool { return c.Stats().WatchesOpen == watches })
}

func TestContainersThatOutliveTheirGraceAreKilled(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean, StopTime: time.Minute})
	f.addPod("web", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	f.deletePod("web", 1)
	eventually(t, "pod is gone", func() bool { return f.podNamed("web") == nil })
	if last := f.patches[len(f.patches)-1]; !strings.Contains(last, `"phase":"Failed"`) || !strings.Contains(last, `"exitCode":137`) {
		t.Errorf("final status: %s", last)
	}
}

// TestForeignChangeIsRepaired does to a pod what the node lifecycle controller
// does to those of a node that it takes for dead.
func TestForeignChangeIsRepaired(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean})
	f.addPod("web", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	f.change("web", func(p *corev1.Pod) {
		for i := range p.Status.Conditions {
			if p.Status.Conditions[i].Type == corev1.PodReady {
				p.Status.Conditions[i].Status = corev1.ConditionFalse
			}
		}
	})
	eventually(t, "pod is ready again", func() bool { return isReady(f.podNamed("web")) })
}

// TestLostRaceIsRepaired has somebody write between the pod that a patch was
// made from and the patch.
func TestLostRaceIsRepaired(t *testing.T) {
	f := newFakeAPI(t)
	var once sync.Once
	f.rival = func(p *corev1.Pod) {
		once.Do(func() { p.Status.Conditions = nil })
	}
	start(t, f, Config{Profile: Lean})
	f.addPod("web", "node-00000")
	eventually(t, "pod is ready", func() bool { return isReady(f.podNamed("web")) })
}

// TestDeletionIsTriedUntilThePodIsGone lets DELETE fail in the ways in which it
// does: admission that has not heard of the pod yet, and trouble.
func TestDeletionIsTriedUntilThePodIsGone(t *testing.T) {
	f := newFakeAPI(t)
	answers := []int{404, 500}
	f.setRefuse(func(what string) int {
		if !strings.HasPrefix(what, "DELETE") || len(answers) == 0 {
			return 0
		}
		code := answers[0]
		answers = answers[1:]
		return code
	})
	c := start(t, f, Config{Profile: Lean})
	f.addPod("web", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	f.deletePod("web", 30)
	eventually(t, "pod is gone", func() bool { return f.podNamed("web") == nil })
	if n := len(f.sent("PATCH", "pods/web")); n != 2 {
		t.Errorf("%d status writes, want one at the start and one at the end", n)
	}
}

func TestAnotherPodOfThatNameIsLeftAlone(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean})
	f.addPod("web", "node-00000")
	w := podWriter{node: c.nodes[0], pod: pod{uid: "an older one", namespace: "default", name: "web"}}
	job := podJob{action: doFinish}
	if err := w.write(t.Context(), &job); !errors.Is(err, errReplaced) || !job.moot(err) {
		t.Errorf("%v", err)
	}
}

func TestWritesAreTriedAgain(t *testing.T) {
	f := newFakeAPI(t)
	for _, code := range []int{403, 500} {
		tries := 0
		f.setRefuse(func(what string) int {
			if !strings.HasPrefix(what, "PATCH") || !strings.Contains(what, "/pods/") {
				return 0
			}
			if tries++; tries > 2 {
				return 0
			}
			return code
		})
		c := start(t, f, Config{Profile: Lean})
		f.addPod("web", "node-00000")
		eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
		if got := c.Stats().WriteErrors; got != 2 {
			t.Errorf("status %d: %d write errors, want 2", code, got)
		}
		c.Stop()
		f.mu.Lock()
		f.gone(f.pods["web"])
		f.mu.Unlock()
	}
}

func TestWatchGoesOnWhereItWas(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean})
	f.addPod("a", "node-00000")
	f.addPod("b", "node-00000")
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 2 })
	before := len(f.sent("WATCH pods"))
	f.cut("pods")
	eventually(t, "watch is resumed", func() bool { return c.Stats().Reconnects == 1 })
	if got := f.sent("WATCH pods")[before]; strings.HasSuffix(got, "true") || strings.Contains(got, "  ") {
		t.Errorf("resumed with %q, want a version and no initial events", got)
	}
	if s := c.Stats(); s.Relists != 0 || s.PodsHeld != 2 {
		t.Errorf("%+v", s)
	}

	// Now the version is gone, and so is a pod.
	before = len(f.sent("WATCH pods"))
	var gone sync.Once
	f.setRefuse(func(what string) (code int) {
		if strings.HasPrefix(what, "WATCH pods") {
			gone.Do(func() { code = 410; delete(f.pods, "a") })
		}
		return code
	})
	f.cut("pods")
	eventually(t, "pods are listed again", func() bool { return c.Stats().Relists == 1 })
	if s := c.Stats(); s.PodsHeld != 1 || s.PodsRunning != 1 {
		t.Errorf("the pod that vanished is still held: %+v", s)
	}
	if got := f.sent("WATCH pods")[before+1]; !strings.HasSuffix(got, "true") {
		t.Errorf("listed again with %q, want initial events", got)
	}
}

func TestServerWithoutStreamedLists(t *testing.T) {
	f := newFakeAPI(t)
	// The first watch of everything asks for initial events; later ones do not.
	var refused sync.Map
	f.setRefuse(func(what string) int {
		if _, again := refused.LoadOrStore(what, true); strings.HasPrefix(what, "WATCH") && !again {
			return http.StatusUnprocessableEntity
		}
		return 0
	})
	f.addPod("old", "node-00000")
	c := start(t, f, Config{Profile: Lean})
	eventually(t, "the listed pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	eventually(t, "the pods are watched", func() bool { return c.Stats().WatchesOpen == 2 })
	f.addPod("new", "node-00000")
	eventually(t, "the watched pod is running", func() bool { return c.Stats().PodsRunning == 2 })
	if lists := f.sent("GET pods"); len(lists) != 1 {
		t.Errorf("lists of pods: %q", lists)
	}
}

// TestNodeTakenForDeadReports checks that a kubelet that sees its node not
// Ready reports at its next tick, and not in five minutes.
func TestNodeTakenForDeadReports(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean})
	n := c.nodes[0]
	due := func() time.Duration {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.statusTimer == nil {
			return 0
		}
		return time.Until(n.status.due)
	}
	eventually(t, "first report", func() bool { return due() > time.Minute })
	n.notice(wire.Node{Meta: wire.Meta{UID: "uid-of-node-00000"}, Ready: true})
	n.notice(wire.Node{Meta: wire.Meta{UID: "of an earlier node of that name"}})
	if due() < time.Minute {
		t.Error("a report was set for no reason")
	}
	n.notice(wire.Node{Meta: wire.Meta{UID: "uid-of-node-00000"}})
	if got := due(); got > statusTick {
		t.Errorf("report is due in %v", got)
	}
}

func TestNodesNotReadyAreNamed(t *testing.T) {
	var err error
	want := ""
	// Longer, as long as the machine is too busy for the other two to be ready.
	for timeout := 2 * time.Second; timeout < patience && (err == nil || !strings.Contains(err.Error(), want)); timeout *= 2 {
		f := newFakeAPI(t)
		f.taint = func(node string) bool { return node == "node-00002" }
		c := New(Config{Nodes: 3, Layer: f.layer, RegisterPerSecond: 1000, ReadyTimeout: timeout})
		err, want = c.Start(t.Context()), fmt.Sprintf("nodes not ready after %v: 1 of 3", timeout)
	}
	if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	eventually(t, "nothing is left running", func() bool { return goroutines() == 0 })
}

func TestStartEndsWithItsContext(t *testing.T) {
	f := newFakeAPI(t)
	f.taint = func(string) bool { return true }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := New(Config{Nodes: 2, Layer: f.layer}).Start(ctx)
	if err == nil || !strings.Contains(err.Error(), "2 of 2 missing: context canceled") {
		t.Errorf("%v", err)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Nodes: 5, StopTime: time.Hour})
	for _, name := range []string{"a", "b", "c"} {
		f.addPod(name, "node-00003")
	}
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 3 })
	f.deletePod("a", 3600) // a timer of an hour
	if goroutines() == 0 {
		t.Error("a running cluster has no goroutines: they are not counted right")
	}
	c.Stop()
	// A goroutine is still there for a moment after its last statement.
	eventually(t, "nothing is left running", func() bool { return goroutines() == 0 })
	for _, n := range c.nodes {
		if n.leaseTimer.Stop() || n.statusTimer.Stop() {
			t.Errorf("%s still has a timer", n.name)
		}
	}
	eventually(t, "the server has no watch left", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.streams) == 0
	})
	c.Stop()
}

func TestOwnConnections(t *testing.T) {
	f := newFakeAPI(t)
	var users sync.Map
	issue := func(user string, groups []string) (tls.Certificate, error) {
		users.Store(user+" "+strings.Join(groups, ","), true)
		return f.server.TLS.Certificates[0], nil // any will do: nobody looks at it
	}
	c := start(t, f, Config{Nodes: 2, OwnConnections: true, Certificate: issue})
	f.addPod("web", "node-00001")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	for _, want := range []string{"system:node:node-00000 system:nodes", "system:node:node-00001 system:nodes", "system:kube-proxy "} {
		if _, ok := users.Load(want); !ok {
			t.Errorf("no certificate was asked for %q", want)
		}
	}

	empty := newFakeAPI(t) // where no node is Ready yet
	cfg := Config{Nodes: 2, Layer: empty.layer, OwnConnections: true, Certificate: func(string, []string) (tls.Certificate, error) {
		return tls.Certificate{}, errors.New("no entropy")
	}}
	if err := New(cfg).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "issue client certificate of node-0000") || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("%v", err)
	}
}

func TestBadConfig(t *testing.T) {
	f := func(cfg Config, want string) {
		t.Helper()
		if err := New(cfg).Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(Config{}, "0 nodes: want 1 to 32768")
	f(Config{Nodes: MaxNodes + 1}, "32769 nodes")
	f(Config{Nodes: 1, PodsPerNode: 251}, "251 pods per node")
	f(Config{Nodes: 1, Zones: 27}, "27 zones: want 1 to 26")
	f(Config{Nodes: 1, Zones: -2}, "-2 zones")
	f(Config{Nodes: 1, RegisterPerSecond: -1}, "register -1 nodes per second")
	f(Config{Nodes: 1, Housekeeping: -1}, "a look at memory every -1ns")
	f(Config{Nodes: 1, PressureTransition: -time.Second}, "pressure for -1s after the last")
	f(Config{Nodes: 1}, "no client layer")
	api := newFakeAPI(t)
	f(Config{Nodes: 1, Layer: api.layer, OwnConnections: true}, "without a source of certificates")
	f(Config{Nodes: 1, Layer: api.layer, Profile: "full"}, `unknown profile "full"`)
}

func TestDrainIsBounded(t *testing.T) {
	var tasks tasks
	release := make(chan struct{})
	tasks.run(func() { <-release })
	tasks.end()
	if err := drain(time.Millisecond, nil, &tasks); err == nil {
		t.Error("all is said to be done, but a task still runs")
	}
	stopped := make(chan struct{})
	close(stopped)
	if err := drain(10*time.Second, stopped, &tasks); !errors.Is(err, errStopped) {
		t.Errorf("the wait outlives the cluster: %v", err)
	}
	close(release)
	if err := drain(patience, nil, &tasks); err != nil {
		t.Errorf("task has ended: %v", err)
	}
	tasks.run(func() { t.Error("a task was started after the end") })
}
