package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// lasting looks at every revision for what is wrong for longer than controllers
// may take to put it right: ReplicaSets with another number of pods than they ask
// for, EndpointSlices that are not the ready pods, objects without their owners.
// All of them are wrong for a moment all the time, so each is dated, and judged
// when it is put right, or at the end.
//
// The time counts from when nothing was done to the cluster any more
// (Options.Calm), from when the controllers had nothing before it to do (work),
// and, where controller managers elect a leader, from when the last of them took
// over; and only as long as that renews its Lease.
//
// Left to the moments at which the cluster had settled are the status of
// workloads, Deployments and StatefulSets. Others than these controllers hold
// the latter two up in their course, for as long as they like: a Deployment may be
// paused or wait for minReadySeconds, a StatefulSet waits for the last pod to become
// ready or to be gone, and of these the version table tells only whether one is paused.
type lasting struct {
	j       *judge
	next    map[*versions.Kind]int // the first change that is left
	upto    int64                  // which revisions were looked at
	batch   []event
	manager *manager
	blind   int // versions that could not be read, without which nothing is sure

	replicas  *shortages
	endpoints *strays
	orphans   *forsaken
}

// event is a change that may matter: more than the revision and the content are
// new. Its versions may show an earlier revision than their own.
type event struct {
	rev       int64
	now, prev *history.Version // prev is nil where there was no object
}

// span of revisions that are looked at together: it bounds the memory.
const stride = 1 << 15

func newLasting(j *judge) *lasting {
	l := &lasting{j: j, next: map[*versions.Kind]int{}, manager: &manager{j: j}}
	l.replicas, l.endpoints, l.orphans = newShortages(l), newStrays(l), newForsaken(l)
	return l
}

// advance looks at the revisions up to one. Kinds are told in the order of
// revisions, because an owner has to be known before what it owns.
func (l *lasting) advance(upto int64) {
	if l.j.opts.Calm == 0 {
		return
	}
	first, last := l.j.table.Bounds()
	l.upto = max(l.upto, first)
	for upto = min(upto, last); l.upto < upto; {
		l.upto = min(upto, l.upto+stride)
		l.gather(l.upto)
		for _, e := range l.batch {
			l.see(e)
		}
	}
}

// gather makes the batch of the changes that are left up to a revision.
func (l *lasting) gather(upto int64) {
	clear(l.batch)
	l.batch = l.batch[:0]
	for _, k := range l.j.table.Kinds() {
		if _, resource := k.Name(); resource == "events" { // nobody's owner, and nobody collects them
			continue
		}
		for rev, c := range k.Bodies(l.next[k]) {
			if rev > upto {
				break
			}
			if l.next[k]++; c.Now != c.Prev {
				l.batch = append(l.batch, event{rev, c.Now, c.Prev})
			}
		}
	}
	slices.SortStableFunc(l.batch, func(a, b event) int { return cmp.Compare(a.rev, b.rev) })
}

type kindOf struct{ group, resource string }

func (l *lasting) see(e event) {
	l.orphans.see(e)
	switch (kindOf{e.now.Group, e.now.Resource}) {
	case kindOf{"", "pods"}:
		l.replicas.pod(e)
		l.endpoints.pod(e)
	case kindOf{"apps", "replicasets"}:
		l.replicas.set(e)
	case kindOf{"", "services"}:
		l.endpoints.service(e)
	case kindOf{"discovery.k8s.io", "endpointslices"}:
		l.endpoints.slice(e)
	default:
		return
	}
	if e.now.Unread {
		l.blind++
	}
}

// finish judges what is wrong at the end.
func (l *lasting) finish() {
	l.replicas.finish()
	l.endpoints.finish()
	l.orphans.finish()
}

// broken names the guarantees of which a violation was seen so far, those included
// that last until what was looked at last.
func (l *lasting) broken() []string {
	var names []string
	for _, g := range []struct {
		name    string
		d       *delays
		overdue func(int64) bool
	}{{ReplicasConverge, &l.replicas.delays, l.replicas.overdue}, {EndpointsMatch, &l.endpoints.delays, l.endpoints.overdue}, {NoOrphans, &l.orphans.delays, l.orphans.overdue}} {
		if g.d.f.count > 0 || g.overdue(l.upto) {
			names = append(names, g.name)
		}
	}
	return names
}

// into adds what was found of a guarantee to a finding.
func (l *lasting) into(guarantee string, f *finding) {
	d, what := &l.orphans.delays, "objects without an owner were collected"
	switch guarantee {
	case ReplicasConverge:
		d, what = &l.replicas.delays, "times a ReplicaSet changed or its number of pods, short of what it asked for"
	case EndpointsMatch:
		d, what = &l.endpoints.delays, "endpoints were put right"
	}
	f.checked += d.text(what)
	f.unjudged = d.unjudged()
	f.count += d.f.count
	if f.evidence == nil {
		f.evidence = d.f.evidence
	}
}

// life is the uid that a version shows, "" for none.
func life(v *history.Version) string {
	if v == nil || v.Delete || v.Unread {
		return ""
	}
	return v.UID
}

// delays are the violations of one guarantee that last, and how long the longest
// of what was put right took.
type delays struct {
	l        *lasting
	w        *work
	patience time.Duration
	f        finding // its count and evidence
	righted  int     // since Calm
	longest  time.Duration
	excused  int
}

func newDelays(l *lasting, patience time.Duration) delays {
	return delays{l: l, patience: patience, w: &work{j: l.j, patience: patience}}
}

// waited is for how long something that is due is surely not done at a revision.
func (d *delays) waited(due, rev int64) time.Duration {
	j := d.l.j
	if !j.timed(due) && !j.timed(rev) {
		return 0 // as all that a restored store has of before: the search would be long
	}
	from, now := j.after(d.w.from(due)), j.before(rev)
	if from == 0 || now == 0 || d.l.blind > 0 {
		return 0
	}
	from = max(from, j.opts.Calm)
	if late := now.Sub(from); late < d.patience {
		return max(late, 0)
	}
	m := d.l.manager
	m.advance(rev)
	from, now = max(from, m.since), m.until(now)
	if m.thawed != 0 {
		from = max(from, j.after(m.thawed))
	}
	return max(now.Sub(from), 0)
}

// put says that something was put right at a revision, and returns for how long
// it was wrong if that is too long.
func (d *delays) put(due, rev int64) (late time.Duration, tooLong bool) {
	late = d.waited(due, rev)
	if calm := d.l.j.opts.Calm; calm <= 1 || d.l.j.timed(rev) && d.l.j.before(rev) >= calm {
		d.righted++
	}
	if late < d.patience {
		d.longest = max(d.longest, late)
	}
	return late, late >= d.patience
}

// first counts a violation that may be excused, and says whether it is the one that
// is shown.
func (d *delays) first(excused bool) bool {
	if excused {
		d.excused++
		return false
	}
	d.f.count++
	return d.f.count == 1
}

// leaves says that a namespace is on its way out at a revision: what is in it is
// removed in any order, and nothing is made in it.
func (l *lasting) leaves(namespace string, rev int64) bool {
	k := l.j.table.Kind("", "namespaces")
	if namespace == "" || k == nil {
		return false
	}
	v := k.At("", namespace, rev)
	return v != nil && (v.Deleting || v.Field("status.phase") == "Terminating")
}

// unjudged is why nothing was judged at every revision, "" if it was, or was not
// asked for.
func (d *delays) unjudged() string {
	if d.l.j.opts.Calm == 0 || d.l.blind == 0 {
		return ""
	}
	return fmt.Sprintf("%d versions of pods, ReplicaSets, Services or EndpointSlices could not be read, "+
		"so nothing is sure of the time between the moments at which the cluster had settled", d.l.blind)
}

func (d *delays) text(what string) string {
	if d.l.j.opts.Calm == 0 || d.l.blind > 0 {
		return ""
	}
	return fmt.Sprintf("; at every revision: %d %s, within %s at most (bound %s; %d excused)",
		d.righted, what, d.longest.Round(time.Millisecond), d.patience, d.excused)
}
