package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// crashing is a pod whose containers run for five minutes, which is too short for the
// back-off to be forgotten, and exit with 3.
func crashing(p *corev1.Pod) {
	p.Annotations = map[string]string{"planecheck.dev/run-for": "5m", "planecheck.dev/exit-code": "3"}
}

// container is the first one of a pod, zero before it is told of.
func (f *fakeAPI) container(pod string) corev1.ContainerStatus {
	if all := f.podNamed(pod).Status.ContainerStatuses; len(all) > 0 {
		return all[0]
	}
	return corev1.ContainerStatus{}
}

// runs waits until a pod runs that was started again so many times, and is on its course.
func runs(t *testing.T, f *fakeAPI, c *Cluster, restarts int32) corev1.ContainerStatus {
	t.Helper()
	eventually(t, "the containers run", func() bool {
		s := f.container("web")
		armed, _ := c.nodes[0].armed()
		return s.RestartCount == restarts && s.State.Running != nil && isReady(f.podNamed("web")) && c.Stats().PodsRunning == 1 && armed
	})
	return f.container("web")
}

// waits waits until the containers are told to wait.
func waits(t *testing.T, f *fakeAPI, restarts int32) corev1.ContainerStatus {
	t.Helper()
	eventually(t, "the containers wait", func() bool {
		s := f.container("web")
		return s.RestartCount == restarts && s.State.Waiting != nil
	})
	return f.container("web")
}

// exits waits until they are told to have exited.
func exits(t *testing.T, f *fakeAPI, restarts int32) corev1.ContainerStatus {
	t.Helper()
	eventually(t, "the containers have exited", func() bool {
		s := f.container("web")
		return s.RestartCount == restarts && s.State.Terminated != nil
	})
	return f.container("web")
}

// ownEnd compares a last state with the run that it is of.
func ownEnd(t *testing.T, run, now corev1.ContainerStatus) {
	t.Helper()
	last := now.LastTerminationState.Terminated
	if last == nil || last.ExitCode != 3 || last.Reason != "Error" || last.ContainerID != run.ContainerID ||
		!last.StartedAt.Equal(&run.State.Running.StartedAt) || last.FinishedAt.IsZero() {
		t.Errorf("the last state is %+v, of the run %+v", last, run)
	}
}

// startCrashing has one such pod run.
func startCrashing(t *testing.T, profile Profile) (*fakeAPI, *Cluster) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile})
	f.addPod("web", "node-00000", crashing)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	settled(t, f, c)
	return f, c
}

// crashTwice leads to the back-off: the first time containers are started at once.
func crashTwice(t *testing.T, f *fakeAPI, c *Cluster) corev1.ContainerStatus {
	t.Helper()
	c.nodes[0].pass(5 * time.Minute)
	second := runs(t, f, c, 1)
	c.nodes[0].pass(5 * time.Minute)
	if c.behaviour.endsInSteps {
		exits(t, f, 1)
	} else {
		waits(t, f, 1)
	}
	return second
}

func bothProfiles(t *testing.T, f func(*testing.T, Profile)) {
	for _, profile := range []Profile{Lean, Kubelet} {
		t.Run(string(profile), func(t *testing.T) { f(t, profile) })
	}
}

func TestContainersAreStartedAgain(t *testing.T) { bothProfiles(t, startedAgain) }

func startedAgain(t *testing.T, profile Profile) {
	f, c := startCrashing(t, profile)
	first := runs(t, f, c, 0)
	second := startedAtOnce(t, f, c, first)
	third := startedAfterAWait(t, f, c, second)
	if got := c.Stats().PodRestarts; got != 2 {
		t.Errorf("%d restarts", got)
	}
	f.change("web", notReady)
	eventually(t, "pod is ready again", func() bool { return isReady(f.podNamed("web")) })
	if d := cmp.Diff(third, f.container("web")); d != "" {
		t.Errorf("after a repair: %s", d)
	}
}

// startedAtOnce has the first run end, and returns the second one.
func startedAtOnce(t *testing.T, f *fakeAPI, c *Cluster, first corev1.ContainerStatus) corev1.ContainerStatus {
	t.Helper()
	sent := len(f.sent("pods/web"))
	c.nodes[0].pass(5 * time.Minute)
	second := runs(t, f, c, 1)
	ownEnd(t, first, second)
	if second.ContainerID == first.ContainerID || c.Stats().PodsHeld != 1 {
		t.Errorf("the second run: %+v", second)
	}
	want := []string{"GET", "PATCH"} // running
	if c.behaviour.endsInSteps {
		want = []string{"GET", "PATCH", "GET", "PATCH"} // exited, running
		exited := f.patches[len(f.patches)-2]
		for _, part := range []string{`"terminated":{"containerID"`, `"exitCode":3`, `"ready":false`, `"reason":"ContainersNotReady"`, `unready status: [app]`} {
			if !strings.Contains(exited, part) {
				t.Errorf("no %s in %s", part, exited)
			}
		}
	}
	if d := cmp.Diff(want, requests(f, "web", sent)); d != "" {
		t.Errorf("requests of the first time: %s", d)
	}
	return second
}

// startedAfterAWait has the second run end, and returns the third one.
func startedAfterAWait(t *testing.T, f *fakeAPI, c *Cluster, second corev1.ContainerStatus) corev1.ContainerStatus {
	t.Helper()
	sent := len(f.sent("pods/web"))
	c.nodes[0].pass(5 * time.Minute)
	if c.behaviour.endsInSteps {
		exits(t, f, 1)
		if isReady(f.podNamed("web")) || phaseOf(f, "web") != corev1.PodRunning {
			t.Errorf("a pod whose containers have exited: %+v", f.podNamed("web").Status)
		}
	} else {
		ownEnd(t, second, backsOff(t, f, 1, "10s"))
	}
	c.nodes[0].pass(15 * time.Second)
	third := runs(t, f, c, 2)
	ownEnd(t, second, third)
	want := []string{"GET", "PATCH", "GET", "PATCH"} // waiting, running
	if c.behaviour.endsInSteps {
		want = []string{"GET", "PATCH", "GET", "PATCH", "GET", "PATCH"} // exited, waiting, running
		if last := f.lastPatch("CrashLoopBackOff"); !strings.Contains(last, "back-off 10s restarting failed container=app pod=web_default(uid-of-web)") {
			t.Errorf("the report that they wait: %s", last)
		}
	}
	if d := cmp.Diff(want, requests(f, "web", sent)); d != "" {
		t.Errorf("requests of the second time: %s", d)
	}
	return third
}

// backsOff checks a pod whose containers wait, for so long.
func backsOff(t *testing.T, f *fakeAPI, restarts int32, wait string) corev1.ContainerStatus {
	t.Helper()
	s := waits(t, f, restarts)
	p := f.podNamed("web")
	message := "back-off " + wait + " restarting failed container=app pod=web_default(uid-of-web)"
	if w := s.State.Waiting; w.Reason != "CrashLoopBackOff" || w.Message != message || s.Ready || *s.Started || s.ContainerID == "" {
		t.Errorf("a container that waits: %+v", s)
	}
	for _, condition := range p.Status.Conditions {
		want := map[corev1.PodConditionType]string{"PodReadyToStartContainers": "True  ", "Initialized": "True  ",
			"Ready":           "False ContainersNotReady containers with unready status: [app]",
			"ContainersReady": "False ContainersNotReady containers with unready status: [app]", "PodScheduled": "True  "}
		if got := string(condition.Status) + " " + condition.Reason + " " + condition.Message; got != want[condition.Type] {
			t.Errorf("condition %s is %q, want %q", condition.Type, got, want[condition.Type])
		}
	}
	if p.Status.Phase != corev1.PodRunning || p.Status.PodIP == "" {
		t.Errorf("a pod whose containers wait: %+v", p.Status)
	}
	return s
}

// lookEarly has the kubelet look at a pod as soon as its containers have exited.
func (n *node) lookEarly() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.courses[0].exited, n.courses[0].due = time.Now(), time.Now()
	n.turn(time.Now())
}

// TestALongBackOff is looked at before it is over, and grows; a long run ends it.
func TestALongBackOff(t *testing.T) {
	f, c := startCrashing(t, Kubelet)
	n := c.nodes[0]
	crashTwice(t, f, c)
	for restarts := int32(2); restarts <= 4; restarts++ { // after 10 s, 20 s and 40 s
		n.pass(2 * time.Minute)
		runs(t, f, c, restarts)
		n.pass(5 * time.Minute)
		exits(t, f, restarts)
	}
	sent := len(f.sent("pods/web"))
	n.lookEarly()
	backsOff(t, f, 4, "1m20s")
	n.pass(2 * time.Minute)
	runs(t, f, c, 5)
	if d := cmp.Diff([]string{"GET", "PATCH", "GET", "PATCH"}, requests(f, "web", sent)); d != "" { // waiting, running
		t.Errorf("requests: %s", d)
	}
	n.mu.Lock()
	n.courses[0].backoff.since = time.Now().Add(-time.Hour) // it has run for so long
	n.mu.Unlock()
	n.pass(5 * time.Minute)
	runs(t, f, c, 6)
}

// TestALookBeforeTheExitIsTold has the report that containers have exited take until
// they are due: that they have waited is told all the same.
func TestALookBeforeTheExitIsTold(t *testing.T) {
	f, c := startCrashing(t, Kubelet)
	n := c.nodes[0]
	n.pass(5 * time.Minute)
	runs(t, f, c, 1)
	patches := len(f.sent("PATCH", "pods/web"))
	release, _ := f.setHold("PATCH namespaces/default/pods/web")
	defer release()
	n.pass(5 * time.Minute)
	eventually(t, "the report is under way", func() bool { return len(f.sent("PATCH", "pods/web")) > patches })
	n.pass(15 * time.Second)
	release()
	runs(t, f, c, 2)
	if got := len(f.sent("PATCH", "pods/web")) - patches; got != 3 || f.lastPatch("CrashLoopBackOff") == "" {
		t.Errorf("%d reports, want that they have exited, that they wait, and that they run", got)
	}
}

// TestABackOffIsForgotten restarts the kubelet while containers wait.
func TestABackOffIsForgotten(t *testing.T) { bothProfiles(t, forgotten) }

func forgotten(t *testing.T, profile Profile) {
	f, c := startCrashing(t, profile)
	second := crashTwice(t, f, c)
	sent := len(f.sent("pods/web"))
	must(t, c.RestartKubelets("node-00000"))
	ownEnd(t, second, runs(t, f, c, 2))
	want := []string{"GET", "GET", "PATCH"} // that they have exited is said already
	if profile == Kubelet {
		if d := cmp.Diff(want, requests(f, "web", sent)); d != "" {
			t.Errorf("requests: %s", d)
		}
	}
	c.nodes[0].pass(5 * time.Minute) // the first end that the new kubelet sees after a start of its own
	if profile == Lean {
		backsOff(t, f, 2, "10s")
		return
	}
	exits(t, f, 2)
	c.nodes[0].pass(time.Minute) // and they wait, which is told as they are started
	runs(t, f, c, 3)
	c.nodes[0].pass(5 * time.Minute)
	exits(t, f, 3)
	c.nodes[0].lookEarly()
	third := backsOff(t, f, 3, "20s").LastTerminationState
	sent = len(f.sent("pods/web"))
	must(t, c.RestartKubelets("node-00000"))
	if now := runs(t, f, c, 4); cmp.Diff(third, now.LastTerminationState) != "" {
		t.Errorf("the last state: %+v, want %+v", now.LastTerminationState, third)
	}
	want = []string{"GET", "PATCH", "GET", "PATCH"} // exited once more, running
	if d := cmp.Diff(want, requests(f, "web", sent)); d != "" {
		t.Errorf("requests after the second one: %s", d)
	}
}

// TestABackOffIsForgottenInARun restarts the kubelet while containers run that were started
// again: a new one knows of no start before.
func TestABackOffIsForgottenInARun(t *testing.T) { bothProfiles(t, forgottenInARun) }

func forgottenInARun(t *testing.T, profile Profile) {
	f, c := startCrashing(t, profile)
	c.nodes[0].pass(5 * time.Minute)
	second := runs(t, f, c, 1)
	must(t, c.RestartKubelets("node-00000"))
	settled(t, f, c)
	runs(t, f, c, 1)
	c.nodes[0].pass(5 * time.Minute)
	ownEnd(t, second, runs(t, f, c, 2))
	if f.lastPatch("CrashLoopBackOff") != "" {
		t.Error("a new kubelet knows of a back-off")
	}
}

// TestABackOffEndsWithTheMachine crashes it while containers wait, and while they run.
func TestABackOffEndsWithTheMachine(t *testing.T) { bothProfiles(t, endsWithTheMachine) }

func endsWithTheMachine(t *testing.T, profile Profile) {
	f, c := startCrashing(t, profile)
	second := crashTwice(t, f, c)
	for restarts := range int32(2) {
		must(t, c.Crash("node-00000"))
		must(t, c.Boot("node-00000"))
		third := runs(t, f, c, 2+restarts)
		ownEnd(t, second, third) // there is one already, so that the kubelet makes none up
	}
	n := c.nodes[0]
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.courses[0].backoff.wait != 0 {
		t.Errorf("a new kubelet knows of a back-off: %+v", n.courses[0])
	}
}

// TestAnEndAfterAReboot has containers exit whose last state a reboot has brought.
func TestAnEndAfterAReboot(t *testing.T) { bothProfiles(t, endAfterAReboot) }

func endAfterAReboot(t *testing.T, profile Profile) {
	f, c := startCrashing(t, profile)
	must(t, c.Crash("node-00000"))
	must(t, c.Boot("node-00000"))
	second := runs(t, f, c, 1)
	if last := second.LastTerminationState.Terminated; last == nil || last.Reason != "ContainerStatusUnknown" {
		t.Fatalf("after the reboot: %+v", second)
	}
	c.nodes[0].pass(5 * time.Minute)
	ownEnd(t, second, runs(t, f, c, 2))
	if profile == Lean {
		return
	}
	if exited := f.patches[len(f.patches)-2]; !strings.Contains(exited, "ContainerStatusUnknown") || !strings.Contains(exited, `"exitCode":3`) {
		t.Errorf("the report that they have exited does not repeat the last state: %s", exited)
	}
}

// TestDeletedWhileItWaits deletes a pod whose containers are not running.
func TestDeletedWhileItWaits(t *testing.T) { bothProfiles(t, deletedWhileItWaits) }

func deletedWhileItWaits(t *testing.T, profile Profile) {
	f, c := startCrashing(t, profile)
	second := crashTwice(t, f, c)
	f.change("web", func(p *corev1.Pod) { // which does not change what has been
		p.Annotations = map[string]string{"planecheck.dev/run-for": "5m", "planecheck.dev/exit-code": "0"}
	})
	f.deletePod("web", 30)
	eventually(t, "pod is gone", func() bool { return f.podNamed("web") == nil && c.Stats().PodsHeld == 0 })
	last := f.patches[len(f.patches)-1]
	for _, part := range []string{`"phase":"Failed"`, `"exitCode":3`, `"state":{"terminated":{"containerID":"` + second.ContainerID, `"restartCount":1`} {
		if !strings.Contains(last, part) {
			t.Errorf("no %s in the final status: %s", part, last)
		}
	}
	if n := c.nodes[0]; n.coursesLeft() != 0 || c.Stats().PodsRunning != 0 {
		t.Errorf("%d courses, %+v", n.coursesLeft(), c.Stats())
	}
}

// TestAnEndThatIsNotTold has the first report of an end refused until the pod is deleted.
func TestAnEndThatIsNotTold(t *testing.T) {
	f, c := startCrashing(t, Kubelet)
	sent := len(f.sent("PATCH", "pods/web"))
	f.setRefuse(func(what string) int {
		if strings.Contains(what, "PATCH") && f.pods["web"].DeletionTimestamp == nil {
			return 500
		}
		return 0
	})
	c.nodes[0].pass(5 * time.Minute)
	eventually(t, "the report is refused", func() bool { return len(f.sent("PATCH", "pods/web")) > sent })
	f.deletePod("web", 30)
	eventually(t, "pod is gone", func() bool { return f.podNamed("web") == nil })
	if last := f.patches[len(f.patches)-1]; !strings.Contains(last, `"phase":"Failed"`) || !strings.Contains(last, `"exitCode":3`) {
		t.Errorf("final status: %s", last)
	}
}

// TestAStartThatIsNotTold restarts the kubelet after it has started containers again,
// and before it could say so.
func TestAStartThatIsNotTold(t *testing.T) { bothProfiles(t, startNotTold) }

func startNotTold(t *testing.T, profile Profile) {
	f, c := startCrashing(t, profile)
	first := runs(t, f, c, 0)
	refused := make(chan bool, 100)
	f.setRefuse(func(what string) int {
		s := f.pods["web"].Status.ContainerStatuses[0]
		if strings.Contains(what, "PATCH namespaces/default/pods/web") && (profile == Lean || s.State.Terminated != nil) {
			refused <- true
			return 500
		}
		return 0
	})
	c.nodes[0].pass(5 * time.Minute)
	<-refused
	must(t, c.RestartKubelets("node-00000"))
	f.setRefuse(func(string) int { return 0 })
	ownEnd(t, first, runs(t, f, c, 1))
}

// TestWhatIsStartedAgain looks at the restart policies.
func TestWhatIsStartedAgain(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean})
	plan := func(policy corev1.RestartPolicy, code string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.RestartPolicy = policy
			p.Annotations = map[string]string{"planecheck.dev/run-for": "5m", "planecheck.dev/exit-code": code}
		}
	}
	f.addPod("always", "node-00000", plan(corev1.RestartPolicyAlways, "0"))
	f.addPod("failing", "node-00000", plan(corev1.RestartPolicyOnFailure, "1"))
	f.addPod("done", "node-00000", plan(corev1.RestartPolicyOnFailure, "0"))
	f.addPod("failed", "node-00000", plan(corev1.RestartPolicyNever, "1"))
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 4 })
	c.nodes[0].pass(5 * time.Minute)
	for name, code := range map[string]int32{"always": 0, "failing": 1} {
		eventually(t, name+" runs again", func() bool { s := f.container(name); return s.RestartCount == 1 && s.Ready })
		if last := f.container(name).LastTerminationState.Terminated; last == nil || last.ExitCode != code {
			t.Errorf("%s: %+v", name, last)
		}
	}
	eventually(t, "done has succeeded", func() bool { return phaseOf(f, "done") == corev1.PodSucceeded })
	eventually(t, "failed has failed", func() bool { return phaseOf(f, "failed") == corev1.PodFailed })
}

// TestCrashedBeforeThisProcess finds a pod whose containers an earlier process has left
// waiting.
func TestCrashedBeforeThisProcess(t *testing.T) { bothProfiles(t, crashedBefore) }

func crashedBefore(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	f.addPod("web", "node-00000", crashing, func(p *corev1.Pod) {
		for _, r := range []podReport{{status: statusRunning}, {status: statusCrashed}, {status: statusBackOff, backoff: 10 * time.Second}} {
			r.uid, r.name, r.namespace, r.hostIP, r.podIP = string(p.UID), p.Name, p.Namespace, "10.32.0.1", "10.128.0.2"
			r.now, r.exitCode = 1_700_000_000, 3
			p.Status = kubeletStatus(p, r)
		}
	})
	last := f.container("web").LastTerminationState
	c := start(t, f, Config{Profile: profile})
	if now := runs(t, f, c, 1); cmp.Diff(last, now.LastTerminationState) != "" || now.LastTerminationState.Terminated == nil {
		t.Errorf("the last state: %+v, want %+v", now.LastTerminationState, last)
	}
}
