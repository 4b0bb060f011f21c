package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/planecheck/planecheck/checkers/history"
)

// errStopping is why nothing is started any more.
var errStopping = errors.New("the control plane is stopping")

// Restart ends a component with the given signal, SIGTERM or SIGKILL, and starts
// it again with the same arguments at the same address. It returns when the new
// process is ready. A kube-apiserver gets a new serving certificate, by which
// its answers can be told from those of the one before.
func (c *ControlPlane) Restart(ctx context.Context, component string, sig syscall.Signal) error {
	if err := c.End(component, sig); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return c.Begin(ctx, component)
}

// End ends a component with the given signal, SIGTERM or SIGKILL, and returns
// when its process is gone. One that has not ended 40 s after SIGTERM is killed,
// which is an error: it did not end in good order.
func (c *ControlPlane) End(component string, sig syscall.Signal) error {
	target := c.find(component)
	if target == nil {
		return fmt.Errorf("end %q: there is no such component", component)
	}
	if err := target.process.endWith(sig, drainBound); err != nil {
		return fmt.Errorf("end %s: %w", component, err)
	}
	return nil
}

// ExitState is what the operating system tells of how the last process of a
// component ended, e.g. "exit status 0" or "signal: killed", whoever ended it. It is
// an error while that process runs.
func (c *ControlPlane) ExitState(component string) (string, error) {
	target := c.find(component)
	if target == nil {
		return "", fmt.Errorf("see how %q ended: there is no such component", component)
	}
	state, ended := target.process.exitState()
	if !ended {
		return "", fmt.Errorf("see how %s ended: process %d of it is still there", component, target.PID)
	}
	return state, nil
}

// Begin starts a component that has ended, with the same arguments at the same
// address, and returns when it is ready.
func (c *ControlPlane) Begin(ctx context.Context, component string) error {
	target := c.find(component)
	if target == nil {
		return fmt.Errorf("start %q: there is no such component", component)
	}
	select {
	case <-target.process.exited:
	default:
		return fmt.Errorf("start %s: process %d of it is still there", component, target.PID)
	}
	if err := c.startOne(ctx, target.Kind, component); err != nil {
		return fmt.Errorf("start %s: %w", component, err)
	}
	return nil
}

// Resignation is the end of a component that had lost the lead.
type Resignation struct {
	Component string
	At        history.Time
}

// Resignations are those so far; see Config.Supervised.
func (c *ControlPlane) Resignations() []Resignation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Resignation(nil), c.resigned...)
}

// lostLead is what schedulers and controller managers log before they exit
// because somebody else leads, or because they could not say in time that they
// still do (k8s.io/kubernetes/cmd/kube-scheduler/app/server.go and
// cmd/kube-controller-manager/app/controllermanager.go, OnStoppedLeading).
const lostLead = "leaderelection lost"

// succeed starts a component again that ended because it had lost the lead, or with
// words that are forgiven. It reports whether that was why it ended.
func (c *ControlPlane) succeed(p *process, kind string) (may bool, err error) {
	if !c.cfg.Supervised || kind == KubeAPIServer {
		return false, nil
	}
	switch {
	case p.said(lostLead):
		c.mu.Lock()
		c.resigned = append(c.resigned, Resignation{Component: p.name, At: history.Now()})
		c.mu.Unlock()
		c.log.Info("component lost the lead and is started again", "component", p.name)
	case slices.ContainsFunc(c.cfg.Forgiven, p.said):
		c.log.Info("component ended itself, which the plan forgives, and is started again", "component", p.name)
	default:
		return false, nil
	}
	err = c.startOne(context.Background(), kind, p.name) // Stop ends it, also while it is not ready
	if errors.Is(err, errStopping) {
		return true, nil
	}
	return true, err
}
