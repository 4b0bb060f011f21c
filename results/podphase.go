package results

import (
	"sync"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// PodFigures are the pods of a phase. Hops count in the phase in which they
// were completed.
type PodFigures struct {
	Counts PodCounts    `json:"counts"` // within the phase
	Hops   []HopFigures `json:"hops,omitempty"`
	// Startup is the latency that the official SLO is about: from the commit
	// of the new pod to when the measuring watcher saw it Running.
	Startup StartupFigures `json:"startup"`
	Writes  []WriteFigures `json:"writes,omitempty"`
}

// HopFigures is one hop of a pod's life.
type HopFigures struct {
	From    string  `json:"from"`
	To      string  `json:"to"`
	Latency Latency `json:"latency"`
}

// StartupFigures are the windows of the pod start-up SLO.
type StartupFigures struct {
	Latency    Latency `json:"latency"`
	Windows    int     `json:"windows"`
	Violations int     `json:"violations"`
	Worst      Window  `json:"worst_window"`
}

// podPhase is one phase of PodLife.
type podPhase struct {
	name   string
	before PodCounts

	mu      sync.Mutex
	ended   bool
	hops    [hopCount]*histogram
	startup sloWindows
	figures PodFigures // once ended
}

// StartPhase ends the current phase and begins the next.
func (p *PodLife) StartPhase(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := history.Now()
	counts := p.Counts()
	next := &podPhase{name: name, before: counts}
	next.startup = sloWindows{threshold: StartupThreshold, start: now}
	for h := range next.hops {
		next.hops[h] = newHistogram()
	}
	old := p.current.Swap(next)
	writes := p.writes.turn()
	p.phases = append(p.phases, next)
	if old != nil {
		old.finish(now, counts, writes)
	}
}

// Phase returns the figures of the last ended phase of that name. An unknown
// name gives empty figures.
func (p *PodLife) Phase(name string) PodFigures {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.phases) - 1; i >= 0; i-- {
		x := p.phases[i]
		x.mu.Lock()
		found := x.ended && x.name == name
		figures := x.figures
		x.mu.Unlock()
		if found {
			return figures
		}
	}
	return PodFigures{}
}

// record adds a completed hop; it returns false if the phase is over.
func (x *podPhase) record(h hop, at history.Time, d time.Duration) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return false
	}
	x.hops[h].record(d)
	if h == hopStartup {
		x.startup.record(at, d)
	}
	return true
}

func (x *podPhase) finish(at history.Time, counts PodCounts, writes []WriteFigures) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	x.startup.finish(at)
	x.figures = PodFigures{
		Counts: counts.Minus(x.before),
		Writes: writes,
		Startup: StartupFigures{
			Latency: x.hops[hopStartup].latency(),
			Windows: x.startup.judged, Violations: x.startup.missed, Worst: x.startup.worst,
		},
	}
	for h, hist := range x.hops {
		if hist.count() > 0 {
			x.figures.Hops = append(x.figures.Hops, HopFigures{hopNames[h].from, hopNames[h].to, hist.latency()})
		}
		x.hops[h] = nil
	}
}
