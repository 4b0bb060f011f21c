package scenarios

import (
	"cmp"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/results/live"
)

// podTotals are how many pods will have been created, bound, Running and deleted, since
// the start of the run, when a phase is over; 0: nobody knows, or none.
type podTotals struct{ created, bound, running, deleted int64 }

// load is how many pods density load and manifest make in all, as far as the plan tells.
func (p *Plan) load() int64 {
	pods := int64(p.pods())
	if m := p.Manifest; m != nil {
		pods += int64(m.Size.Made.On(p.World.Nodes))
	}
	return pods
}

// totals are those of a phase that begins with so many pods; "": of what comes before
// the load. What a phase does is added to what is there, whatever the phases before
// made of their totals.
func (p *Plan) totals(phase string, before results.PodCounts) podTotals {
	load := p.load()
	there := podTotals{max(before.Created, load), max(before.Bound, load), max(before.Running, load), before.Deleted}
	switch phase {
	case phaseFill:
		pods := int64(p.pods())
		return podTotals{before.Created + pods, before.Bound + pods, before.Running + pods, before.Deleted}
	case phaseHold:
		if p.turns() { // until the faults are over
			return podTotals{}
		}
		return there // a Job may have some to make still
	case phaseChurn:
		pods := int64(p.Density.Replaced())
		return podTotals{there.created + pods, there.bound + pods, there.running + pods, there.deleted + pods}
	case phaseDrain: // nothing comes any more, and all that came goes
		return podTotals{before.Created, before.Bound, before.Running, before.Created}
	}
	return there
}

// aim sets the totals of the phase that begins.
func (m *measurement) aim(p *Plan) {
	before := m.collector.Pods.Counts()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals = p.totals(m.phase, before)
}

// progress is how far something has come. A total that was passed was none: what a
// plan cannot know makes pods, too, such as faults and operators.
func progress(done, total int64) live.Progress {
	if done > total {
		total = 0
	}
	return live.Progress{Done: done, Total: total}
}

// snapshot is what the display shows of a run just now.
func (m *measurement) snapshot(p *Plan) live.Snapshot {
	counts := m.collector.Pods.Counts()
	s := live.Snapshot{
		Elapsed:      history.Since(m.started),
		StartupP99:   time.Duration(m.collector.Pods.RecentStartup().P99),
		LeaseLateP99: time.Duration(m.collector.Leases.Recent().P99),
		LeaseMissed:  m.collector.Leases.Totals().Missed,
	}
	if !p.alone() {
		s.NodesReady.Total = int64(p.World.Nodes)
	}
	if c := m.cluster.Load(); c != nil {
		s.NodesReady.Done = c.nodes.Stats().NodesReady
	}
	m.mu.Lock()
	s.Phase, s.Pace, s.Rate = m.phase, m.pace, m.rates.perSecond()
	t := m.totals
	m.mu.Unlock()
	s.Created, s.Bound = progress(counts.Created, t.created), progress(counts.Bound, t.bound)
	s.Running, s.Deleted = progress(counts.Running, t.running), progress(counts.Deleted, t.deleted)
	for name, load := range m.collector.Sampler.Loads() {
		s.Components = append(s.Components, live.Component{Name: name, Cores: load.Cores, RSS: load.RSS, Mapped: load.Mapped})
	}
	slices.SortFunc(s.Components, func(a, b live.Component) int { return cmp.Compare(a.Name, b.Name) })
	return s
}
