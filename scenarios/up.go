package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// Up starts a cluster, prints how to reach it, and keeps it until ctx ends or
// something dies. An interruption is how it is meant to end, so it is a pass. What
// fails a run fails it too, and is told when it happens; the run directory with the logs
// stays then. Errors are a UsageError or a fault of the harness.
func (r *Runner) Up(ctx context.Context, o Options) (outcome checkers.Outcome, err error) {
	o.Pods, o.Idle = 0, true // the load of a person is not known
	p, err := prepare(Scenario{Name: "up"}, o)
	if err != nil {
		return "", err
	}
	dir, err := p.admit(ctx, o)
	if err != nil {
		return "", err
	}
	outcome, err = endOfUp(r.up(ctx, p.plan, dir))
	if err != nil || outcome != checkers.Pass {
		return outcome, err
	}
	if !o.KeepData {
		err = os.RemoveAll(dir.Path)
	}
	if err == nil {
		fmt.Fprintln(r.Out, "stopped")
	}
	return outcome, err
}

// endOfUp sorts how a cluster ended, as a run is sorted: that a person wanted it is a
// pass, that the control plane broke a failure, which has been told; what is left is an
// error, and so is what could not be stopped.
func endOfUp(ended, stopped error) (checkers.Outcome, error) {
	switch {
	case errors.Is(ended, ErrInterrupted):
		return checkers.Pass, stopped
	case brokeDown(ended):
		return checkers.Fail, stopped
	default:
		return checkers.Invalid, errors.Join(ended, stopped)
	}
}

// brokeDown says that the control plane is to blame for an end, as a run without faults
// has it: a component that died or did not start, a store that was lost, nodes that did
// not become ready.
func brokeDown(ended error) bool {
	var died *apiserver.ComponentError
	var lost *lostStore
	return errors.As(ended, &died) || errors.As(ended, &lost) && !diskFull(lost) || stalled(ended)
}

// up returns why the cluster ended, which has been told where the control plane is to
// blame, and how stopping it did.
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
	say := func(cause error) {
		if brokeDown(cause) { // all else is said at the end
			fmt.Fprintf(r.Out, "\n%v\n", cause)
		}
	}
	fmt.Fprintf(r.Out, "starting %d kube-apiserver on %s, %d nodes...\n", plan.World.APIServers, plan.World.Backend, plan.World.Nodes)
	c, err := startControlPlane(ctx, plan.World, plan.Seed, dir.Path, hooks{}, log)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause, nil
		}
		say(err)
		return err, nil
	}
	defer func() { stopped = c.stop() }()
	watching.Go(func() { watchStore(ctx, c.backend, announced(cancel, say)) })
	watching.Go(func() { watchPlane(ctx, c.plane.Died(), announced(cancel, say)) })
	if err := c.startNodes(ctx); err != nil {
		if cause := awaitDeath(ctx); cause != nil {
			return cause, nil
		}
		say(err)
		return err, nil
	}
	c.nodes.Flip(plan.World.UnreadyEvery > 0)
	fmt.Fprintf(r.Out, "\n  export KUBECONFIG=%s\n  kubectl get nodes\n\nCtrl-C tears it down; logs are in %s\n",
		c.plane.Kubeconfig(), dir.File("logs"))
	<-ctx.Done()
	return context.Cause(ctx), nil
}
