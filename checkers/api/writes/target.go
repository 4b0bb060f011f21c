package writes

import (
	"iter"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// target is an object that calls are about.
type target struct {
	kind            *versions.Kind
	namespace, name string
}

func (t target) at(rev int64) *history.Version   { return t.kind.At(t.namespace, t.name, rev) }
func (t target) next(rev int64) *history.Version { return t.kind.Next(t.namespace, t.name, rev) }

// span is the window of a call: the state that an answer without a revision
// shows was that of one of the revisions of [lo, hi]. It is whole where the
// table has them all, so that what is not found in it was not there.
type span struct {
	lo, hi int64
	whole  bool
}

// span returns the window of a call.
func (c *Checker) span(call *history.APICall) span {
	s := span{lo: c.window.Lo(call.Called), hi: c.window.Hi(call.Returned)}
	s.whole = (s.lo >= c.first || c.first <= 1) && s.hi <= c.last && s.hi >= s.lo
	return s
}

// known says whether the table tells if an object was there at a revision. The
// history of a store that was in use before begins with objects that the table
// has only once they change. A store is empty at revision 1.
func (c *Checker) known(t target, rev int64) bool {
	if c.first <= 1 {
		return true
	}
	v := t.next(c.first)
	return v != nil && v.Revision <= rev
}

// states yields what the object was at the revisions of a window, nil where it
// was absent.
func (t target) states(w span) iter.Seq[*history.Version] {
	return func(yield func(*history.Version) bool) {
		if !yield(t.at(w.lo)) {
			return
		}
		for v := t.next(w.lo); v != nil && v.Revision <= w.hi; v = t.next(v.Revision) {
			state := v
			if v.Delete {
				state = nil
			}
			if !yield(state) {
				return
			}
		}
	}
}

// sometimes says whether the object was at some revision of a window as ok
// wants it.
func (t target) sometimes(w span, ok func(*history.Version) bool) bool {
	for v := range t.states(w) {
		if ok(v) {
			return true
		}
	}
	return false
}

func absent(v *history.Version) bool  { return v == nil }
func present(v *history.Version) bool { return v != nil }

// namesTarget says whether a Status is about the object that the call was
// about. Details.kind is the plural of the resource or, of a failed
// precondition of a DELETE, its kind (AS registry/rest/delete.go BeforeDelete).
func namesTarget(call *history.APICall) bool {
	if call.DetailsName != "" && call.Name != "" && call.DetailsName != call.Name {
		return false
	}
	kind := strings.ToLower(call.DetailsKind)
	if kind == "" || kind == call.Resource {
		return true
	}
	// Plurals differ from kinds in the ending only: policy, policies.
	return strings.HasPrefix(call.Resource, kind[:len(kind)-1])
}

// createOnUpdate are the built-in resources whose strategy allows PUT to create
// (AllowCreateOnUpdate in k8s.io/kubernetes pkg/registry); custom resources do
// not.
var createOnUpdate = map[[2]string]bool{
	{"", "endpoints"}: true, {"", "events"}: true, {"", "limitranges"}: true, {"", "services"}: true,
	{"coordination.k8s.io", "leases"}: true, {"coordination.k8s.io", "leasecandidates"}: true,
	{"events.k8s.io", "events"}: true, {"node.k8s.io", "runtimeclasses"}: true,
	{"rbac.authorization.k8s.io", "clusterrolebindings"}: true, {"rbac.authorization.k8s.io", "clusterroles"}: true,
	{"rbac.authorization.k8s.io", "rolebindings"}: true, {"rbac.authorization.k8s.io", "roles"}: true,
}

// creates says whether a call may create what it does not find.
func creates(call *history.APICall) bool {
	switch call.Verb {
	case "create":
		return true
	case "update":
		return createOnUpdate[[2]string{call.Group, call.Resource}]
	case "patch":
		return applies(call)
	}
	return false
}

// applies says whether a call is a server-side apply.
func applies(call *history.APICall) bool {
	return call.Verb == "patch" && strings.HasPrefix(call.ContentType, "application/apply-patch+")
}

// custom says whether a resource is one of a CustomResourceDefinition, as far
// as its group tells.
func custom(group string) bool {
	return strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io")
}
