package storebench

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/planecheck/planecheck/checkers/history"
)

// errPause is what a client waits after a request that failed, so that a store
// that refuses everything is not stormed.
const errPause = 10 * time.Millisecond

// mostErrors is how many different errors are kept of a client.
const mostErrors = 10

// errUnsupported ends a measurement.
var errUnsupported = errors.New("the store does not know such requests")

// tally counts the requests of one client.
type tally struct {
	span
	answered, items, failed int64
	errors                  map[string]int64
}

// add counts a request and says whether its latency counts.
func (t *tally) add(sent, answered history.Time, items int64, err error) bool {
	inWindow := t.holds(sent)
	if err != nil {
		if t.errors == nil {
			t.errors = map[string]int64{}
		}
		text := err.Error()
		if _, known := t.errors[text]; !known && len(t.errors) >= mostErrors {
			text = "others"
		}
		t.errors[text]++
		if inWindow {
			t.failed++
		}
		return false
	}
	if t.holds(answered) {
		t.answered++
		t.items += items
	}
	return inWindow
}

// addTo adds what was counted to a measurement.
func (t *tally) addTo(m *Measure) {
	m.Answered += t.answered
	m.Items += t.items
	m.Failed += t.failed
	for text, n := range t.errors {
		if m.Errors == nil {
			m.Errors = map[string]int64{}
		}
		m.Errors[text] += n
	}
}

// turn sends one request and returns the number of objects in its answer.
type turn func(context.Context) (items int64, err error)

// clock runs a measurement's window: it reads the CPU time at both its ends.
type clock struct {
	span
	cpu  func() time.Duration
	used time.Duration
	left history.Time // when the window was left
	done chan struct{}
}

func startClock(ctx context.Context, warmup, window time.Duration, cpu func() time.Duration) *clock {
	from := history.Now().Add(warmup)
	c := &clock{span: span{from, from.Add(window)}, cpu: cpu, done: make(chan struct{})}
	if cpu == nil {
		c.cpu = func() time.Duration { return 0 }
	}
	go c.run(ctx)
	return c
}

func (c *clock) run(ctx context.Context) {
	defer close(c.done)
	await(ctx, c.from)
	before := c.cpu()
	await(ctx, c.to)
	c.used = c.cpu() - before
	c.left = min(history.Now(), c.to)
}

// await returns at a time, or when ctx ends.
func await(ctx context.Context, t history.Time) {
	timer := time.NewTimer(-history.Since(t))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// finish enters the window in a measurement that has ended.
func (c *clock) finish(ctx context.Context, m *Measure) {
	<-c.done
	m.Window, m.CPU = max(c.left.Sub(c.from), 0), c.used
	if c.left >= c.to {
		return
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, errUnsupported) {
		m.Unsupported = true
		return
	}
	m.Incomplete = cause.Error()
}

// closedLoop has clients take turns until the window ends.
func closedLoop(ctx context.Context, c *Config, m Measure, turnOf func(client int) turn, sink Sink) Measure {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clock := startClock(ctx, c.Warmup, c.Window, c.CPU)
	tallies := make([]tally, m.Clients)
	var wg sync.WaitGroup
	for i := range tallies {
		tallies[i].span = clock.span
		wg.Go(func() { loop(ctx, cancel, &tallies[i], turnOf(i), func(d time.Duration) { sink.Took(i, d) }) })
	}
	wg.Wait()
	clock.finish(ctx, &m)
	for i := range tallies {
		tallies[i].addTo(&m)
	}
	return m
}

func loop(ctx context.Context, cancel context.CancelCauseFunc, t *tally, next turn, took func(time.Duration)) {
	for ctx.Err() == nil {
		sent := history.Now()
		if sent >= t.to {
			return
		}
		items, err := oneTurn(ctx, next)
		answered := history.Now()
		if err != nil && ctx.Err() != nil {
			return // it was broken off by us
		}
		if status.Code(err) == codes.Unimplemented {
			cancel(errUnsupported)
			return
		}
		if t.add(sent, answered, items, err) {
			took(answered.Sub(sent))
		}
		if err != nil {
			await(ctx, answered.Add(errPause))
		}
	}
}

func oneTurn(ctx context.Context, next turn) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestBound)
	defer cancel()
	return next(ctx)
}
