package results

import (
	"strings"
	"sync"

	"github.com/planecheck/planecheck/checkers/history"
)

// WriteFigures counts the committed writes to one resource, as seen at the
// store, whoever sent them.
type WriteFigures struct {
	Resource string `json:"resource"` // by its storage key, e.g. leases, pods
	Creates  int64  `json:"creates"`
	Updates  int64  `json:"updates"`
	Deletes  int64  `json:"deletes"`
	// Txn is how long the store's handler took.
	Txn Latency `json:"txn"`
}

// storeWrites counts the commits of a phase by resource.
type storeWrites struct {
	mu     sync.Mutex
	byName map[string]*writeSeries
}

type writeSeries struct {
	creates, updates, deletes int64
	txn                       *histogram
}

func (s *storeWrites) add(c *history.Commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.series(keyResource(c.Key))
	switch {
	case c.Delete:
		w.deletes++
	case c.Create:
		w.creates++
	default:
		w.updates++
	}
	w.txn.record(c.Returned.Sub(c.Called))
}

func (s *storeWrites) series(resource string) *writeSeries {
	w := s.byName[resource]
	if w != nil {
		return w
	}
	if s.byName == nil {
		s.byName = map[string]*writeSeries{}
	}
	if len(s.byName) >= maxSeries {
		resource = otherLabel
		if w = s.byName[resource]; w != nil {
			return w
		}
	}
	w = &writeSeries{txn: newHistogram()}
	s.byName[strings.Clone(resource)] = w
	return w
}

// turn returns what was counted and starts from nothing.
func (s *storeWrites) turn() []WriteFigures {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []WriteFigures
	for _, name := range sorted(s.byName, strings.Compare) {
		w := s.byName[name]
		all = append(all, WriteFigures{name, w.creates, w.updates, w.deletes, w.txn.latency()})
	}
	s.byName = nil
	return all
}

// keyResource returns the resource in a storage key. Most keys are
// /registry/<resource>/...; Services and Endpoints share /registry/services,
// nodes are still minions, and resources of an aggregated or custom group are
// /registry/<group>/<resource>/...
func keyResource(key string) string {
	rest, ok := strings.CutPrefix(key, "/registry/")
	if !ok {
		return otherLabel
	}
	first, rest, _ := strings.Cut(rest, "/")
	switch {
	case first == "minions":
		return "nodes"
	case first == "services":
		if strings.HasPrefix(rest, "endpoints/") {
			return "endpoints"
		}
		return "services"
	case strings.Contains(first, "."):
		second, _, _ := strings.Cut(rest, "/")
		return second
	default:
		return first
	}
}
