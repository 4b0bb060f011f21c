package scenarios

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/scenarios/faults"
)

const (
	// interventionPoll is how often progress is looked at for a trigger.
	interventionPoll = 20 * time.Millisecond
	// settleBound is how long the last event of something may take to arrive
	// behind its cause.
	settleBound = 2 * time.Second
	// healBound is how long a fault may take to be mended. A component has to
	// start for it, on a machine that may be busy.
	healBound = 2 * time.Minute
	// interventionsBound is how long after a hold they may still take.
	interventionsBound = 3 * time.Minute
	// probeTimeout bounds one request that looks for the effect of a fault.
	probeTimeout = 2 * time.Second
)

// interventions are the plan's, as far as they have come.
type interventions struct {
	over chan struct{} // closed when nothing more is done
	// sampling is on until the end of the run: who leads.
	sampling sync.WaitGroup
	mu       sync.Mutex
	done     int
	failed   []string
	judged   []checkers.Verdict // of the faults themselves
	strikes  []*strike
	crashes  []history.Crash // of members of the store
}

// intervene does what the plan does to the cluster, when its time has come.
func (x *execution) intervene(ctx context.Context) {
	defer close(x.acts.over)
	if len(x.plan.Interventions) == 0 {
		return
	}
	env, err := x.faultEnv()
	if err != nil {
		x.acts.note(err)
		return
	}
	// Who leads matters also in the recovery: it is looked at until ctx ends.
	x.acts.sampling.Go(func() { faults.Leaders(ctx, env, x.m.availability.Leader) })
	var acting sync.WaitGroup
	defer acting.Wait()
	for _, i := range x.plan.Interventions {
		if !i.Overlap {
			acting.Wait()
		}
		if x.awaitTrigger(ctx, i) != nil {
			return
		}
		acting.Go(func() {
			if err := x.interveneOnce(ctx, env, i); ctx.Err() == nil {
				x.acts.note(err)
			}
		})
	}
}

// note counts what was done and keeps what went wrong.
func (a *interventions) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.done++
	} else {
		a.failed = append(a.failed, err.Error())
	}
}

// judge keeps what a fault says of a guarantee of its own.
func (a *interventions) judge(v *checkers.Verdict) {
	if v == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.judged = append(a.judged, *v)
}

// crashed notes the members of the store that a fault ended after a moment, and that
// have been back since another one.
func (a *interventions) crashed(ended, back history.Time, members []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range members {
		a.crashes = append(a.crashes, history.Crash{Member: m, Ended: ended, Back: back})
	}
}

// interveneOnce injects a fault, lets it act, and heals it, also where the run
// ends meanwhile.
func (x *execution) interveneOnce(ctx context.Context, env *faults.Env, i Intervention) error {
	f, ok := faults.Find(i.Fault)
	if !ok { // NewPlan has looked
		return fmt.Errorf("there is no fault %q", i.Fault)
	}
	s := x.strike(f, i.Target)
	defer x.mend(s)
	x.tellFault("inject", i, "")
	aimed := *env
	aimed.Pick = i.Pick
	active, err := f.Inject(ctx, &aimed, i.Target)
	if err != nil {
		return err
	}
	s.window.Shown(active.Evidence)
	x.tellFault("acts", i, active.Evidence)
	_ = pause(ctx, time.Duration(i.For)) // it is healed all the same
	healing, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), healBound, fmt.Errorf("it had %v", healBound))
	defer cancel()
	x.tellFault("heal", i, "")
	x.mend(s)
	evidence, err := active.Heal(healing)
	if err != nil {
		return fmt.Errorf("heal %s of %s: %w", i.Fault, i.Target, err)
	}
	s.window.ShownHealed(evidence)
	x.tellFault("healed", i, evidence)
	x.acts.judge(active.Verdict)
	x.acts.crashed(s.injected, history.Now(), active.Crashed)
	x.acts.close(s)
	return nil
}

// tellFault keeps how far a fault is, and the evidence for it.
func (x *execution) tellFault(what string, i Intervention, evidence string) {
	x.m.series.Event(history.Now(), what+" "+i.Fault, evidence, nil)
	x.log.Info("fault "+what, "fault", i.Fault, "target", i.Target, "evidence", evidence)
}

// faultEnv is the running cluster as faults see it.
func (x *execution) faultEnv() (*faults.Env, error) {
	api, err := x.probeClient(x.cluster.plane.Addr())
	if err != nil {
		return nil, err
	}
	env := &faults.Env{
		Plane: x.cluster.plane, Store: x.cluster.backend, Nodes: x.cluster.nodes, API: api, Client: x.probeClient,
		Links: x.cluster.links, Layer: x.cluster.layer, Strangers: strangerIdentities(x.plan.Seed), LeasesMissed: x.leasesMissed,
		Replaced: x.m.collector.Sampler.Set, Removed: x.m.removals.by,
		Lost:   x.m.losses.of,
		Forget: x.m.collector.Leases.Forget,
	}
	if x.recording != nil { // else it would be a nil in an interface, which is none
		env.Recording = x.recording
	}
	return env, nil
}

// leasesMissed counts also a deadline of which nobody has said yet that it passed.
func (x *execution) leasesMissed() int64 {
	x.m.collector.Leases.Overdue(history.Now())
	return x.m.collector.Leases.Totals().Missed
}

// probeClient is the administrator's client of one address. Each of its requests
// has a connection of its own and little time, so that none waits on a server
// that stands still.
func (x *execution) probeClient(addr string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("https://"+addr, x.cluster.plane.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("open a client to look for faults: %w", err)
	}
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("open a client to look for faults: %w", err)
	}
	api, err := kubernetes.NewForConfig(&rest.Config{
		Host: config.Host, BearerToken: config.BearerToken, Timeout: probeTimeout, QPS: -1,
		Transport: &http.Transport{TLSClientConfig: tls, DisableKeepAlives: true},
	})
	if err != nil {
		return nil, fmt.Errorf("open a client to look for faults: %w", err)
	}
	return api, nil
}

// awaitInterventions keeps the full cluster until everything was done to it
// that the plan says: on a slow machine that takes longer than the hold.
func (x *execution) awaitInterventions(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, interventionsBound, fmt.Errorf("it had %v", interventionsBound))
	defer cancel()
	select {
	case <-x.acts.over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the interventions of the plan: %w", context.Cause(ctx))
	}
}

// pause waits for d, or fails with the cause of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitTrigger waits for the trigger of an intervention. Its bound is that of
// the phase, whose end ends ctx.
func (x *execution) awaitTrigger(ctx context.Context, i Intervention) error {
	ticker := time.NewTicker(interventionPoll)
	defer ticker.Stop()
	next := func(reached func() bool) error {
		for !reached() {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}
	if err := next(func() bool {
		return x.m.past(i.Phase, i.AfterRevisions) && x.m.collector.Pods.Counts().Running >= i.AfterRunning
	}); err != nil {
		return err
	}
	from := x.m.commits.Load()
	return next(func() bool { return x.m.commits.Load() >= from+i.AfterWrites })
}

// await waits for at most settleBound until cond holds.
func await(ctx context.Context, what string, cond func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleBound, fmt.Errorf("it had %v", settleBound))
	defer cancel()
	ticker := time.NewTicker(interventionPoll)
	defer ticker.Stop()
	for !cond() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}

// judgeInterventions makes a run Invalid whose plan was to disturb the control
// plane and did not: what it shows is a run without the disturbance.
func (x *execution) judgeInterventions() checkers.Verdict {
	x.acts.mu.Lock()
	defer x.acts.mu.Unlock()
	planned := len(x.plan.Interventions)
	v := checkers.Verdict{
		Guarantee: "Intervened", Statement: "every fault of the plan took effect and was healed, as seen from outside; " +
			"those of schedulers and controller managers while there was work for them",
		Checked: fmt.Sprintf("%d of %d faults", x.acts.done, planned),
		Outcome: checkers.Pass,
	}
	switch {
	case len(x.acts.failed) > 0:
		v.Outcome, v.Detail = checkers.Invalid, x.acts.failed[0]
	case x.acts.done < planned:
		v.Outcome, v.Detail = checkers.Invalid, "the run ended before its time had come"
	default:
		for _, s := range x.acts.strikes {
			if why := s.idle(); why != "" && x.plan.turns() {
				v.Outcome, v.Detail = checkers.Invalid, why
			}
		}
	}
	return v
}
