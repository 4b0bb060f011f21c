package scenarios

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/scenarios/endstate"
)

const (
	// endBound is how long the end state may take to be what it should be, after
	// the cluster is whole: on a busy machine it takes a while to write all status,
	// and to look at all of it.
	endBound = 2 * time.Minute
	// endPoll is the pause between two looks at it.
	endPoll = time.Second
	// shownDifferences are told in the verdict; all are in the run's log.
	shownDifferences = 5
)

// twins are the two end states of a plan, with its faults and without.
type twins struct {
	// want is that of the run without faults; nil: there was none.
	want *endstate.State
	// got is that of this run, and differs how it differs from want.
	got     *endstate.State
	differs []endstate.Difference
	err     error
}

// captureEnd keeps what the cluster holds now that everything is done. It waits
// for a moment, since controllers may have work left: until it is what the twin
// held, or, in the twin itself, until it no longer changes.
func (x *execution) captureEnd(ctx context.Context) {
	config, err := x.adminConfig()
	if err != nil {
		x.ends.err = err
		return
	}
	options := endstate.Options{}
	if x.plan.Contract != nil { // its outcome is one of timing
		options.Exclude = x.plan.Contract.Namespaces
	}
	x.ends.settle(ctx, func(ctx context.Context) (*endstate.State, error) { return endstate.Capture(ctx, config, options) })
	if x.ends.got == nil || ctx.Err() != nil {
		return
	}
	x.m.series.Event(history.Now(), "end state", "", map[string]float64{"entries": float64(len(x.ends.got.Entries))})
	for _, d := range x.ends.differs {
		x.log.Warn("the end state differs", "difference", d)
	}
	if err := x.ends.got.Save(x.dir.Path); err != nil {
		x.ends.err = err
	}
}

// settle looks until what is there is what it should be, or no longer changes, or
// the time is over: then the last look counts. Where ctx ends before, none does.
func (e *twins) settle(ctx context.Context, look func(context.Context) (*endstate.State, error)) {
	bounded, cancel := context.WithTimeoutCause(ctx, endBound, fmt.Errorf("it had %v", endBound))
	defer cancel()
	defer func() {
		if ctx.Err() != nil {
			e.err = context.Cause(ctx)
		}
	}()
	before := e.want
	for {
		state, err := look(bounded)
		if err != nil && e.got != nil && bounded.Err() != nil {
			return // the time is over, and there is one to judge
		}
		if err != nil {
			e.err = err
			return
		}
		e.got, e.differs = state, nil
		if before != nil {
			e.differs = endstate.Compare(before, state)
		}
		if before != nil && len(e.differs) == 0 || pause(bounded, endPoll) != nil {
			return
		}
		if e.want == nil {
			before = state
		}
	}
}

// adminConfig is the administrator's way to the API, through the load balancer.
func (x *execution) adminConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", x.cluster.plane.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("open a client of the administrator: %w", err)
	}
	return config, nil
}

// judge compares the ends of a run with faults and of one without.
func (e *twins) judge() checkers.Verdict {
	v := checkers.Verdict{
		Guarantee: "SameEnd",
		Statement: "in the end the API serves what it serves after the same plan without faults: the same objects with the same content, " +
			"pods and ReplicaSets by owner, template and number, without what servers choose",
		Outcome: checkers.Invalid,
	}
	switch {
	case e.err != nil:
		v.Detail = e.err.Error()
	case e.want == nil || e.got == nil:
		v.Detail = "the run ended before its end state was known"
	case len(e.differs) > 0:
		v.Outcome, v.Detail = checkers.Fail, describeDifferences(e.differs)
	default:
		v.Outcome = checkers.Pass
	}
	if e.got != nil {
		v.Checked = fmt.Sprintf("%d entries of %d resources", len(e.got.Entries), len(e.got.Resources))
	}
	return v
}

func describeDifferences(list []endstate.Difference) string {
	var lines []string
	for i, d := range list {
		if i == shownDifferences {
			lines = append(lines, fmt.Sprintf("and %d more, see the log", len(list)-i))
			break
		}
		lines = append(lines, strings.Join(strings.Fields(d.String()), " "))
	}
	return strings.Join(lines, "; ")
}

// twin is the scenario without its faults: the same load on the same cluster, with
// the flags and the leases that the faults need.
func (s Scenario) twin() Scenario {
	s.Name += "-twin"
	s.Proves, s.Tests, s.Twin, s.faultless = "", nil, false, true
	return s
}

// runTwin runs the plan of a scenario without its faults, for its end state.
func (r *Runner) runTwin(ctx context.Context, s Scenario, o Options) (*endstate.State, error) {
	fmt.Fprintf(r.Out, "first its twin without faults\n")
	twin := *r
	twin.brief = true
	x, err := twin.run(ctx, s.twin(), o, &twins{})
	if err != nil {
		return nil, err
	}
	if outcome := x.run.Verdict.Outcome; outcome != checkers.Pass {
		return nil, fmt.Errorf("the twin without faults, %s, is %s itself: %s", x.dir.Path, outcome, x.run.Verdict.Reason)
	}
	if x.ends.err == nil && len(x.ends.differs) > 0 {
		x.ends.err = fmt.Errorf("the end state of the twin without faults, %s, does not settle: %s", x.dir.Path, describeDifferences(x.ends.differs))
	}
	return x.ends.got, x.ends.err
}
