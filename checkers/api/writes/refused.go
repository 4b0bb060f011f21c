package writes

import (
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
)

// refused judges a write that was refused with a reason that says something
// about the state of the object.
func (c *Checker) refused(call *history.APICall, t target) {
	switch call.Reason {
	case "Conflict":
		c.conflict(call, t)
	case "AlreadyExists":
		c.exists(call, t)
	case "NotFound":
		c.notFound(call, t)
	}
}

// decide judges a refusal that is honest if the object was as ok wants it at
// some revision of the window.
func (c *Checker) decide(guarantee string, call *history.APICall, t target, ok func(*history.Version) bool, why string) {
	w := c.span(call)
	honest := t.sometimes(w, ok)
	if !honest && !(w.whole && c.known(t, w.lo)) {
		c.open[guarantee]++
		return
	}
	c.judged[guarantee]++
	if call.Status >= 400 {
		c.refusals[guarantee]++
	}
	if !honest {
		c.fail(guarantee, func() *evidence { return because("%s", why).call(call).states(t, w) })
	}
}

// need is what a write asked of the object, from its record.
type need struct {
	uid     string
	version int64 // 0: none
	bad     bool  // the version is no number
}

func needs(call *history.APICall) need {
	n := need{uid: call.NeedUID}
	if call.NeedVersion != "" {
		v, err := strconv.ParseInt(call.NeedVersion, 10, 64)
		n.version, n.bad = v, err != nil
	}
	return n
}

func (n need) any() bool { return n.uid != "" || n.version != 0 }

// meets says whether a version is what was asked for; one that cannot be read
// may have any uid.
func (n need) meets(v *history.Version) bool {
	return v != nil && (n.uid == "" || v.Unread || v.UID == n.uid) && (n.version == 0 || v.Revision == n.version)
}

// differs says whether a version surely, or because it cannot be read possibly,
// is not what was asked for.
func (n need) differs(v *history.Version) bool {
	return v != nil && (n.version != 0 && v.Revision != n.version || n.uid != "" && (v.Unread || v.UID != n.uid))
}

// conflict judges reason Conflict where the request named a version or a uid
// (AS registry/generic/registry/store.go Update: optimistic lock and
// preconditions; registry/rest/delete.go BeforeDelete). Other conflicts are not
// about that: those of server-side apply, of subresources such as binding,
// eviction and scale, of quota, and of namespaces and definitions, whose
// deletion waits for their content.
func (c *Checker) conflict(call *history.APICall, t target) {
	n := needs(call)
	contents := call.Resource == "namespaces" || call.Resource == "customresourcedefinitions"
	if !n.any() || n.bad || call.Name == "" || applies(call) || !namesTarget(call) || call.Verb == "delete" && contents ||
		call.Subresource != "" && call.Subresource != "status" {
		c.counts.excepted++
		return
	}
	if call.Verb == "delete" {
		honest := n.differs
		if w := c.span(call); n.version != 0 && !t.sometimes(w, n.differs) && t.sometimes(w, ofCollector) {
			c.counts.collector++
			honest = ofCollector
		}
		c.decide(PreconditionHonest, call, t, honest,
			"a DELETE was refused because of its precondition, but the object fulfilled it all the time")
		return
	}
	// Of an absent object only PUT says Conflict, and only where it would have
	// created it but for the uid; elsewhere it is NotFound.
	vacant := call.Verb == "update" && n.uid != "" && creates(call)
	c.decide(ConflictHonest, call, t, func(v *history.Version) bool { return v == nil && vacant || n.differs(v) },
		"a write was refused with Conflict, but the object was never another one than it asked for")
}

// ofCollector says that an object has finalizers, and none but those that mean
// the garbage collector. A DELETE whose propagation policy takes them all off is
// refused whenever it names a resourceVersion, because Kubernetes then compares
// with that of an empty object (docs/findings/0006).
func ofCollector(v *history.Version) bool {
	return v != nil && len(v.Finalizers) > 0 && !held(v)
}

// collectors says whether a finalizer is one of the garbage collector's
// (Finalizer* in k8s.io/apimachinery/pkg/apis/meta/v1).
func collectors(finalizer string) bool {
	return finalizer == "orphan" || finalizer == "foregroundDeletion"
}

// exists judges AlreadyExists. A server tries eight names of its own making
// before it says so of a generateName, and these names are not in the answer.
func (c *Checker) exists(call *history.APICall, t target) {
	switch {
	case call.GenerateName || call.Name == "":
		c.counts.generated++
	case call.Subresource != "" || !namesTarget(call):
		c.counts.elsewhere++
	default:
		c.decide(ExistsHonest, call, t, present, "a write was refused with AlreadyExists, but there was no such object")
	}
}

// ofNodeRestriction says that it was the admission plugin NodeRestriction which
// did not find the pod that a kubelet wants deleted: it asks the API server's own
// informer (plugin/pkg/admission/noderestriction, admitPod), whose lister says "pod"
// where the store would say "pods" (client-go listers/core/v1: v1.Resource("pod")).
// The informer may be behind the store, or ahead of one that was restored from a
// backup, and promises nothing of a time.
func ofNodeRestriction(call *history.APICall) bool {
	return call.Class == history.ClassKubelet && call.Verb == "delete" && call.Resource == "pods" && call.DetailsKind == "pod"
}

// notFound judges NotFound. The thing that is missing may be another one: the
// namespace, which is judged as well, or what is not in the table, which is
// counted.
func (c *Checker) notFound(call *history.APICall, t target) {
	const why = "a write was refused with NotFound, but the object was there"
	if ofNodeRestriction(call) {
		c.counts.admission++
		return
	}
	if namesTarget(call) && call.Verb != "create" && call.Name != "" {
		c.decide(NotFoundHonest, call, t, absent, why)
		return
	}
	namespaces := c.table.Kind("", "namespaces")
	if call.DetailsKind != "namespaces" || call.DetailsName == "" || namespaces == nil {
		c.counts.elsewhere++
		return
	}
	c.decide(NotFoundHonest, call, target{namespaces, "", call.DetailsName}, absent,
		"a write was refused because its namespace was not found, but the namespace was there")
}
