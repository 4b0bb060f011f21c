package archive

import (
	"errors"
	"fmt"
)

// ErrIncomplete is what errors.Is finds in every error that says that a history
// is not, or not surely, the whole of what was recorded: it was not closed, it
// lost records, or a part of it is missing, truncated, corrupt, or there without
// being listed. A verdict on such a history is Invalid.
var ErrIncomplete = errors.New("incomplete history")

// IncompleteError says what is wrong with which part of a history.
type IncompleteError struct {
	Path   string // the manifest, the segment, or the directory
	Reason string
	Err    error // the cause, if there was one
}

func (e *IncompleteError) Error() string {
	text := fmt.Sprintf("incomplete history: %s: %s", e.Path, e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns ErrIncomplete and the cause.
func (e *IncompleteError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrIncomplete}
	}
	return []error{ErrIncomplete, e.Err}
}

// VersionError says that a history was written in a schema that this program
// does not read.
type VersionError struct {
	Path string
	Got  int // the schema of the history
	Want int // the newest schema that this program reads; the oldest is OldestSchema
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("history %s has schema version %d, this program reads version %d and older ones down to %d",
		e.Path, e.Got, e.Want, OldestSchema)
}

// recovered turns a panic of the Parquet library, which panics on some corrupt
// input, into an error. It is for defer.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("parquet: %v", r)
	}
}
