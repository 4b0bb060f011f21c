package results

import (
	"slices"
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
	running []int64    // pods that became Running, by step of the windows
	figures PodFigures // once ended
}

// StartPhase ends the current phase and begins the next.
func (p *PodLife) StartPhase(name string) { p.startPhase(name, history.Now()) }

func (p *PodLife) startPhase(name string, now history.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
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
	if x := p.ended(name); x != nil {
		return x.figures
	}
	return PodFigures{}
}

// ended is the last ended phase of that name, which does not change any more; nil:
// there is none.
func (p *PodLife) ended(name string) *podPhase {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range slices.Backward(p.phases) {
		x.mu.Lock()
		found := x.ended && x.name == name
		x.mu.Unlock()
		if found {
			return x
		}
	}
	return nil
}

// windows are, for the last ended phase of that name, the pods that became Running
// in each step and the windows in which they did so too slowly.
func (p *PodLife) windows(name string) (running []int64, missed []steps) {
	if x := p.ended(name); x != nil {
		return x.running, x.startup.missed
	}
	return nil, nil
}

// ran counts a pod that became Running; it returns false if the phase is over.
func (x *podPhase) ran(at history.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return false
	}
	step := max(0, int(at.Sub(x.startup.start)/sloWindowStep))
	for len(x.running) <= step {
		x.running = append(x.running, 0)
	}
	x.running[step]++
	return true
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
			Windows: x.startup.judged, Violations: len(x.startup.missed), Worst: x.startup.worst,
		},
	}
	for h, hist := range x.hops {
		if hist.count() > 0 {
			x.figures.Hops = append(x.figures.Hops, HopFigures{hopNames[h].from, hopNames[h].to, hist.latency()})
		}
		x.hops[h] = nil
	}
}
