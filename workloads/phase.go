package workloads

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/planecheck/planecheck/checkers/history"
)

// Bounds of the phases. Each phase may take phaseGrace and its pods at
// slowestPace, which is a third of what an untuned scheduler does with 5,000
// nodes on two cores, or twice what its fixed pace asks for; it is given up
// earlier when nothing has moved for phasePatience, unless the plan says otherwise.
const (
	phaseGrace    = 2 * time.Minute
	phasePatience = 2 * time.Minute
	slowestPace   = 20.0 // pods/s
)

// PhaseResult is what a phase has done.
type PhaseResult struct {
	Phase   string       `json:"phase"`
	Started history.Time `json:"started"`
	Ended   history.Time `json:"ended"`

	Operations int            `json:"operations"` // of the plan
	Completed  int            `json:"completed"`
	Attempts   int            `json:"attempts"` // requests sent for them
	Errors     map[string]int `json:"errors"`   // failed attempts by reason; they were retried

	StartLateness Quantiles `json:"startLateness"` // from due to the start of the operation
	Latency       Quantiles `json:"latency"`       // from due to its completion, retries and all
	Converged     Quantiles `json:"converged"`     // churn: from due to the Deployment's convergence

	Before       Counts `json:"before"`
	After        Counts `json:"after"`
	RunningLeast int64  `json:"runningLeast"` // hold: the fewest pods that were Running

	Pace      []PaceChange `json:"pace"`
	Samples   []Sample     `json:"samples"`
	Sustained Sustained    `json:"sustained"`
}

// phase collects the result of one phase.
type phase struct {
	d      *Density
	result PhaseResult

	mu        sync.Mutex
	latencies []time.Duration
}

func (d *Density) begin(name string) *phase {
	d.sender.reset()
	d.deps.Log.Info("phase begins", "phase", name)
	return &phase{d: d, result: PhaseResult{Phase: name, Started: history.Now(), Before: d.deps.Pods.Counts()}}
}

func (p *phase) end() PhaseResult {
	r := &p.result
	r.Ended, r.After = history.Now(), p.d.deps.Pods.Counts()
	r.Attempts, r.Errors = p.d.sender.attempts, p.d.sender.failed
	r.Completed, r.Latency = len(p.latencies), quantiles(p.latencies)
	p.d.deps.Log.Info("phase ended", "phase", r.Phase, "took", r.Ended.Sub(r.Started))
	return *r
}

// completed notes that an operation that was due then has succeeded.
func (p *phase) completed(due history.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latencies = append(p.latencies, history.Since(due))
}

// pacedPhase is a phase that goes once through all Deployments at a pace.
type pacedPhase struct {
	name     string
	rate     Rate
	order    func(i int) int // the Deployment of the i-th operation
	run      func(ctx context.Context, deployment int, due history.Time) error
	signals  func(sig Signals, now, before Counts) Signals
	progress func(Counts) int64
	done     func(Counts) bool
}

func (d *Density) paced(ctx context.Context, spec pacedPhase) (PhaseResult, error) {
	p := d.begin(spec.name)
	p.result.Operations = len(d.plan.Deployments)
	ctx, cancel := bounded(ctx, spec.name, phaseBound(d.plan.Config.Pods, spec.rate))
	defer cancel()
	pacer := d.pacer(spec, p.result.Before)
	pacing, stopPacing := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() { defer close(stopped); pacer.Run(pacing) }()

	// The wait runs beside the load, so that a fill whose pacer brakes for ever
	// is given up, too.
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		late, err := openLoop(gctx, len(d.plan.Deployments), d.deps.InFlight,
			func(ctx context.Context, i int) (history.Time, error) {
				return pacer.Next(ctx, d.plan.Deployments[spec.order(i)].Replicas)
			},
			func(ctx context.Context, i int, due history.Time) error {
				err := spec.run(ctx, spec.order(i), due)
				if err == nil {
					p.completed(due)
				}
				return err
			})
		p.result.StartLateness = quantiles(late)
		return err
	})
	g.Go(func() error {
		return d.deps.Pods.await(gctx, patience(d.plan.Config, spec.rate), spec.progress, spec.done)
	})
	err := g.Wait()
	stopPacing()
	<-stopped
	p.result.Pace, p.result.Samples, p.result.Sustained = pacer.Changes(), pacer.Samples(), pacer.Sustained()
	result := p.end()
	if err != nil {
		c := result.After
		return result, fmt.Errorf("%s: %d of %d operations done, %d pods exist, %d bound, %d Running, %d terminating, of %d planned: %w",
			spec.name, result.Completed, result.Operations, c.Pods, c.Bound, c.Running, c.Terminating, d.plan.Config.Pods, reason(ctx, err))
	}
	return result, nil
}

func (d *Density) pacer(spec pacedPhase, before Counts) *Pacer {
	return NewPacer(PacerConfig{
		Rate: spec.rate, Batch: d.plan.Config.PodsPerDeployment, Total: d.plan.Config.Pods, Log: d.deps.Log,
		Signals: func() Signals {
			sig := Signals{Errors: d.sender.errors.Load()}
			if d.deps.Signals != nil {
				sig = d.deps.Signals()
			}
			return spec.signals(sig, d.deps.Pods.Counts(), before)
		},
		OnChange: func(change PaceChange) {
			if d.deps.PaceChanged != nil {
				d.deps.PaceChanged(spec.name, change)
			}
		},
	})
}

// phaseBound is how long a phase with so many pods may take.
func phaseBound(pods int, rate Rate) time.Duration {
	return phaseGrace + seconds(float64(pods)/slowestOf(rate))
}

// patience is how long a phase may stand still: with a fixed slow pace there
// is a while between two operations.
func patience(cfg DensityConfig, rate Rate) time.Duration {
	least := cmp.Or(cfg.Patience, phasePatience)
	if rate.Auto() {
		return least
	}
	return least + seconds(2*float64(cfg.PodsPerDeployment)/rate.PodsPerSecond)
}

func slowestOf(rate Rate) float64 {
	if rate.Auto() {
		return slowestPace
	}
	return min(slowestPace, rate.PodsPerSecond/2)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// bounded returns a context that ends after limit with a StallError as its cause.
func bounded(ctx context.Context, what string, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, stalled("%s has not ended within its bound of %v", what, limit.Round(time.Millisecond)))
}

// reason is why a phase under ctx failed: the cause of the context if it has
// ended, because err is then only its echo.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
