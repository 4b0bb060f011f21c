package scenarios

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/workloads"
)

// scrapeBound is how long the metrics of all components may take.
const scrapeBound = 30 * time.Second

// phase runs one phase of the plan, measures it, and saves what is known so
// far, whether it went well or not.
func (x *execution) phase(ctx context.Context, name string) error {
	x.m.setPhase(name)
	x.m.aim(x.plan)
	x.log.Info("phase begins", "phase", name)
	x.m.collector.Begin(name, x.scrape(ctx))
	stopProfile, err := results.StartCPUProfile(x.dir.Path, name)
	if err != nil {
		x.log.Warn("no CPU profile of the harness", "phase", name, "err", err)
	}
	marking, stopMarking := context.WithCancel(ctx)
	marked := make(chan struct{})
	go func() { defer close(marked); x.markWindows(marking) }()

	operators := x.cluster.operatorStats()
	result, phaseErr := x.work(ctx, name)

	stopMarking()
	<-marked
	p := x.m.collector.End(lastScrape(ctx, x.scrape))
	if o := p.Operators; o != nil {
		now := x.cluster.operatorStats()
		o.Writes, o.Conflicts, o.Errors = now.Writes-operators.Writes, now.Conflicts-operators.Conflicts, now.Errors-operators.Errors
	}
	if stopProfile != nil {
		if split, err := stopProfile(); err == nil {
			p.Profile = &split
		} else {
			x.log.Warn("no CPU profile of the harness", "phase", name, "err", err)
		}
	}
	if phaseErr != nil {
		p.Incomplete = phaseErr.Error()
	}
	p.Pace = paceOf(x.plan, result)
	x.run.Phases = append(x.run.Phases, p)
	x.log.Info("phase ends", "phase", name, "err", phaseErr)
	return errors.Join(phaseErr, x.dir.Save(x.run))
}

func (x *execution) scrape(ctx context.Context) map[string]*results.Scrape {
	ctx, cancel := context.WithTimeout(ctx, scrapeBound)
	defer cancel()
	return x.m.scrape(ctx)
}

// lastScrape is the scrape at the end of a phase, which may have been cut short. A
// plane of which a component died is not asked any more, and no longer: it may take
// as long as scrapeBound to answer, and the person waits for the summary.
func lastScrape(ctx context.Context, scrape func(context.Context) map[string]*results.Scrape) map[string]*results.Scrape {
	if componentDied(ctx) {
		return nil
	}
	scraping, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() {
		if componentDied(ctx) {
			end()
		}
	})()
	return scrape(scraping)
}

// markWindows reads the servers' histograms in the steps of the SLOs' windows.
func (x *execution) markWindows(ctx context.Context) {
	ticker := time.NewTicker(results.MarkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			x.m.collector.Mark(x.scrape(ctx))
		case <-ctx.Done():
			return
		}
	}
}

// work does what a phase is about. The result is nil for phases that are not
// those of the density load.
func (x *execution) work(ctx context.Context, name string) (*workloads.PhaseResult, error) {
	var result workloads.PhaseResult
	var err error
	x.m.begin(name)
	switch name {
	case phaseShapes:
		return nil, x.compareStore(ctx)
	case phaseTraffic:
		return nil, x.storeTraffic(ctx)
	case phaseRegister:
		return nil, x.register(ctx)
	case phaseManifest:
		return nil, x.applyManifest(ctx)
	case phaseFill:
		result, err = x.density.Fill(ctx)
		x.expectRunning(ctx, name)
	case phaseHold:
		if x.density == nil {
			return nil, x.holdManifest(ctx)
		}
		result, err = x.hold(ctx)
	case phaseChurn:
		result, err = x.density.Churn(ctx)
		x.expectRunning(ctx, name)
		if err == nil {
			x.settled(name, true)
		}
	case phaseDrain:
		return x.drain(ctx)
	default:
		return nil, fmt.Errorf("phase %s is unknown", name)
	}
	return &result, err
}

// register starts the nodes, and with them prepares the namespaces of the
// load: neither belongs into the time of the fill.
func (x *execution) register(ctx context.Context) error {
	if err := x.cluster.startNodes(ctx); err != nil {
		return err
	}
	if x.density == nil {
		return nil
	}
	return x.density.Prepare(ctx)
}

func (x *execution) drain(ctx context.Context) (*workloads.PhaseResult, error) {
	if x.manifest != nil {
		if err := x.manifest.Cleanup(ctx); err != nil {
			return nil, err
		}
	}
	if x.density == nil {
		return nil, nil
	}
	result, err := x.density.Drain(ctx)
	return &result, err
}

// expectRunning compares the store and its watch, not what the simulation believes,
// with the plan. A phase that was cut short owes nothing.
func (x *execution) expectRunning(ctx context.Context, phase string) {
	if ctx.Err() != nil {
		return
	}
	running := x.m.collector.Pods.OwnRunning
	planned := int64(x.plan.pods())
	// A phase ends with the watch event of its last pod, which may overtake the
	// store's own report of that commit by some milliseconds.
	err := await(ctx, "the last commits to be reported", func() bool { return running() >= planned })
	if running := running(); err != nil && ctx.Err() == nil && running < planned {
		x.shortfall(phase, "%d of %d pods were Running at its end", running, planned)
	}
}

func (x *execution) shortfall(phase, format string, args ...any) {
	x.shortfalls = append(x.shortfalls, phase+": "+fmt.Sprintf(format, args...))
}

// paceOf sums up what the pacer did.
func paceOf(plan *Plan, r *workloads.PhaseResult) *results.Pace {
	if r == nil || len(r.Pace) == 0 {
		return nil
	}
	mode := plan.Density.Config.Rate
	if r.Phase == phaseDrain {
		mode = plan.Density.Config.DrainRate
	}
	p := &results.Pace{Mode: mode.String(), Sustained: r.Sustained.PodsPerSecond}
	last := 0.0
	for i, change := range r.Pace {
		switch {
		case i == 0:
		case change.Rate > last:
			p.Raises++
		case change.Rate < last:
			p.Backoffs++
		}
		last = change.Rate
		p.Highest = max(p.Highest, last)
	}
	p.Last = last
	return p
}
