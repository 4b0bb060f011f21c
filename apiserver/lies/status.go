package lies

import (
	"encoding/json"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

const (
	protobufType = "application/vnd.kubernetes.protobuf"
	jsonType     = "application/json"
)

// refusal answers a call with an error, in the encoding that it asks for.
func refusal(q *call, code int, reason metav1.StatusReason, message string) *answer {
	s := &metav1.Status{
		Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
		Details: &metav1.StatusDetails{Name: q.name, Group: q.group, Kind: q.resource},
	}
	return answerOf(s, strings.HasPrefix(q.header.Get("Accept"), jsonType))
}

func answerOf(s *metav1.Status, asJSON bool) *answer {
	s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	a := &answer{status: int(s.Code), header: http.Header{"Cache-Control": {"no-cache, private"}}}
	if asJSON {
		a.header.Set("Content-Type", jsonType)
		a.body, _ = json.Marshal(s) // strings and numbers
		return a
	}
	a.header.Set("Content-Type", protobufType)
	raw, _ := s.Marshal() // fails of invalid UTF-8 only, of which there is none
	a.body = wire.Wrap("v1", "Status", raw)
	return a
}

// statusOf reads the Status that an answer shows, and whether it is in JSON.
func (a *answer) statusOf() (s *metav1.Status, asJSON, ok bool) {
	if !a.plain() {
		return nil, false, false
	}
	s = &metav1.Status{}
	o, ok := readObject(a.body)
	switch {
	case !ok:
		return nil, false, false
	case o.json:
		return s, true, json.Unmarshal(o.raw, s) == nil && s.Kind == "Status"
	}
	return s, false, o.kind == "Status" && s.Unmarshal(o.raw) == nil
}

func expired(q *call) *answer {
	return refusal(q, http.StatusGone, metav1.StatusReasonExpired,
		"The resourceVersion for the provided list is too old.")
}

func tooLarge(q *call) *answer {
	a := refusal(q, http.StatusGatewayTimeout, metav1.StatusReasonTimeout, "Too large resource version")
	s, asJSON, _ := a.statusOf()
	s.Details = &metav1.StatusDetails{
		Causes:            []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}},
		RetryAfterSeconds: 1,
	}
	return answerOf(s, asJSON)
}

func tooLargeSaid(a *answer) bool {
	s, _, ok := a.statusOf()
	if !ok || a.status != http.StatusGatewayTimeout || s.Details == nil {
		return false
	}
	for _, c := range s.Details.Causes {
		if c.Type == metav1.CauseTypeResourceVersionTooLarge {
			return true
		}
	}
	return false
}

func conflict(q *call) *answer {
	return refusal(q, http.StatusConflict, metav1.StatusReasonConflict, "Operation cannot be fulfilled on "+q.resource+
		` "`+q.name+`": the object has been modified; please apply your changes to the latest version and try again`)
}

func notFound(q *call) *answer {
	return refusal(q, http.StatusNotFound, metav1.StatusReasonNotFound, q.resource+` "`+q.name+`" not found`)
}
