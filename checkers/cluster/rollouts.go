package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/versions"
)

// rollouts judge every step of a rolling update: each revision at which a
// ReplicaSet of a Deployment asks for more pods than before, or for fewer.
//
// What the Deployment controller promises is about these steps, not about pods:
// nodes that fail, evictions and people take away more pods than maxUnavailable, and
// a pod that terminates is there beside the one in its place. Of each step it
// works out (rolling.go and util/deployment_util.go in
// k8s.io/kubernetes/pkg/controller/deployment):
//
//   - up: what all ReplicaSets ask for stays within replicas + maxSurge;
//   - down: either the pods that stay and those that the other ReplicaSets count as
//     available are replicas - maxUnavailable at least, or the ReplicaSet gives up none
//     that are available, and what the old ones ask for with what the new one has
//     available are as many.
//
// It works that out on its informers, which lag, so a step is right if it is
// right for anything that they may have shown. A ReplicaSet is written with its
// resourceVersion: the write that succeeds was planned on the version before it, or
// on the one before that, as one sync may write twice. One informer tells of all
// ReplicaSets in the order of revisions, so what it showed of the others is no older:
// of each the most favourable since then counts. Nothing dates a view in which
// a ReplicaSet is made: there the others count as they were within Patience, and not
// before Calm. The new ReplicaSet is the one with the highest number, in the
// annotation that the controller gives it before it scales anything.
//
// Not judged, but counted, are steps of a Deployment that was ever scaled, paused,
// or given another strategy (then it scales in proportion, sync.go, and may act on what
// it asked for before), or that took over a ReplicaSet of somebody else; and those
// of which the history does not have the numbers or no time. Whoever scales a
// ReplicaSet beside its Deployment breaks the guarantee as the controller would.
type rollouts struct {
	j           *judge
	f           *finding
	nextSet     int
	nextDeploy  int
	deployments map[string]*deployment // by uid

	steps, unsteady, unknown int // not judged
}

// deployment is one with the ReplicaSets that it ever had, by uid.
type deployment struct {
	now      *history.Version // nil: it was not seen
	terms    terms
	unsteady bool
	sets     map[string]*replicaSet
}

// terms are what a Deployment says of its rollouts.
type terms struct {
	replicas, surge, unavailable int64
	paused                       bool
	known                        bool // it rolls, and the history says how
}

// termsOf follows ResolveFenceposts in util/deployment_util.go: a share of surge is
// rounded up, one of unavailable pods down, and both may not be none.
func termsOf(v *history.Version) terms {
	t := terms{replicas: need(v, "spec.replicas"), paused: v.Field(object.FieldPaused) == "true"}
	surge, rolls := share(v.Field(object.FieldMaxSurge), t.replicas, 99)
	unavailable, says := share(v.Field(object.FieldMaxUnavailable), t.replicas, 0)
	if !rolls || !says || t.replicas < 0 {
		return t
	}
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	t.surge, t.unavailable, t.known = surge, min(unavailable, t.replicas), true
	return t
}

// share is a number, or a percentage of a number; to round it up takes 99.
func share(text string, of, up int64) (n int64, ok bool) {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n < 0 {
		return 0, false
	}
	if percent {
		n = (n*min(of, 1<<31) + up) / 100
	}
	return n, true
}

func newRollouts(j *judge) *rollouts {
	return &rollouts{
		j: j, f: &finding{what: "steps of rollouts", floor: j.opts.Floors.Rollouts}, deployments: map[string]*deployment{},
	}
}

func (r *rollouts) advance(upto int64) {
	if k := r.j.table.Kind("apps", "replicasets"); k != nil {
		for c := range k.Since(r.nextSet, upto) {
			r.nextSet++
			r.deploymentsTo(c.Now.Revision)
			r.set(c)
		}
	}
	r.deploymentsTo(upto)
}

func (r *rollouts) deploymentsTo(upto int64) {
	k := r.j.table.Kind("apps", "deployments")
	if k == nil {
		return
	}
	for c := range k.Since(r.nextDeploy, upto) {
		r.nextDeploy++
		r.deployment(c)
	}
}

func (r *rollouts) of(uid string) *deployment {
	d := r.deployments[uid]
	if d == nil {
		d = &deployment{sets: map[string]*replicaSet{}}
		r.deployments[uid] = d
	}
	return d
}

func (r *rollouts) deployment(c versions.Change) {
	was, is := life(c.Prev), life(c.Now)
	switch {
	case was == "" || was == is:
	case c.Now.Unread:
		r.of(was).unsteady = true
	default:
		delete(r.deployments, was)
	}
	if is == "" {
		return
	}
	d, t := r.of(is), termsOf(c.Now)
	d.unsteady = d.unsteady || t.paused || d.now != nil && d.terms != t
	d.now, d.terms = c.Now, t
}

// parentOf is the uid of the Deployment that controls a ReplicaSet, "" for none.
func parentOf(v *history.Version) string {
	if life(v) == "" {
		return ""
	}
	if o := v.Controller(); o != nil && o.Kind == "Deployment" {
		return o.UID
	}
	return ""
}

// set takes a change of a ReplicaSet.
func (r *rollouts) set(c versions.Change) {
	was, is, rev := parentOf(c.Prev), parentOf(c.Now), c.Now.Revision
	same := life(c.Prev) == life(c.Now)
	if d := r.deployments[was]; d != nil && (!same || was != is) {
		d.unsteady = d.unsteady || c.Now.Unread || same
		if s := d.sets[c.Prev.UID]; s != nil {
			s.now = nil
			s.asks = append(s.asks, ask{rev: rev})
		}
	}
	if is == "" {
		return
	}
	d := r.of(is)
	d.unsteady = d.unsteady || same && was != is
	s := d.sets[c.Now.UID]
	if s == nil {
		s = &replicaSet{}
		d.sets[c.Now.UID] = s
	}
	next := asked(c.Now)
	if s.now == nil || s.last().replicas != next.replicas {
		r.step(d, s, c, next)
	}
	s.take(c.Now, next)
}

// step judges one.
func (r *rollouts) step(d *deployment, s *replicaSet, c versions.Change, next ask) {
	before := s.last() // none where it is made
	alone := !d.others(s) && (!d.terms.known || next.replicas <= d.terms.replicas+d.terms.surge)
	if alone || before.replicas == next.replicas {
		return
	}
	from, ok := r.from(s, next.rev)
	switch {
	case d.now == nil || !d.terms.known || !next.known || !ok:
		r.unknown++
	case d.unsteady:
		r.unsteady++
	case next.replicas > before.replicas:
		r.up(d, s, c, next, from)
	case next.replicas >= d.terms.replicas:
		r.steps++ // it had too many for any reason
	default:
		r.down(d, s, c, next, from)
	}
}

// from says which changes of the other ReplicaSets were seen for sure when a step
// of one was planned. ok is false where that is not known.
func (r *rollouts) from(s *replicaSet, rev int64) (passed func(rev int64) bool, ok bool) {
	if s.now != nil {
		return func(rev int64) bool { return rev <= s.seen }, r.j.known(s.seen)
	}
	at, calm := r.j.before(rev), r.j.opts.Calm
	since := at.Add(-r.j.opts.Patience)
	return func(rev int64) bool {
		t := r.j.after(rev)
		return t != 0 && t <= since
	}, at != 0 && calm != 0 && since >= calm
}

func (r *rollouts) up(d *deployment, s *replicaSet, c versions.Change, next ask, passed func(int64) bool) {
	var others int64
	for _, o := range d.sets {
		if o != s {
			others += o.view(passed).least
		}
	}
	most := d.terms.replicas + d.terms.surge
	if others == 0 && next.replicas <= most {
		r.steps++
		return
	}
	r.f.judged++
	if next.replicas+others > most {
		r.violated(d, s, c, fmt.Sprintf("asked for %d pods where others asked for %d at least, and all of them may ask for %d: "+
			"%d replicas and a surge of %d", next.replicas, others, most, d.terms.replicas, d.terms.surge))
	}
}

func (r *rollouts) down(d *deployment, s *replicaSet, c versions.Change, next ask, passed func(int64) bool) {
	own := s.view(passed)
	least := d.terms.replicas - d.terms.unavailable
	// A status that counts more pods than are asked for is one of before.
	stay := next.replicas + max(0, own.available-s.last().replicas)
	var available, most int64
	newest := own.number.low
	for _, o := range d.sets {
		if o != s {
			v := o.view(passed)
			available, most = available+v.available, most+v.most
			newest = max(newest, v.number.low)
		}
	}
	candidate, better := false, int64(0)
	for _, o := range d.sets {
		if v := o.view(passed); o != s && v.number.high >= newest {
			better = max(better, stay+most-v.most+v.available)
			candidate = true
		}
	}
	if !candidate { // the new one itself: nobody else may be it
		r.steps++
		return
	}
	r.f.judged++
	if stay+available >= least || next.replicas >= own.unavailable && better >= least {
		return
	}
	r.violated(d, s, c, fmt.Sprintf("asked for %d pods instead of %d where others had %d available at most, and %d have to be: "+
		"%d replicas without %d", next.replicas, s.last().replicas, available, least, d.terms.replicas, d.terms.unavailable))
}

func (r *rollouts) violated(d *deployment, s *replicaSet, c versions.Change, why string) {
	if r.f.count > 0 {
		r.f.count++
		return
	}
	e := because("in a rollout of %s, %s %s", name(d.now), name(c.Now), why)
	r.j.row(e, d.now, fmt.Sprintf("replicas %d, maxSurge %s, maxUnavailable %s; uid %s", d.terms.replicas,
		d.now.Field(object.FieldMaxSurge), d.now.Field(object.FieldMaxUnavailable), d.now.UID))
	var sets []*replicaSet
	for _, o := range d.sets {
		if o.now != nil && o != s {
			sets = append(sets, o)
		}
	}
	slices.SortFunc(sets, func(a, b *replicaSet) int { return strings.Compare(a.now.Name, b.now.Name) })
	for _, o := range sets {
		r.j.row(e, o.now, o.last().String())
	}
	if s.now != nil {
		r.j.row(e, s.now, s.last().String())
	}
	r.f.violated(r.j.row(e, c.Now, asked(c.Now).String()))
}

func (r *rollouts) finish() *finding {
	r.f.checked = fmt.Sprintf("; not judged: %d of Deployments that were scaled, paused or took a ReplicaSet over, "+
		"%d whose numbers or times are not known, %d that nothing bounds", r.unsteady, r.unknown, r.steps)
	return r.f
}
