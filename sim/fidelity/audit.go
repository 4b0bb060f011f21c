package fidelity

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Event is what we read of an audit event (audit.k8s.io/v1). The server writes
// several events for one request, one per stage; ReadAudit folds them into one.
type Event struct {
	AuditID    string
	RequestURI string
	Verb       string
	User       struct{ Username string }
	ObjectRef  struct {
		APIGroup    string
		Resource    string
		Subresource string
		Namespace   string
		Name        string
	}
	ResponseStatus struct{ Code int }
	// RequestObject is the body: for protobuf the object as JSON, for a patch
	// the patch itself.
	RequestObject            any
	ResponseObject           any
	RequestReceivedTimestamp time.Time
}

// maxAuditLine bounds an audit event. Bodies are at most 3 MiB (the API
// server's limit for a request), and an event holds two.
const maxAuditLine = 16 << 20

// ReadAudit reads an audit log in JSON lines and returns one event per request,
// in the order of their arrival at the server. A last line without an end, as a
// server that still writes leaves it, is left out.
func ReadAudit(r io.Reader) ([]Event, error) {
	byID := map[string]*Event{}
	lines := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return inOrder(byID), nil
		}
		if err != nil {
			return nil, fmt.Errorf("read audit log, line %d: %w", number, err)
		}
		var stage struct{ AuditID string }
		if err := json.Unmarshal(line, &stage); err != nil {
			return nil, fmt.Errorf("read audit log, line %d: %w", number, err)
		}
		event := byID[stage.AuditID]
		if event == nil {
			event = &Event{}
			byID[stage.AuditID] = event
		}
		// A later stage knows more: what it has replaces, what it lacks stays.
		if err := json.Unmarshal(line, event); err != nil {
			return nil, fmt.Errorf("read audit log, line %d: %w", number, err)
		}
	}
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxAuditLine:
			return nil, fmt.Errorf("longer than %d bytes", maxAuditLine)
		}
	}
}

func inOrder(byID map[string]*Event) []Event {
	events := make([]Event, 0, len(byID))
	for _, e := range byID {
		events = append(events, *e)
	}
	slices.SortFunc(events, func(a, b Event) int {
		return a.RequestReceivedTimestamp.Compare(b.RequestReceivedTimestamp)
	})
	return events
}
