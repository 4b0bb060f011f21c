package faults

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

// idleMachines say of each fault that it was injected, and go on. They keep what
// they were told, and what of it was not undone.
type idleMachines struct {
	*told
	nodes, pods []string
}

// told is what somebody was told to do.
type told struct {
	mu   sync.Mutex
	open map[string]bool // guarded by mu; what was begun and is not undone
	acts func()          // called at each beginning; nil: nothing is
}

func (o *told) begin(what string, of ...string) error {
	o.mu.Lock()
	for _, one := range of {
		o.open[what+" "+one] = true
	}
	o.mu.Unlock()
	if o.acts != nil {
		o.acts()
	}
	return nil
}

func (o *told) undo(what string, of ...string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, one := range of {
		delete(o.open, what+" "+one)
	}
	return nil
}

// left is what was not undone.
func (o *told) left() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.open))
}

func (m idleMachines) Nodes() []string                     { return m.nodes }
func (m idleMachines) Zones() []string                     { return []string{"a", "b"} }
func (m idleMachines) Running(...string) ([]string, error) { return m.pods, nil }
func (m idleMachines) Crash(nodes ...string) error         { return m.begin("crash", nodes...) }
func (m idleMachines) Boot(nodes ...string) error          { return m.undo("crash", nodes...) }
func (m idleMachines) Cut(nodes ...string) error           { return m.begin("cut", nodes...) }
func (m idleMachines) Reconnect(nodes ...string) error     { return m.undo("cut", nodes...) }
func (m idleMachines) RestartKubelets(...string) error     { return m.begin("restart") }
func (m idleMachines) FreeMemory(nodes ...string) error    { return m.undo("press", nodes...) }

func (m idleMachines) PressMemory(_ int, nodes ...string) error { return m.begin("press", nodes...) }

func (m idleMachines) NodesIn(zone string) ([]string, error) {
	if zone == "a" {
		return m.nodes[:2], nil
	}
	return m.nodes[2:4], nil
}

func (m idleMachines) SetClock(node string, off time.Duration) error {
	if off == 0 {
		return m.undo("clock", node)
	}
	return m.begin("clock", node)
}

// idleNodes are n of them, and what an API server shows of such: nodes that are
// Ready, renew their leases, and run a pod each.
func idleNodes(t *testing.T, o *told, n int) (m idleMachines, api *fake.Clientset) {
	t.Helper()
	m.told = o
	api = fake.NewClientset()
	for i := range n {
		name := fmt.Sprint("node-", i)
		meta := metav1.ObjectMeta{Name: name}
		now := metav1.NowMicro()
		node := &corev1.Node{ObjectMeta: meta}
		node.Status.NodeInfo.BootID = "boot-of-" + name
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		lease := &coordinationv1.Lease{ObjectMeta: meta, Spec: coordinationv1.LeaseSpec{RenewTime: &now}}
		lease.Namespace = corev1.NamespaceNodeLease
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-" + name, Namespace: "x", UID: types.UID("uid-" + name)}, Spec: corev1.PodSpec{NodeName: name}}
		pod.Status.Phase = corev1.PodRunning
		m.nodes, m.pods = append(m.nodes, name), append(m.pods, string(pod.UID))
		add(t, api, node, lease, pod)
	}
	return m, api
}
