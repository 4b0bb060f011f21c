package reads

import (
	"net/http"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// get judges a GET. Those of subresources show other things than what is
// stored, but for status.
func (c *Checker) get(call *history.APICall) {
	a, ok := ask(call)
	if !ok || call.Name == "" || call.Subresource != "" && call.Subresource != "status" {
		return
	}
	found, missing := call.Status == http.StatusOK, call.Status == http.StatusNotFound
	if missing && (call.DetailsName != call.Name || call.DetailsKind != call.Resource) {
		return // another thing is missing: the namespace, or the resource itself
	}
	if !found && !missing && call.Status != http.StatusGone && !tooNew(call) {
		return
	}
	k := c.stored(call)
	if k == nil {
		return
	}
	switch {
	case call.Status == http.StatusGone:
		c.expired(call, 0)
	case tooNew(call):
		c.refused(call, a)
	case c.fromFuture(call, a):
	case missing:
		c.absent(call, k, a)
	case call.Object.UID == "":
		c.counts.unread++
	default:
		c.present(call, k, a)
	}
}

// floor is the revision that a GET must not show a state from before of.
func (c *Checker) floor(call *history.APICall, a asked) int64 {
	switch a.g {
	case MostRecent:
		return c.opt.Window.Lo(call.Called)
	case NotOlderThan:
		return a.n
	}
	return 0
}

// present judges an object that was found: its version must have been committed
// as it is, and must be the key's at a revision that is allowed.
func (c *Checker) present(call *history.APICall, k *versions.Kind, a asked) {
	o, hi := &call.Object, c.opt.Window.Hi(call.Returned)
	if c.first > 1 && o.Version <= c.first || o.Version > c.last && o.Version <= hi {
		c.counts.unbounded++
		return
	}
	v := k.At(call.Namespace, call.Name, o.Version)
	if v != nil && v.Unread {
		c.counts.unread++
		return
	}
	initial := k.Next(call.Namespace, call.Name, 0)
	c.judge(a.g, initial != nil && initial.Revision < o.Version)
	if a.g == Any {
		c.back.object(call)
	}
	switch low := c.floor(call, a); {
	case o.Version > hi:
		c.fail(a.g, because("a GET shows version %d, when the store can have reached no more than revision %d", o.Version, hi).
			call(call).newest(c, hi))
	case v == nil || v.Revision != o.Version:
		c.fail(a.g, because("a GET shows version %d, which the object never had", o.Version).
			call(call).version(c, v).version(c, k.Next(call.Namespace, call.Name, o.Version)))
	case *o != versions.Object(v):
		c.fail(a.g, because("a GET shows version %d with %s", o.Version, unlike(o, v)).call(call).version(c, v))
	default:
		if next := k.Next(call.Namespace, call.Name, o.Version); next != nil && next.Revision <= low {
			c.fail(a.g, because("a GET shows version %d, but the object changed at revision %d, and must be as it was %s, or later",
				o.Version, next.Revision, since(a, low)).version(c, v).version(c, next).floor(c, a, low).call(call))
		}
	}
}

// absent judges a 404 for the object itself: at some allowed revision there
// must have been none. At 0 the empty store before everything is one, and what
// nobody has made yet cannot be found: such an answer puts nothing to the test.
func (c *Checker) absent(call *history.APICall, k *versions.Kind, a asked) {
	low, hi := c.floor(call, a), c.opt.Window.Hi(call.Returned)
	initial := k.Next(call.Namespace, call.Name, 0)
	inert := a.g == Any || initial == nil || initial.Revision > hi
	c.judge(a.g, !inert)
	if inert {
		c.counts.inert++
		return
	}
	v := k.At(call.Namespace, call.Name, low)
	if v == nil || c.last < hi {
		return
	}
	for rev := low; ; {
		next := k.Next(call.Namespace, call.Name, rev)
		if next == nil || next.Revision > hi {
			break
		}
		if next.Delete {
			return
		}
		rev = next.Revision
	}
	c.fail(a.g, because("a GET is answered 404, but the object was there %s, and at every revision until the answer", since(a, low)).
		version(c, v).floor(c, a, low).call(call).version(c, k.Next(call.Namespace, call.Name, hi)))
}

// unlike says in what an object differs from the version that it should be.
func unlike(o *history.APIObject, v *history.Version) string {
	switch {
	case o.Key() != keyOf(v):
		return "the name " + o.Key()
	case o.UID != v.UID:
		return "another uid"
	case o.Version != v.Revision:
		return "another version"
	case o.Content != v.Content:
		return "another content"
	}
	return "another deletionTimestamp"
}

func keyOf(v *history.Version) string {
	if v.Namespace == "" {
		return v.Name
	}
	return v.Namespace + "/" + v.Name
}
