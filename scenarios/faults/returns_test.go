package faults

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A node that says that it is not Ready, or renews its lease, is not cut off.
func TestUnheard(t *testing.T) {
	since := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	node := func(name string, ready corev1.ConditionStatus) corev1.Node {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionUnknown}, {Type: corev1.NodeReady, Status: ready}}
		return n
	}
	lease := func(name string, after time.Duration) coordinationv1.Lease {
		at := metav1.NewMicroTime(since.Add(after))
		return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{RenewTime: &at}}
	}
	f := func(ok bool, nodes []corev1.Node, leases ...coordinationv1.Lease) {
		t.Helper()
		if err := unheard([]string{"a", "b"}, nodes, leases, since); (err == nil) != ok {
			t.Errorf("%v, %v: %v", nodes, leases, err)
		}
	}
	gone := []corev1.Node{node("a", corev1.ConditionUnknown), node("b", corev1.ConditionUnknown), node("c", corev1.ConditionTrue)}
	a, b, c := lease("a", -time.Second), lease("b", 0), lease("c", time.Second)
	f(true, gone, a, b, c)
	f(false, []corev1.Node{gone[0], node("b", corev1.ConditionFalse)}, a, b)
	f(false, []corev1.Node{gone[0], {ObjectMeta: metav1.ObjectMeta{Name: "b"}}}, a, b)
	f(false, gone, a, lease("b", time.Millisecond), c)
	f(false, gone, a, coordinationv1.Lease{ObjectMeta: b.ObjectMeta}, c)
	f(false, gone, a, c)
}

// Old are pods that run and should not: none of a node that has lost its
// containers, and none that may stay.
func TestOldPods(t *testing.T) {
	old := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "x", UID: "u", DeletionTimestamp: &metav1.Time{}},
		Spec:       corev1.PodSpec{NodeName: "a"}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	f := func(ok bool, change func(*corev1.Pod), running ...string) {
		t.Helper()
		p := old
		change(&p)
		if got, err := oldPods([]string{"a"}, []corev1.Pod{p}, running); (err == nil) != ok || ok != (len(got) == 1) {
			t.Errorf("%+v, running %q: %d, %v", p, running, len(got), err)
		}
	}
	f(true, func(*corev1.Pod) {}, "other", "u")
	f(false, func(*corev1.Pod) {})
	f(false, func(*corev1.Pod) {}, "other")
	f(false, func(p *corev1.Pod) { p.DeletionTimestamp = nil }, "u")
	f(false, func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, "u")
	f(false, func(p *corev1.Pod) { p.Spec.NodeName = "b" }, "u")
	f(false, func(p *corev1.Pod) { p.Namespace = "contract-0" }, "u")
}

// A pod has gone the right way if its own kubelet has deleted it.
func TestRemoved(t *testing.T) {
	pod := func(name string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: "a"}}
	}
	users := map[types.UID]string{}
	f := func(ok bool, still ...corev1.Pod) {
		t.Helper()
		if err := removed([]corev1.Pod{pod("p"), pod("q")}, still, func(uid types.UID) string { return users[uid] }); (err == nil) != ok {
			t.Errorf("%v, %v: %v", still, users, err)
		}
	}
	users["p"], users["q"] = "system:node:a", "system:node:a"
	f(true, pod("r"))
	f(false, pod("q"))
	users["q"] = "system:node:b"
	f(false)
	users["q"] = "" // by the garbage collector of pods, say
	f(false)
}
