package scenarios

import (
	"net/url"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/workloads/contract"
)

// Of what was sent, the requests of the contract traffic's clients count, and those of
// the other users of their class do not. An illegal one is told by its record alone,
// if that shows it, or by what its sender says.
func TestContractCallsAreThoseOfItsClients(t *testing.T) {
	plan := contract.NewPlan(1, contract.Options{Clients: 2})
	clients := contractIdentities(&plan)
	var c contractCalls
	ask := func(user, verb, name, illegal string, status int, reason string, query url.Values) {
		c.Request(&history.Request{
			Class: history.ClassContract, Identity: user, Verb: verb, Version: "v1", Resource: "configmaps", Namespace: "contract-0",
			Name: name, Illegal: illegal, Status: status, Reason: reason, Query: query, Called: 1000, Returned: 2000,
		})
	}
	both := url.Values{"resourceVersionMatch": {"Exact"}}
	ask(clients[0].User, "list", "", "", 422, "Invalid", both)
	ask(clients[1].User, "list", "", "", 200, "", nil)
	ask(clients[1].User, "delete", "a", history.PropagationTwice, 422, "Invalid", nil)
	ask(clients[1].User, "delete", "a", history.PropagationTwice, 404, "NotFound", nil)
	ask(strangerIdentities(1)[0].User, "list", "", "", 200, "", nil)
	ask(workloadUser, "list", "", "", 200, "", nil)
	c.WatchEvent(&history.WatchEvent{})
	want := map[string]results.ContractCounts{
		"list configmaps":   {Requests: 2, Illegal: 1},
		"delete configmaps": {Requests: 2, Illegal: 1, NotFound: 1},
	}
	got := c.calls.Figures()
	for _, f := range got {
		if f.ContractCounts != want[f.String()] {
			t.Errorf("%s: %+v, want %+v", f.Call, f.ContractCounts, want[f.String()])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%+v", got)
	}
}
