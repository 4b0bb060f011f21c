package faults

import (
	"fmt"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
)

// idleMachines say of each fault that it was injected, and go on.
type idleMachines struct{ nodes, pods []string }

func (m idleMachines) Nodes() []string                     { return m.nodes }
func (m idleMachines) Zones() []string                     { return []string{"zone"} }
func (m idleMachines) NodesIn(string) ([]string, error)    { return m.nodes[:2], nil }
func (m idleMachines) Running(...string) ([]string, error) { return m.pods, nil }
func (idleMachines) Crash(...string) error                 { return nil }
func (idleMachines) Boot(...string) error                  { return nil }
func (idleMachines) Cut(...string) error                   { return nil }
func (idleMachines) Reconnect(...string) error             { return nil }
func (idleMachines) RestartKubelets(...string) error       { return nil }
func (idleMachines) SetClock(string, time.Duration) error  { return nil }

// idleNodes are n of them, and what an API server shows of such: nodes that are
// Ready, renew their leases, and run a pod each.
func idleNodes(n int) (idleMachines, kubernetes.Interface) {
	var m idleMachines
	api := fake.NewClientset()
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
		for _, err := range []error{api.Tracker().Add(node), api.Tracker().Add(lease), api.Tracker().Add(pod)} {
			if err != nil {
				panic(err)
			}
		}
	}
	return m, api
}

// TestNodeFaultThatDoesNothing holds that machines which only say that they did
// are not believed.
func TestNodeFaultThatDoesNothing(t *testing.T) {
	m, api := idleNodes(20)
	var all sync.WaitGroup
	for _, one := range aimedAt(t, Shape{Nodes: 20}, "nodes-crash", "node-returns", "nodes-flap", "clock-off") {
		all.Go(func() {
			disbelieved(t, one, &Env{Nodes: m, API: api, Removed: func(types.UID) string { return "" }})
		})
	}
	all.Wait()
}
