package scenarios

import (
	"fmt"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/results/live"
	"github.com/planecheck/planecheck/workloads/manifest"
)

// What the bars end at: each phase adds to what is there what it will do itself.
func TestTotalsOfTheDisplay(t *testing.T) {
	density := func(change func(*Options)) *Plan {
		o := DefaultOptions()
		o.World.Nodes, o.Pods, o.PodsPerDeployment, o.Churn.Pods = 10, 100, 10, 25
		if change != nil {
			change(&o)
		}
		return mustPlan(t, Registry()[0], o)
	}
	counts := func(created, deleted int64) results.PodCounts {
		return results.PodCounts{Created: created, Bound: created, Running: created, Deleted: deleted, Live: created - deleted}
	}
	f := func(name string, p *Plan, phase string, before results.PodCounts, created, deleted int64) {
		t.Helper()
		if got, want := p.totals(phase, before), (podTotals{created, created, created, deleted}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	p := density(nil)
	f("before all", p, "", results.PodCounts{}, 100, 0)
	f("register", p, phaseRegister, results.PodCounts{}, 100, 0)
	f("fill", p, phaseFill, results.PodCounts{}, 100, 0)
	f("hold", p, phaseHold, counts(100, 0), 100, 0)
	// Three Deployments of ten pods are the 25 that were asked for.
	f("churn", p, phaseChurn, counts(100, 0), 130, 30)
	f("churn after evictions", p, phaseChurn, counts(104, 4), 134, 34)
	f("drain", p, phaseDrain, counts(130, 30), 130, 130)
	// A roll that was overtaken by a removal makes fewer.
	f("drain after a shorter churn", p, phaseDrain, counts(127, 27), 127, 127)
	// One pod was never bound, and another one never ran.
	if got := p.totals(phaseDrain, results.PodCounts{Created: 100, Bound: 99, Running: 98}); got != (podTotals{100, 99, 98, 100}) {
		t.Errorf("drain of pods that did not all run: %+v", got)
	}

	p.Manifest = &ManifestPlan{Size: manifest.Size{Made: manifest.Pods{Fixed: 7, PerNode: 2}}}
	f("manifest", p, phaseManifest, results.PodCounts{}, 127, 0)
	f("fill after the manifest", p, phaseFill, counts(27, 0), 127, 0)
	f("fill after an operator's pods", p, phaseFill, counts(30, 0), 130, 0)
	f("hold while a Job goes on", p, phaseHold, counts(120, 0), 127, 0)
	p.Density = nil
	f("manifest alone", p, phaseManifest, results.PodCounts{}, 27, 0)
	f("drain of the manifest alone", p, phaseDrain, counts(25, 3), 25, 25)

	p = density(func(o *Options) { o.Turnover, o.Hold, o.Churn.Pods = 1, Duration(30e9), 0 })
	if !p.turns() {
		t.Fatal("no turnover")
	}
	f("hold with a turnover", p, phaseHold, counts(100, 0), 0, 0)
	f("drain after it", p, phaseDrain, counts(180, 80), 180, 180)
}

// The display shows the totals of the phase that began last, with the pods that are
// there by then, and none that was passed.
func TestSnapshotHasTheTotalsOfThePhase(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Pods, o.PodsPerDeployment, o.Churn.Pods = 10, 3, 1, 2
	p := mustPlan(t, Registry()[0], o)
	m := &measurement{collector: results.NewCollector(results.NewSampler(nil, nil, nil), leaseDuration)}
	commits := 0
	commit := func(pods int, of history.Commit) {
		for range pods {
			commits++
			of.Key = fmt.Sprintf("/registry/pods/a/p%d", commits)
			m.collector.Pods.Commit(of)
		}
	}
	f := func(phase string, created, deleted live.Progress) {
		t.Helper()
		if s := m.snapshot(p); s.Phase != phase || s.Created != created || s.Deleted != deleted || s.NodesReady.Total != 10 {
			t.Errorf("%s: %+v", phase, s)
		}
	}
	begin := func(phase string) { m.setPhase(phase); m.aim(p) }
	begin(phaseFill)
	commit(2, history.Commit{Create: true})
	f(phaseFill, live.Progress{Done: 2, Total: 3}, live.Progress{})
	commit(1, history.Commit{Create: true})
	begin(phaseChurn)
	f(phaseChurn, live.Progress{Done: 3, Total: 5}, live.Progress{Total: 2})
	commit(3, history.Commit{Create: true})
	f(phaseChurn, live.Progress{Done: 6}, live.Progress{Total: 2})
	begin(phaseDrain)
	commit(1, history.Commit{Delete: true})
	f(phaseDrain, live.Progress{Done: 6, Total: 6}, live.Progress{Done: 1, Total: 6})
	m.setPhase("stop")
	f("stop", live.Progress{Done: 6, Total: 6}, live.Progress{Done: 1, Total: 6})
}
