package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

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
	err = endOfUp(r.up(ctx, p.plan, dir))
	if err == nil {
		fmt.Fprintln(r.Out, "stopped")
	}
	return err
}

// endOfUp is what is wrong with the end of a cluster: why it ended, unless a person
// wanted it, and that something of it could not be stopped.
func endOfUp(ended, stopped error) error {
	if errors.Is(ended, ErrInterrupted) {
		ended = nil
	}
	return errors.Join(ended, stopped)
}

// up returns why the cluster ended, and how stopping it did.
func (r *Runner) up(ctx context.Context, plan *Plan, dir *results.Dir) (ended, stopped error) {
	log, file, err := newLog(dir)
	if err != nil {
		return err, nil
	}
	defer file.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	say := func(cause error) { fmt.Fprintf(r.Out, "\n%v\n", cause) }
	fmt.Fprintf(r.Out, "starting %d kube-apiserver on %s, %d nodes...\n", plan.World.APIServers, plan.World.Backend, plan.World.Nodes)
	c, err := startControlPlane(ctx, plan.World, plan.Seed, dir.Path, hooks{}, log)
	if err != nil {
		return errors.Join(context.Cause(ctx), err), nil
	}
	defer func() { stopped = c.stop() }()
	watching.Go(func() { watchStore(ctx, c.backend, announced(cancel, say)) })
	watching.Go(func() { watchPlane(ctx, c.plane.Died(), announced(cancel, say)) })
	if err := c.startNodes(ctx); err != nil {
		return errors.Join(context.Cause(ctx), err), nil
	}
	c.nodes.Flip(plan.World.UnreadyEvery > 0)
	fmt.Fprintf(r.Out, "\n  export KUBECONFIG=%s\n  kubectl get nodes\n\nCtrl-C tears it down; logs are in %s\n",
		c.plane.Kubeconfig(), dir.File("logs"))
	<-ctx.Done()
	return context.Cause(ctx), nil
}
