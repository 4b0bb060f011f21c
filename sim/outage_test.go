package sim

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/planecheck/planecheck/checkers/history"
)

// watching counts the open watches of what begins with prefix.
func (f *fakeAPI) watching(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	count := 0
	for _, of := range f.streams {
		if strings.HasPrefix(of, prefix) {
			count++
		}
	}
	return count
}

// setHold has the requests that contain part wait, until release is called or
// they are given up. letGo has later ones pass, and those that wait go on waiting.
func (f *fakeAPI) setHold(part string) (release, letGo func()) {
	wait := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hold = func(what string) <-chan struct{} {
		if strings.Contains(what, part) {
			return wait
		}
		return nil
	}
	letGo = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.hold = func(string) <-chan struct{} { return nil }
	}
	return sync.OnceFunc(func() { letGo(); close(wait) }), letGo
}

func (f *fakeAPI) nodeNamed(name string) *corev1.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[name]
}

func (f *fakeAPI) leaseOf(node string) *coordinationv1.Lease {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leases[node]
}

// lastPatch is the last one that contains what.
func (f *fakeAPI) lastPatch(what string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range slices.Backward(f.patches) {
		if strings.Contains(p, what) {
			return p
		}
	}
	return ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settled waits until the kubelets of all nodes have opened all of their watches,
// which is the last thing that they do when they start.
func settled(t *testing.T, f *fakeAPI, c *Cluster) {
	t.Helper()
	eventually(t, "all watches are open", func() bool {
		up := c.cfg.Nodes - int(c.Stats().NodesDown)
		watches := 1 + up
		if c.behaviour.kubeProxy {
			watches = 1 + 4*up
		}
		return f.watching("") == watches
	})
}

// requests are the verbs of those to the pod after the first skip ones.
func requests(f *fakeAPI, pod string, skip int) []string {
	var verbs []string
	for _, line := range f.sent("pods/" + pod)[skip:] {
		verbs = append(verbs, strings.Fields(line)[0])
	}
	return verbs
}

func TestCrashStopsEverything(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Nodes: 3, StopTime: time.Hour})
	settled(t, f, c)
	for _, name := range []string{"web", "stopping"} {
		f.addPod(name, "node-00001")
	}
	f.addPod("other", "node-00002")
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 3 })
	f.deletePod("stopping", 3600)
	eventually(t, "deletion is observed", func() bool { return f.podNamed("stopping").Status.ObservedGeneration == 2 })
	n := c.nodes[1]
	n.mu.Lock()
	timers := []*time.Timer{n.leaseTimer, n.statusTimer}
	n.mu.Unlock()
	lives := n.lives()
	if len(lives) != 2 {
		t.Fatalf("%d processes", len(lives))
	}

	must(t, c.Crash("node-00001"))
	for _, timer := range timers {
		if timer.Stop() {
			t.Error("a timer of the dead node is still set")
		}
	}
	for _, l := range lives {
		l.run(func() { t.Error("a dead process did something") })
		if l.ctx.Err() == nil {
			t.Error("a dead process goes on")
		}
	}
	if s := c.Stats(); s.NodesDown != 1 || s.PodsHeld != 1 || s.PodsRunning != 1 {
		t.Errorf("%+v", s)
	}
	settled(t, f, c) // that is, its watches are gone
	if got := f.watching("pods?spec.nodeName=node-00001"); got != 0 {
		t.Errorf("%d watches of its pods", got)
	}
	must(t, c.Crash("node-00001", "node-00001")) // it is down already
	if got := c.Stats().NodesDown; got != 1 {
		t.Errorf("%d nodes down", got)
	}
}

// TestBoot crashes a node with pods of every kind, and changes them while it is
// down.
func TestBoot(t *testing.T) {
	for _, profile := range []Profile{Lean, Kubelet} {
		t.Run(string(profile), func(t *testing.T) { boot(t, profile) })
	}
}

func boot(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	var mu sync.Mutex
	var seen []string
	c := start(t, f, Config{Profile: profile, Hooks: Hooks{PodSeen: func(_, name string, _ history.Time) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, name)
	}}})
	settled(t, f, c)
	for _, name := range []string{"runs", "deleted", "gone", "job"} {
		f.addPod(name, "node-00000")
	}
	f.change("job", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever })
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 4 })
	before, firstBoot := f.podNamed("runs"), f.nodeNamed("node-00000").Status.NodeInfo.BootID
	firstLease := f.leaseOf("node-00000").Spec.RenewTime
	must(t, c.Crash("node-00000"))

	f.deletePod("deleted", 30)
	f.mu.Lock()
	f.gone(f.pods["gone"])
	f.mu.Unlock()
	f.addPod("new", "node-00000")
	sent := map[string]int{}
	for _, name := range []string{"runs", "deleted", "gone", "job", "new"} {
		sent[name] = len(f.sent("pods/" + name))
	}
	must(t, c.Boot("node-00000"))
	eventually(t, "pods run again", func() bool { return c.Stats().PodsRunning == 2 && f.podNamed("deleted") == nil })
	eventually(t, "the job has failed", func() bool { return f.podNamed("job").Status.Phase == corev1.PodFailed })
	eventually(t, "the deletion is acknowledged, and seen", func() bool { s := c.Stats(); return s.PodDeletes == 1 && s.PodsHeld == 3 })

	checkRestarted(t, before, f.podNamed("runs"), 1)
	if s := f.podNamed("new").Status.ContainerStatuses[0]; s.RestartCount != 0 || s.LastTerminationState.Terminated != nil {
		t.Errorf("a pod that never ran before: %+v", s)
	}
	if s := f.podNamed("job").Status.ContainerStatuses[0]; s.State.Terminated == nil || s.State.Terminated.Reason != "ContainerStatusUnknown" || s.RestartCount != 1 {
		t.Errorf("container of the pod with restartPolicy Never: %+v", s)
	}
	if last := f.lastPatch(`"uid":"uid-of-deleted"`); !strings.Contains(last, `"phase":"Failed"`) ||
		!strings.Contains(last, "ContainerStatusUnknown") || !strings.Contains(last, `"restartCount":0`) {
		t.Errorf("final status of the deleted pod: %s", last)
	}
	want := map[string][]string{"runs": {"PATCH"}, "deleted": {"PATCH", "DELETE"}, "job": {"PATCH"}, "new": {"PATCH"}}
	if profile == Kubelet {
		steps := []string{"GET", "PATCH", "GET", "PATCH"}
		want = map[string][]string{"runs": steps, "deleted": {"GET", "PATCH", "GET", "DELETE"}, "job": {"GET", "PATCH"}, "new": steps}
	}
	for name, skip := range sent {
		if d := cmp.Diff(want[name], requests(f, name, skip)); d != "" {
			t.Errorf("requests for pod %s: %s", name, d)
		}
	}
	if got := f.nodeNamed("node-00000").Status.NodeInfo.BootID; got == firstBoot || got != bootID(0, 1, 1) {
		t.Errorf("bootID %q, before %q", got, firstBoot)
	}
	if !f.leaseOf("node-00000").Spec.RenewTime.After(firstLease.Time) {
		t.Error("the lease was not renewed")
	}
	if d := cmp.Diff([]string{"deleted", "gone", "job", "new", "runs"}, slices.Sorted(slices.Values(seen))); d != "" {
		t.Errorf("pods seen for the first time: %s", d)
	}
	if s := c.Stats(); s.NodesDown != 0 || s.NodesRegistered != 1 || s.PodsHeld != 3 || s.WriteErrors != 0 {
		t.Errorf("%+v", s)
	}
}

// checkRestarted compares a pod with what it was before its node crashed, so
// many times.
func checkRestarted(t *testing.T, before, after *corev1.Pod, times int32) {
	t.Helper()
	was, is := before.Status.ContainerStatuses[0], after.Status.ContainerStatuses[0]
	if is.RestartCount != was.RestartCount+times || is.ContainerID == was.ContainerID || is.State.Running == nil || !is.Ready {
		t.Errorf("container after %d crashes: %+v", times, is)
	}
	if last := is.LastTerminationState.Terminated; last == nil || last.Reason != "ContainerStatusUnknown" || last.ExitCode != 137 {
		t.Errorf("its last state: %+v", last)
	}
	if after.Status.Phase != corev1.PodRunning || !isReady(after) || after.Status.PodIP != before.Status.PodIP || after.UID != before.UID {
		t.Errorf("pod after %d crashes: %+v", times, after.Status)
	}
}

// TestRestartIsRemembered has a later status repeat what the one after the
// reboot said of the containers, also from a kubelet that is new since.
func TestRestartIsRemembered(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean})
	settled(t, f, c)
	f.addPod("web", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	first := f.podNamed("web")
	must(t, c.SetClock("node-00000", time.Hour)) // so that the second run cannot begin when the first did
	for range 2 {
		must(t, c.Crash("node-00000"))
		must(t, c.Boot("node-00000"))
		eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	}
	second := f.podNamed("web")
	checkRestarted(t, first, second, 2)
	if run := second.Status.ContainerStatuses[0].State.Running; run.StartedAt.Sub(second.Status.StartTime.Time) < time.Hour {
		t.Errorf("pod started at %v, its second containers at %v", second.Status.StartTime, run.StartedAt)
	}
	must(t, c.SetClock("node-00000", 2*time.Hour))
	must(t, c.RestartKubelets("node-00000"))
	settled(t, f, c)
	f.change("web", notReady)
	eventually(t, "pod is ready again", func() bool { return isReady(f.podNamed("web")) })
	if d := cmp.Diff(second.Status.ContainerStatuses, f.podNamed("web").Status.ContainerStatuses); d != "" {
		t.Error(d)
	}
}

// notReady does what the node lifecycle controller does to the pods of a node
// that it takes for dead.
func notReady(p *corev1.Pod) {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == corev1.PodReady {
			p.Status.Conditions[i].Status = corev1.ConditionFalse
		}
	}
}

// TestBootOfANodeTakenForDead checks that the first report makes all
// conditions good again, and that it is one.
func TestBootOfANodeTakenForDead(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{})
	settled(t, f, c)
	must(t, c.Crash("node-00000"))
	f.mu.Lock()
	dead := f.nodes["node-00000"].DeepCopy()
	for i := range dead.Status.Conditions {
		dead.Status.Conditions[i].Status, dead.Status.Conditions[i].Reason = "Unknown", "NodeStatusUnknown"
	}
	f.nodes[dead.Name] = dead
	f.emit("MODIFIED", "nodes", dead)
	reports := len(f.reports)
	f.mu.Unlock()
	eventually(t, "the node is not ready", func() bool { return c.Stats().NodesReady == 0 })
	must(t, c.Boot("node-00000"))
	eventually(t, "the node is ready", func() bool { return c.Stats().NodesReady == 1 })
	settled(t, f, c)
	for _, condition := range f.nodeNamed("node-00000").Status.Conditions {
		if condition.Reason == "NodeStatusUnknown" {
			t.Errorf("condition %+v", condition)
		}
	}
	if got := len(f.reports) - reports; got != 1 {
		t.Errorf("%d reports", got)
	}
}

func TestRestartKubelets(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Nodes: 3})
	settled(t, f, c)
	for _, pod := range []string{"web", "gone", "changed"} {
		f.addPod(pod, "node-00000")
	}
	f.addPod("other", "node-00002")
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 4 })
	must(t, c.Crash("node-00001")) // it has no kubelet to restart
	settled(t, f, c)
	before, mark := f.podNamed("web"), len(f.sent())
	sent := map[string]int{"web": len(f.sent("pods/web")), "gone": len(f.sent("pods/gone"))}
	f.mu.Lock()
	reports := len(f.reports)
	delete(f.pods, "gone") // and no watch says so
	changed := f.pods["changed"].DeepCopy()
	notReady(changed)
	f.touch(changed)
	f.pods["changed"] = changed
	f.mu.Unlock()

	must(t, c.RestartKubelets(c.Nodes()...))
	settled(t, f, c)
	eventually(t, "the pod that vanished is forgotten", func() bool { return c.Stats().PodsHeld == 3 })
	eventually(t, "the changed pod is repaired", func() bool { return isReady(f.podNamed("changed")) })
	eventually(t, "the pod is looked at", func() bool { return len(f.sent("pods/web")) > sent["web"] })
	f.change("web", notReady) // a write that comes behind all that the restart had for this pod
	eventually(t, "the pod is repaired", func() bool { return isReady(f.podNamed("web")) })

	if d := cmp.Diff([]string{"GET", "GET", "PATCH"}, requests(f, "web", sent["web"])); d != "" {
		t.Errorf("requests for a pod that runs on: %s", d)
	}
	if got := requests(f, "gone", sent["gone"]); len(got) != 0 {
		t.Errorf("requests for a pod that is gone: %q", got)
	}
	if d := cmp.Diff(before.Status.ContainerStatuses, f.podNamed("web").Status.ContainerStatuses); d != "" {
		t.Errorf("containers: %s", d)
	}
	eventually(t, "all lists are complete", func() bool { return c.Stats().Relists == 4 })
	count := map[string]int{}
	for _, line := range f.sent()[mark:] {
		if strings.HasPrefix(line, "WATCH") {
			if count[line]++; !strings.HasSuffix(line, "  true") {
				t.Errorf("%q, want the initial events", line)
			}
		}
	}
	if len(count) != 4 { // pods and own Node of two kubelets; kube-proxies go on
		t.Errorf("watches opened: %v", count)
	}
	for _, report := range f.reports[reports:] {
		if strings.Contains(report, "lastTransitionTime") || strings.Contains(report, "bootID") {
			t.Errorf("a heartbeat with more than that: %s", report)
		}
	}
	if s := c.Stats(); s.PodsRunning != 3 || s.NodesDown != 1 || s.NodesRegistered != 3 || s.PodDeletes != 0 {
		t.Errorf("%+v", s)
	}
}

// TestKubeletRestartsInTheMiddle restarts a kubelet while one pod is starting
// and another is stopping.
func TestKubeletRestartsInTheMiddle(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{StopTime: time.Hour})
	settled(t, f, c)
	f.addPod("stops", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	f.deletePod("stops", 1)
	eventually(t, "deletion is observed", func() bool { return f.podNamed("stops").Status.ObservedGeneration == 2 })
	release, _ := f.setHold("PATCH namespaces/default/pods/starts")
	f.addPod("starts", "node-00000")
	eventually(t, "start is under way", func() bool { return len(f.sent("PATCH", "pods/starts")) == 1 })
	must(t, c.RestartKubelets("node-00000"))
	release()
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	eventually(t, "pod is gone", func() bool { return f.podNamed("stops") == nil })
	if s := f.podNamed("starts").Status.ContainerStatuses[0]; s.RestartCount != 0 || s.State.Running == nil {
		t.Errorf("container that was being started: %+v", s)
	}
	if last := f.lastPatch(`"uid":"uid-of-stops"`); !strings.Contains(last, `"exitCode":137`) || strings.Contains(last, "ContainerStatusUnknown") {
		t.Errorf("final status of the pod that was being stopped: %s", last)
	}
}

// TestKubeletRestartsAfterABoot restarts it before it has reported the new
// containers: that is not one more restart of theirs.
func TestKubeletRestartsAfterABoot(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{})
	settled(t, f, c)
	f.addPod("web", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	before, sent := f.podNamed("web"), len(f.sent("PATCH", "pods/web"))
	must(t, c.Crash("node-00000"))
	release, letGo := f.setHold("PATCH namespaces/default/pods/web")
	defer release()
	must(t, c.Boot("node-00000"))
	eventually(t, "restart is under way", func() bool { return len(f.sent("PATCH", "pods/web")) > sent })
	letGo() // the write that is under way is lost
	must(t, c.RestartKubelets("node-00000"))
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	checkRestarted(t, before, f.podNamed("web"), 1)
}
