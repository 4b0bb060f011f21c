package apipower

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
)

// deletionWrong judges a deletion that was acknowledged: the object is gone, or
// waits for something, at one of the revisions that the store may have been at.
func (f *facts) deletionWrong(w *window.Window, c *history.APICall) string {
	uid := c.Object.UID + c.DetailsUID // there is one of them at most
	if c.Subresource != "" || f.sometimes(w, c, func(v *history.Version) bool {
		waits := v != nil && v.Deleting && (v.Grace > 0 || len(v.Finalizers) > 0 || v.Resource == "namespaces")
		return v == nil || waits || uid != "" && v.UID != uid
	}) {
		return ""
	}
	return called(c).key() + " was there all the time, and nothing held it"
}

// collectionWrong judges a deletion of a collection that was acknowledged: nothing
// that it selects at each of those revisions has stayed alive.
func (f *facts) collectionWrong(w *window.Window, c *history.APICall) string {
	if c.DryRun || !success(c) || c.Limit != 0 || c.ResourceVersion != "" || !understood(c) {
		return ""
	}
	lo, hi := w.Lo(c.Called), w.Hi(c.Returned)
	for _, n := range f.names[kindOf(c)] {
		first := f.at(n, lo)
		if first == nil || c.Namespace != "" && n.namespace != c.Namespace {
			continue
		}
		stayed := true
		for rev := lo; rev <= hi && stayed; rev++ {
			v := f.at(n, rev)
			stayed = v != nil && v.UID == first.UID && !v.Deleting && selects(c, v)
		}
		if stayed {
			return n.key() + " was selected all the time, and stayed"
		}
	}
	return ""
}

// removedWrong says that an object with marks was removed or marked for deletion, and
// nobody asked for it. Controllers ask, too, and are in no API history: where one of
// them may have, the model says nothing.
func (f *facts) removedWrong(w *window.Window, calls []*history.APICall) string {
	named, swept := map[name][]*history.APICall{}, map[name][]*history.APICall{}
	for _, c := range calls {
		switch {
		case !removing(c):
		case c.Verb == "deletecollection":
			n := name{kind: kindOf(c)}
			swept[n] = append(swept[n], c)
		default:
			named[called(c)] = append(named[called(c)], c)
		}
	}
	for n, vs := range f.objects {
		for i := 1; i < len(vs); i++ {
			prev, v := vs[i-1], vs[i]
			may := func(c *history.APICall) bool { return f.mayRemove(w, c, n, prev, v) }
			if f.loses(prev, v) && !f.othersMay(n, v.Revision) &&
				!slices.ContainsFunc(named[n], may) && !slices.ContainsFunc(swept[name{kind: n.kind}], may) {
				return fmt.Sprintf("%s was removed at %d, and nobody asked for it", n.key(), v.Revision)
			}
		}
	}
	return ""
}

// removing says that a call may remove something: it is no dry run, and was not refused
// before it could do anything.
func removing(c *history.APICall) bool {
	switch c.Status {
	case 400, 401, 404, 405, 406, 415, 422:
		return false
	}
	return !c.DryRun && c.Verb != "create" && (write(c) || c.Verb == "deletecollection")
}

// loses says whether somebody has to have asked for what v has made of prev. What is
// marked for deletion goes by itself, unless somebody holds it.
func (f *facts) loses(prev, v *history.Version) bool {
	switch {
	case prev.Delete || len(prev.Marks) == 0 || !v.Delete && !v.Deleting:
		return false
	case prev.Deleting:
		return v.Delete && heldBy(prev)
	}
	return true
}

// heldBy says that somebody's finalizer is there, other than the garbage collector's.
func heldBy(v *history.Version) bool { return len(v.Finalizers) > 0 && !collected(v) }

// mayRemove says whether a call may have made v of prev.
func (f *facts) mayRemove(w *window.Window, c *history.APICall, n name, prev, v *history.Version) bool {
	open := c.Status == 0 || c.Status >= 500 // it may take effect at any time after its call
	lo := w.Lo(c.Called)
	if kindOf(c) != n.kind || lo >= v.Revision || !open && w.Hi(c.Returned) < v.Revision {
		return false
	}
	if c.Verb == "deletecollection" {
		return (c.Namespace == "" || c.Namespace == n.namespace) && f.freed(n, lo, prev, v) &&
			f.oneOf(n, lo, v.Revision, func(o *history.Version) bool { return !understood(c) || selects(c, o) })
	}
	if called(c) != n {
		return false
	}
	if c.Verb == "delete" {
		other := success(c) && v.Delete && c.Object.UID+c.DetailsUID != "" && c.Object.UID+c.DetailsUID != prev.UID
		return !other && (c.NeedUID == "" || c.NeedUID == prev.UID) && f.freed(n, lo, prev, v)
	}
	// An update ends what it finds marked, when it leaves no finalizer.
	return v.Delete && (open || success(c)) && f.oneOf(n, lo, v.Revision, func(o *history.Version) bool { return o.Deleting })
}

// freed says that a deletion that looked at the object from lo on may have seen
// nothing that holds it.
func (f *facts) freed(n name, lo int64, prev, v *history.Version) bool {
	return !v.Delete || !heldBy(prev) || f.oneOf(n, lo, v.Revision, func(o *history.Version) bool { return !heldBy(o) })
}

// oneOf says that a predicate holds for a state of an object at one of the revisions
// from lo to before end.
func (f *facts) oneOf(n name, lo, end int64, holds func(*history.Version) bool) bool {
	vs := f.objects[n]
	for i, v := range vs {
		past := i+1 < len(vs) && vs[i+1].Revision <= lo
		if !v.Delete && !past && v.Revision < end && holds(v) {
			return true
		}
	}
	return false
}

// othersMay says that somebody else than a client may have removed what has a name: what
// it is in goes, it had owners, the garbage collector had to do with it, or it is a pod
// that was bound, ended or deleted.
func (f *facts) othersMay(n name, rev int64) bool {
	if n.namespace != "" && f.vanishes(name{kind{"", "namespaces"}, "", n.namespace}, rev) ||
		strings.Contains(n.group, ".") && !strings.HasSuffix(n.group, ".k8s.io") &&
			f.vanishes(name{kind{"apiextensions.k8s.io", "customresourcedefinitions"}, "", n.resource + "." + n.group}, rev) {
		return true
	}
	return f.oneOf(n, 0, rev, func(v *history.Version) bool {
		phase := v.Field("status.phase")
		pod := n.kind == kind{"", "pods"} && (v.Deleting || v.Field("spec.nodeName") != "" || phase == "Succeeded" || phase == "Failed")
		return pod || len(v.Owners) > 0 || v.Deleting && collected(v)
	})
}

// vanishes says that something was not there at a revision, or was marked for deletion
// before; where nothing of its kind is known it is taken to be there.
func (f *facts) vanishes(n name, rev int64) bool {
	return len(f.names[n.kind]) > 0 && (f.at(n, rev) == nil || f.oneOf(n, 0, rev+1, func(v *history.Version) bool { return v.Deleting }))
}
