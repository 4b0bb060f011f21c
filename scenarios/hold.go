package scenarios

import (
	"context"
	"errors"
	"fmt"
	"time"

	guarantees "github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/workloads"
)

// hold keeps the full cluster for the plan's time and until all was done to it
// that the plan says, and looks what it has come back to. With a turnover its
// pods are replaced meanwhile, in the run with faults and in its twin.
func (x *execution) hold(ctx context.Context) (workloads.PhaseResult, error) {
	if len(x.plan.Density.Turnover) > 0 {
		t := x.density.Turn(ctx)
		x.turnover.Store(t)
		defer func() { // it has ended, unless the phase was cut short
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			_ = t.End(ended)
		}()
	}
	x.flip()
	result, err := x.density.Hold(ctx)
	x.endFlips()
	if err != nil {
		return result, err
	}
	x.allReady(ctx)
	if len(x.plan.Interventions) == 0 && x.turnover.Load() == nil {
		x.expectRunning(ctx, phaseHold)
	}
	if err := x.awaitInterventions(ctx); err != nil {
		return result, err
	}
	what := phaseHold
	switch {
	case len(x.plan.Interventions) > 0:
		what = "recovery"
		x.recover(ctx)
		x.expectRunning(ctx, phaseHold)
	case x.turnover.Load() != nil:
		x.owed(ctx, "after the turnover", x.comeToRest(ctx))
	}
	if ctx.Err() != nil { // what is missing says nothing then
		return result, context.Cause(ctx)
	}
	if x.ends != nil {
		x.captureEnd(ctx)
	}
	x.settled(what, false)
	// Where pods come and go, or are not ready now and then, it counts what they come
	// back to.
	planned := int64(x.plan.pods())
	if result.RunningLeast < planned && len(x.plan.Interventions) == 0 && x.turnover.Load() == nil && x.plan.World.UnreadyEvery == 0 {
		x.shortfall(phaseHold, "only %d of %d pods were Running at some moment", result.RunningLeast, planned)
	}
	return result, nil
}

// owed notes what is missing after something as a shortfall. A hold that was cut short
// owes nothing.
func (x *execution) owed(ctx context.Context, after string, missing error) {
	if missing != nil && ctx.Err() == nil {
		x.shortfall(phaseHold, "%s: %v", after, missing)
	}
}

// settled notes that the controllers have nothing left to do, as far as the run knows.
// Right after work they are busy.
func (x *execution) settled(after string, busy bool) {
	if rev := x.recording.seen(); rev > 0 {
		x.run.Settled = append(x.run.Settled, guarantees.Moment{Revision: rev, After: after, Busy: busy})
	}
}

// comeToRest ends a turnover without faults and waits for its last pods.
func (x *execution) comeToRest(ctx context.Context) error {
	bounded, cancel := context.WithTimeoutCause(ctx, recoveryBound, fmt.Errorf("it had %v", recoveryBound))
	defer cancel()
	if err := x.endTurnover(bounded); err != nil {
		return err
	}
	return x.density.Rest(ctx)
}

// endTurnover ends the turnover, if there is one, and makes the load what the
// plan wants it to be.
func (x *execution) endTurnover(ctx context.Context) error {
	t := x.turnover.Load()
	if t == nil {
		return nil
	}
	failed := t.End(ctx)
	x.m.series.Event(history.Now(), "turnover ends", "", map[string]float64{"operations": float64(t.Began())})
	if err := t.Settle(ctx); err != nil {
		return errors.Join(failed, err)
	}
	return nil
}

// untilNil looks again and again until nothing is missing, or ctx ends.
func untilNil(ctx context.Context, look func(context.Context) error) error {
	ticker := time.NewTicker(recoveryPoll)
	defer ticker.Stop()
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}
}
