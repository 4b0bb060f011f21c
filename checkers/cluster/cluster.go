// Package cluster judges the control plane as a whole by the objects that it
// left in the store: the version table says what every object was at every
// revision, so that a pod bound twice, or a node filled beyond its capacity for
// a moment, is seen however short the moment was.
//
// It reads nothing but the version table and the times of its revisions. Where
// these do not decide (two schedulers, a node whose capacity shrank, a pod that
// was still changing) the case is counted in the verdict, not judged.
package cluster

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// Options of a judgement.
type Options struct {
	Versions *versions.Table
	// Commit says when the write that made a revision was called and when it
	// returned; ok is false where no call made it. nil: no times are known, and
	// what needs them is not judged.
	Commit func(rev int64) (called, returned history.Time, ok bool)
	// Settled are the moments at which the run had left nothing to do, so that the
	// controllers must have done their work. None: the guarantees about them have
	// no evidence but that of Calm.
	Settled []Moment
	// Calm is from when on nothing was done to the cluster: what is wrong for
	// longer than Patience is a violation then, at whatever revision. 1:
	// from the beginning; 0: never, so that only the moments are judged.
	Calm   history.Time
	Floors Floors
	// Settle is how long before that moment the last change must lie
	// for its consequences to be due; default 30 s. It is also how long after a
	// change of the scheduler, or of a node, bindings may still miss it.
	Settle time.Duration
	// Collect is how long the garbage collector may take; default 2 min. It
	// looks for resources that it does not know yet every 30 s.
	Collect time.Duration
	// Heal is how long a pod may stay on a failed node when it does not tolerate
	// that any more and no other pod is evicted meanwhile; default 1 min.
	Heal time.Duration
	// Patience is how long a ReplicaSet may have another number of pods than it asks
	// for while nothing of it changes, a pod be an endpoint of a Service otherwise than
	// it should, and a rollout stand still, once their controllers have nothing else to
	// do before it, and an object outlive its owners; default 3 min, of the latter at
	// least Collect. Controllers are done within a second; the longest that was seen of
	// a control plane without faults was 58 s, on a machine with three of them that had
	// too little of it for their leases. What failed is tried again after as long as
	// it has failed, at most. It is also how long a controller or an API server may not
	// have seen what was committed, where nothing else tells that it has.
	Patience time.Duration
}

// Moment is a revision at which a run had left the controllers nothing to do.
type Moment struct {
	Revision int64 `json:"revision"` // of the store
	// After is what had come to its end, for people: hold, churn, recovery.
	After string `json:"after"`
	// Busy says that there was no rest before: only that is judged of which it is
	// seen that its controller had come to it (see work).
	Busy bool `json:"busy,omitempty"`
}

// Floors are the least amounts of evidence below which a guarantee is Invalid
// rather than Pass. A zero field means its default, a negative one none. No
// evidence at all is less than any floor: whether a run was about a guarantee is
// for its claims to say, see package judge.
type Floors struct {
	Bindings  int64 // for NoDoubleBind and NoOvercommit; default 100
	Workloads int64 // judged by ReplicasConverge; default 1
	Services  int64 // judged by EndpointsMatch; default 1
	Owned     int64 // objects with an owner, for NoOrphans; default 100
	Leaders   int64 // changes of a leader, for OneLeader; default 1
	Evictions int64 // done or due, for NodeFailureHeals; default 1
	Rollouts  int64 // steps, for RolloutBounded; default 10
	Jobs      int64 // that are Complete, for JobCompletionsExact; default 1
	Removed   int64 // namespaces, for NamespaceEmpties; default 1
}

// judge holds what the guarantees share.
type judge struct {
	opts    Options
	table   *versions.Table
	last    int64        // the end of the history, or the moment that is judged
	end     history.Time // when it was, 0 unknown
	selects map[string]versions.Selector
	moment  Moment
	late    *lasting
}

// finding is what came out for one guarantee.
type finding struct {
	evidence *evidence // of the first violation
	count    int       // of violations
	judged   int64     // what the floor is about
	floor    int64
	what     string // of judged
	checked  string // what else there is to say
	unjudged string // why a part of it could not be judged, "": all was
}

func (f *finding) violated(e *evidence) {
	if f.count++; f.count == 1 {
		f.evidence = e
	}
}

// Checker judges the cluster while the version table is filled. Use New; it is
// not safe for concurrent use.
type Checker struct {
	judge
	bindings *bindings
	loads    *overcommits
	leaders  *leaders
	failures *failures
	rollouts *rollouts
	jobs     *jobs
	spaces   *namespaces
	late     *lasting
}

// New returns a Checker of a table that need not be filled yet. Settled is of no
// interest before Finish.
func New(opts Options) *Checker {
	if opts.Settle == 0 {
		opts.Settle = 30 * time.Second
	}
	if opts.Collect == 0 {
		opts.Collect = 2 * time.Minute
	}
	if opts.Heal == 0 {
		opts.Heal = time.Minute
	}
	if opts.Patience == 0 {
		opts.Patience = 3 * time.Minute
	}
	c := &Checker{judge: judge{opts: opts, table: opts.Versions, selects: map[string]versions.Selector{}}}
	c.bindings, c.loads, c.leaders = newBindings(&c.judge), newOvercommits(&c.judge), newLeaders(&c.judge)
	c.failures, c.rollouts = newFailures(&c.judge), newRollouts(&c.judge)
	c.jobs, c.spaces = newJobs(&c.judge), newNamespaces(&c.judge)
	c.late = newLasting(&c.judge)
	return c
}

// Advance judges what can be judged of the revisions up to one. The table has
// them all, and what is to be known of their commits and of those soon after is
// known.
func (c *Checker) Advance(rev int64) {
	_, c.last = c.table.Bounds()
	c.bindings.advance(rev)
	c.loads.advance(rev)
	c.leaders.advance(rev)
	c.failures.advance(rev)
	c.rollouts.advance(rev)
	c.jobs.advance(rev)
	c.spaces.advance(rev)
	c.late.advance(rev)
}

// Broken names the guarantees of which a violation was seen so far.
func (c *Checker) Broken() []string {
	var names []string
	for _, g := range []struct {
		name string
		f    *finding
	}{
		{NoDoubleBind, c.bindings.f}, {NoOvercommit, c.loads.f}, {OneLeader, c.leaders.f}, {NodeFailureHeals, c.failures.f},
		{RolloutBounded, c.rollouts.f}, {JobCompletionsExact, c.jobs.f}, {NamespaceEmpties, c.spaces.f},
	} {
		if g.f.evidence != nil {
			names = append(names, g.name)
		}
	}
	return append(names, c.late.broken()...)
}

// Finish judges what is left, when the table is whole, and returns the verdicts
// on all guarantees. settled is Options.Settled, which may be known only then.
func (c *Checker) Finish(settled []Moment) []checkers.Verdict {
	c.opts.Settled = settled
	c.Advance(math.MaxInt64)
	c.late.finish()
	findings := map[string]*finding{
		NoDoubleBind: c.bindings.finish(), NoOvercommit: c.loads.finish(),
		OneLeader: c.leaders.finish(), NodeFailureHeals: c.failures.finish(),
		RolloutBounded: c.rollouts.finish(), JobCompletionsExact: c.jobs.finish(), NamespaceEmpties: c.spaces.finish(),
	}
	var list []checkers.Verdict
	for _, g := range guarantees {
		f := findings[g.name]
		if g.settled != nil {
			f = c.atRest(g)
			c.late.into(g.name, f)
		}
		list = append(list, c.verdict(g, f))
	}
	return list
}

// atRest judges a guarantee at the moments at which the cluster had settled.
func (c *Checker) atRest(g guarantee) *finding {
	var sum *finding
	for _, m := range c.opts.Settled {
		if m.Revision <= 0 {
			continue
		}
		view := c.judge
		view.late, view.moment, view.last = c.late, m, min(c.last, m.Revision)
		view.end = view.before(view.last)
		f := g.settled(&view)
		if m.After != "" {
			f.checked += " at the end of the " + m.After
		}
		if sum == nil {
			sum = f
			continue
		}
		sum.count, sum.judged, sum.checked = sum.count+f.count, sum.judged+f.judged, sum.checked+"; "+fmt.Sprint(f.judged)+f.checked
		if sum.evidence == nil {
			sum.evidence = f.evidence
		}
	}
	if sum == nil {
		view := c.judge // which holds nothing, for the words
		view.late, view.last = c.late, 0
		sum = g.settled(&view)
	}
	return sum
}

// Judge returns the verdicts on all guarantees of a whole table.
func Judge(opts Options) []checkers.Verdict { return New(opts).Finish(opts.Settled) }

// verdict orders the reasons: a table that is not whole proves nothing, a
// violation outweighs a lack of evidence.
func (j *judge) verdict(g guarantee, f *finding) checkers.Verdict {
	floor := f.floor
	if floor == 0 {
		floor = g.floor
	}
	floor = max(floor, 0)
	v := checkers.Verdict{
		Area: checkers.AreaCluster, Guarantee: g.name, Outcome: checkers.Pass, Statement: g.statement,
		Checked: fmt.Sprintf("%d %s (floor %d)%s", f.judged, f.what, floor, f.checked),
	}
	switch {
	case j.table.Dropped() > 0:
		v.Outcome, v.Unfit = checkers.Invalid, true
		v.Detail = fmt.Sprintf("%d versions came out of order and were left out", j.table.Dropped())
	case g.settled != nil && f.evidence == nil && !j.settled():
		v.Outcome, v.Detail = checkers.Invalid, "the run never settled"
	case f.evidence != nil:
		v.Outcome, v.Detail = checkers.Fail, f.evidence.String()
		if f.count > 1 {
			v.Detail += fmt.Sprintf("\n(the first of %d violations)", f.count)
		}
	case f.unjudged != "":
		v.Outcome, v.Detail = checkers.Invalid, f.unjudged
	case f.judged < floor:
		v.Outcome, v.Detail = checkers.Invalid, fmt.Sprintf("%d %s, the floor is %d", f.judged, f.what, floor)
	}
	return v
}

// farthest bounds the search for a revision whose time is known.
const farthest = 10_000

// timed says that a call is known that made a revision.
func (j *judge) timed(rev int64) bool {
	if j.opts.Commit == nil {
		return false
	}
	_, _, ok := j.opts.Commit(rev)
	return ok
}

// after returns a time at which a revision surely was committed: when the write
// that made it, or a later one, returned. 0: unknown.
func (j *judge) after(rev int64) history.Time {
	if j.opts.Commit == nil {
		return 0
	}
	for r := rev; r <= j.last && r < rev+farthest; r++ {
		if _, returned, ok := j.opts.Commit(r); ok && returned != 0 {
			return returned
		}
	}
	return 0
}

// before returns a time at which a revision surely was not committed yet, or
// the time of the call that made it. 0: unknown.
func (j *judge) before(rev int64) history.Time {
	if j.opts.Commit == nil {
		return 0
	}
	for r := rev; r > 0 && r > rev-farthest; r-- {
		if called, _, ok := j.opts.Commit(r); ok {
			return called
		}
	}
	return 0
}

// known says that it is known when a revision was made, or one shortly before: it is
// not of what a restored store had before. Without any times nothing was restored.
func (j *judge) known(rev int64) bool { return j.opts.Commit == nil || j.before(rev) != 0 }

// overdue says that something was committed longer than the patience after another
// revision, and after Calm.
func (j *judge) overdue(since, rev int64) bool {
	from, at := j.after(since), j.before(rev)
	if from == 0 || at == 0 || j.opts.Calm == 0 {
		return false
	}
	return at.Sub(max(from, j.opts.Calm)) >= j.opts.Patience
}

// settled says that there is a moment at which the cluster had settled.
func (j *judge) settled() bool {
	return slices.ContainsFunc(j.opts.Settled, func(m Moment) bool { return m.Revision > 0 })
}

// quiet says whether a revision lies so long before the end that its
// consequences are due: those of the work of a controller.
func (j *judge) quiet(rev int64, due time.Duration, w *work) bool {
	if j.moment.Busy {
		var ok bool
		if rev, ok = w.fromBefore(rev, j.last); !ok {
			return false
		}
	}
	t := j.after(rev)
	return t != 0 && j.end != 0 && j.end.Sub(t) >= due
}

// when names the moment that is judged.
func (j *judge) when() string {
	if j.moment.After == "" {
		return "at the end"
	}
	return "at the end of the " + j.moment.After
}

// selector parses the selector of a Service or workload, once.
func (j *judge) selector(text string) (versions.Selector, bool) {
	s, found := j.selects[text]
	if !found {
		var err error
		if s, err = versions.ParseSelector(text, ""); err != nil {
			return s, false
		}
		j.selects[text] = s
	}
	return s, true
}

// living yields the objects of a resource at the end of the history.
func (j *judge) living(group, resource string) func(func(*history.Version) bool) {
	k := j.table.Kind(group, resource)
	if k == nil {
		return func(func(*history.Version) bool) {}
	}
	return k.List("", everything, j.last)
}

// bodies yields the changes of a kind up to the moment that is judged, but those
// in which nothing changes but revision and content, with their revisions.
func (j *judge) bodies(k *versions.Kind) iter.Seq2[int64, versions.Change] {
	return func(yield func(int64, versions.Change) bool) {
		if k == nil {
			return
		}
		for rev, c := range k.Bodies(0) {
			if rev > j.last || c.Now != c.Prev && !yield(rev, c) {
				return
			}
		}
	}
}

// everything selects all objects.
var everything versions.Selector

// pods yields the changes of pods behind the first n, up to a revision.
func (j *judge) pods(n int, upto int64) iter.Seq[versions.Change] {
	k := j.table.Kind("", "pods")
	if k == nil {
		return func(func(versions.Change) bool) {}
	}
	return k.Since(n, upto)
}

func terminal(pod *history.Version) bool {
	phase := pod.Field("status.phase")
	return phase == "Succeeded" || phase == "Failed"
}

// active is what controllers count as a replica (IsPodActive in
// k8s.io/kubernetes/pkg/controller).
func active(pod *history.Version) bool { return !terminal(pod) && !pod.Deleting }
