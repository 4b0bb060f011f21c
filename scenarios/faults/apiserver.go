package faults

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/planecheck/planecheck/apiserver"
)

// all stands for every instance where a fault acts on them one after the other.
const all = "all"

func apiserverFaults() []Fault {
	return []Fault{
		{
			Name: "apiserver-kill", Area: APIServer, For: 3 * time.Second,
			Does:    "an API server is killed (SIGKILL) and started anew after a while",
			targets: apiServers, inject: endWith(syscall.SIGKILL),
		},
		{
			Name: "apiserver-stop", Area: APIServer, For: 3 * time.Second,
			Does:    "an API server is stopped in good order (SIGTERM) and started anew after a while",
			targets: apiServers, inject: endWith(syscall.SIGTERM),
		},
		{
			Name: "apiserver-freeze", Area: APIServer, For: 5 * time.Second,
			Does:    "an API server stands still (SIGSTOP), so that its watches fall behind, and goes on",
			targets: apiServers, inject: freeze,
		},
		{
			Name: "apiserver-rolling-restart", Area: APIServer,
			Does:    "all API servers are restarted, one after the other, as by an upgrade",
			targets: func(s Shape) []string { return atLeast(2, s.APIServers, all) }, inject: rollingRestart,
		},
	}
}

// apiServers are the instances, where one can be spared.
func apiServers(s Shape) []string { return instances(apiserver.KubeAPIServer, 2, s.APIServers) }

// instances are the names of the components of a kind, if there are enough.
func instances(kind string, least, n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", kind, i))
	}
	return atLeast(least, n, names...)
}

// atLeast returns the targets if there are enough of something.
func atLeast(least, n int, targets ...string) []string {
	if n < least {
		return nil
	}
	return targets
}

// endWith ends a component by a signal. Its evidence is that the process is gone
// and that nobody answers at its address; it heals with a new one.
func endWith(sig syscall.Signal) func(context.Context, *Env, string) (*Active, error) {
	return func(ctx context.Context, e *Env, target string) (*Active, error) {
		before, err := component(e.Plane, target)
		if err != nil {
			return nil, err
		}
		if err := e.Plane.End(target, sig); err != nil {
			return nil, err
		}
		a := &Active{heal: func(ctx context.Context) (string, error) { return begin(ctx, e, target) }}
		err = await(ctx, target+" to be gone", func(ctx context.Context) error {
			if err := gone(before.PID); err != nil {
				return err
			}
			return refuses(ctx, before.Addr)
		})
		if err != nil {
			return nil, healed(ctx, a, err)
		}
		a.Evidence = fmt.Sprintf("process %d is gone, %s refuses connections", before.PID, before.Addr)
		return a, nil
	}
}

// begin starts a component again. The evidence is a ready process.
func begin(ctx context.Context, e *Env, target string) (string, error) {
	if err := e.Plane.Begin(ctx, target); err != nil {
		return "", err
	}
	after, err := component(e.Plane, target)
	if err != nil {
		return "", err
	}
	if e.Replaced != nil {
		e.Replaced(target, after.PID)
	}
	return fmt.Sprintf("process %d is ready", after.PID), nil
}

// shown waits for the evidence of a fault, and undoes it if there is none.
func shown(ctx context.Context, a *Active, what string, look func(context.Context) error) (*Active, error) {
	if err := await(ctx, what, look); err != nil {
		return nil, healed(ctx, a, err)
	}
	return a, nil
}

// healed undoes a fault whose evidence is missing.
func healed(ctx context.Context, a *Active, why error) error {
	if _, err := a.Heal(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("%w; and it could not be undone: %w", why, err)
	}
	return why
}

// freeze stops a process. A signal that was sent is no evidence: /proc is.
func freeze(ctx context.Context, e *Env, target string) (*Active, error) {
	c, err := component(e.Plane, target)
	if err != nil {
		return nil, err
	}
	if err := e.Plane.Signal(target, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	a := &Active{heal: func(context.Context) (string, error) {
		if err := e.Plane.Signal(target, syscall.SIGCONT); err != nil {
			return "", err
		}
		return fmt.Sprintf("process %d goes on", c.PID), nil
	}}
	err = await(ctx, target+" to stand still", func(context.Context) error { return stopped(c.PID) })
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	a.Evidence = fmt.Sprintf("process %d is in state T", c.PID)
	return a, nil
}

func rollingRestart(ctx context.Context, e *Env, _ string) (*Active, error) {
	var evidence []string
	for _, c := range ofKind(e.Plane, apiserver.KubeAPIServer) {
		// Its bound is that of a start, which may be slower than a fault's effect.
		if err := e.Plane.Restart(context.WithoutCancel(ctx), c.Name, syscall.SIGTERM); err != nil {
			return nil, err
		}
		if err := gone(c.PID); err != nil {
			return nil, err
		}
		after, err := component(e.Plane, c.Name)
		if err != nil {
			return nil, err
		}
		if e.Replaced != nil {
			e.Replaced(c.Name, after.PID)
		}
		evidence = append(evidence, fmt.Sprintf("%s: process %d after %d", c.Name, after.PID, c.PID))
	}
	return &Active{Evidence: strings.Join(evidence, "; ")}, nil
}
