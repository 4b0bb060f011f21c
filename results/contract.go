package results

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/planecheck/planecheck/checkers/history"
)

// Contract sums up the contract traffic of a run.
type Contract struct {
	Seconds    Seconds          `json:"seconds"`
	Operations map[string]int64 `json:"operations"` // by their names in the table
	Requests   map[string]int64 `json:"requests"`   // by verb
	// Errors are by Status.reason. Most of them are meant.
	Errors map[string]int64 `json:"errors"`
	// Unknown counts writes without a whole answer, Late operations that began
	// more than 10 ms after they were due.
	Unknown        int64 `json:"unknown"`
	Late           int64 `json:"late"`
	WatchesOpened  int64 `json:"watches_opened"`
	WatchesResumed int64 `json:"watches_resumed"`
	WatchEvents    int64 `json:"watch_events"`
	// Calls are the same requests by their kind. Records from before 24 November
	// 2026 may have none.
	Calls []ContractCall `json:"calls,omitempty"`
}

// Sent is the number of requests.
func (c *Contract) Sent() (sent int64) {
	for _, n := range c.Requests {
		sent += n
	}
	return sent
}

// ContractCall is one kind of request of the contract traffic. Each request
// either succeeded, and is in the Latency, or is in one of the other counts.
type ContractCall struct {
	Call
	ContractCounts
	// Latency is of what succeeded, from when it was due, or sent if it was not the
	// first of its operation. None of it is in Run.Calls.
	Latency Latency `json:"latency"`
}

// ContractCounts are requests of the contract traffic by what became of them.
type ContractCounts struct {
	Requests int64 `json:"requests"`
	// Illegal are those that no server may carry out, and that were refused with the
	// error that is documented for them.
	Illegal  int64 `json:"illegal,omitempty"`
	NotFound int64 `json:"not_found,omitempty"` // 404
	Conflict int64 `json:"conflict,omitempty"`  // 409
	// Version were about a version that is not kept any more (410), or not reached yet.
	Version int64 `json:"version,omitempty"`
	Refused int64 `json:"refused,omitempty"` // any other answer of 4xx, but 429
	Failed  int64 `json:"failed,omitempty"`  // 5xx, 429, or no answer
	Cut     int64 `json:"cut,omitempty"`     // the client gave up itself, as at the end
}

// add sums up.
func (c *ContractCounts) add(o ContractCounts) {
	c.Requests += o.Requests
	c.Illegal += o.Illegal
	c.NotFound += o.NotFound
	c.Conflict += o.Conflict
	c.Version += o.Version
	c.Refused += o.Refused
	c.Failed += o.Failed
	c.Cut += o.Cut
}

// ContractCalls counts the requests of the contract traffic by their kind. Its
// methods may be called concurrently.
type ContractCalls struct {
	mu    sync.Mutex
	calls map[Call]*contractSeries
}

type contractSeries struct {
	ContractCounts
	hist *histogram // nil: nothing has succeeded
}

// Add takes a request. documented says that no server may carry it out, and that
// the answer is the error that is documented for that.
func (c *ContractCalls) Add(q *history.Request, documented bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(callOf(q))
	s.Requests++
	if count := s.unsuccessful(q, documented); count != nil {
		*count++
		return
	}
	if s.hist == nil {
		s.hist = newHistogram()
	}
	s.hist.record(q.Latency())
}

// find returns the series of a kind. Beyond the limit all kinds are one, as in
// the Recorder.
func (c *ContractCalls) find(call Call) *contractSeries {
	if c.calls == nil {
		c.calls = map[Call]*contractSeries{}
	}
	if c.calls[call] == nil && len(c.calls) >= maxSeries {
		call.Group, call.Resource, call.Subresource = "", otherLabel, ""
	}
	if c.calls[call] == nil {
		c.calls[call] = &contractSeries{}
	}
	return c.calls[call]
}

// unsuccessful is where a request counts that did not succeed; nil: it did.
func (c *ContractCounts) unsuccessful(q *history.Request, documented bool) *int64 {
	fate := fateOf(q)
	switch {
	case documented:
		return &c.Illegal
	case fate == fateCanceled:
		return &c.Cut
	case q.Status == http.StatusGone || tooNew(q):
		return &c.Version
	case fate != fateServed:
		return &c.Failed
	case q.Status == http.StatusNotFound:
		return &c.NotFound
	case q.Status == http.StatusConflict:
		return &c.Conflict
	case q.Status >= 400:
		return &c.Refused
	}
	return nil
}

// tooNew says whether a read was refused because the server is far from the version
// that it asks for, after having waited for it.
func tooNew(q *history.Request) bool {
	return q.Status == http.StatusGatewayTimeout && bytes.Contains(q.Answer, []byte("Too large resource version"))
}

// Figures are the counts and latencies so far.
func (c *ContractCalls) Figures() (all []ContractCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range sorted(c.calls, compareCalls) {
		s := c.calls[call]
		f := ContractCall{Call: call, ContractCounts: s.ContractCounts}
		if s.hist != nil {
			f.Latency = s.hist.latency()
		}
		all = append(all, f)
	}
	return all
}
