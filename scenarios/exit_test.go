package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// Of all that may have happened, what says most against the run wins: that it was not
// started or not ended, then a violation, a fault of the harness, that nothing is
// proved, and last a missed objective.
func TestExitStatus(t *testing.T) {
	fault := errors.New("disk full")
	undecided := map[checkers.Outcome]int{checkers.Pass: ExitPass, checkers.Fail: ExitFail, checkers.Unknown: ExitUndecided, checkers.Invalid: ExitUndecided, "": ExitUndecided}
	for _, c := range []struct {
		err  error
		pass int  // the status beside a pass
		wins bool // and beside all but a violation
	}{
		{nil, ExitPass, false},
		{ErrSLOMissed, ExitSLOMissed, false},
		{fmt.Errorf("scale/density, seed 1: %w", ErrSLOMissed), ExitSLOMissed, false},
		{errors.Join(ErrSLOMissed, fmt.Errorf("seed 2: %w", ErrSLOMissed)), ExitSLOMissed, false},
		{fault, ExitHarness, true},
		{errors.Join(ErrSLOMissed, fault), ExitHarness, true},
		{errors.Join(fault, ErrSLOMissed), ExitHarness, true},
		{fmt.Errorf("%w: %w", ErrSLOMissed, fault), ExitHarness, true},
	} {
		for outcome, alone := range undecided {
			want := alone
			if outcome == checkers.Pass || c.wins && outcome != checkers.Fail {
				want = c.pass
			}
			if got := ExitStatus(outcome, c.err); got != want {
				t.Errorf("ExitStatus(%q, %v) = %d, want %d", outcome, c.err, got, want)
			}
		}
	}
	for err, want := range map[error]int{
		Usagef("--nodes"):                          ExitUsage,
		fmt.Errorf("scale: %w", Usagef("--nodes")): ExitUsage,
		ErrInterrupted:                             ExitInterrupted,
		errors.Join(ErrInterrupted, fault):         ExitInterrupted,
		errors.Join(ErrSLOMissed, ErrInterrupted):  ExitInterrupted,
		fmt.Errorf("fill: %w", context.Canceled):   ExitInterrupted,
	} {
		for outcome := range undecided {
			if got := ExitStatus(outcome, err); got != want {
				t.Errorf("ExitStatus(%q, %v) = %d, want %d", outcome, err, got, want)
			}
		}
	}
}

// Ctrl-C is no fault of a person's binaries, which are asked for their versions then.
func TestInterruptedWhileBinariesAreChecked(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Pods, o.Force, o.RunsDir, o.World.Program = 1, 1, true, t.TempDir(), "/bin/true"
	f := func(cause error, want int) {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		if cause != nil {
			cancel(cause)
		}
		if err := Admit(ctx, Scenario{Name: "t"}, o); ExitStatus("", err) != want {
			t.Errorf("ended by %v: %v, want status %d", cause, err, want)
		}
	}
	f(nil, ExitUsage)
	f(ErrInterrupted, ExitInterrupted)
}

// Who reads that a run does not fit reads all of its estimate.
func TestRefusalShowsTheEstimate(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Pods = 1, 1
	p := prepared{plan: mustPlan(t, Scenario{Name: "t"}, o), host: results.Host{MaxFDs: 1 << 20, DiskBytes: 1 << 50}}
	p.estimate = results.EstimateRun(p.plan.demand())
	err := p.refusal(t.Context(), o)
	if ExitStatus("", err) != ExitUsage {
		t.Fatal(err)
	}
	if want := p.estimate.String(); !strings.Contains(err.Error(), "it needs "+want) || !strings.Contains(err.Error(), "too little of memory") {
		t.Errorf("%v, want %s in it", err, want)
	}
}
