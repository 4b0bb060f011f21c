package workloads

import (
	"context"
	"fmt"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// restPoll is the pause between two looks whether a load is whole.
const restPoll = 250 * time.Millisecond

// Rest waits until the load is Whole. How long that takes is a matter of its size: it
// fails with a StallError when what is missing has not become less for as long as a
// phase may stand still (DensityConfig.Patience), or when a phase with so many pods
// would be given up.
func (d *Density) Rest(ctx context.Context) error {
	auto := Rate{}
	ctx, cancel := bounded(ctx, "the wait for the load", phaseBound(d.plan.Config.Pods, auto))
	defer cancel()
	return approach(ctx, patience(d.plan.Config, auto), d.missing)
}

// approach looks again and again until nothing is left to come. It fails when what is
// left has not been less than ever before for patience, or when ctx ends; the error
// says what was missing at the last look.
func approach(ctx context.Context, patience time.Duration, look func(context.Context) (left int64, err error)) error {
	ticker := time.NewTicker(restPoll)
	defer ticker.Stop()
	least, since := int64(math.MaxInt64), time.Now()
	for {
		left, err := look(ctx)
		switch {
		case err == nil:
			return nil
		case left < least:
			least, since = left, time.Now()
		case time.Since(since) >= patience:
			return stalled("no progress for %v: %w", patience, err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}
}

// Whole fails unless exactly the planned pods are there, beside those that have ended
// and were replaced, and all are Running, as the measuring watch sees it, and every
// Deployment is rolled out: a controller that has just come back may not have begun
// with the last one.
func (d *Density) Whole(ctx context.Context) error {
	_, err := d.missing(ctx)
	return err
}

// missing says what a load that is whole has and this one has not, and how much that
// is: pods, and Deployments, at which it looks only when all pods are there.
func (d *Density) missing(ctx context.Context) (left int64, err error) {
	c, want := d.deps.Pods.Counts(), int64(d.plan.Config.Pods)
	if c.Running != want || c.Pods-c.Ended != want {
		left = max(c.Running-want, want-c.Running) + max(c.Pods-c.Ended-want, want-c.Pods+c.Ended)
		return left + int64(len(d.plan.Deployments)),
			fmt.Errorf("%d of %d pods are Running, %d exist, of which %d have ended", c.Running, want, c.Pods, c.Ended)
	}
	for i, planned := range d.plan.Deployments {
		now, failed := d.deployed(ctx, i)
		if failed != nil {
			return left + int64(len(d.plan.Deployments)-i), failed
		}
		if now == nil || !rolledOut(now) {
			left++
			err = fmt.Errorf("deployment %s/%s is missing or not rolled out", planned.Namespace, planned.Name)
		}
	}
	return left, err
}

// rolledOut says that the controllers have seen a Deployment as it is and are done
// with it, by the rules of kubectl rollout status (k8s.io/kubectl/pkg/polymorphichelpers,
// DeploymentStatusViewer).
func rolledOut(d *appsv1.Deployment) bool {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.Replicas == want && s.UpdatedReplicas == want && s.AvailableReplicas == want
}
