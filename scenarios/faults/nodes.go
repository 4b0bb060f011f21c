package faults

import (
	"context"
	"fmt"
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
			Name: "nodes-crash", Area: Nodes, For: 10 * time.Second,
			Does:    "a node, a tenth of them, or a zone loses power for longer than the grace period; its pods are evicted; it comes back",
			targets: of(10, oneNode, tenth, oneZone), inject: crashNodes,
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
	}
}

// someNodes resolves a target to names. Which they are does not matter to the
// control plane, so the first will do.
func someNodes(e *Env, target string) ([]string, error) {
	names := e.Nodes.Nodes()
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
		return e.Nodes.NodesIn(zones[0])
	}
	return nil, fmt.Errorf("%q is no target among nodes", target)
}

// crashNodes takes nodes away until the control plane has noticed. The evidence
// is what it says of them: not Ready, tainted, and none of their pods left.
func crashNodes(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := someNodes(e, target)
	if err != nil {
		return nil, err
	}
	if err := e.Nodes.Crash(names...); err != nil {
		return nil, err
	}
	e.forget(names)
	a := &Active{heal: func(ctx context.Context) (string, error) { return bootNodes(ctx, e, names) }}
	err = await(ctx, fmt.Sprintf("%d nodes to be given up", len(names)), func(ctx context.Context) error {
		return readyNodes(ctx, e, names, false)
	})
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	a.Evidence = fmt.Sprintf("%d nodes from %s on are not Ready", len(names), names[0])
	return a, nil
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
func NodeReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// flapNodes is over before the control plane gives nodes up. The evidence is that
// each has another boot ID.
func flapNodes(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := someNodes(e, target)
	if err != nil {
		return nil, err
	}
	before, err := bootIDs(ctx, e)
	if err != nil {
		return nil, err
	}
	for range flaps {
		if err := e.Nodes.Crash(names...); err != nil {
			return nil, err
		}
		e.forget(names)
		if err := e.Nodes.Boot(names...); err != nil {
			return nil, err
		}
	}
	err = await(ctx, "another boot ID of every node", func(ctx context.Context) error {
		after, err := bootIDs(ctx, e)
		for _, name := range names {
			if err == nil && after[name] == before[name] {
				err = fmt.Errorf("node %s shows %s", name, after[name])
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Active{Evidence: fmt.Sprintf("%d nodes from %s on show another boot ID", len(names), names[0])}, nil
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
// servers count in the flow schema of kubelets, apart from heartbeats: at least
// one request more of each node.
func restartKubelets(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := someNodes(e, target)
	if err != nil {
		return nil, err
	}
	before, err := kubeletRequests(ctx, e)
	if err != nil {
		return nil, err
	}
	if err := e.Nodes.RestartKubelets(names...); err != nil {
		return nil, err
	}
	var more float64
	err = await(ctx, "the lists of all kubelets", func(ctx context.Context) error {
		now, err := kubeletRequests(ctx, e)
		if more = now - before; err == nil && more < float64(len(names)) {
			err = fmt.Errorf("%g requests", more)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Active{Evidence: fmt.Sprintf("the API servers count %g requests of %d kubelets", more, len(names))}, nil
}

// kubeletRequests is how many requests of kubelets all API servers have let
// through, but for heartbeats, which have a flow schema of their own
// (k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap).
func kubeletRequests(ctx context.Context, e *Env) (sum float64, err error) {
	for _, c := range ofKind(e.Plane, apiserver.KubeAPIServer) {
		metrics, err := e.Plane.Metrics(ctx, c.Name)
		if err != nil {
			return 0, err
		}
		sum += sumOf(string(metrics), "apiserver_flowcontrol_dispatched_requests_total", `flow_schema="system-nodes"`)
	}
	return sum, nil
}

// skewClock sets the clock of one kubelet back. The evidence is a lease that was
// renewed in the past; that the node stays Ready is for the run to show, since a
// controller tells time by its own clock (pkg/controller/nodelifecycle).
func skewClock(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := someNodes(e, target)
	if err != nil {
		return nil, err
	}
	if err := e.Nodes.SetClock(names[0], clockOffset); err != nil {
		return nil, err
	}
	a := &Active{heal: func(ctx context.Context) (string, error) {
		if err := e.Nodes.SetClock(names[0], 0); err != nil {
			return "", err
		}
		if err := readyNodes(ctx, e, names, true); err != nil {
			return "", fmt.Errorf("while its clock was off: %w", err)
		}
		return names[0] + " was Ready all the same", nil
	}}
	err = await(ctx, "a lease of the past", func(ctx context.Context) error {
		lease, err := e.API.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, names[0], metav1.GetOptions{})
		if err != nil {
			return err
		}
		if r := lease.Spec.RenewTime; r == nil || time.Since(r.Time) < -clockOffset {
			return fmt.Errorf("renewed %v", r)
		}
		return nil
	})
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	a.Evidence = fmt.Sprintf("the lease of %s says that it was renewed %v ago", names[0], -clockOffset)
	return a, nil
}
