package workloads

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// tick is the time between two decisions.
const tick = time.Second

// PacerConfig describes the pacing of one phase.
type PacerConfig struct {
	Rate    Rate
	Batch   int            // pods of one operation; default 1
	Total   int            // pods of the phase: no more than these ever become due
	Signals func() Signals // called every second
	// OnChange is told of every change of the pace; nil: nobody is.
	OnChange func(PaceChange)
	Log      *slog.Logger
}

// PaceChange is one change of the pace, and what was known when it was made.
type PaceChange struct {
	At history.Time `json:"at"`
	Decision
	Signals Signals `json:"signals"`
}

// Pacer turns a pace into due times, and changes the pace every second if it
// is left to it.
type Pacer struct {
	cfg PacerConfig

	mu       sync.Mutex
	schedule schedule
	next     float64       // pods that were handed out by Next
	changed  chan struct{} // closed at the next change of the pace
	changes  []PaceChange
	samples  []Sample
}

// NewPacer returns a Pacer. Nothing is due before Run is called.
func NewPacer(cfg PacerConfig) *Pacer {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Pacer{cfg: cfg, changed: make(chan struct{})}
}

// Run paces until ctx ends.
func (p *Pacer) Run(ctx context.Context) {
	state := NewPaceState(p.cfg.Batch)
	first := Decision{Rate: state.Rate(), Rule: RuleRaise, Reason: "start: slow start begins here"}
	if !p.cfg.Rate.Auto() {
		first = Decision{Rate: p.cfg.Rate.PodsPerSecond, Rule: RuleFixed, Reason: fmt.Sprintf("fixed: --rate %s", p.cfg.Rate)}
	}
	p.set(p.read(), first)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		sig := p.read()
		if !p.cfg.Rate.Auto() || sig.Due >= int64(p.cfg.Total) {
			continue // nothing left to pace; the samples go on
		}
		var d Decision
		if d, state = Decide(state, sig); d.Rate != p.Rate() {
			p.set(sig, d)
		}
	}
}

// read takes the signals and keeps them as a sample.
func (p *Pacer) read() Signals {
	sig := p.cfg.Signals()
	sig.At = history.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	sig.Due = min(int64(p.schedule.releasedBy(sig.At)), int64(p.cfg.Total))
	met := sig.StartupP99 <= StartupSLO && !sig.SLOMissed
	p.samples = append(p.samples, Sample{At: sig.At, Running: sig.Running, Met: met})
	return sig
}

func (p *Pacer) set(sig Signals, d Decision) {
	change := PaceChange{At: sig.At, Decision: d, Signals: sig}
	p.mu.Lock()
	p.schedule.setRate(sig.At, d.Rate)
	p.changes = append(p.changes, change)
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	p.cfg.Log.Debug("pace changed", "rate", d.Rate, "rule", d.Rule, "reason", d.Reason)
	if p.cfg.OnChange != nil {
		p.cfg.OnChange(change)
	}
}

// Next waits until the next operation, one of pods pods, is due and returns
// when that was: before now, if the caller comes late. It is for one caller.
// Its error is that of ctx.
func (p *Pacer) Next(ctx context.Context, pods int) (history.Time, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.mu.Lock()
		due, ok := p.schedule.dueOf(p.next)
		changed := p.changed
		if ok && due <= history.Now() {
			p.next += float64(pods)
			p.mu.Unlock()
			return due, ctx.Err()
		}
		p.mu.Unlock()
		wait := time.Hour // until the pace changes
		if ok {
			wait = due.Sub(history.Now())
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Rate is the pace just now, in pods/s.
func (p *Pacer) Rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.schedule.rate()
}

// Changes returns every change of the pace so far.
func (p *Pacer) Changes() []PaceChange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]PaceChange(nil), p.changes...)
}

// Samples returns what was seen, second by second, so far.
func (p *Pacer) Samples() []Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Sample(nil), p.samples...)
}

// Sustained returns the fastest half minute so far in which nothing was wrong.
func (p *Pacer) Sustained() Sustained { return BestSustained(p.Samples(), SustainedWindow) }
