package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/versions"
)

// namespaces look whether those that are removed were empty.
//
// The namespace controller deletes what is in a namespace that was deleted, and takes
// its finalizer away once lists of every resource came back empty
// (k8s.io/kubernetes/pkg/controller/namespace/deletion). The lists are most recent, so
// nothing from before the deletion can be left; a list or a discovery that fails
// makes it begin anew. API servers refuse to make anything in a namespace that is on
// its way out, but by their informers (NamespaceLifecycle in
// k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle): so what one makes soon
// after the deletion is no violation, and may even outlive the namespace, and is
// counted. It is one from Patience after the deletion on, and after Calm.
//
// Not judged are objects of custom resources that are left, which a server may not
// have served yet when the controller asked it which resources there are, and
// namespaces that a restored store had before. Whoever finalizes a namespace beside the
// controller, as the API allows, breaks the guarantee.
type namespaces struct {
	j    *judge
	f    *finding
	next int
	// leaving are those that were deleted, by name: the revision.
	leaving map[string]int64
	// Not judged: objects that were made soon after the deletion and left or removed,
	// those of custom resources that were left, and namespaces.
	soon, custom, unknown int
}

func newNamespaces(j *judge) *namespaces {
	return &namespaces{j: j, f: &finding{what: "namespaces removed", floor: j.opts.Floors.Removed}, leaving: map[string]int64{}}
}

func (n *namespaces) advance(upto int64) {
	k := n.j.table.Kind("", "namespaces")
	if k == nil {
		return
	}
	for c := range k.Since(n.next, upto) {
		n.next++
		n.namespace(c)
	}
}

func (n *namespaces) namespace(c versions.Change) {
	was, is := life(c.Prev), life(c.Now)
	if was != "" && was != is && !c.Now.Unread {
		n.removed(c)
		delete(n.leaving, c.Now.Name)
	}
	if is != "" && c.Now.Deleting && n.leaving[c.Now.Name] == 0 {
		n.leaving[c.Now.Name] = c.Now.Revision
	}
}

// removed judges a namespace at the revision that removes it.
func (n *namespaces) removed(c versions.Change) {
	if !n.j.known(c.Prev.Revision) {
		n.unknown++
		return
	}
	n.f.judged++
	deleted := n.leaving[c.Now.Name]
	if deleted == 0 { // it was removed at once
		deleted = c.Now.Revision
	}
	var left []*history.Version
	for _, k := range n.j.table.Kinds() {
		for v := range k.List(c.Now.Name, everything, c.Now.Revision) {
			switch {
			case n.j.born(v) > deleted: // and counted there
			case !object.BuiltIn(v.Group, v.Resource):
				n.custom++
			default:
				left = append(left, v)
			}
		}
	}
	n.made(c.Now.Name, deleted, c.Now.Revision)
	if len(left) == 0 {
		return
	}
	e := because("namespace %s was removed with %d objects in it that were there when it was deleted", c.Now.Name, len(left))
	n.j.row(e, n.j.table.Kind("", "namespaces").At("", c.Now.Name, deleted), "deleted; uid "+c.Prev.UID)
	for _, v := range left[:min(len(left), most)] {
		n.j.row(e, v, "uid "+v.UID)
	}
	n.f.violated(n.j.row(e, c.Now, "removed"))
}

// made judges what was made in a namespace from its deletion to another revision.
func (n *namespaces) made(namespace string, deleted, upto int64) {
	for _, k := range n.j.table.Kinds() {
		for c := range k.Within(namespace, deleted+1, upto) {
			uid := life(c.Now)
			switch {
			case uid == "" || uid == life(c.Prev):
			case !n.j.overdue(deleted, c.Now.Revision):
				n.soon++
			default:
				e := because("%s was made more than %s after its namespace was deleted", name(c.Now), n.j.opts.Patience)
				n.j.row(e, n.j.table.Kind("", "namespaces").At("", namespace, deleted), "deleted")
				n.f.violated(n.j.row(e, c.Now, "created; uid "+uid))
			}
		}
	}
}

func (n *namespaces) finish() *finding {
	for _, name := range slices.Sorted(maps.Keys(n.leaving)) {
		if deleted := n.leaving[name]; n.j.known(deleted) {
			n.made(name, deleted, n.j.last)
		}
	}
	n.f.checked = fmt.Sprintf("; not judged: %d objects made within %s of the deletion, %d custom ones that were left, %d namespaces whose times are not known",
		n.soon, n.j.opts.Patience, n.custom, n.unknown)
	return n.f
}
