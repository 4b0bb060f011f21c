package workloads

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// A refused request is sent again, so that the plan completes: after
// retryFirst, then twice that and so on up to retryMost, or when the server
// says so, and until retryLimit has passed. Each attempt is on record.
const (
	retryFirst = 200 * time.Millisecond
	retryMost  = 5 * time.Second
	retryLimit = 2 * time.Minute
)

// sender sends a phase's requests, spread over several identities, and keeps
// count.
type sender struct {
	clients []*client.Client
	turn    atomic.Uint64
	errors  atomic.Int64 // attempts that failed, over all phases

	mu       sync.Mutex
	attempts int
	failed   map[string]int
}

// reset begins a new phase.
func (s *sender) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts, s.failed = 0, map[string]int{}
}

// send sends r until it is answered for good, or fails with a StallError. settled says whether an error
// means that an earlier attempt, whose answer was lost, has done the work; it
// is asked only about retries, and the response is then nil.
func (s *sender) send(ctx context.Context, r client.Request, settled func(error) bool) (*client.Response, error) {
	c := s.clients[s.turn.Add(1)%uint64(len(s.clients))]
	pause, began := retryFirst, history.Now()
	for attempt := 1; ; attempt++ {
		resp, err := c.Do(ctx, &r)
		s.note(err)
		switch {
		case err == nil:
			return resp, nil
		case attempt > 1 && settled(err):
			return nil, nil
		case ctx.Err() != nil || !retryable(err) || history.Since(began) > retryLimit:
			return nil, gaveUp(ctx, &r, attempt, err)
		}
		var status *client.StatusError
		wait := pause
		if errors.As(err, &status) && status.RetryAfter > 0 {
			wait = min(status.RetryAfter, retryLimit)
		}
		pause = min(2*pause, retryMost)
		// The retry is due when the pause is over; what the operation as a
		// whole took, the phase counts.
		if r.Due != 0 {
			r.Due = history.Now().Add(wait)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// gaveUp is the error of a request that is not sent again. One that might have been
// was refused, or got no answer, for retryLimit; that is a stall, unless what was
// missing is this process's own.
func gaveUp(ctx context.Context, r *client.Request, attempt int, err error) error {
	failed := fmt.Errorf("%s %s %s/%s, attempt %d: %w", r.Verb, r.Resource.Plural, r.Namespace, r.Name, attempt, err)
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOMEM} {
		if errors.Is(err, own) {
			return failed
		}
	}
	if ctx.Err() != nil || !retryable(err) {
		return failed
	}
	return &StallError{failed}
}

// retryable says whether another attempt may succeed: after 429, after 5xx,
// and after no answer at all.
func retryable(err error) bool {
	var status *client.StatusError
	if !errors.As(err, &status) {
		return true
	}
	return status.Code == http.StatusTooManyRequests || status.Code >= 500
}

func (s *sender) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if err != nil {
		s.errors.Add(1)
		s.failed[errorName(err)]++
	}
}

// errorName is the short name under which an error is counted.
func errorName(err error) string {
	var status *client.StatusError
	switch {
	case !errors.As(err, &status):
		return "no answer"
	case status.Reason != "":
		return status.Reason
	}
	return strconv.Itoa(status.Code)
}

// openLoop starts n operations, each on a goroutine of its own when it is due.
// At most inFlight run at once: one that must wait for that starts late, and
// so is slow; the due times of the others do not move. The first error ends
// all. It returns how late each operation started.
func openLoop(ctx context.Context, n, inFlight int,
	due func(ctx context.Context, i int) (history.Time, error),
	run func(ctx context.Context, i int, due history.Time) error,
) ([]time.Duration, error) {
	late := make([]time.Duration, 0, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	var waiting error
	for i := range n {
		at, err := due(ctx, i)
		if err != nil {
			waiting = err
			break
		}
		g.Go(func() error { return run(ctx, i, at) })
		late = append(late, history.Since(at))
	}
	if err := g.Wait(); err != nil {
		return late, err
	}
	return late, waiting
}

// at returns the due function of operations with fixed offsets from start.
func at(start history.Time, offset func(i int) time.Duration) func(context.Context, int) (history.Time, error) {
	return func(ctx context.Context, i int) (history.Time, error) {
		due := start.Add(offset(i))
		select {
		case <-time.After(due.Sub(history.Now())):
			return due, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Quantiles describes a set of durations, exactly.
type Quantiles struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

// quantiles sorts d.
func quantiles(d []time.Duration) Quantiles {
	if len(d) == 0 {
		return Quantiles{}
	}
	slices.Sort(d)
	rank := func(percent int) time.Duration { return d[(len(d)*percent+99)/100-1] }
	return Quantiles{Count: len(d), P50: rank(50), P99: rank(99), Max: d[len(d)-1]}
}
