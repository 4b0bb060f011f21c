package sim

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// look has the kubelet look at its memory as it would after so long, and not again
// by itself.
func (n *node) look(after time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.housekeep(time.Now().Add(after))
	n.pressure.stop()
}

// reportsSoon has the kubelet report now what it is about to report within ten
// seconds, unless it has.
func reportsSoon(t *testing.T, n *node) {
	t.Helper()
	news := n.news()
	n.mu.Lock()
	due, l := time.Until(n.status.due), n.life
	n.statusTimer.Stop()
	n.mu.Unlock()
	if news.turned && due > statusTick {
		t.Errorf("the next report is due in %v", due)
	}
	n.reportStatus(l.ctx, false)
}

// pressureOf is the condition of a Node, as status and reason.
func pressureOf(f *fakeAPI, node string) string {
	for _, c := range f.nodeNamed(node).Status.Conditions {
		if c.Type == corev1.NodeMemoryPressure {
			return string(c.Status) + " " + c.Reason
		}
	}
	return ""
}

const (
	enough = "False KubeletHasSufficientMemory"
	short  = "True KubeletHasInsufficientMemory"
)

func bestEffort(p *corev1.Pod) { p.Status.QOSClass = corev1.PodQOSBestEffort }

// guaranteed is a pod that cannot use more memory than it has requested.
func guaranteed(p *corev1.Pod) {
	list := corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("64Mi")}
	p.Status.QOSClass = corev1.PodQOSGuaranteed
	p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list, Limits: list}
}

func TestEviction(t *testing.T) {
	for _, profile := range []Profile{Lean, Kubelet} {
		t.Run(string(profile), func(t *testing.T) { eviction(t, profile) })
	}
}

var evictedMessage = regexp.MustCompile(`^The node was low on resource: memory\. Threshold quantity: 100Mi, available: [0-9]+[KM]i\. ` +
	`Container app was using [0-9]+[KM]i, request is 0, has larger consumption of memory\. $`)

// eviction evicts one of two pods, and gives the node its memory back.
func eviction(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Nodes: 2, Housekeeping: time.Hour})
	settled(t, f, c)
	n := c.nodes[0]
	f.addPod("large", "node-00000", bestEffort)
	f.addPod("small", "node-00000", guaranteed)
	f.addPod("other", "node-00001", bestEffort)
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 3 })
	before, sent := f.podNamed("large"), len(f.sent("pods/large"))

	must(t, c.PressMemory(1, "node-00000"))
	n.look(0)
	eventually(t, "the eviction is acknowledged", func() bool { return c.Stats().PodsEvicted == 1 })
	want := []string{"GET", "PATCH"} // a pod that runs is nowhere remembered
	if profile == Kubelet {
		want = []string{"GET", "GET", "PATCH", "GET"}
		eventually(t, "the last look", func() bool { return len(f.sent("pods/large")) == sent+len(want) })
	}
	if d := cmp.Diff(want, requests(f, "large", sent)); d != "" {
		t.Error(d)
	}
	checkEvicted(t, before, f.podNamed("large"))
	reportsSoon(t, n)
	if got := pressureOf(f, "node-00000"); got != short {
		t.Errorf("MemoryPressure is %s", got)
	}
	n.look(time.Minute) // there were to be no more
	if s := c.Stats(); s.PodsRunning != 2 || s.PodsHeld != 3 || phaseOf(f, "small") != corev1.PodRunning {
		t.Errorf("%+v, the other pod is %s", s, phaseOf(f, "small"))
	}
	f.mu.Lock()
	f.gone(f.pods["large"]) // its owner is deleted
	f.mu.Unlock()
	eventually(t, "it is forgotten", func() bool { return c.Stats().PodsHeld == 2 })

	must(t, c.FreeMemory("node-00000"))
	n.look(5 * time.Minute)
	if n.news().turned {
		t.Error("the pressure is over before its time")
	}
	n.look(7 * time.Minute)
	reportsSoon(t, n)
	if got := pressureOf(f, "node-00000"); got != enough {
		t.Errorf("MemoryPressure is %s", got)
	}
	if got := pressureOf(f, "node-00001"); got != enough || phaseOf(f, "other") != corev1.PodRunning {
		t.Errorf("the other node: MemoryPressure is %s, its pod %s", got, phaseOf(f, "other"))
	}
}

// checkEvicted compares a pod with what it was before it was evicted.
func checkEvicted(t *testing.T, before, after *corev1.Pod) {
	t.Helper()
	s := after.Status
	if s.Phase != corev1.PodFailed || s.Reason != "Evicted" || !evictedMessage.MatchString(s.Message) || after.DeletionTimestamp != nil {
		t.Errorf("%s %s %q", s.Phase, s.Reason, s.Message)
	}
	if end := s.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 137 || end.Reason != "Error" || end.ContainerID == "" {
		t.Errorf("its container is in state %+v", s.ContainerStatuses[0].State)
	}
	seen := map[corev1.PodConditionType]string{}
	for _, condition := range s.Conditions {
		seen[condition.Type] = string(condition.Status) + " " + condition.Reason
		if condition.Type == corev1.DisruptionTarget && (condition.Message != s.Message || condition.ObservedGeneration != after.Generation) {
			t.Errorf("%+v", condition)
		}
	}
	if d := cmp.Diff(map[corev1.PodConditionType]string{"DisruptionTarget": "True TerminationByKubelet",
		"PodReadyToStartContainers": "False PodSandboxNotReady", "Initialized": "True ", "Ready": "False PodFailed",
		"ContainersReady": "False PodFailed", "PodScheduled": "True "}, seen); d != "" {
		t.Error(d)
	}
	if s.PodIP != before.Status.PodIP || s.StartTime.String() != before.Status.StartTime.String() {
		t.Errorf("address %s, started %v; before %s, %v", s.PodIP, s.StartTime, before.Status.PodIP, before.Status.StartTime)
	}
}

// TestOneEvictionAfterTheOther has a kubelet go on by itself: the next pod is
// evicted once the one before has ended.
func TestOneEvictionAfterTheOther(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean, Housekeeping: time.Millisecond, PressureTransition: time.Millisecond})
	settled(t, f, c)
	for _, name := range []string{"a", "b", "c"} {
		f.addPod(name, "node-00000", bestEffort)
	}
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 3 })
	release, _ := f.setHold("PATCH namespaces/default/pods/")
	must(t, c.PressMemory(2, "node-00000"))
	eventually(t, "an eviction is under way", func() bool { return len(f.sent("PATCH", "pods/")) == 4 })
	n := c.nodes[0]
	n.mu.Lock()
	left, running := n.pressure.left, c.Stats().PodsRunning
	n.mu.Unlock()
	if left != 1 || running != 2 {
		t.Errorf("%d evictions are left and %d pods run while the first is under way", left, running)
	}
	release()
	eventually(t, "both are evicted", func() bool { return c.Stats().PodsEvicted == 2 })
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pressure.left != 0 || c.Stats().PodsRunning != 1 {
		t.Errorf("%d evictions are left, %d pods run", n.pressure.left, c.Stats().PodsRunning)
	}
}

// TestCleanupIsBounded has a pod that does not end hold up the next eviction, for
// half a minute.
func TestCleanupIsBounded(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean, Housekeeping: time.Hour})
	settled(t, f, c)
	for _, name := range []string{"a", "b"} {
		f.addPod(name, "node-00000", bestEffort)
	}
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 2 })
	release, _ := f.setHold("PATCH namespaces/default/pods/")
	defer release()
	must(t, c.PressMemory(2, "node-00000"))
	for _, look := range []struct {
		after   time.Duration
		running int64
	}{{0, 1}, {time.Second, 1}, {29 * time.Second, 1}, {31 * time.Second, 0}} {
		if c.nodes[0].look(look.after); c.Stats().PodsRunning != look.running {
			t.Errorf("%d pods run after %v, want %d", c.Stats().PodsRunning, look.after, look.running)
		}
	}
}

// TestRefusals has pods of every kind arrive at a node under pressure.
func TestRefusals(t *testing.T) {
	for _, profile := range []Profile{Lean, Kubelet} {
		t.Run(string(profile), func(t *testing.T) { refusals(t, profile) })
	}
}

func refusals(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Housekeeping: time.Hour})
	settled(t, f, c)
	n := c.nodes[0]
	must(t, c.PressMemory(0, "node-00000"))
	n.look(0)
	scheduled := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "True"}}
	}
	critical := func(p *corev1.Pod) { p.Spec.Priority = new(int32(systemCritical)) }
	tolerant := func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists}}
	}
	f.addPod("refused", "node-00000", scheduled, bestEffort)
	f.addPod("guaranteed", "node-00000", scheduled, guaranteed)
	f.addPod("critical", "node-00000", scheduled, bestEffort, critical)
	f.addPod("tolerant", "node-00000", scheduled, bestEffort, tolerant)
	eventually(t, "three pods run", func() bool { return c.Stats().PodsRunning == 3 })
	eventually(t, "one has failed", func() bool { return c.Stats().PodsEvicted == 1 })
	s := f.podNamed("refused").Status
	if s.Phase != corev1.PodFailed || s.Reason != "Evicted" || s.Message != "Pod was rejected: The node had condition: [MemoryPressure]. " ||
		s.StartTime == nil || s.PodIP != "" || s.HostIP != "" || len(s.Conditions)+len(s.ContainerStatuses) > 0 {
		t.Errorf("%+v", s)
	}
	want := []string{"PATCH"}
	if profile == Kubelet {
		want = []string{"GET", "PATCH"}
	}
	if d := cmp.Diff(want, requests(f, "refused", 0)); d != "" {
		t.Error(d)
	}
	must(t, c.FreeMemory("node-00000"))
	n.look(pressureTransition + time.Minute)
	f.addPod("late", "node-00000", scheduled, bestEffort)
	eventually(t, "all but one run", func() bool { return c.Stats().PodsRunning == 4 })
	if c.Stats().PodsHeld != 5 {
		t.Errorf("%+v", c.Stats())
	}
}

// TestDeletedWhileItIsEvicted deletes a pod whose eviction could not be reported:
// its last status says so.
func TestDeletedWhileItIsEvicted(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Housekeeping: time.Hour})
	settled(t, f, c)
	f.addPod("web", "node-00000", bestEffort)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	patched := len(f.sent("PATCH", "pods/web"))
	f.setRefuse(func(what string) int {
		if strings.Contains(what, "PATCH namespaces/default/pods/web") && f.pods["web"].DeletionTimestamp == nil {
			return 500
		}
		return 0
	})
	must(t, c.PressMemory(1, "node-00000"))
	c.nodes[0].look(0)
	eventually(t, "the eviction is refused", func() bool { return len(f.sent("PATCH", "pods/web")) > patched })
	f.deletePod("web", 30)
	eventually(t, "pod is gone", func() bool { return f.podNamed("web") == nil && c.Stats().PodsHeld == 0 })
	last := f.lastPatch(`"uid":"uid-of-web"`)
	for _, part := range []string{`"phase":"Failed"`, `"reason":"Evicted"`, `"reason":"TerminationByKubelet"`, `"exitCode":137`} {
		if !strings.Contains(last, part) {
			t.Errorf("no %s in the final status %s", part, last)
		}
	}
}

func TestExitTime(t *testing.T) {
	for stop, want := range map[time.Duration]time.Duration{
		0: 0, time.Second: time.Second, 1500 * time.Millisecond: 1500 * time.Millisecond, 2 * time.Second: 2 * time.Second, time.Hour: 2 * time.Second,
	} {
		if got := exitTime(stop); got != want {
			t.Errorf("of %v: %v, want %v", stop, got, want)
		}
	}
}

// TestContainersGetLittleTime has containers that would take an hour to stop, of a pod
// with a long grace period.
func TestContainersGetLittleTime(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Kubelet, Housekeeping: time.Hour, StopTime: time.Hour})
	settled(t, f, c)
	f.addPod("web", "node-00000", bestEffort)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	before, sent := f.podNamed("web"), len(f.sent("pods/web"))
	must(t, c.PressMemory(1, "node-00000"))
	c.nodes[0].look(0)
	uids, err := c.Running("node-00000")
	if must(t, err); len(uids) != 1 {
		t.Errorf("%q run while they stop", uids)
	}
	eventually(t, "the eviction is acknowledged", func() bool { return c.Stats().PodsEvicted == 1 })
	checkEvicted(t, before, f.podNamed("web"))
	if got := requests(f, "web", sent); got[0] != "GET" || got[1] != "GET" || got[2] != "PATCH" {
		t.Errorf("%q", got)
	}
}

func TestPressMemoryOfNobody(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{})
	for _, err := range []error{c.PressMemory(-1, "node-00000"), c.PressMemory(1, "node-00001"), c.FreeMemory("x")} {
		if err == nil {
			t.Error("what cannot be is done")
		}
	}
	if c.nodes[0].pressure.low {
		t.Error("something was done")
	}
}
