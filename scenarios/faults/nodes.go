package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver"
)

// The targets among the nodes.
const (
	oneNode = "one"
	tenth   = "tenth"
	oneZone = "zone"
)

// flaps is how often flapping nodes go down and come up again.
const flaps = 3

// clockOffset is how wrong a clock is: more than a lease of a node lasts.
const clockOffset = -time.Minute

func nodeFaults() []Fault {
	of := func(least int, targets ...string) func(Shape) []string {
		return func(s Shape) []string { return atLeast(least, s.Nodes, targets...) }
	}
	return []Fault{
		{
			Name: "nodes-crash", Area: Nodes, For: 10 * time.Second, Tests: []string{"cluster/NodeFailureHeals"},
			Does: "a node, a tenth of them or a zone, by the seed (always: faults/nodes-tenth, faults/zone-failure), loses power for longer " +
				"than the grace period; its pods are evicted; it comes back",
			targets: of(10, oneNode, tenth, oneZone), inject: crashNodes,
		},
		{
			Name: "node-returns", Area: Nodes, For: 2 * time.Second, Tests: []string{"cluster/NodeFailureHeals"},
			Does: "a node, or a tenth of them, is cut off for longer than the grace period while its pods go on; they are evicted; " +
				"it comes back with them, and its kubelet stops and deletes them",
			targets: of(10, oneNode, tenth), inject: returnNodes,
		},
		{
			Name: "nodes-flap", Area: Nodes,
			Does:    "a tenth of the nodes loses power and is back at once, three times in a row",
			targets: of(10, tenth), inject: flapNodes,
		},
		{
			Name: "kubelets-restart", Area: Nodes,
			Does:    "all kubelets are restarted at once, and all list their pods anew (relist storm)",
			targets: of(1, all), inject: restartKubelets,
		},
		{
			Name: "clock-off", Area: Nodes, For: 25 * time.Second,
			Does:    "the clock of one kubelet is a minute behind, more than its lease lasts; the node must stay Ready",
			targets: of(2, oneNode), inject: skewClock,
		},
		{
			Name: "nodes-memory-pressure", Area: Nodes, For: 5 * time.Second,
			Does: "a node, or a tenth of them, runs short of memory; its kubelet says so, evicts one to three pods, by the seed, and refuses " +
				"best-effort ones; others run elsewhere in their place",
			targets: of(10, oneNode, tenth), inject: pressNodes,
		},
	}
}

// someNodes resolves a target to names.
func someNodes(e *Env, target string) ([]string, error) {
	return firstNodes(e, target, shuffled(e.Nodes.Nodes(), e.Pick))
}

// podNodes resolves a target, which is no zone, to names of nodes that run pods, as
// their kubelets see it now. Only where there are fewer of these than the target means
// others are among them. Without any it fails.
func podNodes(e *Env, target string) ([]string, error) {
	var names, others []string
	for _, name := range shuffled(e.Nodes.Nodes(), e.Pick) {
		pods, err := e.Nodes.Running(name)
		switch {
		case err != nil:
			return nil, err
		case len(pods) > 0:
			names = append(names, name)
		default:
			others = append(others, name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("no node runs a pod")
	}
	return firstNodes(e, target, append(names, others...))
}

// firstNodes resolves a target to as many names of nodes in an order as it means.
func firstNodes(e *Env, target string, names []string) ([]string, error) {
	switch target {
	case oneNode:
		return names[:1], nil
	case tenth:
		return names[:max(len(names)/10, 1)], nil
	case all:
		return names, nil
	case oneZone:
		zones := e.Nodes.Zones()
		if len(zones) == 0 {
			return nil, fmt.Errorf("the nodes lie in no zones")
		}
		return e.Nodes.NodesIn(shuffled(zones, e.Pick)[0])
	}
	return nil, fmt.Errorf("%q is no target among nodes", target)
}

// crashNodes takes nodes away until the control plane has noticed. The evidence
// is what it says of them: not Ready and tainted NoExecute. Then each of their pods
// is to be deleted, so that others have to take their place.
func crashNodes(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := someNodes(e, target)
	if err != nil {
		return nil, err
	}
	a := &Active{heal: func(ctx context.Context) (string, error) { return bootNodes(ctx, e, names) }}
	e.forget(names)
	if err := e.Nodes.Crash(names...); err != nil {
		return nil, healed(ctx, a, err)
	}
	evicted := 0
	a, err = shown(ctx, a, fmt.Sprintf("%d nodes to be given up", len(names)), func(ctx context.Context) error {
		_, _, evicted, err = abandoned(ctx, e, names)
		if errors.Is(err, errStays) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	a.Evidence = fmt.Sprintf("%d nodes (%s) are not Ready and tainted NoExecute, ", len(names), strings.Join(names, ", "))
	// Pods that stay are no matter of the fault, but of the controllers.
	ctx, cancel := context.WithTimeoutCause(ctx, evictionBound, fmt.Errorf("it had %v", evictionBound))
	defer cancel()
	if err = await(ctx, "their pods to be evicted", func(ctx context.Context) error {
		_, _, evicted, err = abandoned(ctx, e, names)
		return err
	}); err != nil {
		a.Evidence += fmt.Sprintf("and %v", err)
	} else {
		a.Evidence += fmt.Sprintf("their last %d pods are being deleted", evicted)
	}
	return a, nil
}

// evictionBound is how long pods may stay on nodes that are tainted before a fault
// goes on without their eviction: the time that they tolerate it, many times over.
const evictionBound = 30 * time.Second

// errStays is what is wrong if pods have not been evicted.
var errStays = errors.New("it is not being deleted")

// abandoned fails unless the control plane has given nodes up. It returns all nodes
// and pods, and how many pods on those nodes are being deleted.
func abandoned(ctx context.Context, e *Env, names []string) (_ []corev1.Node, _ []corev1.Pod, evicted int, err error) {
	if err := readyNodes(ctx, e, names, false); err != nil {
		return nil, nil, 0, err
	}
	nodes, err := e.API.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, 0, err
	}
	pods, err := e.API.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, 0, err
	}
	evicted, err = givenUp(names, nodes.Items, pods.Items)
	return nodes.Items, pods.Items, evicted, err
}

// givenUp fails unless every one of the nodes is tainted NoExecute, and every pod
// on them is being deleted. Pods of the contract traffic come and go, and may
// tolerate anything. evicted counts those that are not gone.
func givenUp(names []string, nodes []corev1.Node, pods []corev1.Pod) (evicted int, err error) {
	for i := range nodes {
		n := &nodes[i]
		tainted := slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Effect == corev1.TaintEffectNoExecute })
		if slices.Contains(names, n.Name) && !tainted {
			return 0, fmt.Errorf("node %s has no taint NoExecute", n.Name)
		}
	}
	for i := range pods {
		p := &pods[i]
		if !slices.Contains(names, p.Spec.NodeName) || strings.HasPrefix(p.Namespace, "contract-") {
			continue
		}
		if p.DeletionTimestamp == nil {
			return 0, fmt.Errorf("pod %s/%s stays on node %s: %w", p.Namespace, p.Name, p.Spec.NodeName, errStays)
		}
		evicted++
	}
	return evicted, nil
}

func bootNodes(ctx context.Context, e *Env, names []string) (string, error) {
	if err := e.Nodes.Boot(names...); err != nil {
		return "", err
	}
	err := await(ctx, fmt.Sprintf("%d nodes to be Ready", len(names)), func(ctx context.Context) error {
		return readyNodes(ctx, e, names, true)
	})
	return fmt.Sprintf("%d nodes are Ready", len(names)), err
}

// readyNodes fails unless the API shows every one of the nodes as Ready, or none.
func readyNodes(ctx context.Context, e *Env, names []string, want bool) error {
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	nodes, err := e.API.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	seen := 0
	for i := range nodes.Items {
		node := &nodes.Items[i]
		if !wanted[node.Name] {
			continue
		}
		seen++
		if NodeReady(node) != want {
			return fmt.Errorf("node %s: Ready is %v", node.Name, !want)
		}
	}
	if seen != len(names) {
		return fmt.Errorf("%d of %d nodes are there", seen, len(names))
	}
	return nil
}

// NodeReady says whether a node's condition Ready is True.
func NodeReady(node *corev1.Node) bool { return readiness(node) == corev1.ConditionTrue }

// readiness is a node's condition Ready; "": it has none.
func readiness(node *corev1.Node) corev1.ConditionStatus {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return ""
}

// flapNodes is over before the control plane gives nodes up. The evidence is that
// each shows another boot ID every time.
func flapNodes(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := someNodes(e, target)
	if err != nil {
		return nil, err
	}
	undo := &Active{heal: func(ctx context.Context) (string, error) { return bootNodes(ctx, e, names) }}
	seen, err := bootIDs(ctx, e)
	if err != nil {
		return nil, err
	}
	for range flaps {
		e.forget(names)
		if seen, err = flapOnce(ctx, e, names, seen); err != nil {
			return nil, healed(ctx, undo, err)
		}
	}
	return &Active{Evidence: fmt.Sprintf("%d nodes (%s) have shown another boot ID %d times", len(names), strings.Join(names, ", "), flaps)}, nil
}

// flapOnce takes power from nodes, gives it back, and waits until each shows a boot
// ID that it had not before. It returns those of now.
func flapOnce(ctx context.Context, e *Env, names []string, before map[string]string) (after map[string]string, err error) {
	if err := e.Nodes.Crash(names...); err != nil {
		return nil, err
	}
	if err := e.Nodes.Boot(names...); err != nil {
		return nil, err
	}
	err = await(ctx, "another boot ID of every node", func(ctx context.Context) (err error) {
		if after, err = bootIDs(ctx, e); err != nil {
			return err
		}
		return rebooted(names, before, after)
	})
	return after, err
}

// rebooted fails unless each node shows another boot ID than before.
func rebooted(names []string, before, after map[string]string) error {
	for _, name := range names {
		if after[name] == "" || after[name] == before[name] {
			return fmt.Errorf("node %s shows boot ID %q", name, after[name])
		}
	}
	return nil
}

func bootIDs(ctx context.Context, e *Env) (map[string]string, error) {
	nodes, err := e.API.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for i := range nodes.Items {
		ids[nodes.Items[i].Name] = nodes.Items[i].Status.NodeInfo.BootID
	}
	return ids, nil
}

// restartKubelets makes every kubelet list its pods. The evidence is what the API
// servers count of kubelets: for each node at least a watch more, which one that
// goes on opens every few minutes only, and a request beside it, the list; and
// lists of pods, of whomever. One that is not seen soon is no storm.
func restartKubelets(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := someNodes(e, target)
	if err != nil {
		return nil, err
	}
	before, err := countKubelets(ctx, e)
	if err != nil {
		return nil, err
	}
	undo := &Active{heal: func(context.Context) (string, error) { return "", e.Nodes.RestartKubelets(names...) }}
	if err := e.Nodes.RestartKubelets(names...); err != nil {
		return nil, healed(ctx, undo, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stormBound, fmt.Errorf("it had %v", stormBound))
	defer cancel()
	var more kubeletCounts
	err = await(ctx, "the lists of all kubelets", func(ctx context.Context) error {
		now, err := countKubelets(ctx, e)
		if err != nil {
			return err
		}
		more = now.since(before)
		return more.storm(len(names))
	})
	if err != nil {
		return nil, err
	}
	return &Active{Evidence: fmt.Sprintf("%v of %d kubelets", more, len(names))}, nil
}

// stormBound is how long kubelets may take to be back, on a machine that may be
// busy.
const stormBound = 30 * time.Second

// kubeletCounts is what API servers count so far: what they executed of kubelets,
// apart from heartbeats, which have a flow schema of their own
// (k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap), and lists of pods.
type kubeletCounts struct{ watches, requests, lists float64 }

func (k kubeletCounts) String() string {
	return fmt.Sprintf("the API servers count %g watches and %g other requests", k.watches, k.requests)
}

func (k kubeletCounts) since(before kubeletCounts) kubeletCounts {
	return kubeletCounts{k.watches - before.watches, k.requests - before.requests, k.lists - before.lists}
}

// storm fails unless each of n kubelets may have listed and watched anew.
func (k kubeletCounts) storm(n int) error {
	if least := float64(n); k.watches < least || k.requests < least || k.lists < least {
		return fmt.Errorf("%v of %d kubelets, and %g lists of pods", k, n, k.lists)
	}
	return nil
}

func countKubelets(ctx context.Context, e *Env) (sum kubeletCounts, err error) {
	const executed = "apiserver_flowcontrol_request_execution_seconds_count"
	for _, c := range ofKind(e.Plane, apiserver.KubeAPIServer) {
		metrics, err := e.Plane.Metrics(ctx, c.Name)
		if err != nil {
			return sum, err
		}
		text := string(metrics)
		sum.watches += sumOf(text, executed, `flow_schema="system-nodes"`, `type="watch"`)
		sum.requests += sumOf(text, executed, `flow_schema="system-nodes"`, `type="regular"`)
		sum.lists += sumOf(text, "apiserver_request_total", `resource="pods"`, `verb="LIST"`)
	}
	return sum, nil
}
