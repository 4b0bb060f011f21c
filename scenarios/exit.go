package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// Exit statuses of the command line.
const (
	ExitPass        = 0
	ExitFail        = 1
	ExitUsage       = 2 // a wrong flag or value, or a run that cannot fit
	ExitUndecided   = 3 // Unknown or Invalid
	ExitHarness     = 4
	ExitSLOMissed   = 5 // only with --slo-fail, and only beside a pass
	ExitInterrupted = 130
)

// UsageError is something that the person asked for and cannot have: a bad
// value, a file that is not there, a run that does not fit the machine.
// Nothing was started, unless it took a server to find it in a manifest.
type UsageError struct{ msg string }

func (e *UsageError) Error() string { return e.msg }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error {
	return &UsageError{msg: fmt.Sprintf(format, args...)}
}

// ErrInterrupted is the cause of a context that ended because a person pressed
// Ctrl-C or sent SIGTERM.
var ErrInterrupted = errors.New("interrupted")

// ErrSLOMissed is returned with SLOFail when correctness passed but an
// objective was missed.
var ErrSLOMissed = errors.New("a service level objective was missed")

// ExitStatus maps the end of a command to its exit status. An error that is
// none of the known kinds is a fault of the harness: it never reads as a
// violation, nor as a pass. A missed objective counts only beside a pass: it says
// nothing of a run that is not known to be correct.
func ExitStatus(outcome checkers.Outcome, err error) int {
	var usage *UsageError
	missed := err != nil && onlyMissed(err)
	switch {
	case errors.As(err, &usage):
		return ExitUsage
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	case outcome == checkers.Fail:
		return ExitFail
	case err != nil && !missed:
		return ExitHarness
	case outcome != checkers.Pass:
		return ExitUndecided
	case missed:
		return ExitSLOMissed
	default:
		return ExitPass
	}
}

// onlyMissed says whether an error is about missed objectives and nothing else. The
// runs of a command may have ended for several reasons.
func onlyMissed(err error) bool {
	if err == ErrSLOMissed {
		return true
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return onlyMissed(err.Unwrap())
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(err.Unwrap(), func(err error) bool { return !onlyMissed(err) })
	}
	return false
}

// teardownError says that not all that a run had begun could be stopped. It is a fault
// of ours, whatever became of the run: it is told beside that, and is no part of it.
type teardownError struct{ err error }

func (e *teardownError) Error() string { return "stop: " + e.err.Error() }

func (e *teardownError) Unwrap() error { return e.err }

// tornDown is how stopping everything went.
func tornDown(err error) error {
	if err == nil {
		return nil
	}
	return &teardownError{err}
}

// teardownOf is what of an error is about stopping everything, nil if nothing is.
func teardownOf(err error) error {
	var all []error
	for _, e := range parts(err) {
		var left *teardownError
		if errors.As(e, &left) {
			all = append(all, left)
		}
	}
	return errors.Join(all...)
}

// ending is what Run returns of a run that ended with err and was saved with saveErr,
// after its verdict was made. What is in the verdict is no error; that something could
// not be stopped or saved always is one, beside whatever decides the exit status.
func (x *execution) ending(ctx context.Context, err, saveErr error, sloFail bool) error {
	beside := oneFullDisk(errors.Join(teardownOf(err), saveErr))
	var seen *violationSeen
	switch {
	case errors.Is(err, ErrInterrupted), errors.Is(context.Cause(ctx), ErrInterrupted):
		return errors.Join(ErrInterrupted, beside)
	case x.refused != nil:
		return errors.Join(Usagef("--manifest: %v", x.refused), beside)
	case x.violation != nil, errors.As(err, &seen): // it is in the verdict
		return beside
	case err != nil:
		return oneFullDisk(errors.Join(err, saveErr))
	case saveErr == nil && sloFail && x.run.Verdict.Outcome == checkers.Pass && x.run.SLOsMet() == results.Fail:
		return ErrSLOMissed
	}
	return saveErr
}
