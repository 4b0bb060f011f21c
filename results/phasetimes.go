package results

import (
	"math"
	"sync"

	"github.com/planecheck/planecheck/checkers/history"
)

// phaseTimes are when the phases of a run were, as far as it has come. It may be used
// concurrently.
type phaseTimes struct {
	mu  sync.Mutex
	all []phaseTime
}

type phaseTime struct {
	name       string
	begun, end history.Time // the end of one that goes on is not before any other time
}

func (p *phaseTimes) begin(name string, now history.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, phaseTime{name, now, math.MaxInt64})
}

// end ends the last phase.
func (p *phaseTimes) end(now history.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[len(p.all)-1].end = now
}

func (p *phaseTimes) at(at history.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.all {
		if t.begun <= at && at < t.end {
			return t.name
		}
	}
	return ""
}
