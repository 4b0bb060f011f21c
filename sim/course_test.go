package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func ofJob(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }

// pass has so much time pass for the courses of all pods, and what is due by then done.
func (n *node) pass(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	back := func(times ...*time.Time) {
		for _, t := range times {
			if !t.IsZero() {
				*t = t.Add(-d)
			}
		}
	}
	for i := range n.courses {
		c := &n.courses[i]
		back(&c.due, &c.ends, &c.flips, &c.exited, &c.backoff.since)
	}
	n.turn(time.Now())
}

// overdue has all turns due now.
func (n *node) overdue() { n.pass(24 * time.Hour) }

func (n *node) coursesLeft() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.courses)
}

// armed says whether a turn is to come, and when the first pod's is.
func (n *node) armed() (bool, time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var due time.Time
	if len(n.courses) > 0 {
		due = n.courses[0].due
	}
	return n.courseTimer != nil, due
}

func phaseOf(f *fakeAPI, pod string) corev1.PodPhase { return f.podNamed(pod).Status.Phase }

func TestPodsOfJobsEnd(t *testing.T) {
	for _, profile := range []Profile{Lean, Kubelet} {
		t.Run(string(profile), func(t *testing.T) { podsOfJobsEnd(t, profile) })
	}
}

func podsOfJobsEnd(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, JobTime: time.Millisecond})
	f.addPod("web", "node-00000")
	eventually(t, "the other pod runs", func() bool { return c.Stats().PodsRunning == 1 })
	f.addPod("job", "node-00000", ofJob)
	f.addPod("job-2", "node-00000", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure })
	for _, name := range []string{"job", "job-2"} {
		eventually(t, name+" has ended", func() bool { return phaseOf(f, name) == corev1.PodSucceeded })
	}
	n := c.nodes[0]
	eventually(t, "nothing is left to be done", func() bool { return n.coursesLeft() == 0 })
	s := f.podNamed("job").Status
	if end := s.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 0 || end.Reason != "Completed" || end.ContainerID == "" {
		t.Errorf("the container is in state %+v", s.ContainerStatuses[0].State)
	}
	for _, condition := range s.Conditions {
		want := map[corev1.PodConditionType]string{"PodReadyToStartContainers": "False PodSandboxNotReady",
			"Initialized": "True PodCompleted", "Ready": "False PodCompleted", "ContainersReady": "False PodCompleted", "PodScheduled": "True "}
		if got := string(condition.Status) + " " + condition.Reason; got != want[condition.Type] {
			t.Errorf("condition %s is %s, want %s", condition.Type, got, want[condition.Type])
		}
	}
	if phaseOf(f, "web") != corev1.PodRunning || c.Stats().PodsRunning != 1 || c.Stats().PodsHeld != 3 {
		t.Errorf("the other pod is %s, %+v", phaseOf(f, "web"), c.Stats())
	}
	f.deletePod("job", 30)
	eventually(t, "it is gone", func() bool { return f.podNamed("job") == nil })
	want := []string{"PATCH", "GET", "PATCH", "DELETE"} // a pod that runs is nowhere remembered
	if profile == Kubelet {
		want = []string{"GET", "PATCH", "GET", "PATCH", "GET", "PATCH", "GET", "PATCH", "DELETE"} // waiting, running, ended, final
	}
	var got []string
	for _, line := range f.sent("pods/job") {
		if !strings.Contains(line, "job-2") {
			got = append(got, strings.Fields(line)[0])
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestPodsOfJobsRunOn is the plan in which they do not end.
func TestPodsOfJobsRunOn(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean})
	f.addPod("job", "node-00000", ofJob)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	c.nodes[0].overdue()
	n := c.nodes[0]
	if armed, _ := n.armed(); armed || n.coursesLeft() != 0 || phaseOf(f, "job") != corev1.PodRunning {
		t.Errorf("%d courses, pod is %s", n.coursesLeft(), phaseOf(f, "job"))
	}
}

// TestAnEndOutlivesItsKubelet restarts the kubelet while a pod runs, and again
// between the two reports of its end.
func TestAnEndOutlivesItsKubelet(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Kubelet, JobTime: time.Hour})
	n := c.nodes[0]
	f.addPod("job", "node-00000", ofJob)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	settled(t, f, c)
	_, due := n.armed()
	must(t, c.RestartKubelets("node-00000"))
	eventually(t, "the pod is on its course again", func() bool { armed, _ := n.armed(); return armed })
	settled(t, f, c)
	if _, after := n.armed(); n.coursesLeft() != 1 || after != due {
		t.Errorf("after the restart: %d courses, due %s, want %s", n.coursesLeft(), after, due)
	}

	patched := len(f.sent("PATCH", "pods/job"))
	f.setRefuse(func(what string) int {
		if strings.Contains(what, "PATCH namespaces/default/pods/job") && f.pods["job"].Status.ContainerStatuses[0].State.Terminated != nil {
			return 500
		}
		return 0
	})
	n.overdue()
	eventually(t, "the second report is refused", func() bool { return len(f.sent("PATCH", "pods/job")) > patched+1 })
	s := f.podNamed("job").Status
	if s.Phase != corev1.PodRunning || isReady(f.podNamed("job")) || s.ContainerStatuses[0].State.Terminated == nil {
		t.Errorf("after the first report: %+v", s)
	}
	must(t, c.RestartKubelets("node-00000"))
	f.setRefuse(func(string) int { return 0 })
	eventually(t, "pod has ended", func() bool { return phaseOf(f, "job") == corev1.PodSucceeded })
	if last := f.lastPatch("Succeeded"); strings.Contains(last, "containerStatuses") || strings.Contains(last, `"Ready"}]`) {
		t.Errorf("the second report repeats the first: %s", last)
	}
	if got := phaseOf(f, "job"); got != corev1.PodSucceeded {
		t.Errorf("pod is %s", got)
	}
}

// TestAnEndBetweenCrashAndBoot takes the machine away between the two reports:
// what was reported to have ended is not started again.
func TestAnEndBetweenCrashAndBoot(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Kubelet, JobTime: time.Hour})
	f.addPod("job", "node-00000", ofJob)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	settled(t, f, c)
	must(t, c.Crash("node-00000"))
	if n := c.nodes[0]; n.coursesLeft() != 0 {
		t.Errorf("a dead machine has %d courses", n.coursesLeft())
	}
	f.change("job", func(p *corev1.Pod) {
		p.Status = kubeletStatus(p, podReport{uid: string(p.UID), status: statusExited, hostIP: "10.32.0.1", podIP: p.Status.PodIP, now: 1_700_000_000})
	})
	must(t, c.Boot("node-00000"))
	eventually(t, "pod has ended", func() bool { return phaseOf(f, "job") == corev1.PodSucceeded })
	if s := f.podNamed("job").Status.ContainerStatuses[0]; s.RestartCount != 0 || s.State.Terminated == nil || s.State.Terminated.FinishedAt.Unix() != 1_700_000_000 {
		t.Errorf("its container: %+v", s)
	}
}

// TestDeletedWhileItEnds deletes a pod after the first report of its end.
func TestDeletedWhileItEnds(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Kubelet, JobTime: time.Hour})
	f.addPod("job", "node-00000", ofJob)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	f.setRefuse(func(what string) int {
		if strings.Contains(what, "PATCH") && f.pods["job"].Status.ContainerStatuses[0].State.Terminated != nil &&
			f.pods["job"].DeletionTimestamp == nil {
			return 500
		}
		return 0
	})
	c.nodes[0].overdue()
	eventually(t, "the end is half reported", func() bool { return !isReady(f.podNamed("job")) })
	f.deletePod("job", 30)
	eventually(t, "pod is gone", func() bool { return f.podNamed("job") == nil && c.Stats().PodsHeld == 0 })
	if last := f.patches[len(f.patches)-1]; !strings.Contains(last, `"phase":"Succeeded"`) || strings.Contains(last, "containerStatuses") {
		t.Errorf("final status: %s", last)
	}
}

// TestAPodThatFails is one of a Job that says so itself.
func TestAPodThatFails(t *testing.T) {
	for _, profile := range []Profile{Lean, Kubelet} {
		f := newFakeAPI(t)
		start(t, f, Config{Profile: profile, JobTime: time.Hour})
		f.addPod("job", "node-00000", ofJob, func(p *corev1.Pod) {
			p.Annotations = map[string]string{"planecheck.dev/run-for": "1ms", "planecheck.dev/exit-code": "42"}
		})
		eventually(t, "pod has failed", func() bool { return phaseOf(f, "job") == corev1.PodFailed })
		s := f.podNamed("job").Status
		if end := s.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 42 || end.Reason != "Error" {
			t.Errorf("%s: the container is in state %+v", profile, s.ContainerStatuses[0].State)
		}
		for _, condition := range s.Conditions {
			if condition.Type == corev1.PodReady && (condition.Status != corev1.ConditionFalse || condition.Reason != "PodFailed") {
				t.Errorf("%s: %+v", profile, condition)
			}
		}
	}
}
