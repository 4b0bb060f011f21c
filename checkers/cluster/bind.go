package cluster

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers/history"
)

func node(pod *history.Version) string { return pod.Field("spec.nodeName") }

// doubleBinds looks whether the node of a pod ever changes.
func (j *judge) doubleBinds() *finding {
	f := &finding{what: "pods with a node", floor: j.opts.Floors.Bindings}
	var unread int
	bound := map[string]*history.Version{} // by uid: the version that bound it
	for c := range j.changes("", "pods") {
		switch {
		case c.Now.Unread:
			unread++
			continue
		case c.Now.Delete:
			if c.Prev != nil {
				delete(bound, c.Prev.UID)
			}
			continue
		}
		first := bound[c.Now.UID]
		switch {
		case first == nil && node(c.Now) != "":
			bound[c.Now.UID] = c.Now
			f.judged++
		case first != nil && node(first) != node(c.Now):
			f.violated(j.moved(first, c.Now))
			bound[c.Now.UID] = c.Now
		}
	}
	if unread > 0 {
		f.checked = fmt.Sprintf(", %d versions of pods could not be read", unread)
	}
	return f
}

func (j *judge) moved(first, now *history.Version) *evidence {
	e := because("pod %s/%s with the uid %s was bound to node %s, and then to %q", now.Namespace, now.Name, now.UID, node(first), node(now))
	j.row(e, first, "nodeName "+node(first))
	return j.row(e, now, fmt.Sprintf("nodeName %q, uid %s", node(now), now.UID))
}
