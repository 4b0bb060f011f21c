package scenarios

import (
	"cmp"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results/live"
)

// snapshot is what the display shows of a run just now.
func (m *measurement) snapshot(p *Plan) live.Snapshot {
	counts := m.collector.Pods.Counts()
	pods := int64(p.pods())
	s := live.Snapshot{
		Elapsed:      history.Since(m.started),
		Created:      live.Progress{Done: counts.Created, Total: pods},
		Bound:        live.Progress{Done: counts.Bound, Total: pods},
		Running:      live.Progress{Done: counts.Running, Total: pods},
		Deleted:      live.Progress{Done: counts.Deleted},
		NodesReady:   live.Progress{Total: int64(p.World.Nodes)},
		StartupP99:   time.Duration(m.collector.Pods.RecentStartup().P99),
		LeaseLateP99: time.Duration(m.collector.Leases.Recent().P99),
		LeaseMissed:  m.collector.Leases.Totals().Missed,
	}
	if p.has(phaseDrain) {
		s.Deleted.Total = pods
	}
	if c := m.cluster.Load(); c != nil {
		s.NodesReady.Done = c.nodes.Stats().NodesReady
	}
	m.mu.Lock()
	s.Phase, s.Pace, s.Rate = m.phase, m.pace, m.rates.perSecond()
	m.mu.Unlock()
	for name, load := range m.collector.Sampler.Loads() {
		s.Components = append(s.Components, live.Component{Name: name, Cores: load.Cores, RSS: load.RSS, Mapped: load.Mapped})
	}
	slices.SortFunc(s.Components, func(a, b live.Component) int { return cmp.Compare(a.Name, b.Name) })
	return s
}
