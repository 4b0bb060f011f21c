package scenarios

import (
	"strings"

	"github.com/planecheck/planecheck/apiserver/client/record"
	"github.com/planecheck/planecheck/checkers/api/writes"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
)

// contractCalls hears the requests of the contract traffic, for the table of what
// became of them. What an illegal one must be refused with, the checkers know.
type contractCalls struct{ calls results.ContractCalls }

var _ history.Observer = (*contractCalls)(nil)

// Request implements history.Observer.
func (c *contractCalls) Request(q *history.Request) {
	if !strings.HasPrefix(q.Identity, contractUser) {
		return
	}
	// What succeeded may be a list of the whole load, and to read it takes its time.
	c.calls.Add(q, q.Status >= 400 && writes.AsDocumented(record.Call(q)))
}

// WatchEvent implements history.Observer. An event is no call.
func (c *contractCalls) WatchEvent(*history.WatchEvent) {}
