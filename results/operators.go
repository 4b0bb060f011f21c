package results

import (
	"strconv"
	"strings"
	"sync"

	"github.com/planecheck/planecheck/checkers/history"
)

// Operators measures how far the simulated controllers are behind the store:
// from the commit of a version of a pod to the moment at which the operator
// that the pod belongs to has taken note of it. Its methods may be called
// concurrently.
type Operators struct {
	mu sync.Mutex
	// commits holds the latest commits of pods by revision modulo its length.
	commits [operatorCommits]commitTime
	// early are notes of versions whose commit is not reported yet: a watch
	// event may overtake the report of the commit that caused it.
	early map[int64]history.Time
	phase operatorPhase
	ended []operatorPhase
}

type commitTime struct {
	revision int64
	at       history.Time
}

type operatorPhase struct {
	name     string
	lag      *histogram
	unpaired int64
}

const (
	// operatorCommits is how many revisions a note may be behind before it
	// finds no commit any more: several minutes at the rates of one machine.
	operatorCommits = 1 << 17
	// mostEarly bounds the notes that wait for their commit.
	mostEarly = 1 << 14
)

// OperatorFigures are the simulated controllers in a phase.
type OperatorFigures struct {
	Lag Latency `json:"lag"` // from commit to the operator's note of it
	// Unpaired counts notes whose commit was not found, such as those of a
	// list after a long absence.
	Unpaired int64 `json:"unpaired,omitempty"`
	// Status writes: acknowledged, answered with a conflict, failed otherwise.
	Writes    int64 `json:"writes"`
	Conflicts int64 `json:"conflicts"`
	Errors    int64 `json:"errors"`
}

// NewOperators returns Operators in a phase of the given name.
func NewOperators(phase string) *Operators {
	return &Operators{early: map[int64]history.Time{}, phase: operatorPhase{name: phase, lag: newHistogram()}}
}

// Commit takes a committed change of the store.
func (o *Operators) Commit(c history.Commit) {
	if !strings.HasPrefix(c.Key, podPrefix) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.commits[c.Revision%operatorCommits] = commitTime{c.Revision, c.Returned}
	if seen, ok := o.early[c.Revision]; ok {
		delete(o.early, c.Revision)
		o.phase.lag.record(seen.Sub(c.Returned)) // negative: as good as at once
	}
}

// Saw takes the note of an operator of one version of a pod.
func (o *Operators) Saw(resourceVersion string, at history.Time) {
	revision, err := strconv.ParseInt(resourceVersion, 10, 64)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil || revision < 0 {
		o.phase.unpaired++
		return
	}
	switch known := o.commits[revision%operatorCommits]; {
	case known.revision == revision:
		o.phase.lag.record(at.Sub(known.at))
	case known.revision > revision || len(o.early) >= mostEarly:
		o.phase.unpaired++
	default:
		o.early[revision] = at
	}
}

// StartPhase ends the current phase and begins another.
func (o *Operators) StartPhase(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.phase.unpaired += int64(len(o.early))
	clear(o.early)
	o.ended = append(o.ended, o.phase)
	o.phase = operatorPhase{name: name, lag: newHistogram()}
}

// Phase returns the figures of the ended phase of that name, nil if its
// operators took note of nothing.
func (o *Operators) Phase(name string) *OperatorFigures {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.ended {
		if p.name == name && p.lag.count()+p.unpaired > 0 {
			return &OperatorFigures{Lag: p.lag.latency(), Unpaired: p.unpaired}
		}
	}
	return nil
}
