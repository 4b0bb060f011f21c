package writes

import (
	"github.com/planecheck/planecheck/checkers/history"
)

// acked is the highest version that was answered for a key.
type acked struct {
	version          int64
	id               uint64
	called, returned history.Time
}

// written judges a create, an update or a patch that succeeded.
func (c *Checker) written(call *history.APICall, t target) {
	if call.Subresource != "" && call.Subresource != "status" {
		c.counts.excepted++ // binding, eviction, scale: the version is of another thing
		return
	}
	if call.Object.UID == "" || call.Object.Version == 0 {
		c.counts.bare++
		c.note(call, t, mayHold) // nothing says which revision it is
		return
	}
	// The name of a generateName is in the answer only.
	t.namespace, t.name = call.Object.Namespace, call.Object.Name
	rev := call.Object.Version
	w := c.span(call)
	if rev > c.last && w.hi >= rev || rev <= c.first && c.first > 1 {
		c.open[NoLostUpdate]++
		c.note(call, t, mayHold)
		return
	}
	c.repeated(call, t)
	v := t.at(rev)
	if v == nil || v.Revision != rev {
		c.neverCommitted(call, t, w)
		return
	}
	c.judged[NoLostUpdate]++
	prev := t.at(rev - 1)
	c.uid(call, v)
	c.current(call, t, w, v)
	c.replaced(call, t, w, v, prev)
	c.shown(call, t, w, v)
	c.declared(call, t, w, v, prev)
}

// shown judges what the answer to a write shows: the content that its version
// has in the store. Definitions of custom resources are left out: their type is
// not known here, and what the store keeps of one is not written as the answer is.
func (c *Checker) shown(call *history.APICall, t target, w span, v *history.Version) {
	if call.Group == "apiextensions.k8s.io" || v.Unread || call.Object.Content == 0 || v.Content == 0 || call.Object.Content == v.Content || t.finalized(w, v) {
		return
	}
	c.fail(NoLostUpdate, func() *evidence {
		return because("the answer to a write shows another content than its version has").
			call(call).version(t.at(v.Revision-1), v.Revision-1).version(v, v.Revision)
	})
}

// finalized says that a write may be the one that removed the last finalizer of
// a deleted object: it removes the object, and what it sets is never stored (AS
// registry/generic/registry/store.go, deleteWithoutFinalizers). It is answered
// with the version that it found, even if it removed a later one: where another
// write comes between, the removal is tried again on what that has left.
func (t target) finalized(w span, v *history.Version) bool {
	if !v.Deleting {
		return false
	}
	next := t.next(v.Revision)
	for next != nil && next.Deleting && next.Revision <= w.hi {
		next = t.next(next.Revision)
	}
	return next != nil && next.Delete && next.Revision <= w.hi
}

// neverCommitted judges an answer with a version that the object never had. No
// write answers with such a one: one that changes nothing answers with the
// current version, and the PUT that removes the last finalizer with that which
// it removed.
func (c *Checker) neverCommitted(call *history.APICall, t target, w span) {
	guarantee := NoLostUpdate
	if call.Object.Version <= w.lo {
		guarantee = RVMonotonic // a revision from before the call
	}
	c.judged[guarantee]++
	c.fail(guarantee, func() *evidence {
		return because("a write was answered with version %d, which the object never had", call.Object.Version).
			call(call).states(t, w)
	})
}

// repeated judges the answers to two writes of a key by real time.
func (c *Checker) repeated(call *history.APICall, t target) {
	now := acked{call.Object.Version, call.ID, call.Called, call.Returned}
	before, ok := c.acked[t]
	if !ok || now.version > before.version {
		c.acked[t] = now
	}
	if !ok {
		return
	}
	c.counts.repeated++
	lower := now.version < before.version || now.version == before.version && call.Verb == "create"
	if !lower || before.returned >= call.Called {
		return
	}
	c.fail(RVMonotonic, func() *evidence {
		e := because("a write was called after another one of the same object had been answered with version %d, "+
			"and was answered with version %d", before.version, now.version)
		e.rows = append(e.rows, row{From: before.called, To: before.returned, What: "#" + utoa(before.id),
			Text: "write of " + join(call.Resource, t.namespace, t.name) + " -> version " + utoa(uint64(before.version))})
		return e.call(call)
	})
}

// current judges the version of an answer by the window: it was the object's
// version at some moment of the call, and that of a create is new.
func (c *Checker) current(call *history.APICall, t target, w span, v *history.Version) {
	next := t.next(v.Revision)
	var why string
	switch {
	case v.Revision > w.hi:
		why = "a write was answered with a version from after its return"
	case next != nil && next.Revision <= w.lo:
		why = "a write was answered with a version that had been replaced before it was called"
	case call.Verb == "create" && v.Revision <= w.lo:
		why = "a create was answered with a version from before its call"
	default:
		return
	}
	c.fail(RVMonotonic, func() *evidence {
		e := because("%s", why).call(call).version(v, v.Revision)
		if next != nil {
			e.version(next, next.Revision)
		}
		return e.states(t, w)
	})
}

// uid judges the uid that an answer shows.
func (c *Checker) uid(call *history.APICall, v *history.Version) {
	if v.Unread {
		c.counts.unread++
		return
	}
	if call.Object.UID != v.UID {
		c.fail(IdentityStable, func() *evidence {
			return because("the answer to a write shows the uid %s, the object had %s", call.Object.UID, v.UID).
				call(call).version(v, v.Revision)
		})
	}
}

// replaced judges a write that named a version or a uid and succeeded: it
// replaced exactly that, or changed nothing, or found nothing and created. What
// was there before the call it did not make, so it has found just that.
func (c *Checker) replaced(call *history.APICall, t target, w span, v, prev *history.Version) {
	n := needs(call)
	if call.Verb == "create" || !n.any() || n.bad {
		return
	}
	if !c.known(t, v.Revision-1) {
		c.open[ConflictHonest]++
		return
	}
	c.judged[ConflictHonest]++
	created := prev == nil && n.uid == "" && creates(call)
	made := prev != nil && prev.Revision == n.version && v.Revision > w.lo
	version := n.version == 0 || n.version == v.Revision || made || created
	uid := n.uid == "" || v.Unread || v.UID == n.uid
	if version && uid {
		return
	}
	c.fail(ConflictHonest, func() *evidence {
		return because("a write succeeded on another object than the one it asked for").
			call(call).version(prev, v.Revision-1).version(v, v.Revision)
	})
}

// deleted judges a DELETE that succeeded.
func (c *Checker) deleted(call *history.APICall, t target) {
	if call.Subresource != "" {
		c.counts.excepted++
		return
	}
	w := c.span(call)
	c.precondition(call, t, w)
	uid := shownUID(call)
	if uid != "" {
		c.decide(IdentityStable, call, t, func(v *history.Version) bool { return v != nil && (v.Unread || v.UID == uid) },
			"the answer to a DELETE shows a uid that the object did not have")
	}
	// The removal may have been followed by a create, so what was deleted is
	// told by its uid where the answer has one. What nothing holds does not stay
	// marked; namespaces have finalizers of their own kind, in their spec.
	gone := func(v *history.Version) bool {
		return v == nil || v.Unread || uid != "" && v.UID != uid ||
			v.Deleting && (v.Grace > 0 || len(v.Finalizers) > 0 || call.Resource == "namespaces")
	}
	c.decide(NoLostUpdate, call, t, gone, "a DELETE succeeded, but the object stayed, and nothing holds it")
}

// precondition judges the preconditions of a DELETE that succeeded. They were
// checked against what it found, and again against what it replaced; the second
// of its two commits finds the version of the first.
func (c *Checker) precondition(call *history.APICall, t target, w span) {
	n := needs(call)
	if !n.any() || n.bad {
		return
	}
	c.decide(PreconditionHonest, call, t, n.meets, "a DELETE succeeded although nothing fulfilled its precondition")
	uid := shownUID(call)
	if n.uid != "" && uid != "" && uid != n.uid {
		c.fail(PreconditionHonest, func() *evidence {
			return because("a DELETE of uid %s succeeded with uid %s", n.uid, uid).call(call).states(t, w)
		})
	}
	rev := call.Object.Version
	// During its grace an object is answered as it was found.
	if n.version == 0 || rev == n.version || rev <= w.lo || rev > w.hi || !t.changedAt(rev) {
		return
	}
	prev := t.at(rev - 1)
	if prev == nil || prev.Revision == n.version {
		return
	}
	if prev.Deleting {
		if before := t.at(prev.Revision - 1); before != nil && before.Revision == n.version {
			return
		}
	}
	c.fail(PreconditionHonest, func() *evidence {
		return because("a DELETE of version %d removed another one", n.version).call(call).version(prev, rev-1).states(t, w)
	})
}

// shownUID is the uid that the answer to a DELETE shows: that of the object, or
// of the details of a Status.
func shownUID(call *history.APICall) string {
	if call.Object.UID != "" {
		return call.Object.UID
	}
	return call.DetailsUID
}

// changedAt says whether a revision changed the object.
func (t target) changedAt(rev int64) bool {
	next := t.next(rev - 1)
	return next != nil && next.Revision == rev
}
