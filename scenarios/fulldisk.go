package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// diskFull says whether an error, or the last words of a process in it, are about
// a disk without space.
func diskFull(err error) bool {
	text := err.Error()
	return errors.Is(err, syscall.ENOSPC) || strings.Contains(text, syscall.ENOSPC.Error()) ||
		strings.Contains(text, "disk is full") // as SQLite says it
}

// fullDisk is what a disk without space broke first.
type fullDisk struct{ err error }

func (e *fullDisk) Error() string { return "the disk is full: " + e.err.Error() }

func (e *fullDisk) Unwrap() error { return e.err }

// oneFullDisk leaves of all that a full disk broke, one thing after the other, what
// came first: the rest says nothing more. Errors of any other kind stay.
func oneFullDisk(err error) error {
	var first *fullDisk
	var others []error
	for _, e := range parts(err) {
		switch {
		case !diskFull(e):
			others = append(others, e)
		case first == nil && !errors.As(e, &first):
			first = &fullDisk{e}
		}
	}
	if first == nil {
		return err
	}
	return errors.Join(append([]error{first}, others...)...)
}

// parts are the errors that errors.Join has put together.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	var lines []string
	for _, e := range joined.Unwrap() {
		all, lines = append(all, parts(e)...), append(lines, e.Error())
	}
	if strings.Join(lines, "\n") != err.Error() { // it has words of its own
		return []error{err}
	}
	return all
}

// lostHistory is the end of a history that can be written no more.
type lostHistory struct{ err error }

func (e *lostHistory) Error() string {
	return fmt.Sprintf("the history cannot be written, so the run can prove nothing any more: %v", e.err)
}

func (e *lostHistory) Unwrap() error { return e.err }

// watchHistory cancels everything when the history can be written no more.
func watchHistory(ctx context.Context, r *recording, cancel context.CancelCauseFunc) {
	if r == nil {
		return
	}
	select {
	case err := <-r.failed:
		cancel(&lostHistory{err})
	case <-ctx.Done():
	}
}
