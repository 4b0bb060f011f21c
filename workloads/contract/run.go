package contract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// drainBound is how long operations that have begun may go on when a run ends.
// It is a little more than the API server waits for a version that it does not
// have (3 s), which is the longest that a healthy one takes.
const drainBound = 5 * time.Second

// Deps is what a Workload works with.
type Deps struct {
	// Clients, as many as the plan has, each of an identity of its own, of
	// class workload, spread over the API servers. They may create namespaces,
	// service accounts and custom resource definitions.
	Clients []*client.Client
	Log     *slog.Logger // nil: silent
}

// Workload is the traffic of one plan. Prepare, Run and Cleanup are called in
// this order and never at once. Stats may be called at any time.
type Workload struct {
	plan    Plan
	deps    Deps
	actors  []*actor
	board   *board
	stats   *stats
	watches *watches
	ending  chan struct{} // closed when a run ends

	// drainBound and pagePause but in tests.
	drain, pagePause time.Duration
}

// New returns a Workload that sends nothing yet.
func New(plan Plan, deps Deps) (*Workload, error) {
	if err := plan.Validate(); err != nil {
		return nil, fmt.Errorf("contract workload: %w", err)
	}
	if len(deps.Clients) != plan.Clients {
		return nil, fmt.Errorf("contract workload: %d clients given, the plan has %d", len(deps.Clients), plan.Clients)
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	w := &Workload{plan: plan, deps: deps, board: newBoard(), stats: newStats(), drain: drainBound, pagePause: pagePause}
	for i, c := range deps.Clients {
		w.actors = append(w.actors, &actor{w: w, mark: markOf(i), client: c, memory: memory{seen: map[string]seen{}}})
	}
	return w, nil
}

// Stats returns what was sent so far, by Prepare and Cleanup too.
func (w *Workload) Stats() Stats { return w.stats.snapshot() }

// Run sends the plan's traffic until ctx ends, which is no error, and then
// gives what has begun 5 s to end. It fails if no server answered anything.
func (w *Workload) Run(ctx context.Context) error {
	w.ending = make(chan struct{})
	w.watches = newWatches(w.plan.Watches)
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	l := &loop{start: history.Now(), working: working, slots: make(chan struct{}, w.plan.InFlight)}
	var dispatchers sync.WaitGroup
	for i, a := range w.actors {
		dispatchers.Go(func() { l.dispatch(ctx, a, w.plan.stream(i)) })
	}
	dispatchers.Wait()
	close(w.ending)
	cut := time.AfterFunc(w.drain, stop)
	defer cut.Stop()
	l.operations.Wait()
	w.watches.close()
	return w.verdict()
}

// verdict says whether there was anybody to talk to.
func (w *Workload) verdict() error {
	s := w.stats.snapshot()
	sent := int64(0)
	for _, n := range s.Requests {
		sent += n
	}
	if sent > 0 && s.Errors[noAnswer] == sent {
		return fmt.Errorf("contract workload: none of %d requests was answered", sent)
	}
	return nil
}

// loop is one run: an open loop.
type loop struct {
	start      history.Time
	working    context.Context // of the operations; it outlives the dispatching
	slots      chan struct{}   // one for each operation that may run at once
	operations sync.WaitGroup
}

// dispatch starts the operations of one client when they are due. One that has
// to wait for a slot starts late; the due times of the others do not move.
func (l *loop) dispatch(ctx context.Context, a *actor, s *stream) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		d := s.next()
		due := l.start.Add(d.due)
		timer.Reset(due.Sub(history.Now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		a.w.stats.operation(d.operation.name, due)
		l.operations.Go(func() {
			defer func() { <-l.slots }()
			d.operation.run(l.working, &turn{actor: a, object: d.object, rng: d.rng(), due: due})
		})
	}
}

// wait calls f until it has succeeded or ctx has ended; what is for the error.
// A refusal that will not change ends the waiting, too.
func wait(ctx context.Context, what string, f func(context.Context) error) error {
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if status, ok := errors.AsType[*client.StatusError](err); ok && hopeless(status.Code) {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-time.After(waitPoll):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(err, context.Cause(ctx)))
		}
	}
}

const waitPoll = 250 * time.Millisecond

func hopeless(code int) bool { return code == 400 || code == 401 || code == 415 || code == 422 }

// bounded is ctx with a bound that its error names.
func bounded(ctx context.Context, what string, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s took longer than %v", what, limit))
}
