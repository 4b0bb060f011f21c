package hollow

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/sim"
	"github.com/planecheck/planecheck/sim/fidelity"
)

// podCount is how many pods run on each node, one after the other. The kubelet
// may join status writes when it is busy, so the reference is the pod with the
// most writes; every simulated pod must match it.
const podCount = 3

// A simulated node of profile kubelet must send what a hollow kubelet sends,
// except for fidelity.Allowed. To show that the comparison can fail, a node of
// profile lean, which leaves things out on purpose, must not pass it.
func TestSimulatedNodeMatchesHollowKubelet(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := startCluster(ctx, t)

	hollow := c.startHollow(t)
	kubelet, nodes := c.startSim(ctx, t, sim.Kubelet)
	both := []fidelity.Side{hollow, kubelet}
	for _, side := range both {
		poll(ctx, t, side.Node+" to be Ready", c.nodeReady(side.Node))
		c.createNamespace(ctx, t, side.Namespace)
	}
	for i := range podCount {
		c.runPod(ctx, t, podName(i), both...)
	}
	for _, side := range both {
		poll(ctx, t, "a renewed lease of "+side.Node, c.leaseRenewed(side.Node))
	}
	nodes.Stop()
	reference, simulated := c.requests(t, hollow), c.requests(t, kubelet)
	if !slices.ContainsFunc(simulated, func(r fidelity.Request) bool { return r.Key == "patch nodes/status" }) {
		t.Error("the simulated node never reported its status") // single reports may be missing, but not all
	}
	found := differences(reference, simulated)
	forbidden, stale := fidelity.Judge(found, fidelity.Allowed())
	for _, d := range forbidden {
		t.Error(d)
	}
	for _, a := range stale {
		t.Errorf("no difference needs the allowance for %s %s (%s)", a.Request, a.Field, a.Reason)
	}
	if t.Failed() {
		return // what follows shows that this can fail
	}

	c.forgetNode(ctx, t, kubelet.Node)
	lean, _ := c.startSim(ctx, t, sim.Lean)
	c.createNamespace(ctx, t, lean.Namespace)
	c.runPod(ctx, t, podName(0), lean)
	forbidden, _ = fidelity.Judge(differences(reference, c.requests(t, lean)), fidelity.Allowed())
	for _, want := range []string{
		"watch nodes metadata.name=<node>: hollow kubelet sent, simulated absent",
		"patch pods/status: hollow kubelet sent, simulated absent",
		"get pods: hollow kubelet sent, simulated absent",
		"body.status.containerStatuses[main].resources: hollow kubelet",
	} {
		if !strings.Contains(fmt.Sprintln(forbidden), want) {
			t.Errorf("profile lean passes where it should not: no %q in %v", want, forbidden)
		}
	}
}

func podName(i int) string { return fmt.Sprintf("pod-%d", i) }

// differences compares all that two nodes sent.
func differences(hollow, simulated []fidelity.Request) []fidelity.Difference {
	var found []fidelity.Difference
	for _, subject := range []fidelity.Subject{fidelity.SubjectNode, fidelity.SubjectLease, fidelity.SubjectWatch} {
		found = append(found, fidelity.Compare(fidelity.Of(hollow, subject, ""), fidelity.Of(simulated, subject, ""))...)
	}
	var reference []fidelity.Request
	for i := range podCount {
		if life := fidelity.Of(hollow, fidelity.SubjectPod, podName(i)); fidelity.Writes(life) > fidelity.Writes(reference) {
			reference = life
		}
	}
	for i := range podCount {
		if life := fidelity.Of(simulated, fidelity.SubjectPod, podName(i)); len(life) > 0 {
			found = append(found, fidelity.Compare(reference, life)...)
		}
	}
	return found
}

// createNamespace returns when pods can be created in the namespace: the
// controller manager makes the service account that they need.
func (c *cluster) createNamespace(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.admin.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	poll(ctx, t, "the service account in "+name, func(ctx context.Context) (bool, error) {
		_, err := c.admin.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, ignoreNotFound(err)
	})
}

// runPod runs the same pod on each node: create, Running, delete with grace.
func (c *cluster) runPod(ctx context.Context, t *testing.T, name string, sides ...fidelity.Side) {
	t.Helper()
	for _, side := range sides {
		if _, err := c.admin.CoreV1().Pods(side.Namespace).Create(ctx, newPod(name, side.Node), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, side := range sides {
		poll(ctx, t, name+" to run on "+side.Node, c.podRunning(side.Namespace, name))
	}
	for _, side := range sides {
		if err := c.admin.CoreV1().Pods(side.Namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, side := range sides {
		poll(ctx, t, name+" to go from "+side.Node, c.podGone(side.Namespace, name))
	}
}

// newPod returns a pod of two containers that is bound to the node already and
// mounts nothing: mounts are traffic of profile full.
func newPod(name, node string) *corev1.Pod {
	no, grace := false, int64(2)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "fidelity"}},
		Spec: corev1.PodSpec{
			NodeName:                      node,
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{
				{Name: "main", Image: "registry.example/main:1"},
				{Name: "sidecar", Image: "registry.example/sidecar:1"},
			},
		},
	}
}

// forgetNode removes what a stopped node left behind.
func (c *cluster) forgetNode(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	if err := c.admin.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	leases := c.admin.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	if err := ignoreNotFound(leases.Delete(ctx, name, metav1.DeleteOptions{})); err != nil {
		t.Fatal(err)
	}
}
