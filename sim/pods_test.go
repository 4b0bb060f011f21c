package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// Pods as a watch brings them.
var (
	pendingPod = wire.Pod{Phase: "Pending"}
	runningPod = wire.Pod{Phase: "Running", Ready: true}
	unreadyPod = wire.Pod{Phase: "Running"}
	failedPod  = wire.Pod{Phase: "Failed"}
)

func deleting(p wire.Pod) wire.Pod { p.Deleting = true; return p }

// decides has a kubelet whose last write of a pod made version 10 see it at a version.
func decides(t *testing.T, state podState, e wire.Pod, version uint64, action podAction, next podState) {
	t.Helper()
	p := pod{state: state, version: 10}
	if got := p.see(&e, version); got != action || p.state != next {
		t.Errorf("state %d sees %+v at %d: action %d and state %d, want %d and %d", state, e, version, got, p.state, action, next)
	}
}

func TestPodDecisions(t *testing.T) {
	f := func(state podState, e wire.Pod, version uint64, action podAction, next podState) {
		t.Helper()
		decides(t, state, e, version, action, next)
	}
	f(podUnknown, pendingPod, 11, doStart, podStarting)
	f(podUnknown, unreadyPod, 11, doStart, podStarting)
	f(podUnknown, runningPod, 11, doNothing, podRunning) // ours, from an earlier life
	f(podUnknown, failedPod, 11, doNothing, podEnded)
	f(podUnknown, deleting(pendingPod), 11, doStop, podStopping)
	f(podUnknown, deleting(failedPod), 11, doRemove, podStopped)

	f(podStarting, pendingPod, 11, doNothing, podStarting) // the echo of a first write
	f(podStarting, runningPod, 11, doNothing, podStarting) // the write is not acknowledged yet
	f(podStarting, deleting(pendingPod), 11, doStop, podStopping)
	f(podStarting, failedPod, 11, doNothing, podEnded)

	f(podRunning, runningPod, 11, doNothing, podRunning)
	f(podRunning, unreadyPod, 11, doRepair, podRunning)  // by the node lifecycle controller
	f(podRunning, unreadyPod, 10, doNothing, podRunning) // as old as our write: a late echo
	f(podRunning, pendingPod, 9, doNothing, podRunning)
	f(podRunning, deleting(runningPod), 11, doStop, podStopping)
	f(podRunning, failedPod, 11, doNothing, podEnded)

	for _, e := range []wire.Pod{pendingPod, runningPod, unreadyPod, failedPod, deleting(runningPod), deleting(failedPod)} {
		f(podStopping, e, 11, doNothing, podStopping)
		f(podStopped, e, 11, doNothing, podStopped)
	}
	f(podEnded, failedPod, 11, doNothing, podEnded)
	f(podEnded, deleting(failedPod), 11, doRemove, podStopped)
}

// TestEndedPodDecisions looks at pods whose containers have ended, or are about to.
func TestEndedPodDecisions(t *testing.T) {
	for _, state := range []podState{podExited, podCrashed, podEvicted} {
		for _, e := range []wire.Pod{pendingPod, runningPod, unreadyPod} {
			decides(t, state, e, 11, doNothing, state) // that it ended is on its way
		}
		decides(t, state, failedPod, 11, doNothing, podEnded)
		decides(t, state, deleting(runningPod), 11, doFinish, podStopped)
		decides(t, state, deleting(unreadyPod), 11, doFinish, podStopped)
		decides(t, state, deleting(failedPod), 11, doRemove, podStopped)
	}
}

// TestUnreadyPodDecisions looks at pods that are not ready of themselves: that is no
// work of the node lifecycle controller, and what it does to them changes nothing.
func TestUnreadyPodDecisions(t *testing.T) {
	f := func(e wire.Pod, version uint64, action podAction) {
		t.Helper()
		p := pod{state: podRunning, version: 10, unready: true}
		if got := p.see(&e, version); got != action || p.state != podRunning {
			t.Errorf("sees %+v at %d: action %d and state %d, want %d", e, version, got, p.state, action)
		}
	}
	f(wire.Pod{Phase: "Running"}, 11, doNothing)
	f(wire.Pod{Phase: "Running"}, 9, doNothing)
	f(wire.Pod{Phase: "Running", Ready: true}, 10, doNothing) // before it was told
	f(wire.Pod{Phase: "Running", Ready: true}, 11, doRepair)  // by somebody else
}

// TestUnsaidPodDecisions looks at a pod whose kubelet is new, and the one before started
// its containers again without a word of it.
func TestUnsaidPodDecisions(t *testing.T) {
	p := pod{state: podUnknown, unsaid: true}
	if got := p.see(&wire.Pod{Phase: "Running", Ready: true}, 11); got != doStart || p.state != podStarting {
		t.Errorf("action %d and state %d", got, p.state)
	}
}

// TestLostPodDecisions looks at pods whose containers went down with the
// machine.
func TestLostPodDecisions(t *testing.T) {
	f := func(state podState, e wire.Pod, action podAction, next podState) {
		t.Helper()
		p := pod{state: state, lost: true}
		if got := p.see(&e, 11); got != action || p.state != next {
			t.Errorf("state %d sees %+v: action %d and state %d, want %d and %d", state, e, got, p.state, action, next)
		}
	}
	running := wire.Pod{Phase: "Running", Ready: true}
	deleting := wire.Pod{Phase: "Running", Ready: true}
	deleting.Deleting = true
	failed := wire.Pod{Phase: "Failed"}
	f(podUnknown, running, doRestart, podStarting)
	f(podUnknown, wire.Pod{Phase: "Running"}, doRestart, podStarting) // the node was taken for dead
	f(podStarting, running, doNothing, podStarting)                   // a late echo of what was before
	f(podUnknown, deleting, doFinish, podStopped)
	f(podStarting, deleting, doFinish, podStopped)
	f(podStopped, deleting, doNothing, podStopped)
	f(podUnknown, failed, doNothing, podEnded) // evicted meanwhile
}

func TestPodWants(t *testing.T) {
	due := map[podAction][]podState{
		doStart: {podStarting}, doRestart: {podStarting}, doConfirm: {podRunning}, doRepair: {podRunning}, doObserve: {podStopping, podStopped},
		doFinish: {podStopped}, doRemove: {podStopped}, doEnd: {podExited},
		doReject: {podStarting}, doLook: {podEvicted}, doEvict: {podEvicted},
		doCrash: {podCrashed}, doBackOff: {podCrashed}, doFlip: {podRunning},
	}
	for a := doNothing; a <= doFlip; a++ {
		for s := podUnknown; s <= podCrashed; s++ {
			want := slices.Contains(due[a], s)
			if got := (&pod{state: s}).wants(a); got != want {
				t.Errorf("state %d wants action %d: %v, want %v", s, a, got, want)
			}
		}
	}
}

// TestOvertakenJobsAreDropped queues what a deletion has made pointless.
func TestOvertakenJobsAreDropped(t *testing.T) {
	n := newNode(&Cluster{}, 0)
	n.pods.add(&wire.Meta{UID: "a"}).state = podStopped
	n.queue = []podJob{{action: doStart, uid: "a"}, {action: doFinish, uid: "gone"}, {action: doFinish, uid: "a"}}
	if job, p, ok := n.dequeue(); !ok || job.action != doFinish || p.uid != "a" {
		t.Errorf("got %+v of %q, %v", job, p.uid, ok)
	}
	if job, _, ok := n.dequeue(); ok {
		t.Errorf("got %+v from an empty queue", job)
	}
}

func TestPodTable(t *testing.T) {
	var table podTable
	seen := map[uint8]bool{}
	for i := range lastSlot {
		p := table.add(&wire.Meta{UID: fmt.Sprint(i)})
		p.slot = table.take()
		if p.slot == 0 || seen[p.slot] {
			t.Fatalf("pod %d got slot %d", i, p.slot)
		}
		seen[p.slot] = true
	}
	if slot := table.take(); slot != 0 {
		t.Errorf("a full node gave out slot %d", slot)
	}
	table.find("100").state = podRunning
	if got, ok := table.remove("100"); got != podRunning || !ok {
		t.Errorf("removed pod was in state %d, %v", got, ok)
	}
	if _, ok := table.remove("100"); ok || table.find("100") != nil {
		t.Errorf("pod is still there after its removal")
	}
	if slot := table.take(); slot != 101 {
		t.Errorf("freed slot: got %d, want 101", slot)
	}
	if p := table.find("249"); p == nil || p.uid != "249" {
		t.Errorf("the last pod was lost with the removal of another")
	}
}

// BenchmarkPodEvent is the event that a kubelet sees most: the echo of its own
// write, on a node with 30 pods.
func BenchmarkPodEvent(b *testing.B) {
	n := newNode(&Cluster{}, 0)
	sink := podSink{n: n}
	p := randomPod(rand.New(rand.NewPCG(4, 0)))
	p.Status = kubeletStatus(p, podReport{uid: string(p.UID), status: statusRunning, hostIP: n.ip, podIP: "10.128.0.2", now: 1_700_000_000})
	for i := range 29 {
		n.pods.add(&wire.Meta{UID: fmt.Sprintf("5e3f7f5c-7c3a-4c2e-8a53-%012d", i)})
	}
	raw := encode(b, p)
	sink.event("ADDED", raw, 7, 1)
	b.ReportAllocs()
	for b.Loop() {
		sink.event("MODIFIED", raw, 7, 1)
	}
	if len(n.queue) != 0 || len(n.pods.pods) != 30 {
		b.Fatalf("%d jobs, %d pods", len(n.queue), len(n.pods.pods))
	}
}

// BenchmarkIgnoredEvent is an event that only moves the cursor, as those of
// Services and EndpointSlices do, of which every node sees every one.
func BenchmarkIgnoredEvent(b *testing.B) {
	raw := encode(b, randomPod(rand.New(rand.NewPCG(4, 0))))
	w := newWatcher(&Cluster{}, nil, slicesResource, ignore{}, nil)
	o := &corev1.Pod{}
	if err := o.Unmarshal(raw); err != nil {
		b.Fatal(err)
	}
	o.ResourceVersion = "123456789"
	e := client.Event{Type: "MODIFIED", Object: wire.Wrap("v1", "Pod", encode(b, o))}
	b.ReportAllocs()
	for b.Loop() {
		if err := w.take(&e); err != nil {
			b.Fatal(err)
		}
	}
}
