package scenarios

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

const (
	// interventionPoll is how often progress is looked at for a trigger, and
	// a process for the state that it was sent into.
	interventionPoll = 20 * time.Millisecond
	// effectBound is how long a signal may take to show in the process.
	effectBound = 2 * time.Second
	// moveBound is how long a member may take to lead: its election, and what a
	// busy machine adds.
	moveBound = 10 * time.Second
	// interventionsBound is how long after a hold they may still take.
	interventionsBound = 2 * time.Minute
)

// interventions are the plan's, as far as they have come.
type interventions struct {
	over   chan struct{} // closed when nothing more is done
	mu     sync.Mutex
	done   int
	failed []string
}

// intervene does what the plan does to components, when its time has come.
func (x *execution) intervene(ctx context.Context) {
	defer close(x.acts.over)
	for _, i := range x.plan.Interventions {
		err := x.interveneOnce(ctx, i)
		if ctx.Err() != nil {
			return
		}
		x.acts.mu.Lock()
		if err == nil {
			x.acts.done++
		} else {
			x.acts.failed = append(x.acts.failed, fmt.Sprintf("%s of %s: %v", i.Kind, i.Component, err))
		}
		x.acts.mu.Unlock()
	}
}

func (x *execution) interveneOnce(ctx context.Context, i Intervention) error {
	if err := x.awaitRunning(ctx, i.AfterRunning); err != nil {
		return err
	}
	if err := pause(ctx, time.Duration(i.After)); err != nil {
		return err
	}
	switch i.Kind {
	case restart:
		return x.restart(ctx, i.Component)
	case moveLeader:
		return x.moveLeader(ctx)
	}
	return x.freeze(ctx, i)
}

// awaitInterventions keeps the full cluster until everything was done to it
// that the plan says: on a slow machine that takes longer than the hold.
func (x *execution) awaitInterventions(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, interventionsBound, fmt.Errorf("it had %v", interventionsBound))
	defer cancel()
	select {
	case <-x.acts.over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the interventions of the plan: %w", context.Cause(ctx))
	}
}

// pause waits for d, or fails with the cause of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// freeze stops a component for a while.
func (x *execution) freeze(ctx context.Context, i Intervention) error {
	if err := x.cluster.plane.Signal(i.Component, stopSignal); err != nil {
		return err
	}
	x.m.series.Event(history.Now(), freeze, i.Component, nil)
	effect := x.awaitStopped(ctx, i.Component)
	_ = pause(ctx, time.Duration(i.For)) // the thaw comes all the same: a frozen process cannot stop
	x.m.series.Event(history.Now(), "thaw", i.Component, nil)
	if err := x.cluster.plane.Signal(i.Component, continueSignal); err != nil {
		return err
	}
	return effect
}

// restart kills a component and starts it anew. The evidence is a new process.
func (x *execution) restart(ctx context.Context, component string) error {
	before := x.pid(component)
	x.m.series.Event(history.Now(), restart, component, nil)
	if err := x.cluster.plane.Restart(ctx, component, syscall.SIGKILL); err != nil {
		return err
	}
	after := x.pid(component)
	if after == before || alive(before) {
		return fmt.Errorf("process %d is still there", before)
	}
	x.m.collector.Sampler.Set(component, after)
	x.m.series.Event(history.Now(), "ready", component, nil)
	return nil
}

// moveLeader has another member of the store lead. The evidence is that it does.
func (x *execution) moveLeader(ctx context.Context) error {
	mover, ok := x.cluster.backend.(storage.LeaderMover)
	if !ok { // NewPlan has looked
		return fmt.Errorf("backend %s has no leader to move", x.cluster.backend.Name())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, moveBound, fmt.Errorf("it had %v", moveBound))
	defer cancel()
	from, to, err := mover.MoveLeader(ctx)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	x.m.series.Event(history.Now(), moveLeader, from+" → "+to, nil)
	return nil
}

// pid is the process of a component, 0: there is none of that name.
func (x *execution) pid(component string) int {
	for _, c := range x.cluster.plane.Components() {
		if c.Name == component {
			return c.PID
		}
	}
	return 0
}

// alive says whether there is such a process. Ours are reaped as they end.
func alive(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil
}

// awaitRunning waits for the trigger of an intervention. Its bound is that of
// the phase, whose end ends ctx.
func (x *execution) awaitRunning(ctx context.Context, pods int64) error {
	ticker := time.NewTicker(interventionPoll)
	defer ticker.Stop()
	for x.m.collector.Pods.Counts().Running < pods {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// awaitStopped looks from outside whether the component really stands still:
// a signal that was sent is no evidence that it took effect.
func (x *execution) awaitStopped(ctx context.Context, component string) error {
	return await(ctx, component+" to stand still", func() bool {
		pid := x.pid(component)
		return pid != 0 && stopped(pid)
	})
}

// await waits for at most effectBound until cond holds.
func await(ctx context.Context, what string, cond func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
	defer cancel()
	ticker := time.NewTicker(interventionPoll)
	defer ticker.Stop()
	for !cond() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}

// stopped says whether /proc shows a process as stopped by a signal (state T,
// proc_pid_stat(5)).
func stopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The name before the state stands in parentheses and may hold any byte.
	_, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return ok && len(rest) > 0 && rest[0] == 'T'
}

// judgeInterventions makes a run Invalid whose plan was to disturb the control
// plane and did not: what it shows is a run without the disturbance.
func (x *execution) judgeInterventions() checkers.Verdict {
	x.acts.mu.Lock()
	defer x.acts.mu.Unlock()
	planned := len(x.plan.Interventions)
	v := checkers.Verdict{
		Guarantee: "Intervened", Statement: "every intervention of the plan took effect, as seen from outside",
		Checked: fmt.Sprintf("%d of %d interventions", x.acts.done, planned),
		Outcome: checkers.Pass,
	}
	switch {
	case len(x.acts.failed) > 0:
		v.Outcome, v.Detail = checkers.Invalid, x.acts.failed[0]
	case x.acts.done < planned:
		v.Outcome, v.Detail = checkers.Invalid, "the run ended before its time had come"
	}
	return v
}
