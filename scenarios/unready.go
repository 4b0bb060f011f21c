package scenarios

import (
	"cmp"
	"context"

	"github.com/planecheck/planecheck/checkers/history"
)

// Pods that are not ready now and then (--unready-every) are what a run is about only
// while the cluster is held: the fill and the churn wait until all pods are ready at
// once, which might never be. At the end of the hold all of them become ready, and the
// run looks whether the control plane takes note: of the pods and Deployments of its own
// load, and of a manifest by the rules of kstatus, unless its pods have annotations of
// their own about how they run: they may be anything then.

// unreadyTime is UnreadyFor when nobody says it.
var unreadyTime = seconds(10)

func (w *World) validateUnready() error {
	switch {
	case w.UnreadyEvery < 0:
		return Usagef("--unready-every is %s; nothing is ready for less than no time", w.UnreadyEvery)
	case w.UnreadyFor < 0:
		return Usagef("--unready-for is %s; nothing is unready for less than no time", w.UnreadyFor)
	case !(w.UnreadyShare >= 0 && w.UnreadyShare <= 1):
		return Usagef("--unready-share is %g; it must be from 0 to 1", w.UnreadyShare)
	case w.UnreadyEvery == 0 && w.UnreadyFor > 0:
		return Usagef("--unready-for says nothing without --unready-every")
	case w.UnreadyEvery == 0 && w.UnreadyShare > 0:
		return Usagef("--unready-share says nothing without --unready-every")
	}
	return nil
}

// fillUnready fills in what nobody said.
func (w *World) fillUnready() {
	if w.UnreadyEvery > 0 {
		w.UnreadyFor, w.UnreadyShare = cmp.Or(w.UnreadyFor, unreadyTime), cmp.Or(w.UnreadyShare, 1)
	}
}

// checkUnready refuses a plan in which no pod would become unready, or in which all of
// them must be ready all the time.
func (p *Plan) checkUnready(s Scenario, o Options) error {
	switch {
	case p.World.UnreadyEvery == 0 || o.Idle:
		return nil
	case s.Interventions != nil:
		return Usagef("%s looks whether all pods are as before while and after something is done to the cluster: --unready-every is not for it", s.Name)
	case p.Density == nil && p.Manifest == nil:
		return Usagef("--unready-every is about pods, and %s plans none", s.Name)
	case !p.has(phaseHold):
		return Usagef("--unready-every goes for the hold, and there is none: give it a --hold")
	}
	return nil
}

// flip has pods become unready now and then.
func (x *execution) flip() {
	if x.plan.World.UnreadyEvery > 0 {
		x.cluster.nodes.Flip(true)
	}
}

// endFlips has all pods become ready.
func (x *execution) endFlips() {
	if x.plan.World.UnreadyEvery > 0 {
		x.cluster.nodes.Flip(false)
		flips := x.cluster.nodes.Stats().PodFlips
		x.m.series.Event(history.Now(), "pods stay ready", "", map[string]float64{"flips": float64(flips)})
	}
}

// allReady waits until the control plane has taken note that all pods are ready, for as
// long as it gets on with that: of many pods it takes minutes. What it has not is noted,
// unless ctx has ended meanwhile.
func (x *execution) allReady(ctx context.Context) {
	if x.plan.World.UnreadyEvery == 0 {
		return
	}
	if x.density != nil {
		x.owed(ctx, "after all pods were to be ready", x.density.Rest(ctx))
	}
	if x.manifest == nil || !x.plan.Manifest.steady() {
		return
	}
	if err := x.manifest.ReadyAgain(ctx); err != nil && ctx.Err() == nil {
		x.lapsed = err
	}
}
