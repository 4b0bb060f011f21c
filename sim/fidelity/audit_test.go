package fidelity

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const twoStages = `{"auditID":"b","stage":"ResponseComplete","verb":"get","requestReceivedTimestamp":"2026-01-01T00:00:02.000000Z","objectRef":{"resource":"nodes","name":"n"}}
{"auditID":"a","stage":"RequestReceived","verb":"create","requestReceivedTimestamp":"2026-01-01T00:00:01.000000Z","requestObject":{"kind":"Node"}}
{"auditID":"a","stage":"ResponseComplete","responseStatus":{"code":201},"requestReceivedTimestamp":"2026-01-01T00:00:01.000000Z"}
`

func TestReadAuditFoldsStagesAndSortsByArrival(t *testing.T) {
	events, err := ReadAudit(strings.NewReader(twoStages))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.AuditID+" "+e.Verb)
	}
	if diff := cmp.Diff([]string{"a create", "b get"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if events[0].ResponseStatus.Code != 201 || events[0].RequestObject == nil {
		t.Errorf("the stages of one request are not folded: %+v", events[0])
	}
}

func TestReadAuditLeavesOutAnUnfinishedLine(t *testing.T) {
	events, err := ReadAudit(strings.NewReader(twoStages + `{"auditID":"c","verb":"de`))
	if err != nil || len(events) != 2 {
		t.Errorf("ReadAudit = %d events, error %v; want 2 and none", len(events), err)
	}
}

func TestReadAuditNamesTheBrokenLine(t *testing.T) {
	_, err := ReadAudit(strings.NewReader(twoStages + "no JSON\n"))
	if err == nil || !strings.Contains(err.Error(), "line 4") {
		t.Errorf("error %v, want one that names line 4", err)
	}
}

func FuzzReadAudit(f *testing.F) {
	f.Add(twoStages)
	f.Add("{}\n[]\n")
	f.Fuzz(func(t *testing.T, log string) {
		events, err := ReadAudit(strings.NewReader(log))
		if err == nil && len(events) > strings.Count(log, "\n") {
			t.Errorf("%d events from %d lines", len(events), strings.Count(log, "\n"))
		}
	})
}
