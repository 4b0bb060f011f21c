package workloads

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// rollouts watches Deployments and says when each has become what was asked of
// it. One watch is the cheap way: a Deployment of 50 pods has its status
// written a few dozen times in a roll-out, so that polling would see little
// more for many more requests, and the watch also gives the moment.
type rollouts struct {
	follow follower
	synced chan struct{}

	mu      sync.Mutex
	seen    map[string]deploymentStatus // by namespace/name
	wanted  map[string]rollout
	took    []time.Duration
	changed chan struct{} // closed and renewed when a roll-out has converged
}

// rollout is one change that must converge.
type rollout struct {
	uid        string
	generation int64
	due        history.Time
}

type deploymentStatus struct {
	uid                          string
	generation                   int64 // observed by the controller
	want                         int32 // spec.replicas
	replicas, updated, available int32
	arrived                      history.Time
}

func newRollouts(c *client.Client, log *slog.Logger) *rollouts {
	r := &rollouts{
		synced: make(chan struct{}), changed: make(chan struct{}),
		seen: map[string]deploymentStatus{}, wanted: map[string]rollout{},
	}
	r.follow = follower{
		client: c, resource: deploymentResource, log: log,
		begin: func() {}, item: func(raw []byte, at history.Time) error { return r.event("ADDED", raw, at) },
		// A Deployment that vanished while the watch had a gap stays in seen,
		// which harms nothing: its successor has another UID.
		done:  func(history.Time) { r.listed() },
		event: r.event, count: func(bool) {},
	}
	return r
}

func (r *rollouts) listed() {
	select {
	case <-r.synced:
	default:
		close(r.synced)
	}
}

func (r *rollouts) event(typ string, raw []byte, arrived history.Time) error {
	var d appsv1.Deployment
	if err := d.Unmarshal(raw); err != nil {
		return fmt.Errorf("decode deployment: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := d.Namespace + "/" + d.Name
	if typ == "DELETED" {
		delete(r.seen, key)
		return nil
	}
	status := deploymentStatus{
		uid: string(d.UID), generation: d.Status.ObservedGeneration, want: 1,
		replicas: d.Status.Replicas, updated: d.Status.UpdatedReplicas, available: d.Status.AvailableReplicas,
		arrived: arrived,
	}
	if d.Spec.Replicas != nil {
		status.want = *d.Spec.Replicas
	}
	r.seen[key] = status
	r.judge(key)
	return nil
}

// expect waits for a change whose answer was body: the Deployment as written.
// It replaces what was expected of that Deployment before.
func (r *rollouts) expect(body []byte, due history.Time) error {
	_, _, raw, err := wire.Unwrap(body)
	if err != nil {
		return fmt.Errorf("answer to a change of a deployment: %w", err)
	}
	meta, err := wire.ScanMeta(raw)
	if err != nil {
		return fmt.Errorf("answer to a change of a deployment: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := meta.Namespace + "/" + meta.Name
	r.wanted[key] = rollout{uid: meta.UID, generation: meta.Generation, due: due}
	r.judge(key)
	return nil
}

// judge takes a Deployment off the list if it has converged: the rule of
// "kubectl rollout status", with the old pods gone as well.
func (r *rollouts) judge(key string) {
	want, ok := r.wanted[key]
	s := r.seen[key]
	if !ok || s.uid != want.uid || s.generation < want.generation ||
		s.updated != s.want || s.replicas != s.want || s.available != s.want {
		return
	}
	delete(r.wanted, key)
	r.took = append(r.took, max(s.arrived.Sub(want.due), 0))
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits until nothing is expected any more. It fails when ctx ends or
// nothing has converged for patience.
func (r *rollouts) await(ctx context.Context, patience time.Duration) error {
	for {
		r.mu.Lock()
		left, changed := len(r.wanted), r.changed
		example := ""
		for example = range r.wanted {
			break
		}
		r.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-time.After(patience):
			return stalled("no deployment has converged for %v; %d have not, among them %s", patience, left, example)
		case <-ctx.Done():
			return fmt.Errorf("%d deployments have not converged, among them %s: %w", left, example, context.Cause(ctx))
		}
	}
}

// durations returns the time from due to convergence of all roll-outs so far.
func (r *rollouts) durations() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]time.Duration(nil), r.took...)
}
