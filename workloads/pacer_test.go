package workloads

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// sentPods is a control plane that starts pods at once, while it is not frozen.
type sentPods struct {
	mu      sync.Mutex
	created int64
	running int64
	frozen  bool
	dues    []history.Time
}

func (s *sentPods) send(pods int, due history.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created += int64(pods)
	s.dues = append(s.dues, due)
	if !s.frozen {
		s.running = s.created
	}
}

func (s *sentPods) freeze(frozen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen = frozen; !frozen {
		s.running = s.created
	}
}

func (s *sentPods) signals() Signals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Signals{Created: s.created, Bound: s.running, Running: s.running}
}

// pace runs a Pacer in the bubble of a test and sends all its operations.
func pace(t *testing.T, cfg PacerConfig, s *sentPods) *Pacer {
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Signals = s.signals
	p := NewPacer(cfg)
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	running.Go(func() {
		for n := 0; n < cfg.Total; n += cfg.Batch {
			due, err := p.Next(ctx, cfg.Batch)
			if err != nil {
				return
			}
			s.send(cfg.Batch, due)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return p
}

func TestPacerFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sentPods{}
		start := history.Now()
		p := pace(t, PacerConfig{Rate: Rate{PodsPerSecond: 20}, Batch: 10, Total: 10_000}, s)
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if len(s.dues) != 21 {
			t.Errorf("%d operations in 10 s, want 21", len(s.dues))
		}
		for i, due := range s.dues {
			if want := start.Add(time.Duration(i) * time.Second / 2); due != want {
				t.Errorf("operation %d was due %v after the start, want %v", i, due.Sub(start), want.Sub(start))
			}
		}
		changes := p.Changes()
		if len(changes) != 1 || changes[0].Rule != RuleFixed || changes[0].Rate != 20 {
			t.Errorf("changes %+v", changes)
		}
		if n := len(p.Samples()); n != 11 {
			t.Errorf("%d samples in 10 s", n)
		}
	})
}

func TestPacerMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sentPods{}
		pace(t, PacerConfig{Rate: Rate{PodsPerSecond: MaxPace}, Batch: 50, Total: 150_000}, s)
		time.Sleep(tick)
		synctest.Wait()
		if s.created != 150_000 {
			t.Errorf("%d pods in the first second", s.created)
		}
	})
}

// The whole loop: the pace grows, a freeze stops it, nothing is due while it
// stands, and it comes back.
func TestPacerAuto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sentPods{}
		var told int
		p := pace(t, PacerConfig{Batch: 10, Total: 10_000_000, OnChange: func(PaceChange) { told++ }}, s)
		time.Sleep(40 * time.Second)
		if r := p.Rate(); r < 500 {
			t.Errorf("pace %.0f after 40 s in which everything was carried", r)
		}
		s.freeze(true)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if r := p.Rate(); r != 0 {
			t.Errorf("pace %.0f, 4 s into a freeze", r)
		}
		created := s.created
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if s.created != created {
			t.Errorf("%d pods were created while the pace was 0", s.created-created)
		}
		s.freeze(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if r := p.Rate(); r < 500 {
			t.Errorf("pace %.0f, 10 s after the freeze", r)
		}
		changes := p.Changes()
		if told != len(changes) {
			t.Errorf("told of %d changes of %d", told, len(changes))
		}
		seen := map[Rule]bool{}
		for _, c := range changes {
			seen[c.Rule] = true
			if c.Reason == "" || c.At == 0 || c.Signals.At != c.At {
				t.Errorf("change without reason or time: %+v", c)
			}
		}
		if !seen[RuleRaise] || !seen[RuleFrozen] || !seen[RuleDrain] {
			t.Errorf("rules seen: %v", seen)
		}
		if best := p.Sustained(); best.PodsPerSecond < 100 {
			t.Errorf("sustained %+v", best)
		}
	})
}

func TestPacerNextEndsWithItsContext(t *testing.T) {
	p := NewPacer(PacerConfig{}) // does not run: nothing is ever due
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
