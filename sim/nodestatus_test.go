package sim

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// TestNodePatchIsTheKubelets holds the heartbeat against upstream's merge of
// the node before and after it.
func TestNodePatchIsTheKubelets(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	f := func(what string, status corev1.ConditionStatus, whole bool) {
		t.Helper()
		before := nodeObject(3, 110, 2, 1, begin)
		after := before.DeepCopy()
		later := metav1.NewTime(begin.Add(5 * time.Minute))
		for i := range after.Status.Conditions {
			after.Status.Conditions[i].LastHeartbeatTime = later
			if status == "Unknown" {
				// As the node lifecycle controller leaves a node that it takes
				// for dead.
				before.Status.Conditions[i].Status = status
				before.Status.Conditions[i].Reason = "NodeStatusUnknown"
				before.Status.Conditions[i].Message = "Kubelet stopped posting node status."
				after.Status.Conditions[i].LastTransitionTime = later
			}
		}
		old, _ := json.Marshal(before)
		now, _ := json.Marshal(after)
		want, err := strategicpatch.CreateTwoWayMergePatch(old, now, corev1.Node{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(appendNodePatch(nil, later.Unix(), whole))); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	f("heartbeat", "", false)
	f("recovery", "Unknown", true)
}

func TestNodeObject(t *testing.T) {
	node := nodeObject(4711, 42, 3, 1, time.Unix(1_700_000_000, 0))
	seen, err := wire.ScanNode(encode(t, node))
	if err != nil || seen.Name != "node-04711" || !seen.Ready || seen.Taints != 0 {
		t.Errorf("%+v, %v", seen, err)
	}
	if got := node.Status.Capacity.Pods().Value(); got != 42 {
		t.Errorf("capacity of %d pods", got)
	}
	if got := node.Status.Allocatable.Pods().Value(); got != 42 {
		t.Errorf("%d pods allocatable", got)
	}
	if got := node.Status.Addresses[0].Address; got != "10.32.18.103" {
		t.Errorf("address %s", got)
	}
	if len(node.Status.Images) != 3 || node.Status.Images[0].SizeBytes <= node.Status.Images[2].SizeBytes {
		t.Errorf("images: %+v", node.Status.Images)
	}
	zone := map[string]bool{}
	for i := range 6 {
		zone[nodeObject(i, 1, 0, 1, time.Now()).Labels[corev1.LabelTopologyZone]] = true
	}
	if len(zone) != zones {
		t.Errorf("zones: %v", zone)
	}
	a, b := nodeObject(1, 1, 0, 1, time.Now()), nodeObject(2, 1, 0, 1, time.Now())
	if a.Status.NodeInfo.MachineID == b.Status.NodeInfo.MachineID || a.Status.NodeInfo.SystemUUID == b.Status.NodeInfo.SystemUUID {
		t.Error("two nodes are the same machine")
	}
}

func TestStatusClock(t *testing.T) {
	var s statusClock
	if got := s.next(0); got != 150*time.Second {
		t.Errorf("first report after %v", got)
	}
	if got := s.next(0.9); got != 5*time.Minute {
		t.Errorf("next report after %v", got)
	}
	s = statusClock{}
	if got := s.next(0.9); got != 7*time.Minute {
		t.Errorf("first report after %v", got)
	}
}
