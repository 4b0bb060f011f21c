package scenarios

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// backendThatStays is one that cannot be stopped.
type backendThatStays struct{ storage.Backend }

func (backendThatStays) Stop() error { return errors.New("pid 7 is still there") }

// That something could not be stopped is told beside whatever became of the run, in a
// line of its own, and decides the exit status where nothing graver does.
func TestWhatCannotBeStopped(t *testing.T) {
	memory, err := storage.Open("memory", storage.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	const left, unsaved = "stop: pid 7 is still there", "save run: permission denied"
	f := func(what string, violation, cause, saveErr error, outcome checkers.Outcome, status int, lines ...string) {
		t.Helper()
		x, err := newExecution(&Plan{World: World{Unrecorded: true}}, &results.Dir{Path: t.TempDir()}, &results.Run{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := errors.Join(x.m.series.Close(), x.logFile.Close()); err != nil {
				t.Error(err)
			}
		}()
		x.backend, x.violation = backendThatStays{memory}, violation
		x.cluster = &cluster{backend: x.backend}
		x.run.Verdict.Outcome = outcome
		err = errors.Join(cause, x.stop(t.Context()))
		if v := x.judgePlan(err); !strings.Contains(v.Detail, left) {
			t.Errorf("%s: the verdict says nothing of it: %v", what, v)
		}
		got := x.ending(t.Context(), err, saveErr, false)
		if text := strings.Join(lines, "\n"); got == nil || got.Error() != text {
			t.Errorf("%s: it says\n%v\nwant\n%s", what, got, text)
		}
		if got := ExitStatus(outcome, got); got != status {
			t.Errorf("%s: status %d, want %d", what, got, status)
		}
	}
	seen, full := &violationSeen{"Reliable"}, errors.New(unsaved)
	f("nothing else", nil, nil, nil, checkers.Invalid, ExitHarness, left)
	f("a fault of ours", nil, errors.New("phase hold: it broke"), nil, checkers.Invalid, ExitHarness, "phase hold: it broke", left)
	f("Ctrl-C", nil, ErrInterrupted, nil, checkers.Invalid, ExitInterrupted, "interrupted", left)
	f("Ctrl-C, and unsaved", nil, ErrInterrupted, full, checkers.Invalid, ExitInterrupted, "interrupted", left, unsaved)
	f("a death", death, death, nil, checkers.Fail, ExitFail, left)
	f("a violation in the history", nil, seen, full, checkers.Fail, ExitFail, left, unsaved)
	f("one that the whole history does not show", nil, seen, nil, checkers.Invalid, ExitHarness, left)
}

// Also where it began to be stopped while it was about to start.
func TestWhatCannotBeStoppedAfterAStart(t *testing.T) {
	for _, cause := range []error{ErrInterrupted, &lostStore{errors.New("kine died")}} {
		x := &execution{plan: &Plan{}, run: &results.Run{}}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		left := tornDown(errors.New("pid 7 is still there"))
		err := x.startFailed(ctx, errors.Join(errors.New("start backend: killed"), left))
		if !errors.Is(err, cause) || !errors.Is(err, left) || strings.Contains(err.Error(), "killed") {
			t.Errorf("%v: it ends because of\n%v", cause, err)
		}
	}
}

// A run that ends well, or whose verdict says all, ends without an error.
func TestEndingWithoutAnError(t *testing.T) {
	f := func(violation, err error) {
		t.Helper()
		x := &execution{run: &results.Run{}, violation: violation}
		if got := x.ending(t.Context(), err, nil, true); got != nil {
			t.Errorf("%v: it ends with %v", err, got)
		}
	}
	f(nil, nil)
	f(nil, &violationSeen{"Reliable"})
	f(death, death)
}
