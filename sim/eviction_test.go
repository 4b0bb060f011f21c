package sim

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/planecheck/planecheck/checkers/history/wire"
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

// TestKubeletRestartsUnderPressure: what a kubelet knows of that is lost with it, and
// what the Node says stays.
func TestKubeletRestartsUnderPressure(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Housekeeping: time.Hour})
	settled(t, f, c)
	n := c.nodes[0]
	f.addPod("runs", "node-00000", bestEffort)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	must(t, c.PressMemory(0, "node-00000"))
	n.look(0)
	reportsSoon(t, n)
	restart := func() string {
		f.mu.Lock()
		reports := len(f.reports)
		f.mu.Unlock()
		must(t, c.RestartKubelets("node-00000"))
		eventually(t, "the new kubelet reports", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.reports) > reports
		})
		settled(t, f, c)
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.reports[reports]
	}
	if report := restart(); strings.Contains(report, "lastTransitionTime") || pressureOf(f, "node-00000") != short {
		t.Errorf("memory is still short, and the new kubelet reports %s", report)
	}
	f.addPod("refused", "node-00000", bestEffort)
	eventually(t, "a pod is refused", func() bool { return c.Stats().PodsEvicted == 1 })
	if phaseOf(f, "runs") != corev1.PodRunning || c.Stats().PodsRunning != 1 {
		t.Errorf("the pod that was there is %s", phaseOf(f, "runs"))
	}

	must(t, c.FreeMemory("node-00000"))
	n.look(0) // which is remembered for five minutes, but for
	if report := restart(); !strings.Contains(report, enough[len("False "):]) || pressureOf(f, "node-00000") != enough {
		t.Errorf("there is memory again, and the new kubelet reports %s", report)
	}
}

// TestCrashEndsThePressure takes the machine away, and with it what took its memory.
func TestCrashEndsThePressure(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Housekeeping: time.Hour})
	settled(t, f, c)
	n := c.nodes[0]
	must(t, c.PressMemory(9, "node-00000"))
	n.look(0)
	reportsSoon(t, n)
	must(t, c.Crash("node-00000"))
	must(t, c.PressMemory(9, "node-00000")) // nobody is there
	f.addPod("web", "node-00000", bestEffort)
	if got := pressureOf(f, "node-00000"); got != short {
		t.Errorf("MemoryPressure of the dead is %s", got)
	}
	must(t, c.Boot("node-00000"))
	eventually(t, "a pod is admitted", func() bool { return c.Stats().PodsRunning == 1 })
	if got := pressureOf(f, "node-00000"); got != enough {
		t.Errorf("MemoryPressure after the boot is %s", got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := f.reports[len(f.reports)-1]; !strings.Contains(last, "bootID") || !strings.Contains(last, "lastTransitionTime") {
		t.Errorf("the first report: %s", last)
	}
}

// evictUntold has a kubelet evict pod web, whose containers are killed, and report that
// in vain until release or letGo.
func evictUntold(t *testing.T, f *fakeAPI, c *Cluster) (release, letGo func()) {
	t.Helper()
	settled(t, f, c)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	patched := len(f.sent("PATCH", "pods/web"))
	must(t, c.PressMemory(1, "node-00000"))
	release, letGo = f.setHold("PATCH namespaces/default/pods/web")
	c.nodes[0].look(0)
	eventually(t, "the eviction is under way", func() bool { return len(f.sent("PATCH", "pods/web")) > patched })
	return release, letGo
}

// TestKubeletRestartsInAnEviction ends a kubelet that has told nobody: the next one
// finds containers that were killed, and knows not why.
func TestKubeletRestartsInAnEviction(t *testing.T) { bothProfiles(t, restartInAnEviction) }

func restartInAnEviction(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Housekeeping: time.Hour})
	f.addPod("web", "node-00000", bestEffort)
	release, letGo := evictUntold(t, f, c)
	defer release()
	if uids, err := c.Running("node-00000"); err != nil || len(uids) != 0 {
		t.Errorf("%q run that were killed, %v", uids, err)
	}
	before := f.podNamed("web")
	letGo() // but the report that is under way
	must(t, c.RestartKubelets("node-00000"))
	eventually(t, "its containers run again", func() bool { return f.container("web").RestartCount == 1 && c.Stats().PodsRunning == 1 })
	p, s := f.podNamed("web"), f.container("web")
	if end := s.LastTerminationState.Terminated; end == nil || end.ExitCode != 137 || end.ContainerID != before.Status.ContainerStatuses[0].ContainerID {
		t.Errorf("the last state is %+v", end)
	}
	if p.Status.Phase != corev1.PodRunning || p.Status.Reason != "" || !isReady(p) || c.Stats().PodsEvicted != 0 {
		t.Errorf("%+v, %+v", p.Status, c.Stats())
	}
	before = f.podNamed("web")
	settled(t, f, c)
	must(t, c.PressMemory(1, "node-00000"))
	c.nodes[0].look(0)
	eventually(t, "it is evicted", func() bool { return c.Stats().PodsEvicted == 1 })
	checkEvicted(t, before, f.podNamed("web"))
}

// TestANewKubeletFindsKilledContainers of a pod that is not to be started again: it has
// failed, and of the eviction nothing is left.
func TestANewKubeletFindsKilledContainers(t *testing.T) { bothProfiles(t, findsKilled) }

func findsKilled(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Housekeeping: time.Hour})
	f.addPod("web", "node-00000", bestEffort, ofJob)
	release, letGo := evictUntold(t, f, c)
	defer release()
	must(t, c.RestartKubelets("node-00000")) // whose report is held up, too
	eventually(t, "the new one reports", func() bool { return len(f.sent("PATCH", "pods/web")) > map[Profile]int{Lean: 2, Kubelet: 3}[profile] })
	letGo()
	must(t, c.RestartKubelets("node-00000"))
	eventually(t, "the pod has failed", func() bool { return phaseOf(f, "web") == corev1.PodFailed })
	s := f.podNamed("web").Status
	if end := s.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 137 || s.Reason != "" || s.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("%+v", s)
	}
	if c.Stats().PodsEvicted != 0 {
		t.Errorf("%+v", c.Stats())
	}
}

// TestDeletedAfterAnUntoldEviction deletes a pod before a new kubelet can say what it has
// found: its containers were killed all the same.
func TestDeletedAfterAnUntoldEviction(t *testing.T) { bothProfiles(t, deletedAfterUntold) }

func deletedAfterUntold(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Housekeeping: time.Hour, StopTime: time.Millisecond})
	f.addPod("web", "node-00000", bestEffort)
	release, letGo := evictUntold(t, f, c)
	defer release()
	f.deletePod("web", 30)
	eventually(t, "the kubelet knows", func() bool {
		c.nodes[0].mu.Lock()
		defer c.nodes[0].mu.Unlock()
		return c.nodes[0].pods.find("uid-of-web").state == podStopped
	})
	letGo()
	must(t, c.RestartKubelets("node-00000"))
	eventually(t, "pod is gone", func() bool { return f.podNamed("web") == nil && c.Stats().PodsHeld == 0 })
	last := f.lastPatch(`"uid":"uid-of-web"`)
	if !strings.Contains(last, `"phase":"Failed"`) || !strings.Contains(last, `"exitCode":137`) || strings.Contains(last, "Evicted") {
		t.Errorf("final status: %s", last)
	}
}

// TestFlipsEndInAnEviction ends the flips between the eviction of a pod that is not ready
// because of them and the end of its kubelet, before or after its next turn.
func TestFlipsEndInAnEviction(t *testing.T) { bothProfiles(t, flipsEndInAnEviction) }

func flipsEndInAnEviction(t *testing.T, profile Profile) {
	for _, passed := range []time.Duration{0, longest} {
		f := newFakeAPI(t)
		c := start(t, f, Config{Profile: profile, Housekeeping: time.Hour, Unready: Unready{Every: time.Hour, For: time.Hour, Share: 1}})
		n := c.nodes[0]
		f.addPod("web", "node-00000", bestEffort)
		eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
		c.Flip(true)
		n.pass(longest)
		becomes(t, f, c, false)
		release, letGo := evictUntold(t, f, c)
		n.pass(passed)
		c.Flip(false)
		letGo()
		must(t, c.RestartKubelets("node-00000"))
		eventually(t, "it runs", func() bool { return f.container("web").RestartCount == 1 && isReady(f.podNamed("web")) })
		becomes(t, f, c, true)
		if armed, _ := n.armed(); armed {
			t.Errorf("flips that were told to end, %v after the last one", passed)
		}
		release()
	}
}

// TestForgottenEviction ends a kubelet before the containers of a pod that it evicts are
// killed, and after: what has happened to them is left of it.
func TestForgottenEviction(t *testing.T) {
	for _, test := range []struct {
		takes  time.Duration
		killed bool
		state  podState
	}{{time.Hour, false, podUnknown}, {0, true, podCrashed}} {
		n := newNode(New(Config{StopTime: test.takes}), 0)
		n.life = newLife(t.Context())
		n.life.close() // nothing is written
		n.pods.lists = 1
		p := n.pods.add(&wire.Meta{UID: "u"})
		p.state, p.listed, p.unready = podRunning, 1, true
		n.evict(p)
		if !p.evicted || p.state != podEvicted || p.killed != test.killed || p.unready {
			t.Errorf("they take %v, while they do: %+v", test.takes, p)
		}
		n.endProcess()
		if p.evicted || p.state != test.state || p.killed != test.killed || p.down != test.killed {
			t.Errorf("they take %v, of a new process: %+v", test.takes, p)
		}
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

// TestContainersGetASecond has containers that would take an hour to stop, of a pod
// with a long grace period.
func TestContainersGetASecond(t *testing.T) {
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
