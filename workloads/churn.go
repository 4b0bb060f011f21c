package workloads

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// Churn replaces pods at the plan's offsets, by rolling updates and by
// deletion and creation in turn, and returns when every Deployment that it
// touched has converged and exactly the planned pods are there and Running.
func (d *Density) Churn(ctx context.Context) (PhaseResult, error) {
	p := d.begin("churn")
	ops := d.plan.Churn
	p.result.Operations = len(ops)
	rate := Rate{PodsPerSecond: d.plan.Config.ChurnRate}
	ctx, cancel := bounded(ctx, "churn", phaseBound(d.plan.Config.ChurnPods, rate))
	defer cancel()
	watching, stopWatching := context.WithCancel(ctx)
	r := newRollouts(d.deps.Observer, d.deps.Log)
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.follow.run(watching) }()

	err := d.churn(ctx, p, r, patience(d.plan.Config, rate))
	stopWatching()
	<-stopped
	p.result.Converged = quantiles(r.durations())
	result := p.end()
	if err != nil {
		return result, fmt.Errorf("churn: %d of %d operations done, %d pods exist, %d Running, of %d planned: %w",
			result.Completed, result.Operations, result.After.Pods, result.After.Running, d.plan.Config.Pods, reason(ctx, err))
	}
	return result, nil
}

func (d *Density) churn(ctx context.Context, p *phase, r *rollouts, patience time.Duration) error {
	select {
	case <-r.synced:
	case <-ctx.Done():
		return fmt.Errorf("wait for the first list of deployments: %w", ctx.Err())
	}
	ops := d.plan.Churn
	order := newInOrder(ops)
	late, err := openLoop(ctx, len(ops), d.deps.InFlight,
		at(history.Now(), func(i int) time.Duration { return ops[i].Due }),
		func(ctx context.Context, i int, due history.Time) error {
			err := order.run(i, func() error { return d.replace(ctx, r, ops[i], due) })
			if err == nil {
				p.completed(due)
			}
			return err
		})
	p.result.StartLateness = quantiles(late)
	if err != nil {
		return err
	}
	if err := r.await(ctx, patience); err != nil {
		return err
	}
	want := int64(d.plan.Config.Pods)
	return d.deps.Pods.await(ctx, patience,
		func(c Counts) int64 { return c.EverRunning + c.Deleted },
		func(c Counts) bool { return c.Running == want && c.Pods == want })
}

// replace does one operation of the churn and makes r expect its outcome.
func (d *Density) replace(ctx context.Context, r *rollouts, op ChurnOperation, due history.Time) error {
	d.revision[op.Deployment] = op.Revision
	if op.Kind == RollingUpdate {
		return d.roll(ctx, r, d.plan.Deployments[op.Deployment], op.Revision, due)
	}
	if err := d.remove(ctx, op.Deployment, due); err != nil {
		return err
	}
	resp, err := d.create(ctx, op.Deployment, due)
	if err == nil && resp == nil {
		planned := d.plan.Deployments[op.Deployment]
		resp, err = d.sender.send(ctx, client.Request{
			Verb: "get", Resource: deploymentResource, Namespace: planned.Namespace, Name: planned.Name,
		}, never)
	}
	if err != nil {
		return err
	}
	return r.expect(resp.Body, due)
}

// roll changes the pod template, as "kubectl rollout restart" does.
func (d *Density) roll(ctx context.Context, r *rollouts, planned PlannedDeployment, revision int, due history.Time) error {
	if d.deps.Scheduled != nil {
		d.deps.Scheduled(planned.Namespace, planned.Name, 0)
	}
	resp, err := d.sender.send(ctx, client.Request{
		Verb: "patch", Resource: deploymentResource, Namespace: planned.Namespace, Name: planned.Name, Due: due,
		Body: rollBody(revision, ""), ContentType: "application/merge-patch+json",
		Query: url.Values{"fieldManager": {"planecheck"}},
	}, never)
	if err != nil {
		return err
	}
	return r.expect(resp.Body, due)
}

// never is for requests that have no second meaning of an error.
func never(error) bool { return false }
