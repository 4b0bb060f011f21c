package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/watch"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios/faults"
)

const (
	// recoveryBound is how long a cluster may take to be whole again after the
	// last fault is healed: a lease of a node that was late (40 s), and what its
	// pods need after that.
	recoveryBound = 90 * time.Second
	// steadyTime is how long it must stay so.
	steadyTime = 10 * time.Second
	// steadyBound is how long the second look may take: a question may take too
	// long on a busy machine, and is then put again.
	steadyBound = 30 * time.Second
	// recoveryPoll is how often it is looked at.
	recoveryPoll = 250 * time.Millisecond
)

// recovery is how a cluster came back after its faults.
type recovery struct {
	healed history.Time
	took   time.Duration
	err    error
}

// recover waits until the cluster is whole again, and for a while longer whether
// it stays so. What is missing in the end is a violation, no fault of ours.
func (x *execution) recover(ctx context.Context) {
	r := &recovery{healed: history.Now()}
	x.recovered = r
	began := time.Now() // as the leases of nodes tell time
	bounded, cancel := context.WithTimeoutCause(ctx, recoveryBound, fmt.Errorf("it had %v", recoveryBound))
	defer cancel()
	r.err = x.becomeWhole(bounded, began)
	r.took = history.Since(r.healed)
	if r.err != nil {
		if x.staysStale() { // no fault comes any more, and this one does not go
			x.run.Calm = int64(r.healed)
		}
		return
	}
	x.run.Calm = int64(history.Now())
	x.m.series.Event(history.Now(), "recovered", "", map[string]float64{"seconds": r.took.Seconds()})
	steady := time.Now()
	_ = pause(ctx, steadyTime)
	bounded, cancel = context.WithTimeoutCause(ctx, steadyBound, fmt.Errorf("it had %v", steadyBound))
	defer cancel()
	if r.err = x.becomeWhole(bounded, steady.Add(-nodeStatusAge)); r.err != nil {
		r.err = fmt.Errorf("%v after it had recovered: %w", steadyTime, r.err)
	}
}

// staysStale says whether the plan keeps watches from being fresh to its end:
// then the control plane counts as one that is like that.
func (x *execution) staysStale() bool {
	return slices.ContainsFunc(x.plan.Interventions, func(i Intervention) bool {
		f, _ := faults.Find(i.Fault)
		return slices.Contains(f.Breaks, string(watch.Fresh))
	})
}

// nodeStatusAge is how old the last renewal of a node's lease may be: its period,
// with jitter.
const nodeStatusAge = 12 * time.Second

// becomeWhole waits until nothing is missing.
func (x *execution) becomeWhole(ctx context.Context, since time.Time) error {
	ticker := time.NewTicker(recoveryPoll)
	defer ticker.Stop()
	for {
		err := x.whole(ctx, since)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}
}

// whole says what is missing of a healthy cluster, the cheapest question first.
func (x *execution) whole(ctx context.Context, since time.Time) error {
	if running, planned := x.m.collector.Pods.Counts().LiveRun, int64(x.plan.pods()); running < planned {
		return fmt.Errorf("%d of %d pods are Running", running, planned)
	}
	for _, c := range x.cluster.plane.Components() {
		path := "/healthz"
		if c.Kind == apiserver.KubeAPIServer {
			path = "/readyz"
		}
		probe, cancel := context.WithTimeout(ctx, probeTimeout)
		_, err := x.cluster.plane.Get(probe, c.Name, path)
		cancel()
		if err != nil {
			return err
		}
	}
	api, err := x.probeClient(x.cluster.plane.Addr())
	if err != nil {
		return err
	}
	if err := x.nodesAlive(ctx, api, since); err != nil {
		return err
	}
	return x.watchesFresh(ctx)
}

// nodesAlive looks in the store whether every node is Ready and has renewed its
// lease since a moment.
func (x *execution) nodesAlive(ctx context.Context, api kubernetes.Interface, since time.Time) error {
	nodes, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for i := range nodes.Items {
		if node := &nodes.Items[i]; !faults.NodeReady(node) {
			return fmt.Errorf("node %s is not Ready", node.Name)
		}
	}
	leases, err := api.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the leases of nodes: %w", err)
	}
	if len(leases.Items) < len(nodes.Items) {
		return fmt.Errorf("%d nodes have %d leases", len(nodes.Items), len(leases.Items))
	}
	for _, lease := range leases.Items {
		if r := lease.Spec.RenewTime; r == nil || r.Time.Before(since) {
			return fmt.Errorf("node %s has not renewed its lease since", lease.Name)
		}
	}
	return nil
}

// watchesFresh looks whether a write comes out of a watch of each API server.
func (x *execution) watchesFresh(ctx context.Context) error {
	addrs := x.cluster.plane.ServerAddrs()
	errs := make([]error, len(addrs))
	var watching sync.WaitGroup
	for i, addr := range addrs {
		watching.Go(func() { errs[i] = x.watchFresh(ctx, addr) })
	}
	watching.Wait()
	return errors.Join(errs...)
}

// watchFresh looks at one API server.
func (x *execution) watchFresh(ctx context.Context, addr string) error {
	api, err := x.probeClient(addr)
	if err != nil {
		return err
	}
	if err := faults.Fresh(ctx, api, x.serverName(addr)); err != nil {
		return fmt.Errorf("%s: %w", addr, err)
	}
	return nil
}

// serverName is the name of the API server at an address.
func (x *execution) serverName(addr string) string {
	for _, c := range x.cluster.plane.Components() {
		if c.Addr == addr {
			return c.Name
		}
	}
	return "unknown"
}

// judgeRecovery is the liveness of a run with faults.
func (x *execution) judgeRecovery() checkers.Verdict {
	v := checkers.Verdict{
		Guarantee: "Recovered",
		Statement: fmt.Sprintf("within %v after the last fault was healed every API server was ready, every planned pod ran, every node was Ready "+
			"and renewed its lease, and a watch of every API server showed a write; and %v later still", recoveryBound, steadyTime),
	}
	r := x.recovered
	if r == nil {
		v.Outcome, v.Detail = checkers.Invalid, "the run ended before the faults were over"
		return v
	}
	v.Checked = fmt.Sprintf("%d nodes and %d pods after %v", x.plan.World.Nodes, x.plan.pods(), results.Seconds(r.took))
	v.Outcome = checkers.Pass
	if r.err != nil {
		v.Outcome, v.Detail = checkers.Fail, r.err.Error()
	}
	return v
}
