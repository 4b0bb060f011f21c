package contract

import (
	"errors"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// lateBy is how long after it was due an operation starts late.
const lateBy = 10 * time.Millisecond

// Stats is what was sent so far.
type Stats struct {
	Operations map[string]int64 `json:"operations"` // begun, by their names in the table
	Requests   map[string]int64 `json:"requests"`   // by verb
	// Errors counts failures by Status.reason, by HTTP status where there is
	// none, and as "no answer". Most of them are meant.
	Errors map[string]int64 `json:"errors"`
	// Unknown counts writes without a whole answer.
	Unknown int64 `json:"unknown"`
	// Late counts operations that began more than 10 ms after they were due,
	// and LatestBy is the worst of all.
	Late     int64         `json:"late"`
	LatestBy time.Duration `json:"latestBy"`
	Watches  WatchStats    `json:"watches"`
}

// WatchStats counts watches. Every one that was opened was ended by the server
// (timeouts and its errors among that) or was cut by its client or by the loss
// of its connection, or is open still.
type WatchStats struct {
	Opened  int64 `json:"opened"`  // resumed ones among them
	Resumed int64 `json:"resumed"` // tries
	Ended   int64 `json:"ended"`
	Cut     int64 `json:"cut"`
	Errors  int64 `json:"errors"` // ERROR events
	// Events are those that show an object.
	Events    int64 `json:"events"`
	Bookmarks int64 `json:"bookmarks"`
}

type watchEvent int

const (
	watchOpened watchEvent = iota
	watchResumed
	watchEnded
	watchCut
)

// stats keeps count.
type stats struct {
	mu    sync.Mutex
	count Stats
}

func newStats() *stats {
	return &stats{count: Stats{
		Operations: map[string]int64{}, Requests: map[string]int64{}, Errors: map[string]int64{},
	}}
}

// snapshot returns a copy.
func (s *stats) snapshot() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.count
	c.Operations, c.Requests, c.Errors = maps.Clone(c.Operations), maps.Clone(c.Requests), maps.Clone(c.Errors)
	return c
}

// operation counts one that begins now.
func (s *stats) operation(name string, due history.Time) {
	late := history.Since(due)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Operations[name]++
	s.count.LatestBy = max(s.count.LatestBy, late)
	if late > lateBy {
		s.count.Late++
	}
}

// request counts a request that has ended with err.
func (s *stats) request(verb string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Requests[verb]++
	if err == nil {
		return
	}
	name := errorName(err)
	s.count.Errors[name]++
	if name == noAnswer && verb != "get" && verb != "list" && verb != "watch" {
		s.count.Unknown++
	}
}

const noAnswer = "no answer"

func errorName(err error) string {
	status, ok := errors.AsType[*client.StatusError](err)
	switch {
	case !ok:
		return noAnswer
	case status.Reason != "":
		return status.Reason
	}
	return strconv.Itoa(status.Code)
}

// failed counts an ERROR event.
func (s *stats) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Errors[errorName(err)]++
	s.count.Watches.Errors++
	s.count.Watches.Ended++
}

func (s *stats) watch(e watchEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e {
	case watchOpened:
		s.count.Watches.Opened++
	case watchResumed:
		s.count.Watches.Resumed++
	case watchEnded:
		s.count.Watches.Ended++
	case watchCut:
		s.count.Watches.Cut++
	}
}

func (s *stats) event(typ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if typ == "BOOKMARK" {
		s.count.Watches.Bookmarks++
	} else {
		s.count.Watches.Events++
	}
}
