package apiserver

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// errStopping is why nothing is started any more.
var errStopping = errors.New("the control plane is stopping")

// Restart ends a component with the given signal, SIGTERM or SIGKILL, and starts
// it again with the same arguments at the same address. It returns when the new
// process is ready. A kube-apiserver gets a new serving certificate, by which
// its answers can be told from those of the one before.
func (c *ControlPlane) Restart(ctx context.Context, component string, sig syscall.Signal) error {
	target := c.find(component)
	if target == nil {
		return fmt.Errorf("restart %q: there is no such component", component)
	}
	if err := c.Signal(component, sig); err != nil {
		return fmt.Errorf("restart %s: %w", component, err)
	}
	if !target.process.wait(stopBound) {
		if _, err := target.process.stop(0); err != nil {
			return fmt.Errorf("restart %s: %w", component, err)
		}
	}
	if err := c.startOne(ctx, target.Kind, component); err != nil {
		return fmt.Errorf("restart %s: %w", component, err)
	}
	return nil
}
