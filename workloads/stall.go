package workloads

import "fmt"

// StallError says that the control plane did not do what a phase asks of it within
// the time that the phase has: pods that do not come or go, namespaces without their
// service account, requests that are refused, or not answered, for minutes. It is the
// control plane that failed, not the load.
type StallError struct{ Err error }

func (e *StallError) Error() string { return e.Err.Error() }

// Unwrap returns what the phase saw last.
func (e *StallError) Unwrap() error { return e.Err }

func stalled(format string, args ...any) error { return &StallError{fmt.Errorf(format, args...)} }
