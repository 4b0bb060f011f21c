package cluster

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
)

// family is what a workload owns at the end.
type family struct {
	active, ready int64
	changed       int64 // the last revision that changed one of its pods, removals too
	sets          int64 // of a Deployment: its ReplicaSets that ask for pods
	placeless     int64 // active pods that wait for a node
}

// convergence compares workloads with the pods that they own.
type convergence struct {
	j        *judge
	f        *finding
	families map[string]*family // by the uid of the owner
	moving   int                // changed too shortly before the end
	waiting  int                // may rightly have another number of pods
	capped   map[string]bool    // namespaces with a quota
}

func (j *judge) replicas() *finding {
	c := &convergence{
		j: j, f: &finding{what: "workloads at rest", floor: j.opts.Floors.Workloads},
		families: map[string]*family{}, capped: map[string]bool{},
	}
	for q := range j.living("", "resourcequotas") {
		c.capped[q.Namespace] = true
	}
	c.count()
	for _, resource := range []string{"replicasets", "deployments", "statefulsets"} {
		generations := c.generations(resource)
		for w := range j.living("apps", resource) {
			if !w.Deleting && !w.Unread {
				c.judge(w, generations[w.UID])
			}
		}
	}
	c.f.checked = fmt.Sprintf(", at rest for %s; not judged: %d still changing, %d waiting for pods to become ready, for room, or limited by a quota",
		j.opts.Settle, c.moving, c.waiting)
	return c.f
}

func (c *convergence) family(uid string) *family {
	f := c.families[uid]
	if f == nil {
		f = &family{}
		c.families[uid] = f
	}
	return f
}

// count gives every pod to the controller that owns it, and those of a
// ReplicaSet to its Deployment too.
func (c *convergence) count() {
	parents := map[string]string{} // ReplicaSet to Deployment
	for _, change := range c.j.bodies(c.j.table.Kind("apps", "replicasets")) {
		if owner := change.Now.Controller(); owner != nil {
			parents[change.Now.UID] = owner.UID
		}
	}
	for set := range c.j.living("apps", "replicasets") {
		if owner := set.Controller(); owner != nil && set.Field("spec.replicas") != "0" {
			c.family(owner.UID).sets++
		}
	}
	owners := func(pod *history.Version, see func(*family)) {
		if pod == nil || pod.Controller() == nil {
			return
		}
		uid := pod.Controller().UID
		see(c.family(uid))
		if parent := parents[uid]; parent != "" {
			see(c.family(parent))
		}
	}
	for rev, change := range c.j.bodies(c.j.table.Kind("", "pods")) {
		moved := func(f *family) { f.changed = max(f.changed, rev) }
		owners(change.Now, moved)
		owners(change.Prev, moved)
	}
	for pod := range c.j.living("", "pods") {
		if active(pod) {
			owners(pod, func(f *family) {
				f.active++
				if pod.Field(object.FieldReady) == "True" {
					f.ready++
				} else if c.placeless(pod) {
					f.placeless++
				}
			})
		}
	}
}

// generations returns the last revision that changed the spec of each object.
func (c *convergence) generations(resource string) map[string]int64 {
	last := map[string]int64{}
	for rev, change := range c.j.bodies(c.j.table.Kind("apps", resource)) {
		if change.Prev == nil || change.Prev.UID != change.Now.UID || change.Prev.Generation != change.Now.Generation {
			last[change.Now.UID] = rev
		}
	}
	return last
}

func (c *convergence) judge(w *history.Version, generation int64) {
	own := c.family(w.UID)
	changed := max(generation, own.changed)
	if !c.j.quiet(changed, c.j.opts.Settle, c.j.late.replicas.w) {
		c.moving++
		return
	}
	want := need(w, "spec.replicas")
	switch {
	case own.active == want:
	case c.mayDiffer(w, own, want, changed):
		c.waiting++
		return
	default:
		c.f.violated(c.evidence(w, own, fmt.Sprintf("asks for %d replicas and owns %d pods", want, own.active)))
		return
	}
	c.f.judged++
	switch ready := need(w, "status.readyReplicas"); {
	case need(w, "status.observedGeneration") != w.Generation:
		c.f.violated(c.evidence(w, own, fmt.Sprintf("is at generation %d, and its status at %d", w.Generation, need(w, "status.observedGeneration"))))
	case need(w, "status.replicas") != own.active:
		c.f.violated(c.evidence(w, own, fmt.Sprintf("says that it has %d pods, and owns %d", need(w, "status.replicas"), own.active)))
	case ready != own.ready:
		c.f.violated(c.evidence(w, own, fmt.Sprintf("says that %d of its pods are ready, and %d are", ready, own.ready)))
	}
}

// mayDiffer says that a workload may rightly have another number of pods: a
// quota may forbid pods, a Deployment in the middle of a rollout has more, and a
// StatefulSet waits for one pod before it makes the next. That is over when nothing has
// changed for as long as the patience lasts, unless a pod waits for a node: there
// may be no room for it, and which nodes it wants is not in the version table.
func (c *convergence) mayDiffer(w *history.Version, own *family, want, changed int64) bool {
	if c.capped[w.Namespace] && own.active < want {
		return true
	}
	waits := own.ready < own.active && (w.Resource == "statefulsets" || w.Resource == "deployments" && own.sets > 1)
	return waits && (own.placeless > 0 || !c.j.quiet(changed, c.j.opts.Patience, c.j.late.replicas.w))
}

// placeless says that a pod is not bound, or its node is not Ready.
func (c *convergence) placeless(pod *history.Version) bool {
	nodes := c.j.table.Kind("", "nodes")
	if node(pod) == "" || nodes == nil {
		return true
	}
	n := nodes.At("", node(pod), c.j.last)
	return n == nil || n.Field(object.FieldReady) == ""
}

func (c *convergence) evidence(w *history.Version, own *family, why string) *evidence {
	e := because("%s, with nothing changed for %s, %s %s", c.j.when(), c.j.opts.Settle, name(w), why)
	c.j.row(e, w, fmt.Sprintf("spec.replicas %d, status.readyReplicas %d, generation %d, observed %d, uid %s",
		need(w, "spec.replicas"), need(w, "status.readyReplicas"), w.Generation, need(w, "status.observedGeneration"), w.UID))
	if own.changed > 0 {
		e.rows = append(e.rows, row{c.j.after(own.changed), own.changed, "its pods", "the last change of one"})
	}
	return e.note("its pods", fmt.Sprintf("%d that have not ended, %d of them ready", own.active, own.ready))
}
