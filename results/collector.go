package results

import (
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Collector holds everything that measures a run and moves it from phase to
// phase together. What happens between phases is measured too, but reported
// in none.
type Collector struct {
	Recorder *Recorder
	Pods     *PodLife
	Leases   *Leases
	// Operators is nil without simulated controllers.
	Operators *Operators
	Sampler   *Sampler
	Servers   *Servers

	phase *Phase
	begun history.Time
	times phaseTimes
}

// betweenPhases is the name under which the parts run outside any phase.
const betweenPhases = ""

// NewCollector returns a Collector around a sampler; leaseDuration is that of
// the nodes' leases.
func NewCollector(sampler *Sampler, leaseDuration time.Duration) *Collector {
	return &Collector{
		Recorder: NewRecorder(betweenPhases),
		Pods:     NewPodLife(betweenPhases),
		Leases:   NewLeases(betweenPhases, leaseDuration),
		Sampler:  sampler,
		Servers:  &Servers{},
	}
}

// WithOperators makes the Collector measure simulated controllers as well. It
// is called before the first phase.
func (c *Collector) WithOperators() { c.Operators = NewOperators(betweenPhases) }

// startPhase moves all parts on. Those that judge windows do so at the same moment,
// so that they have the same windows.
func (c *Collector) startPhase(name string, now history.Time) {
	c.Recorder.startPhase(name, now)
	c.Pods.startPhase(name, now)
	c.Leases.StartPhase(name)
	c.Sampler.StartPhase(name)
	if c.Operators != nil {
		c.Operators.StartPhase(name)
	}
}

// Begin starts a phase. scrapes are those of its beginning, by component; nil
// if there are none.
func (c *Collector) Begin(name string, scrapes map[string]*Scrape) {
	c.Servers.Begin(scrapes)
	c.begin(name, history.Now())
}

func (c *Collector) begin(name string, now history.Time) {
	c.begun = now
	c.phase = &Phase{Name: name, Started: c.begun.Wall(), Begun: c.begun}
	c.times.begin(name, now)
	c.startPhase(name, c.begun)
}

// Elapsed is how long the current phase has lasted, 0 between phases.
func (c *Collector) Elapsed() time.Duration {
	if c.phase == nil {
		return 0
	}
	return history.Since(c.begun)
}

// PhaseAt names the phase that a time of the past was in, "": none. It may be called at
// any time, by anybody.
func (c *Collector) PhaseAt(at history.Time) string { return c.times.at(at) }

// Mark ends a step of the windows for the servers' histograms; it is to be called
// every MarkInterval.
func (c *Collector) Mark(scrapes map[string]*Scrape) {
	c.Servers.Mark(Seconds(c.Elapsed()), scrapes)
}

// End ends the phase that Begin began and judges it. scrapes are those of its
// end; nil if there are none, as after a crash: the servers' figures then end with
// the last Mark. The caller adds what only it knows, such as the pace. Without a
// Begin it returns an empty phase.
func (c *Collector) End(scrapes map[string]*Scrape) Phase { return c.end(history.Now(), scrapes) }

func (c *Collector) end(now history.Time, scrapes map[string]*Scrape) Phase {
	if c.phase == nil {
		return Phase{}
	}
	p := *c.phase
	p.Duration = Seconds(now.Sub(c.begun))
	c.times.end(now)
	c.Leases.Overdue(now)
	c.phase = nil
	c.startPhase(betweenPhases, now)
	p.Pods = c.Pods.Phase(p.Name)
	p.API = c.Recorder.Phase(p.Name)
	p.Leases = c.Leases.Phase(p.Name)
	p.Usage = c.Sampler.Phase(p.Name)
	if c.Operators != nil {
		p.Operators = c.Operators.Phase(p.Name)
	}
	p.Servers = c.Servers.End(p.Duration, scrapes)
	p.ChurnPerSecond = p.churn()
	p.SLOs = EvaluateSLOs(&p)
	p.Windows = c.windows(&p)
	return p
}
