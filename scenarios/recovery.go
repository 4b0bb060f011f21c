package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	// recoveryPoll is how often it is looked at.
	recoveryPoll = 250 * time.Millisecond
	// steadyTime is how long it must stay so, as looked at every steadyPoll.
	steadyTime = 10 * time.Second
	steadyPoll = time.Second
	// steadyBound is how long the looks of that time may take: a question may take
	// too long on a busy machine, and is then put again.
	steadyBound = 40 * time.Second
)

// recovery is how a cluster came back after its faults.
type recovery struct {
	healed history.Time
	took   time.Duration
	looks  int // after it had come back
	err    error
}

// recover waits until the cluster is whole again, and looks for a while longer
// whether it stays so. What is missing in the end is a violation, no fault of ours,
// unless ctx has ended meanwhile: then nothing is known.
func (x *execution) recover(ctx context.Context) {
	r := &recovery{healed: history.Now()}
	x.recovered = r
	began := time.Now() // as leases tell time
	bounded, cancel := context.WithTimeoutCause(ctx, recoveryBound, fmt.Errorf("it had %v", recoveryBound))
	defer cancel()
	if r.err = x.endTurnover(bounded); r.err == nil {
		r.err = untilNil(bounded, func(ctx context.Context) error { return x.whole(ctx, began) })
	}
	r.took = history.Since(r.healed)
	if ctx.Err() != nil {
		x.recovered = nil
		return
	}
	if r.err != nil {
		if x.staysStale() { // no fault comes any more, and this one does not go
			x.run.Calm = int64(r.healed)
		}
		return
	}
	x.run.Calm = int64(history.Now())
	x.m.series.Event(history.Now(), "recovered", "", map[string]float64{"seconds": r.took.Seconds()})
	whole := func(ctx context.Context) error { return x.whole(ctx, time.Time{}) }
	var after time.Duration
	if r.looks, after, r.err = stays(ctx, whole, steadyTime, steadyPoll); r.err != nil {
		r.err = fmt.Errorf("%v after it had recovered: %w", results.Seconds(after), r.err)
	}
	if ctx.Err() != nil {
		x.recovered = nil
	}
}

// stays looks again and again for as long as something must last. The first look
// that finds something missing ends it; one that had no answer in time has found
// nothing, and looks again. Without any that found all there, nothing is known.
func stays(ctx context.Context, look func(context.Context) error, long, every time.Duration) (looks int, after time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, long+steadyBound-steadyTime, fmt.Errorf("it had %v", long+steadyBound-steadyTime))
	defer cancel()
	began := history.Now()
	var last error
	for {
		err := look(ctx)
		switch {
		case err == nil:
			looks, last = looks+1, nil
		case !unanswered(err):
			return looks, history.Since(began), err
		default:
			last = err
		}
		if history.Since(began) >= long && last == nil {
			return looks, history.Since(began), nil
		}
		if pause(ctx, every) != nil {
			return looks, history.Since(began), fmt.Errorf("%w (%w)", errors.Join(last, errors.New("no look had an answer")), context.Cause(ctx))
		}
	}
}

// unanswered says that a question had no answer in time, or that a server says so
// of its own.
func unanswered(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() ||
		apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err)
}

// staysStale says whether the plan keeps watches from being fresh to its end:
// then the control plane counts as one that is like that.
func (x *execution) staysStale() bool {
	return slices.ContainsFunc(x.plan.Interventions, func(i Intervention) bool {
		f, _ := faults.Find(i.Fault)
		return slices.Contains(f.Breaks, string(watch.Fresh))
	})
}

// whole says what is missing of a healthy cluster, the cheapest question first.
// Every lease must have been renewed since a moment, and lately.
func (x *execution) whole(ctx context.Context, since time.Time) error {
	if running, planned := x.m.collector.Pods.OwnRunning(), int64(x.plan.pods()); running < planned {
		return fmt.Errorf("%d of %d pods are Running", running, planned)
	}
	if x.plan.turns() {
		if err := x.density.Whole(ctx); err != nil {
			return err
		}
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
	if err := x.leasesAlive(ctx, api, since); err != nil {
		return err
	}
	return x.watchesFresh(ctx)
}

// leasesAlive looks in the store whether every node is Ready, and whether nodes,
// leaders and API servers renew their leases.
func (x *execution) leasesAlive(ctx context.Context, api kubernetes.Interface, since time.Time) error {
	nodes, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for i := range nodes.Items {
		if node := &nodes.Items[i]; !faults.NodeReady(node) {
			return fmt.Errorf("node %s is not Ready", node.Name)
		}
	}
	beats, err := api.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the leases of nodes: %w", err)
	}
	if len(beats.Items) < len(nodes.Items) {
		return fmt.Errorf("%d nodes have %d leases", len(nodes.Items), len(beats.Items))
	}
	others, err := api.CoordinationV1().Leases(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the leases of the control plane: %w", err)
	}
	now := time.Now()
	if err := renewed(beats.Items, since, now); err != nil {
		return err
	}
	return x.planeLeases(others.Items, since, now)
}

// planeLeases are those of the leading scheduler and controller manager, where
// they elect one, and one of each API server, which it names after its host, so
// that it keeps it through a restart (k8s.io/kubernetes/pkg/controlplane/apiserver,
// IdentityLeaseComponentLabelKey).
func (x *execution) planeLeases(all []coordinationv1.Lease, since, now time.Time) error {
	w := x.plan.World
	want := map[string]bool{
		apiserver.KubeScheduler: w.Schedulers > 1 && !w.Leaderless, apiserver.KubeControllerManager: w.ControllerManagers > 1,
	}
	var mine []coordinationv1.Lease
	servers := 0
	for _, l := range all {
		switch {
		case want[l.Name]:
			delete(want, l.Name)
			mine = append(mine, l)
		case l.Labels["apiserver.kubernetes.io/identity"] == apiserver.KubeAPIServer:
			servers++
			mine = append(mine, l)
		}
	}
	for name, missing := range want {
		if missing {
			return fmt.Errorf("there is no lease of %s", name)
		}
	}
	if servers < w.APIServers {
		return fmt.Errorf("%d of %d API servers have a lease", servers, w.APIServers)
	}
	return renewed(mine, since, now)
}

// renewed fails for a lease that nobody holds, that was not renewed since a
// moment, or not for as long as it lasts, or as the grace period of nodes if that
// is less: theirs are renewed every 10 s, as those of API servers, which last an
// hour.
func renewed(leases []coordinationv1.Lease, since, now time.Time) error {
	for i := range leases {
		l := &leases[i].Spec
		name := leases[i].Name
		if l.HolderIdentity == nil || *l.HolderIdentity == "" || l.RenewTime == nil || l.LeaseDurationSeconds == nil {
			return fmt.Errorf("nobody holds the lease of %s", name)
		}
		if l.RenewTime.Time.Before(since) {
			return fmt.Errorf("the lease of %s was not renewed since", name)
		}
		most := min(time.Duration(*l.LeaseDurationSeconds)*time.Second, gracePeriod)
		if age := now.Sub(l.RenewTime.Time); age > most {
			return fmt.Errorf("the lease of %s was not renewed for %v", name, results.Seconds(age))
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
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil && !unanswered(err) }); i >= 0 {
		return errs[i] // what is known comes before what is not
	}
	return errors.Join(errs...)
}

// watchFresh looks at one API server.
func (x *execution) watchFresh(ctx context.Context, addr string) error {
	api, err := x.probeClient(addr)
	if err != nil {
		return err
	}
	name := x.serverName(addr)
	if err := faults.Fresh(ctx, api, name); err != nil {
		return fmt.Errorf("%s, ConfigMaps: %w", name, err)
	}
	if err := faults.FreshPods(ctx, api, name); err != nil {
		return fmt.Errorf("%s, pods: %w", name, err)
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
		Statement: fmt.Sprintf("within %v after the last fault was healed every API server was ready, every planned pod ran and no other, every node was Ready, "+
			"nodes, leaders and API servers renewed their leases, and watches of every API server, of ConfigMaps and of pods, showed a write; "+
			"and so it stayed for %v", recoveryBound, steadyTime),
	}
	r := x.recovered
	if r == nil {
		v.Outcome, v.Detail = checkers.Invalid, "the run ended before the faults were over, or before it was known how the cluster came back"
		return v
	}
	v.Checked = fmt.Sprintf("%d nodes and %d pods after %v, and at %d looks after that", x.plan.World.Nodes, x.plan.pods(), results.Seconds(r.took), r.looks)
	v.Outcome = checkers.Pass
	if r.err != nil {
		v.Outcome, v.Detail = checkers.Fail, r.err.Error()
	}
	return v
}
