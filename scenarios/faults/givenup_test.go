package faults

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A node counts as given up only when it is tainted and its pods have to go.
func TestGivenUp(t *testing.T) {
	node := func(name string, effects ...corev1.TaintEffect) corev1.Node {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, e := range effects {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Effect: e})
		}
		return n
	}
	pod := func(namespace, on string, leaves bool) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}, Spec: corev1.PodSpec{NodeName: on}}
		if leaves {
			p.DeletionTimestamp = &metav1.Time{}
		}
		return p
	}
	f := func(ok bool, nodes []corev1.Node, pods ...corev1.Pod) {
		t.Helper()
		if n, err := givenUp([]string{"a", "b"}, nodes, pods); (err == nil) != ok || ok && n != 1 {
			t.Errorf("%v, %v: %d, %v", nodes, pods, n, err)
		}
	}
	up, down := node("c"), []corev1.Node{node("a", corev1.TaintEffectNoExecute), node("b", corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute), node("c")}
	f(true, down, pod("x", "a", true), pod("x", "c", false), pod("x", "", false), pod("contract-0", "a", false))
	f(false, down, pod("x", "a", true), pod("x", "b", false))
	f(false, []corev1.Node{down[0], node("b"), up}, pod("x", "a", true))
	f(false, []corev1.Node{down[0], node("b", corev1.TaintEffectNoSchedule), up}, pod("x", "a", true))
}
