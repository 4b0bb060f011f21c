package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/planecheck/planecheck/apiserver"
)

// all stands for every instance where a fault acts on them one after the other.
const all = "all"

// drained has API servers end their watches when they stop, as upstream's do within
// that time where the flag is set. Else they wait a minute for clients to do so.
var drained = []string{"--shutdown-watch-termination-grace-period=5s"}

func apiserverFaults() []Fault {
	return []Fault{
		{
			Name: "apiserver-kill", Area: APIServer, For: 3 * time.Second, Renews: true,
			Does:    "an API server is killed (SIGKILL) and started anew after a while",
			targets: apiServers, inject: endWith(syscall.SIGKILL),
		},
		{
			Name: "apiserver-stop", Area: APIServer, For: 3 * time.Second, Renews: true,
			Does:          "an API server is stopped in good order (SIGTERM) and started anew after a while",
			APIServerArgs: drained, targets: apiServers, inject: endWith(syscall.SIGTERM),
		},
		{
			Name: "apiserver-freeze", Area: APIServer, For: 5 * time.Second,
			Does:    "an API server stands still (SIGSTOP), so that its watches fall behind, and goes on",
			targets: apiServers, inject: freeze,
		},
		{
			Name: "apiserver-rolling-restart", Area: APIServer, Renews: true,
			Does:          "all API servers are restarted, one after the other, as by an upgrade",
			APIServerArgs: drained,
			targets:       func(s Shape) []string { return atLeast(2, s.APIServers, all) }, inject: rollingRestart,
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

// endWith ends a component by a signal. Its evidence is that the process is gone,
// by that signal and no other as the operating system tells, and that nobody answers
// at its address; it heals with a new one.
func endWith(sig syscall.Signal) func(context.Context, *Env, string) (*Active, error) {
	return func(ctx context.Context, e *Env, target string) (*Active, error) {
		before, err := component(e.Plane, target)
		if err != nil {
			return nil, err
		}
		a := &Active{heal: func(ctx context.Context) (string, error) { return begin(ctx, e, target) }}
		if err := e.Plane.End(target, sig); err != nil {
			if errors.Is(err, os.ErrProcessDone) { // it ended of itself, which is for others to deal with
				return nil, err
			}
			return nil, healed(ctx, a, err)
		}
		err = await(ctx, target+" to be gone", func(ctx context.Context) error {
			if err := gone(before.PID); err != nil {
				return err
			}
			return refuses(ctx, before.Addr)
		})
		state := ""
		if err == nil {
			state, err = e.Plane.ExitState(target)
		}
		if err == nil {
			err = endedBy(state, sig)
		}
		if err != nil {
			return nil, healed(ctx, a, err)
		}
		a.Evidence = fmt.Sprintf("process %d is gone (%s), %s refuses connections", before.PID, state, before.Addr)
		return a, nil
	}
}

// endedBy fails unless what the operating system tells of an end is what a signal
// leads to. One that was killed did not end itself; one that was asked to end did, with
// 0, with 1 as controllers do when they let go of the lead, or by that very signal as
// etcd does when it has closed its files. A panic is 2.
func endedBy(state string, sig syscall.Signal) error {
	by := []string{"signal: " + sig.String()}
	if sig == syscall.SIGTERM {
		by = append(by, "exit status 0", "exit status 1")
	}
	if !slices.Contains(by, state) {
		return fmt.Errorf("it ended with %q, which is not by signal %v", state, sig)
	}
	return nil
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

// undoBound is how long a fault may take to be undone that did not come about. A
// component has to start for it, on a machine that may be busy.
const undoBound = 2 * time.Minute

// healed undoes a fault that failed, or whose evidence is missing, also where the
// run ends meanwhile.
func healed(ctx context.Context, a *Active, why error) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), undoBound, fmt.Errorf("to be undone it had %v", undoBound))
	defer cancel()
	if _, err := a.Heal(ctx); err != nil {
		return fmt.Errorf("%w; and it could not be undone: %w", why, err)
	}
	return why
}

// freeze stops a process. A signal that was sent is no evidence: /proc is. It heals
// when /proc shows that it goes on, and it answers.
func freeze(ctx context.Context, e *Env, target string) (*Active, error) {
	c, err := component(e.Plane, target)
	if err != nil {
		return nil, err
	}
	a := &Active{heal: func(ctx context.Context) (string, error) { return thaw(ctx, e, c) }}
	if err := e.Plane.Signal(target, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	err = await(ctx, target+" to stand still", func(context.Context) error { return stopped(c.PID) })
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	a.Evidence = fmt.Sprintf("process %d is in state T", c.PID)
	return a, nil
}

// thaw lets a process go on. One that has ended meanwhile, because it saw that it
// leads no more, goes on too, and cannot be asked.
func thaw(ctx context.Context, e *Env, c apiserver.Component) (evidence string, err error) {
	if err := e.Plane.Signal(c.Name, syscall.SIGCONT); err != nil {
		return "", err
	}
	err = await(ctx, c.Name+" to go on", func(ctx context.Context) error {
		state, err := processState(c.PID)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			evidence = fmt.Sprintf("process %d has gone on, to its end", c.PID)
			return nil
		case err != nil:
			return err
		case state == 'T':
			return fmt.Errorf("process %d still stands still", c.PID)
		}
		ctx, cancel := context.WithTimeout(ctx, readBound)
		defer cancel()
		if _, err := e.Plane.Get(ctx, c.Name, "/healthz"); err != nil {
			return err
		}
		evidence = fmt.Sprintf("process %d goes on and serves", c.PID)
		return nil
	})
	return evidence, err
}

func rollingRestart(ctx context.Context, e *Env, _ string) (*Active, error) {
	var evidence []string
	for _, c := range ofKind(e.Plane, apiserver.KubeAPIServer) {
		if errors.Is(ctx.Err(), context.Canceled) { // each has a bound of its own
			return nil, context.Cause(ctx)
		}
		seen, err := restartServer(context.WithoutCancel(ctx), e, c.Name)
		if err != nil {
			return nil, err
		}
		evidence = append(evidence, c.Name+": "+seen)
	}
	return &Active{Evidence: strings.Join(evidence, "; ")}, nil
}

func restartServer(ctx context.Context, e *Env, name string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, undoBound, fmt.Errorf("its restart had %v", undoBound))
	defer cancel()
	a, err := endWith(syscall.SIGTERM)(ctx, e, name)
	if err != nil {
		return "", err
	}
	now, err := a.Heal(ctx)
	return a.Evidence + "; " + now, err
}
