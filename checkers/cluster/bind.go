package cluster

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

func node(pod *history.Version) string { return pod.Field("spec.nodeName") }

// bindings looks whether the node of a pod ever changes.
type bindings struct {
	j      *judge
	f      *finding
	next   int // the first change of a pod that is left
	unread int
	bound  map[string]*history.Version // by uid: the version that bound it
}

func newBindings(j *judge) *bindings {
	return &bindings{
		j: j, f: &finding{what: "pods with a node", floor: j.opts.Floors.Bindings}, bound: map[string]*history.Version{},
	}
}

func (b *bindings) advance(upto int64) {
	for c := range b.j.pods(b.next, upto) {
		b.next++
		b.change(c)
	}
}

func (b *bindings) change(c versions.Change) {
	switch {
	case c.Now.Unread:
		b.unread++
		return
	case c.Now.Delete:
		if c.Prev != nil {
			delete(b.bound, c.Prev.UID)
		}
		return
	}
	first := b.bound[c.Now.UID]
	switch {
	case first == nil && node(c.Now) != "":
		b.bound[c.Now.UID] = c.Now
		b.f.judged++
	case first != nil && node(first) != node(c.Now):
		b.f.violated(b.j.moved(first, c.Now))
		b.bound[c.Now.UID] = c.Now
	}
}

func (b *bindings) finish() *finding {
	if b.unread > 0 {
		b.f.checked = fmt.Sprintf(", %d versions of pods could not be read", b.unread)
	}
	return b.f
}

func (j *judge) moved(first, now *history.Version) *evidence {
	e := because("pod %s/%s with the uid %s was bound to node %s, and then to %q", now.Namespace, now.Name, now.UID, node(first), node(now))
	j.row(e, first, "nodeName "+node(first))
	return j.row(e, now, fmt.Sprintf("nodeName %q, uid %s", node(now), now.UID))
}
