package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// writes is what the API server says that a simulator wrote in a window.
type writes struct {
	Total  int
	Failed int            // answered with 400 or more
	Kinds  map[string]int // by verb, resource and subresource, "patch pods/status"
	// Renewals are the times between two acknowledged updates of one lease, of
	// which the second was in the window.
	Renewals []time.Duration
}

// auditReader reads the audit log as it grows.
type auditReader struct {
	source  io.Reader
	rest    []byte // an unfinished line
	renewed map[string]time.Time
}

func newAuditReader(source io.Reader) *auditReader {
	return &auditReader{source: source, renewed: map[string]time.Time{}}
}

// take counts the writes that were logged since the last call. The server logs
// a write before it answers it.
func (r *auditReader) take() (writes, error) {
	w := writes{Kinds: map[string]int{}}
	grown, err := io.ReadAll(r.source)
	if err != nil {
		return w, fmt.Errorf("read audit log: %w", err)
	}
	text := append(r.rest, grown...)
	for {
		line, rest, found := bytes.Cut(text, []byte("\n"))
		if !found {
			r.rest = bytes.Clone(text)
			return w, nil
		}
		text = rest
		if err := r.count(line, &w); err != nil {
			return w, err
		}
	}
}

func (r *auditReader) count(line []byte, w *writes) error {
	var e struct {
		Verb      string
		ObjectRef struct{ Resource, Subresource, Name string }

		ResponseStatus           struct{ Code int }
		RequestReceivedTimestamp time.Time
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	w.Total++
	kind := e.Verb + " " + e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		kind += "/" + e.ObjectRef.Subresource
	}
	w.Kinds[kind]++
	if e.ResponseStatus.Code >= 400 {
		w.Failed++
		return nil
	}
	if e.ObjectRef.Resource == "leases" {
		if last, ok := r.renewed[e.ObjectRef.Name]; ok && e.Verb != "create" {
			w.Renewals = append(w.Renewals, e.RequestReceivedTimestamp.Sub(last))
		}
		r.renewed[e.ObjectRef.Name] = e.RequestReceivedTimestamp
	}
	return nil
}
