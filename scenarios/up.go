package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/planecheck/planecheck/results"
)

// Up starts a cluster, prints how to reach it, and keeps it until ctx ends or
// something dies. An interruption is how it is meant to end, so it is no
// error.
func (r *Runner) Up(ctx context.Context, o Options) (err error) {
	o.Pods, o.Idle = 0, true // the load of a person is not known
	p, err := prepare(Scenario{Name: "up"}, o)
	if err != nil {
		return err
	}
	dir, err := p.admit(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if !o.KeepData && err == nil {
			err = os.RemoveAll(dir.Path)
		}
	}()
	err = r.up(ctx, p.plan, dir)
	if errors.Is(context.Cause(ctx), ErrInterrupted) {
		fmt.Fprintln(r.Out, "stopped")
		return nil
	}
	return err
}

func (r *Runner) up(ctx context.Context, plan *Plan, dir *results.Dir) (err error) {
	log, file, err := newLog(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fmt.Fprintf(r.Out, "starting %d kube-apiserver on %s, %d nodes...\n", plan.World.APIServers, plan.World.Backend, plan.World.Nodes)
	c, err := startControlPlane(ctx, plan.World, plan.Seed, dir.Path, hooks{}, log)
	if err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	go watchStore(ctx, c.backend, cancel)
	go watchPlane(ctx, c.plane, cancel)
	if err := c.startNodes(ctx); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	fmt.Fprintf(r.Out, "\n  export KUBECONFIG=%s\n  kubectl get nodes\n\nCtrl-C tears it down; logs are in %s\n",
		c.plane.Kubeconfig(), dir.File("logs"))
	<-ctx.Done()
	return context.Cause(ctx)
}
