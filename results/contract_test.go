package results

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// asked is a GET of contract traffic that took d.
func asked(d time.Duration, status int) *history.Request {
	q := patch(d)
	q.Class, q.Verb, q.Resource, q.Subresource, q.Status = history.ClassContract, "get", "configmaps", "", status
	return q
}

func TestContractCallsByWhatBecameOfThem(t *testing.T) {
	f := func(name string, q *history.Request, documented bool, want ContractCounts) {
		t.Helper()
		var calls ContractCalls
		calls.Add(q, documented)
		want.Requests = 1
		got := calls.Figures()
		if len(got) != 1 || got[0].ContractCounts != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
			return
		}
		succeeded := want == ContractCounts{Requests: 1}
		if got[0].Latency.Count == 1 != succeeded {
			t.Errorf("%s: latency %+v", name, got[0].Latency)
		}
	}
	unanswered := func(err string) *history.Request {
		q := asked(ms, 0)
		q.Err = err
		return q
	}
	ahead := asked(3*time.Second, 504)
	ahead.Answer = []byte("...Too large resource version: 1000007, current: 7...")
	f("success", asked(ms, 200), false, ContractCounts{})
	f("illegal", asked(ms, 422), true, ContractCounts{Illegal: 1})
	f("illegal and not found", asked(ms, 404), true, ContractCounts{Illegal: 1})
	f("refused by the store", asked(ms, 500), true, ContractCounts{Illegal: 1})
	f("not found", asked(ms, 404), false, ContractCounts{NotFound: 1})
	f("conflict", asked(ms, 409), false, ContractCounts{Conflict: 1})
	f("expired", asked(ms, 410), false, ContractCounts{Version: 1})
	f("not reached", ahead, false, ContractCounts{Version: 1})
	f("forbidden", asked(ms, 403), false, ContractCounts{Refused: 1})
	f("shed", asked(ms, 429), false, ContractCounts{Failed: 1})
	f("gateway timeout", asked(ms, 504), false, ContractCounts{Failed: 1})
	f("no answer", unanswered("EOF"), false, ContractCounts{Failed: 1})
	f("cut", unanswered("Get: context canceled"), false, ContractCounts{Cut: 1})
}

func TestContractCallsByKind(t *testing.T) {
	var calls ContractCalls
	late := asked(ms, 200)
	late.Due = late.Called.Add(-time.Second)
	for _, q := range []*history.Request{asked(ms, 200), late, asked(time.Minute, 409)} {
		calls.Add(q, false)
	}
	list := asked(ms, 200)
	list.Verb, list.Name = "list", ""
	calls.Add(list, false)
	got := calls.Figures()
	if len(got) != 2 || got[0].Verb != "get" || got[0].Requests != 3 || got[1].Scope != "namespace" || got[1].Requests != 1 {
		t.Fatalf("%+v", got)
	}
	if l := got[0].Latency; l.Count != 2 || l.Max != Seconds(time.Second+ms) {
		t.Errorf("%+v, want two that succeeded, of which one counts from when it was due", l)
	}
	for i := range maxSeries + 9 {
		q := asked(ms, 200)
		q.Resource = strings.Repeat("x", i)
		calls.Add(q, false)
	}
	var all ContractCounts
	for _, c := range calls.Figures() {
		all.add(c.ContractCounts)
	}
	if n := len(calls.Figures()); n > maxSeries+1 || all.Requests != 4+maxSeries+9 {
		t.Errorf("%d kinds of %d requests", n, all.Requests)
	}
}

// Every count of a kind is in the sum, so that it is in the row of all of them.
func TestContractCountsAddUp(t *testing.T) {
	one := ContractCounts{1, 2, 3, 4, 5, 6, 7, 8}
	sum := one
	sum.add(one)
	if diff := cmp.Diff(ContractCounts{2, 4, 6, 8, 10, 12, 14, 16}, sum); diff != "" {
		t.Error(diff)
	}
}

// What contract traffic waits for is in no row of the load: neither in its latencies
// nor in its requests, failures and watch events.
func TestContractTrafficIsApart(t *testing.T) {
	r := NewRecorder("fill")
	for _, status := range []int{200, 409, 503} {
		r.Request(asked(time.Minute, status))
	}
	r.WatchEvent(&history.WatchEvent{Class: history.ClassContract, Resource: "configmaps", Type: "ADDED"})
	load := patch(ms)
	load.Status, load.Reason = 409, "Conflict"
	r.Request(load)
	failed := patch(ms)
	failed.Status = 503
	r.Request(failed)
	r.StartPhase("")
	run := &Run{Phases: []Phase{{Name: "fill", API: r.Phase("fill")}}, Calls: r.Total()}
	text := Render(run)
	for _, not := range []string{"get", "configmaps"} {
		if strings.Contains(text, not) {
			t.Errorf("%q is in\n%s", not, text)
		}
	}
	for _, want := range []string{"pods/status      1", "409     Conflict      1"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	for _, c := range run.Calls {
		if c.Latency.Max > Seconds(time.Second) {
			t.Errorf("%+v", c)
		}
	}
}

// A record of before has no kinds of requests, and its failures no class.
func TestRenderContractOfOlderRecords(t *testing.T) {
	r := exampleRun()
	r.Contract.Calls = nil
	r.Phases[0].API.Errors = []ErrorFigures{{Verb: "get", Resource: "pods", Status: 404, Reason: "NotFound", Count: 7}}
	if text := renderContract(r); strings.Count(text, "\n") != 2 || strings.Contains(text, "latencies") {
		t.Errorf("contract traffic without its calls:\n%s", text)
	}
	if text := renderErrors(r); !strings.Contains(text, "NotFound      7") {
		t.Errorf("failures without a class:\n%s", text)
	}
}

// A summary that leaves kinds out says how many, and its last row has them.
func TestRenderContractCallsSaysWhatItLeavesOut(t *testing.T) {
	var calls []ContractCall
	for i := range maxContractRows + 2 {
		call := Call{Verb: "get", Resource: strings.Repeat("x", i+1), Scope: "resource"}
		calls = append(calls, ContractCall{Call: call, ContractCounts: ContractCounts{Requests: 1, Conflict: 1}})
	}
	text := strings.Join(strings.Fields(renderContractCalls(calls)), " ")
	for _, want := range []string{"and 2 more kinds all 32 32 latencies"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
