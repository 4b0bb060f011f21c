package workloads

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

const (
	// turnoverAtOnce bounds the operations of a turnover that are under way at
	// once: while nobody answers they pile up.
	turnoverAtOnce = 16
	// settlePoll is the pause before a Deployment is asked for again that could
	// not be settled, or whose pods are not collected yet.
	settlePoll = 250 * time.Millisecond
)

// planTurnover plans as many operations, each like one of a churn, as the longest
// turnover has. They are on a random half of the Deployments: the others are at
// rest all the time, so that it can be judged what has become of them.
func planTurnover(cfg DensityConfig, deployments []PlannedDeployment, rng *rand.Rand) []ChurnOperation {
	cfg.ChurnPods, cfg.ChurnRate = int(cfg.TurnoverRate*cfg.TurnoverMost.Seconds()), cfg.TurnoverRate
	if cfg.ChurnPods == 0 {
		return nil
	}
	half := rng.Perm(len(deployments))[:(len(deployments)+1)/2]
	turned := make([]PlannedDeployment, len(half))
	for i, d := range half {
		turned[i] = deployments[d]
	}
	ops := planChurn(cfg, turned, rng)
	for i := range ops {
		ops[i].Deployment = half[ops[i].Deployment]
	}
	return ops
}

// Turnover keeps replacing pods, so that there is always something to bind and
// to start, until it is ended: it rolls Deployments, and deletes and creates
// them, at the plan's pace. What it leaves behind does not depend on how far it
// came, so that runs of one plan can be compared: Settle makes every Deployment
// again what Fill has made.
//
// Each write names the Deployment by its UID. One that a frozen server carries
// out late, after it was sent again elsewhere, meets another one and does
// nothing.
type Turnover struct {
	d           *Density
	begin, stop context.CancelFunc // no operation begins, or goes on, any more
	ended       chan struct{}
	began, done atomic.Int64 // operations

	mu     sync.Mutex
	rolled map[int]bool // Deployments that may hold what a roll has left
	failed error        // the first operation that was given up
}

// Turn begins the turnover. It ends with ctx, or with End.
func (d *Density) Turn(ctx context.Context) *Turnover {
	running, stop := context.WithCancel(ctx)
	beginning, begin := context.WithCancel(running)
	t := &Turnover{d: d, begin: begin, stop: stop, ended: make(chan struct{}), rolled: map[int]bool{}}
	ops := d.plan.Turnover
	due := at(history.Now(), func(i int) time.Duration { return ops[i].Due })
	order := newInOrder(ops)
	go func() {
		defer close(t.ended)
		_, _ = openLoop(running, len(ops), turnoverAtOnce,
			func(_ context.Context, i int) (history.Time, error) { return due(beginning, i) },
			func(ctx context.Context, i int, due history.Time) error {
				t.note(order.run(i, func() error { return t.one(ctx, ops[i], due) }))
				return nil // the next one may do better
			})
	}()
	return t
}

// Began is how many operations have begun.
func (t *Turnover) Began() int64 { return t.began.Load() }

// UnderWay is how many of those have not ended, because the control plane, or its
// controllers, have not done all that they take.
func (t *Turnover) UnderWay() int64 {
	done := t.done.Load() // first, so that it is never more than what has begun
	return t.began.Load() - done
}

// End begins no further operation, and returns when those under way have ended;
// those that have not when ctx ends are given up. The error is of the first that
// was given up. What it left is for Settle.
func (t *Turnover) End(ctx context.Context) error {
	t.begin()
	select {
	case <-t.ended:
	case <-ctx.Done():
	}
	t.stop()
	<-t.ended
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *Turnover) note(err error) {
	if err == nil {
		return
	}
	t.d.deps.Log.Warn("turnover", "err", err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = fmt.Errorf("turnover: %w", err)
	}
}

// one counts an operation, and does it.
func (t *Turnover) one(ctx context.Context, op ChurnOperation, due history.Time) error {
	t.began.Add(1)
	defer t.done.Add(1)
	return t.do(ctx, op, due)
}

// do does one operation on the Deployment that is there. Where that is another
// one by then, there is nothing to do.
func (t *Turnover) do(ctx context.Context, op ChurnOperation, due history.Time) error {
	now, err := t.d.deployed(ctx, op.Deployment)
	if err != nil {
		return err
	}
	if now != nil && op.Kind == RollingUpdate {
		t.setRolled(op.Deployment, true)
		return t.d.rollExactly(ctx, op, now.UID, due)
	}
	return t.recreate(ctx, op.Deployment, now, due)
}

func (t *Turnover) setRolled(i int, rolled bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rolled[i] = rolled
}

func (t *Turnover) wasRolled(i int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rolled[i]
}

// recreate deletes a Deployment, if there is one, and creates it as Fill did once
// all that the old one owned is collected. A name that is taken again before the
// garbage collector has seen it free can leave that behind for good
// (docs/findings/0019), which would be found in every run whose faults make it look
// away.
func (t *Turnover) recreate(ctx context.Context, i int, now *appsv1.Deployment, due history.Time) error {
	if now != nil {
		if err := t.d.removeExactly(ctx, i, now.UID, due); err != nil {
			return err
		}
	}
	if err := t.d.collected(ctx, i); err != nil {
		return err
	}
	if _, err := t.d.create(ctx, i, due); err != nil && !client.IsAlreadyExists(err) {
		return err
	}
	t.setRolled(i, false)
	return nil
}

// Settle makes every Deployment what Fill has made, once the turnover has ended.
// It tries until ctx ends.
func (t *Turnover) Settle(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(turnoverAtOnce)
	for i := range t.d.plan.Deployments {
		g.Go(func() error {
			for {
				err := t.settle(ctx, i)
				if err == nil {
					return nil
				}
				select {
				case <-time.After(settlePoll):
				case <-ctx.Done():
					return fmt.Errorf("settle the turnover: %w (%w)", err, context.Cause(ctx))
				}
			}
		})
	}
	return g.Wait()
}

// settle makes a Deployment anew, unless it is what Fill has made. It is looked
// at again then, since a write of before may have come in between.
func (t *Turnover) settle(ctx context.Context, i int) error {
	now, err := t.d.deployed(ctx, i)
	if err != nil {
		return err
	}
	if now != nil && !t.wasRolled(i) && now.Spec.Template.Annotations[revisionAnnotation] == strconv.Itoa(t.d.revision[i]) {
		return nil
	}
	if err := t.recreate(ctx, i, now, history.Now()); err != nil {
		return err
	}
	return fmt.Errorf("deployment %s/%s was made anew", t.d.plan.Deployments[i].Namespace, t.d.plan.Deployments[i].Name)
}

// deployed reads the i-th Deployment; nil: there is none.
func (d *Density) deployed(ctx context.Context, i int) (*appsv1.Deployment, error) {
	planned := d.plan.Deployments[i]
	resp, err := d.sender.send(ctx, client.Request{
		Verb: "get", Resource: deploymentResource, Namespace: planned.Namespace, Name: planned.Name,
	}, never)
	if client.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, _, raw, err := wire.Unwrap(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read deployment %s/%s: %w", planned.Namespace, planned.Name, err)
	}
	now := &appsv1.Deployment{}
	if err := now.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decode deployment %s/%s: %w", planned.Namespace, planned.Name, err)
	}
	return now, nil
}

// collected returns when the i-th Deployment, which was deleted, has neither
// ReplicaSets nor pods that nobody has deleted; or when it is there again, because
// a write of before was carried out late.
func (d *Density) collected(ctx context.Context, i int) error {
	for {
		left, err := d.leftBehind(ctx, i)
		if err != nil || left == 0 {
			return err
		}
		if now, err := d.deployed(ctx, i); err != nil || now != nil {
			return err
		}
		select {
		case <-time.After(settlePoll):
		case <-ctx.Done():
			planned := d.plan.Deployments[i]
			return fmt.Errorf("wait for the garbage collector: deployment %s/%s is deleted and has left %d ReplicaSets and pods: %w",
				planned.Namespace, planned.Name, left, context.Cause(ctx))
		}
	}
}

// leftBehind counts the ReplicaSets and pods of the i-th Deployment that are not
// being deleted.
func (d *Density) leftBehind(ctx context.Context, i int) (int, error) {
	planned, left := d.plan.Deployments[i], 0
	for _, resource := range []client.Resource{replicaSetResource, podResource} {
		resp, err := d.sender.send(ctx, client.Request{
			Verb: "list", Resource: resource, Namespace: planned.Namespace,
			Query: url.Values{"labelSelector": {nameLabel + "=" + planned.Name}},
		}, never)
		if err != nil {
			return 0, err
		}
		_, _, raw, err := wire.Unwrap(resp.Body)
		if err == nil {
			_, err = wire.ScanList(raw, func(item []byte) error {
				meta, err := wire.ScanMeta(item)
				if err == nil && !meta.Deleting {
					left++
				}
				return err
			})
		}
		if err != nil {
			return 0, fmt.Errorf("read the %s of deployment %s/%s: %w", resource.Plural, planned.Namespace, planned.Name, err)
		}
	}
	return left, nil
}

func (d *Density) removeExactly(ctx context.Context, i int, uid types.UID, due history.Time) error {
	planned, background := d.plan.Deployments[i], metav1.DeletePropagationBackground
	body, err := json.Marshal(&metav1.DeleteOptions{
		TypeMeta:      metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background,
	})
	if err != nil {
		return fmt.Errorf("delete deployment %s/%s: %w", planned.Namespace, planned.Name, err)
	}
	_, err = d.sender.send(ctx, client.Request{
		Verb: "delete", Resource: deploymentResource, Namespace: planned.Namespace, Name: planned.Name, Due: due,
		Body: body, ContentType: "application/json",
	}, client.IsNotFound)
	return unlessOther(err)
}

func (d *Density) rollExactly(ctx context.Context, op ChurnOperation, uid types.UID, due history.Time) error {
	planned := d.plan.Deployments[op.Deployment]
	if d.deps.Scheduled != nil {
		d.deps.Scheduled(planned.Namespace, planned.Name, 0)
	}
	_, err := d.sender.send(ctx, client.Request{
		Verb: "patch", Resource: deploymentResource, Namespace: planned.Namespace, Name: planned.Name, Due: due,
		Body: rollBody(op.Revision, uid), ContentType: "application/merge-patch+json",
		Query: url.Values{"fieldManager": {"planecheck"}},
	}, never)
	return unlessOther(err)
}

// unlessOther forgives that an object is gone, or is another one by now.
func unlessOther(err error) error {
	if client.IsNotFound(err) || client.IsConflict(err) {
		return nil
	}
	return err
}
