package sim

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// observation is the status write by which a kubelet says that it has seen the
// deletion of the pod web.
const observation = `{"metadata":{"uid":"uid-of-web"},"status":{` +
	`"$setElementOrder/conditions":[{"type":"PodReadyToStartContainers"},{"type":"Initialized"},{"type":"Ready"},{"type":"ContainersReady"},{"type":"PodScheduled"}],` +
	`"conditions":[{"observedGeneration":2,"type":"PodReadyToStartContainers"},{"observedGeneration":2,"type":"Initialized"},` +
	`{"observedGeneration":2,"type":"Ready"},{"observedGeneration":2,"type":"ContainersReady"},{"observedGeneration":2,"type":"PodScheduled"}],` +
	`"observedGeneration":2}}`

// TestDeletionIsObservedWhileContainersRun has containers that take an hour to
// stop.
func TestDeletionIsObservedWhileContainersRun(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Kubelet, StopTime: time.Hour})
	f.addPod("web", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	f.deletePod("web", 3600)
	eventually(t, "deletion is observed", func() bool { return f.podNamed("web").Status.ObservedGeneration == 2 })
	if p := f.podNamed("web"); p.Status.Phase != corev1.PodRunning || !isReady(p) || p.Status.ContainerStatuses[0].State.Running == nil {
		t.Errorf("status of the pod that is stopping: %+v", p.Status)
	}
}

// TestNothingToObserve checks that pods of which the deletion is no news get no
// status write for it. They are on a node that nobody simulates.
func TestNothingToObserve(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Kubelet})
	f.addPod("web", "elsewhere")
	check := func(phase corev1.PodPhase, observed int64, patches int) {
		t.Helper()
		f.change("web", func(p *corev1.Pod) {
			p.Generation, p.Status.Phase, p.Status.ObservedGeneration = 2, phase, observed
		})
		before := len(f.sent("pods/web"))
		w := podWriter{node: c.nodes[0], pod: pod{uid: "uid-of-web", namespace: "default", name: "web"}}
		if err := w.write(t.Context(), &podJob{action: doObserve, uid: "uid-of-web"}); err != nil {
			t.Error(err)
		}
		if sent := f.sent("pods/web")[before:]; len(sent) != 1+patches || !strings.HasPrefix(sent[0], "GET") {
			t.Errorf("%s, generation %d observed: sent %q, want a GET and %d PATCH", phase, observed, sent, patches)
		}
	}
	check(corev1.PodPending, 1, 0)   // never ran
	check(corev1.PodRunning, 2, 0)   // the write of its start came after the deletion
	check(corev1.PodSucceeded, 1, 0) // has had its final status
	check(corev1.PodRunning, 1, 1)
}
