package object

import (
	"bytes"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// StatusInfo is what histories keep of a metav1.Status, the answer to a request
// that failed, and to a delete that leaves no object.
type StatusInfo struct {
	Code    int32
	Status  string // Success or Failure
	Reason  string
	Message string // whole
	Cause   string // the reason of the first of details.causes
	// Of details: what the Status is about.
	DetailsKind, DetailsName, DetailsUID string
	// Continue is the token that a 410 offers to go on with, from a newer state.
	Continue string
}

// Status reads a Status. ok is false where the body is something else.
func Status(body []byte) (s StatusInfo, ok bool) {
	if !bytes.HasPrefix(body, magic) {
		doc, err := parse(body)
		if err != nil || doc.text("kind") != "Status" {
			return StatusInfo{}, false
		}
		return doc.status(), true
	}
	_, kind, raw, err := wire.Unwrap(body)
	if err != nil || kind != "Status" {
		return StatusInfo{}, false
	}
	f := wire.Walk(raw)
	for f.Next() {
		switch f.Number() {
		case 1:
			token, err := text(f.Bytes(), 3)
			f.Nest(err)
			s.Continue = string(token)
		case 2:
			s.Status = string(f.Bytes())
		case 3:
			s.Message = string(f.Bytes())
		case 4:
			s.Reason = string(f.Bytes())
		case 5:
			f.Nest(s.details(f.Bytes()))
		case 6:
			s.Code = int32(f.Integer())
		}
	}
	if f.Err() != nil {
		return StatusInfo{}, false
	}
	return s, true
}

func (s *StatusInfo) details(b []byte) error {
	causes := 0
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			s.DetailsName = string(f.Bytes())
		case 3:
			s.DetailsKind = string(f.Bytes())
		case 4:
			cause, err := text(f.Bytes(), 1)
			f.Nest(err)
			if causes == 0 {
				s.Cause = string(cause)
			}
			causes++
		case 6:
			s.DetailsUID = string(f.Bytes())
		}
	}
	return f.Err()
}

func (d document) status() StatusInfo {
	details := d.nested("details")
	s := StatusInfo{
		Code: int32(d.number("code")), Status: d.text("status"), Reason: d.text("reason"), Message: d.text("message"),
		DetailsKind: details.text("kind"), DetailsName: details.text("name"), DetailsUID: details.text("uid"),
		Continue: d.nested("metadata").text("continue"),
	}
	if causes, _ := details["causes"].([]any); len(causes) > 0 {
		cause, _ := causes[0].(map[string]any)
		s.Cause = document(cause).text("reason")
	}
	return s
}
