package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// StatusError is returned when the API server answered with a Status instead
// of what was asked for.
type StatusError struct {
	Code int // HTTP status
	// Reason is Status.reason, e.g. NotFound. It is empty if the body held no
	// Status: the server's filters (429, timeouts) answer in plain text.
	Reason     string
	Message    string        // Status.message, or the beginning of such a text
	RetryAfter time.Duration // from the Retry-After header or the Status; 0: none was given
}

func (e *StatusError) Error() string {
	reason := e.Reason
	if reason == "" {
		reason = http.StatusText(e.Code)
	}
	if e.Message == "" {
		return fmt.Sprintf("api server answered %d %s", e.Code, reason)
	}
	return fmt.Sprintf("api server answered %d %s: %s", e.Code, reason, e.Message)
}

// Reason returns the Status.reason of err, or "" if err holds none.
func Reason(err error) string {
	if s, ok := errors.AsType[*StatusError](err); ok {
		return s.Reason
	}
	return ""
}

// IsNotFound says whether the object does not exist.
func IsNotFound(err error) bool { return isCode(err, http.StatusNotFound) }

// IsAlreadyExists says whether an object of that name exists already.
func IsAlreadyExists(err error) bool { return Reason(err) == "AlreadyExists" }

// IsConflict says whether a precondition or the resource version did not hold.
// AlreadyExists, which has the same HTTP status, is not meant.
func IsConflict(err error) bool { return Reason(err) == "Conflict" }

// IsGone says whether the resource version that was asked for is no longer
// available, so that the caller must list again.
func IsGone(err error) bool { return isCode(err, http.StatusGone) }

// IsTooManyRequests says whether the server rejected the request to protect
// itself. StatusError.RetryAfter says for how long.
func IsTooManyRequests(err error) bool { return isCode(err, http.StatusTooManyRequests) }

func isCode(err error, code int) bool {
	s, ok := errors.AsType[*StatusError](err)
	return ok && s.Code == code
}

// maxText is how much of a body that is no Status goes into the message.
const maxText = 256

// newStatusError reads the Status out of the body of a failed request, or, with
// code 0, out of an ERROR event, which has no other code than that inside.
func newStatusError(code int, header http.Header, content []byte) *StatusError {
	status, ok := readStatus(content)
	if !ok {
		text := bytes.TrimSpace(content)
		status = wire.Status{Message: string(text[:min(len(text), maxText)])}
	}
	seconds := int64(status.RetryAfterSeconds)
	if h, err := strconv.ParseInt(header.Get("Retry-After"), 10, 32); err == nil {
		seconds = h
	}
	if code == 0 {
		code = int(status.Code)
	}
	return &StatusError{
		Code:       code,
		Reason:     status.Reason,
		Message:    status.Message,
		RetryAfter: time.Duration(max(seconds, 0)) * time.Second,
	}
}

// readStatus reads a metav1.Status, which comes in protobuf or, where the
// server could not negotiate, in JSON.
func readStatus(content []byte) (wire.Status, bool) {
	_, kind, raw, err := wire.Unwrap(content)
	if err == nil {
		s, err := wire.ScanStatus(raw)
		return s, err == nil && kind == "Status"
	}
	if len(content) == 0 || content[0] != '{' {
		return wire.Status{}, false
	}
	var s struct {
		Kind, Reason, Message string
		Code                  int32
		Details               struct{ RetryAfterSeconds int32 }
	}
	if json.Unmarshal(content, &s) != nil || s.Kind != "Status" {
		return wire.Status{}, false
	}
	return wire.Status{
		Reason:            s.Reason,
		Message:           s.Message,
		Code:              s.Code,
		RetryAfterSeconds: s.Details.RetryAfterSeconds,
	}, true
}
