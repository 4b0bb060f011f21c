package scenarios

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios/faults"
)

// strike is one fault that was injected, and the work that the control plane had
// meanwhile.
type strike struct {
	name   string // of what
	area   faults.Area
	window *results.FaultWindow
	// healed is when its heal began; zero: not yet. closed says that it has ended.
	injected, healed history.Time
	closed           bool
	// When it began, its heal did, the next one did (or there is none), and the
	// cluster had recovered from all.
	before, until, after, recovered work
}

// work is what was asked of the controllers, and done, since the run began.
type work struct {
	operations int64 // of the turnover
	underWay   int64 // of these, those that had not ended
	created    int64 // pods
	bound      int64
}

func (x *execution) workSoFar() work {
	c := x.m.collector.Pods.Counts()
	w := work{created: c.Created, bound: c.Bound}
	if t := x.turnover.Load(); t != nil {
		w.operations, w.underWay = t.Began(), t.UnderWay()
	}
	return w
}

// strike begins the time in which a fault counts.
func (x *execution) strike(f faults.Fault, target string) *strike {
	s := &strike{name: f.Name + " of " + target, area: f.Area, injected: history.Now(), before: x.workSoFar()}
	s.window = x.m.availability.Begin(f.Name, target, s.injected)
	x.acts.mu.Lock()
	defer x.acts.mu.Unlock()
	x.acts.strikes = append(x.acts.strikes, s)
	return s
}

// mend ends the time in which a fault counts. Only the first call does.
func (x *execution) mend(s *strike) {
	x.acts.mu.Lock()
	defer x.acts.mu.Unlock()
	if s.healed != 0 {
		return
	}
	s.healed, s.until = history.Now(), x.workSoFar()
	s.window.Healed(s.healed)
}

// ended is when its heal began, or now.
func (s *strike) ended() history.Time {
	if s.healed == 0 {
		return history.Now()
	}
	return s.healed
}

// idle says that a fault of schedulers or controller managers met some with
// nothing to do, or that nothing was bound under it or after it: then it has
// shown nothing; "": it has. An operation that was under way already had something
// to ask of them: that objects be collected, if nothing else.
func (s *strike) idle() string {
	if s.area != faults.Controllers {
		return ""
	}
	switch {
	case s.before.underWay == 0 && s.until.operations == s.before.operations && s.until.created == s.before.created:
		return fmt.Sprintf("%s: nothing was asked of the controllers while it acted", s.name)
	case s.recovered.bound == s.before.bound:
		return fmt.Sprintf("%s: no pod was bound while it acted or after it", s.name)
	}
	return ""
}

// close notes that a fault has ended.
func (a *interventions) close(s *strike) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.closed = true
}

// calm says that every fault so far has been healed: what goes wrong otherwise may be
// its doing, or ours.
func (a *interventions) calm() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.failed) == 0 && !slices.ContainsFunc(a.strikes, func(s *strike) bool { return !s.closed })
}

// acting names the faults that have not ended.
func (a *interventions) acting() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, s := range a.strikes {
		if !s.closed {
			names = append(names, s.name)
		}
	}
	return strings.Join(names, ", ")
}

// sumUpStrikes writes down what became of pods under each fault, and until the
// next one, or the end of the recovery.
func (x *execution) sumUpStrikes() {
	now, end := history.Now(), x.workSoFar()
	x.acts.mu.Lock()
	defer x.acts.mu.Unlock()
	x.run.Struck, x.run.Crashes = struck(x.acts.strikes), x.acts.crashes
	for i, s := range x.acts.strikes {
		s.after, s.recovered = end, end
		until := now
		for _, next := range x.acts.strikes[i+1:] {
			if s.healed != 0 && next.injected >= s.healed {
				until, s.after = next.injected, next.before
				break
			}
		}
		if s.healed == 0 { // the run ended first
			s.until = end
		}
		s.window.Evicted(int64(len(x.m.evictions.wrong(s.injected, until))))
		s.window.Bound(s.until.bound-s.before.bound, s.after.bound-s.until.bound)
	}
}

// struck is when the first fault began, whatever became of it; 0: none did.
func struck(strikes []*strike) (first int64) {
	for _, s := range strikes {
		if at := int64(s.injected); first == 0 || at < first {
			first = at
		}
	}
	return first
}

// endsBound is how long everything that a fault does when the run ends may take:
// it may be about to show, and is then healed.
const endsBound = healBound + 2*time.Minute

// awaitEnds waits until no fault acts any more. It is called when the run ends,
// for whatever reason.
func (x *execution) awaitEnds(bound time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), bound, fmt.Errorf("they had %v", bound))
	defer cancel()
	select {
	case <-x.acts.over:
		x.acts.sampling.Wait() // each of its questions has a bound
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the faults of the plan to be over (%s): %w", x.acts.acting(), context.Cause(ctx))
	}
}
