package faults

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// A node is short of memory when it says so, and the control plane has heard it.
func TestPressed(t *testing.T) {
	node := func(name string, says corev1.ConditionStatus, taints ...corev1.Taint) corev1.Node {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{Taints: taints}}
		n.Status.Conditions = []corev1.NodeCondition{
			{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue}, {Type: corev1.NodeMemoryPressure, Status: says},
		}
		return n
	}
	other := corev1.Taint{Key: corev1.TaintNodeDiskPressure, Effect: corev1.TaintEffectNoSchedule}
	taint := corev1.Taint{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoSchedule}
	evicts := corev1.Taint{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoExecute}
	f := func(short, free bool, nodes ...corev1.Node) {
		t.Helper()
		for _, is := range []struct{ state, want bool }{{true, short}, {false, free}} {
			if err := pressed([]string{"a", "b"}, nodes, is.state); (err == nil) != is.want {
				t.Errorf("short %t, of %+v: %v", is.state, nodes, err)
			}
		}
	}
	a, b, c := node("a", "True", other, taint), node("b", "True", taint), node("c", "False", other)
	f(true, false, a, b, c)
	f(true, false, a, b, node("c", "True", taint))
	f(false, true, node("a", "False", other), node("b", "Unknown"), node("c", "True", taint))
	f(false, false, a)
	f(false, false, a, node("b", "False", taint), c)
	f(false, false, a, node("b", "True"), c)
	f(false, false, a, node("b", "True", evicts), c)
	f(false, false, a, node("b", "False"), c)
}

// evictedPod is what a kubelet leaves of a pod that it evicts.
func evictedPod(uid, node string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "pod-" + uid, UID: types.UID(uid)}, Spec: corev1.PodSpec{NodeName: node}}
	p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted"
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet,
	}}
	return p
}

// Only what the kubelets of those nodes have evicted since counts.
func TestEvicted(t *testing.T) {
	f := func(want int, change func(*corev1.Pod)) {
		t.Helper()
		v := evicted{names: []string{"a", "b"}, pods: map[types.UID]string{}, before: map[types.UID]string{"old": "x/old"}}
		p := evictedPod("1", "b")
		change(&p)
		v.add([]corev1.Pod{p})
		v.add([]corev1.Pod{p}) // it is seen again
		v.add(nil)             // and gone
		if len(v.pods) != want {
			t.Errorf("%+v: %v", p, v.pods)
		}
	}
	f(1, func(*corev1.Pod) {})
	f(0, func(p *corev1.Pod) { p.UID = "old" })
	f(0, func(p *corev1.Pod) { p.Spec.NodeName = "c" })
	f(0, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
	f(0, func(p *corev1.Pod) { p.Status.Reason = "OutOfcpu" })
	f(0, func(p *corev1.Pod) { p.Status.Conditions = nil }) // it was not admitted
	f(0, func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse })
	f(0, func(p *corev1.Pod) { p.Status.Conditions[0].Reason = "DeletionByTaintManager" })
}

// shortMachines are short of memory when they are told to be, as an API server shows
// it.
type shortMachines struct {
	idleMachines
	show func(short bool)
}

func (m shortMachines) PressMemory(evictions int, nodes ...string) error {
	m.show(true)
	return m.idleMachines.PressMemory(evictions, nodes...)
}

func (m shortMachines) FreeMemory(nodes ...string) error {
	m.show(false)
	return m.idleMachines.FreeMemory(nodes...)
}

// Nodes that say that memory is short and evict nothing are not believed, nor those
// that evict and are not tainted; what was evicted before is no evidence.
func TestPressureWithoutEvictions(t *testing.T) {
	f := func(one aimed, believe, tainted bool, before, after []corev1.Pod) {
		t.Helper()
		e, o := idleEnv(t)
		api, m := e.API.(*fake.Clientset), e.Nodes.(idleMachines)
		for i := range before {
			add(t, api, &before[i])
		}
		e.Nodes = shortMachines{m, func(short bool) {
			for i, name := range m.nodes {
				setPressure(t, api, name, short, short && (tainted || i > 0))
			}
			for i := range after {
				if short {
					add(t, api, &after[i])
				}
			}
		}}
		bound := time.Second
		if believe {
			bound = testBound
		}
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		defer cancel()
		a, err := one.Inject(ctx, e, one.target)
		if (err == nil) != believe {
			t.Errorf("%s of %s, tainted %t, %d evicted before and %d after: %v", one.Name, one.target, tainted, len(before), len(after), err)
		}
		if a != nil {
			if healed, err := a.Heal(t.Context()); err != nil || !strings.Contains(healed, "1 pods were evicted") {
				t.Errorf("%q, %v", healed, err)
			}
		}
		if left := o.left(); len(left) > 0 {
			t.Errorf("it leaves %q", left)
		}
	}
	struck := []corev1.Pod{evictedPod("1", "node-0")}
	for _, one := range aimedAt(t, idleShape, "nodes-memory-pressure") {
		f(one, true, true, nil, struck)
		f(one, false, true, nil, nil)
		f(one, false, false, nil, struck)
		f(one, false, true, struck, nil)
		f(one, false, true, nil, []corev1.Pod{evictedPod("1", "node-9")})
	}
}

// A pod that was evicted may be gone, with its owner, before its node says that memory
// is short.
func TestPressureWhoseEvictedPodIsGone(t *testing.T) {
	e, _ := idleEnv(t)
	api, m := e.API.(*fake.Clientset), e.Nodes.(idleMachines)
	p := evictedPod("1", "node-0")
	e.Nodes = shortMachines{m, func(short bool) {
		if short {
			add(t, api, &p)
			return
		}
		setPressure(t, api, "node-0", false, false)
	}}
	looks := 0
	api.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		if looks++; looks == 1 { // the tracker, since the client waits for this
			pods := corev1.SchemeGroupVersion.WithResource("pods")
			if err := api.Tracker().Delete(pods, p.Namespace, p.Name); err != nil {
				t.Error(err)
			}
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-0"}}
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionTrue}}
			n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoSchedule}}
			if err := api.Tracker().Update(corev1.SchemeGroupVersion.WithResource("nodes"), n, ""); err != nil {
				t.Error(err)
			}
		}
		return false, nil, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	defer cancel()
	for _, one := range aimedAt(t, idleShape, "nodes-memory-pressure") {
		if one.target != oneNode {
			continue
		}
		a, err := one.Inject(ctx, e, one.target)
		if err != nil || !strings.Contains(a.Evidence, "x/pod-1") {
			t.Errorf("%+v, %v", a, err)
		}
	}
}

func setPressure(t *testing.T, api *fake.Clientset, node string, says, tainted bool) {
	t.Helper()
	n, err := api.CoreV1().Nodes().Get(context.Background(), node, metav1.GetOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	n.Status.Conditions, n.Spec.Taints = nil, nil
	if says {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionTrue}}
	}
	if tainted {
		n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoSchedule}}
	}
	if _, err := api.CoreV1().Nodes().Update(context.Background(), n, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
}
