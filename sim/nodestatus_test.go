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
	f := func(what string, status corev1.ConditionStatus, news nodeNews) {
		t.Helper()
		before, after, later := nodeReport(status, news)
		old, _ := json.Marshal(before)
		now, _ := json.Marshal(after)
		want, err := strategicpatch.CreateTwoWayMergePatch(old, now, corev1.Node{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(appendNodePatch(nil, later.Unix(), news))); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	booted := bootID(3, 1, 1)
	f("heartbeat", "", nodeNews{})
	f("recovery", "Unknown", nodeNews{whole: true})
	f("reboot", "", nodeNews{bootID: booted})
	f("reboot of a node taken for dead", "Unknown", nodeNews{whole: true, bootID: booted})
	f("memory is short", "", nodeNews{pressure: true, turned: true})
	f("memory is still short", "", nodeNews{pressure: true})
	f("memory is there again", "", nodeNews{turned: true})
	f("memory is there again after a reboot", "", nodeNews{turned: true, bootID: booted})
}

// nodeReport is a Node before and after a report of such news, and when that is. A
// status Unknown is what the node lifecycle controller leaves of a node that it takes
// for dead.
func nodeReport(status corev1.ConditionStatus, news nodeNews) (before, after *corev1.Node, later metav1.Time) {
	begin := time.Unix(1_700_000_000, 0)
	before = nodeObject(testConfig(110, 2), 3, 0, begin)
	after = before.DeepCopy()
	later = metav1.NewTime(begin.Add(5 * time.Minute))
	for i := range after.Status.Conditions {
		after.Status.Conditions[i].LastHeartbeatTime = later
		if status == "Unknown" {
			before.Status.Conditions[i].Status = status
			before.Status.Conditions[i].Reason = "NodeStatusUnknown"
			before.Status.Conditions[i].Message = "Kubelet stopped posting node status."
			after.Status.Conditions[i].LastTransitionTime = later
		}
	}
	if news.bootID != "" {
		after.Status.NodeInfo.BootID = news.bootID
	}
	memory := func(node *corev1.Node, status corev1.ConditionStatus, reason, message string, since metav1.Time) {
		c := &node.Status.Conditions[0]
		c.Status, c.Reason, c.Message, c.LastTransitionTime = status, reason, message, since
	}
	if news.pressure != news.turned { // it was there before
		memory(before, "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available", metav1.NewTime(begin))
		memory(after, "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available", metav1.NewTime(begin))
	}
	switch {
	case news.turned && news.pressure:
		memory(after, "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available", later)
	case news.turned:
		memory(after, "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available", later)
	}
	return before, after, later
}

func TestSaysPressure(t *testing.T) {
	node := nodeObject(testConfig(110, 2), 3, 0, time.Unix(1_700_000_000, 0))
	f := func(want bool) {
		t.Helper()
		if saysPressure(encode(t, node)) != want {
			t.Errorf("%+v: %v", node.Status.Conditions, !want)
		}
	}
	f(false)
	node.Status.Conditions[1].Status = "True" // DiskPressure
	f(false)
	node.Status.Conditions[0].Status = "Unknown"
	f(false)
	node.Status.Conditions[0].Status = "True"
	f(true)
	node.Status.Conditions = nil
	f(false)
}

func testConfig(pods, images int) *Config {
	return &Config{PodsPerNode: pods, NodeImages: images, Seed: 1, Zones: 3}
}

func TestNodeObject(t *testing.T) {
	node := nodeObject(testConfig(42, 3), 4711, 0, time.Unix(1_700_000_000, 0))
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
	a, b := nodeObject(testConfig(1, 0), 1, 0, time.Now()), nodeObject(testConfig(1, 0), 2, 0, time.Now())
	if a.Status.NodeInfo.MachineID == b.Status.NodeInfo.MachineID || a.Status.NodeInfo.SystemUUID == b.Status.NodeInfo.SystemUUID {
		t.Error("two nodes are the same machine")
	}
	again := nodeObject(testConfig(1, 0), 1, 1, time.Now()).Status.NodeInfo
	if again.MachineID != a.Status.NodeInfo.MachineID || again.BootID == a.Status.NodeInfo.BootID || again.BootID != bootID(1, 1, 1) {
		t.Errorf("after a reboot: %+v", again)
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
