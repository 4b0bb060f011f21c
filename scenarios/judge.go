package scenarios

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/deposed"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/judge"
	"github.com/planecheck/planecheck/results"
)

// judge writes the verdict. runErr is how the execution ended. Once ctx is done
// the history is left to `planecheck check`.
func (x *execution) judge(ctx context.Context, runErr error) {
	verdicts := []checkers.Verdict{x.judgePlan(runErr), x.judgeStore()}
	if x.plan.Manifest != nil {
		verdicts = append(verdicts, x.judgeManifest())
	}
	if x.plan.Density != nil {
		verdicts = append(verdicts, x.judgePods())
	}
	if len(x.plan.Interventions) > 0 {
		verdicts = append(verdicts, x.judgeInterventions(), x.judgeRecovery(), x.judgeEvictions())
		verdicts = append(verdicts, x.acts.judged...) // nothing acts any more
	}
	if x.plan.World.Accountable {
		verdicts = append(verdicts, x.judgeDeposed())
	}
	if x.ends != nil && len(x.plan.Interventions) > 0 {
		verdicts = append(verdicts, x.ends.judge())
	}
	if !x.plan.alone() {
		verdicts = append(verdicts, x.judgeLeases(), x.judgeComponents(), judgeCaches(x.run.Phases))
	}
	verdicts = append(verdicts, judgeShapes(x.shapes)...)
	verdicts = append(verdicts, x.judgeHistory(ctx)...)
	v := &x.run.Verdict
	v.Guarantees = verdicts
	v.Outcome = checkers.Worst(verdicts)
	for _, g := range verdicts {
		if g.Outcome != checkers.Pass && g.Outcome != checkers.NotExercised {
			v.Reason = g.Detail
			break
		}
	}
}

// planComplete is the guarantee that says whether a run came to its end.
const planComplete = "PlanComplete"

// judgePlan says whether everything was done that was planned. A plan that was
// cut short by a person or by a fault of ours proves nothing; one that the
// control plane did not carry out within generous bounds, with no fault of the plan
// upon it, is a failure of it. A person's own manifest may have objects that nobody
// lets go, so what is left of it is no failure.
func (x *execution) judgePlan(runErr error) checkers.Verdict {
	v := checkers.Verdict{
		Guarantee: planComplete, Statement: "every phase of the plan ended as planned",
		Checked: fmt.Sprintf("%d of %d phases", x.phasesDone(), len(x.plan.Phases)),
	}
	switch {
	case runErr == nil:
		v.Outcome = checkers.Pass
	case x.violation != nil:
		v.Outcome = checkers.Fail
	default:
		v.Outcome = checkers.Invalid
	}
	if runErr != nil {
		v.Detail = runErr.Error()
	}
	return v
}

func (x *execution) phasesDone() int {
	done := 0
	for _, p := range x.run.Phases {
		if p.Incomplete == "" {
			done++
		}
	}
	return done
}

func (x *execution) judgePods() checkers.Verdict {
	v := checkers.Verdict{
		Guarantee: "EveryPodRunning", Statement: "every planned pod was Running at the end of each phase that asks for it",
		Checked: fmt.Sprintf("%d pods in the store", x.plan.pods()),
	}
	switch {
	case len(x.shortfalls) > 0:
		v.Outcome, v.Detail = checkers.Fail, strings.Join(x.shortfalls, "; ")
	case !x.phaseDone(phaseFill):
		v.Outcome, v.Detail = checkers.Invalid, "the load was never complete"
	default:
		v.Outcome = checkers.Pass
	}
	return v
}

// judgeDeposed judges what leaders did after another had taken over, by what the
// API servers wrote down of it.
func (x *execution) judgeDeposed() checkers.Verdict {
	opt := deposed.Options{Prefix: apiserver.InstancePrefix}
	if x.cluster != nil && x.cluster.plane != nil {
		opt.Logs = x.cluster.plane.AuditLogs()
	}
	return deposed.Judge(opt)
}

func (x *execution) judgeLeases() checkers.Verdict {
	totals := x.m.collector.Leases.Totals()
	v := checkers.Verdict{
		Guarantee: "NoLeaseMissed", Statement: "every node renewed its lease before it ran out",
		Checked: fmt.Sprintf("%d renewals of %d nodes", totals.Renewals, x.plan.World.Nodes),
	}
	switch {
	case totals.Missed > 0:
		v.Outcome, v.Detail = checkers.Fail, missedLeases(totals.Missed, x.m.collector.Leases.Misses())
	case totals.Renewals < int64(x.plan.World.Nodes):
		// Shorter than one round of renewals: no deadline could have passed.
		v.Outcome, v.Detail = checkers.Invalid, "the run was too short for every node to renew once"
	default:
		v.Outcome = checkers.Pass
	}
	return v
}

func (x *execution) judgeComponents() checkers.Verdict {
	v := checkers.Verdict{Guarantee: "NoComponentDied", Statement: "no component ended unless the plan stopped it"}
	var died *apiserver.ComponentError
	errors.As(x.violation, &died)
	if (x.cluster == nil || x.cluster.plane == nil) && died == nil {
		v.Outcome, v.Detail = checkers.Invalid, "the control plane did not start"
		return v
	}
	v.Outcome = checkers.Pass
	if x.cluster != nil && x.cluster.plane != nil {
		v.Checked = fmt.Sprintf("%d processes", len(x.cluster.plane.Components()))
	}
	if died != nil {
		v.Outcome, v.Detail = checkers.Fail, died.Error()
	}
	return v
}

// judgeCaches is a second opinion: what the API servers themselves found when
// they compared their watch caches with the store. An error, of a cache that
// was not ready, say, found nothing.
func judgeCaches(phases []results.Phase) checkers.Verdict {
	v := checkers.Verdict{
		Guarantee: "CachesConsistent",
		Statement: "every comparison of a watch cache with the store that an API server made found them equal " +
			"(apiserver_storage_consistency_checks_total, KEP-4988)",
		Outcome: checkers.NotExercised,
	}
	counts := map[string]int64{}
	var differing []string
	var rows []counterexample.Row
	for _, p := range phases {
		rows = append(rows, cacheRows(p)...)
		for _, key := range slices.Sorted(maps.Keys(p.Servers.ConsistencyChecks)) {
			status, resource, _ := strings.Cut(key, " ")
			n := p.Servers.ConsistencyChecks[key]
			counts[status] += n
			if status == "failure" && n > 0 {
				differing = append(differing, fmt.Sprintf("in phase %s the cache of %s differed from the store", p.Name, resource))
			}
		}
	}
	v.Checked = fmt.Sprintf("%d comparisons by the API servers, %d in vain", counts["success"]+counts["failure"], counts["error"])
	switch {
	case counts["failure"] > 0:
		v.Outcome, v.Detail = checkers.Fail, counterexample.Render(differing[0], rows)
	case counts["success"] > 0:
		v.Outcome = checkers.Pass
	}
	return v
}

// judgeHistory judges what was recorded of the store, from the disk alone, so
// that `planecheck check` comes to the same verdicts.
func (x *execution) judgeHistory(ctx context.Context) []checkers.Verdict {
	if x.recording == nil {
		return []checkers.Verdict{unjudged(errors.New("the run was not recorded, to measure what that costs"))}
	}
	closed := history.Now()
	j, err := x.judgement(ctx)
	took := history.Since(closed)
	if ctx.Err() != nil {
		err = fmt.Errorf("not judged, but recorded (planecheck check judges it): %w", context.Cause(ctx))
	}
	if err != nil {
		return []checkers.Verdict{unjudged(err)}
	}
	bytes, err := dirBytes(x.dir.File(historyDir))
	if err != nil {
		x.log.Warn("cannot measure the history", "err", err)
	}
	x.run.History = historyFigures(j)
	x.run.History.Bytes = bytes
	x.run.History.Judged = results.Seconds(took)
	x.deliveredByPhase(j)
	return j.Verdicts
}

func (x *execution) deliveredByPhase(j *judge.Judgement) {
	for i := range x.run.Phases {
		p := &x.run.Phases[i]
		if d, ok := j.PhaseDeliveries[p.Name]; ok {
			p.Delivered = &deliveryFigures([]judge.Delivery{d})[0]
		}
	}
}

func historyFigures(j *judge.Judgement) *results.History {
	deliveries, apiDeliveries := deliveryFigures(j.Deliveries), deliveryFigures(j.APIDeliveries)
	return &results.History{
		Deliveries: deliveries, APIDeliveries: apiDeliveries,
		Lost: j.Lost, Attempts: j.Attempts, APIMessages: j.APIMessages, Versions: j.Versions,
		Operations: j.Operations, Messages: j.Messages, Events: j.Events, Revisions: j.Revisions,
		Judged: results.Seconds(j.Took),
	}
}

func deliveryFigures(list []judge.Delivery) []results.Delivery {
	var figures []results.Delivery
	for _, d := range list {
		figures = append(figures, results.Delivery{
			Resource: d.Resource, Count: d.Count, P50: results.Seconds(d.P50), P99: results.Seconds(d.P99),
			P999: results.Seconds(d.P999), Max: results.Seconds(d.Max),
		})
	}
	return figures
}

// unjudged stands for all verdicts on a history that cannot be read.
func unjudged(err error) checkers.Verdict {
	return checkers.Verdict{
		Area: checkers.AreaStore, Guarantee: results.StorageHistory, Statement: "the storage history can be judged",
		Outcome: checkers.Invalid, Detail: err.Error(),
	}
}

func dirBytes(dir string) (sum int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return sum, err
		}
		sum += info.Size()
	}
	return sum, nil
}

func (x *execution) phaseDone(name string) bool {
	for _, p := range x.run.Phases {
		if p.Name == name && p.Incomplete == "" {
			return true
		}
	}
	return false
}
