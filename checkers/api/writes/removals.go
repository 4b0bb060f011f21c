package writes

import (
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// This file is about who removes objects, and marks them for deletion. Of the
// objects of contract traffic, which bear marks, nobody does so of his own accord
// who is not recorded, but for the controllers of others.

// deletion is a call that may remove objects, or mark them for deletion.
type deletion struct {
	effect
	dry  *history.APICall // the call if it was a dry run, else nil
	need need
	uid  string // that the answer shows; "": none
	// release says that the call is an update: it removes only what it finds marked
	// for deletion, if it takes the last finalizer off.
	release bool
}

// sweeper is a deletion of a collection.
type sweeper struct {
	deletion
	kind      *versions.Kind
	namespace string // "": all
	selector  versions.Selector
	vague     bool             // what it selects is not known
	call      *history.APICall // without what it was answered
}

// noteDeletion keeps calls that may remove something, dry runs too, because the
// effect of one that was only to be tried is told from that of others. Kubelets
// are left out: they delete the pods that are bound to them, and so may others
// (see others).
func (c *Checker) noteDeletion(call *history.APICall, t target) {
	if call.Class == history.ClassKubelet || powerless(call) {
		return
	}
	switch {
	case call.Verb == "deletecollection":
		c.noteSweeper(call, t)
	case call.Verb == "delete" && call.Subresource == "", call.Verb == "create" && call.Subresource == "eviction":
		c.keep(call, t, false, marked)
	case call.Verb == "update" || call.Verb == "patch":
		if unknown(call) || call.Opaque || call.Object.UID == "" || call.Object.Deleting {
			c.keep(call, t, true, doomed)
		}
	}
}

// newDeletion takes of a call what bears on what it may have removed.
func (c *Checker) newDeletion(call *history.APICall) deletion {
	d := deletion{effect: c.effect(call), need: needs(call), uid: shownUID(call)}
	if call.DryRun { // others only excuse
		d.dry = call.Clone()
		c.lateFor(d.after + 1)
	}
	return d
}

// keep keeps a deletion, unless it has had its effect and found nothing that is as
// it has to be.
func (c *Checker) keep(call *history.APICall, t target, release bool, as func(*history.Version) bool) {
	if e := c.effect(call); !unknown(call) && !t.sometimes(span{lo: e.after, hi: e.upto}, as) {
		return
	}
	d := c.newDeletion(call)
	d.release = release
	c.removers[t] = append(c.removers[t], d)
}

func (c *Checker) noteSweeper(call *history.APICall, t target) {
	asked := *call
	asked.Items, asked.Chunks = nil, nil
	s := sweeper{deletion: c.newDeletion(&asked), kind: t.kind, namespace: call.Namespace, call: asked.Clone()}
	var err error
	s.selector, err = versions.ParseSelector(call.LabelSelector, call.FieldSelector)
	s.vague = err != nil || call.Opaque || call.ResourceVersion != ""
	c.sweepers = append(c.sweepers, s)
}

// opaque takes a call of which nothing is known but what was asked for: it may
// have removed something.
func (c *Checker) opaque(call *history.APICall) {
	if kind := c.table.Kind(call.Group, call.Resource); kind != nil && call.Resource != "events" {
		c.noteDeletion(call, target{kind, call.Namespace, call.Name})
	}
}

// powerless says that a call surely removed nothing: its answer is one that comes
// before anything is written. A DELETE may be refused for another reason when it has
// marked the object already, for it may write twice (AS registry/generic/registry/
// store.go Delete). Other writes that were refused have done nothing.
func powerless(call *history.APICall) bool {
	switch call.Status {
	case 400, 401, 404, 405, 406, 415, 422:
		return true
	}
	return call.Status >= 400 && call.DryRun ||
		call.Status >= 400 && call.Status < 500 && call.Verb != "delete" && call.Verb != "deletecollection"
}

func marked(v *history.Version) bool { return v != nil && (v.Unread || len(v.Marks) > 0) }

// doomed says that an update which leaves no finalizer removes the object (AS
// registry/generic/registry/store.go ShouldDeleteDuringUpdate).
func doomed(v *history.Version) bool { return v != nil && (v.Unread || v.Deleting && v.Grace == 0) }

// held says that an object has a finalizer of somebody else than the garbage
// collector: a DELETE marks it, and only an update removes it.
func held(v *history.Version) bool {
	return slices.ContainsFunc(v.Finalizers, func(f string) bool { return !collectors(f) })
}

// loose is the contrary of held.
func loose(v *history.Version) bool { return v != nil && (v.Unread || !held(v)) }

// explains says whether a deletion of an object may have made now of prev. Both
// kinds of it remove whatever has the name when it comes to that, which may be
// something else than what they had looked at, even with finalizers
// (docs/findings/0004; AS registry/generic/registry/store.go Delete, whose second
// step knows the preconditions of the request only).
func (d *deletion) explains(t target, now, prev *history.Version) bool {
	if !d.at(now.Revision) {
		return false
	}
	before := span{lo: d.after, hi: now.Revision - 1}
	if d.release {
		return now.Delete && t.sometimes(before, doomed)
	}
	if d.need.any() && !d.need.bad && !d.need.meets(prev) {
		return false
	}
	// What was marked may be another life than the one that was removed, and shown.
	if now.Delete && d.uid != "" && d.uid != prev.UID {
		return false
	}
	return !now.Delete || !held(prev) || t.sometimes(before, loose)
}

// may says whether a deletion of a collection is about an object.
func (s *sweeper) may(t target) bool {
	return s.kind == t.kind && (s.namespace == "" || s.namespace == t.namespace)
}

// selected says whether the object had ever matched, from the call up to a
// revision. The server lists first, and then deletes by name what it found (AS
// registry/generic/registry/store.go DeleteCollection).
func (s *sweeper) selected(t target, rev int64) bool {
	return s.vague || t.sometimes(span{lo: s.after, hi: rev - 1}, func(v *history.Version) bool {
		if v == nil {
			return false
		}
		match, known := s.selector.Matches(v)
		return match || !known
	})
}

// explanation returns a call that may have made now of prev, among dry runs or
// among others; nil: there is none.
func (c *Checker) explanation(t target, now, prev *history.Version, dry bool) *deletion {
	for i := range c.removers[t] {
		if d := &c.removers[t][i]; (d.dry != nil) == dry && d.explains(t, now, prev) {
			return d
		}
	}
	for i := range c.sweepers {
		s := &c.sweepers[i]
		if (s.dry != nil) == dry && s.may(t) && s.explains(t, now, prev) && s.selected(t, now.Revision) {
			return &s.deletion
		}
	}
	return nil
}

// removal judges that an object with marks was removed or marked for deletion:
// somebody asked for it. What is marked and held by nothing is only waiting for its
// end, so that is judged of what a finalizer holds. Of a store that was in use before,
// nobody knows who else uses it.
func (c *Checker) removal(t target, now, prev *history.Version) {
	begins := prev != nil && !prev.Deleting && (now.Delete || now.Deleting)
	ends := prev != nil && prev.Deleting && now.Delete && held(prev)
	if !begins && !ends || len(prev.Marks) == 0 || prev.Unread || now.Unread || now.Revision <= c.from || c.first > 1 {
		return
	}
	if c.explanation(t, now, prev, false) != nil {
		c.counts.removals++
		return
	}
	if c.others(t, now.Revision) {
		c.counts.foreign++
		return
	}
	c.counts.removals++
	if d := c.explanation(t, now, prev, true); d != nil {
		c.fail(DryRunInert, func() *evidence {
			return because("an object was deleted while a dry run of that was called, and by no other call").
				call(d.dry).version(prev, prev.Revision).version(now, now.Revision)
		})
		return
	}
	c.fail(NoLostUpdate, func() *evidence { return c.unasked(t, now, prev) })
}

// unasked is the counter-example of a removal that nobody asked for, with the
// deletion of a collection that was under way if there was one.
func (c *Checker) unasked(t target, now, prev *history.Version) *evidence {
	e := because("an object was removed, or marked for deletion, and no call that was under way asked for that")
	for i := range c.sweepers {
		if s := &c.sweepers[i]; s.dry == nil && s.may(t) && s.at(now.Revision) {
			e.why = "an object was removed, or marked for deletion, while a deletion of a collection was under way that does not select it, and no other call asked for that"
			e.call(s.call)
			break
		}
	}
	return e.version(prev, prev.Revision).version(now, now.Revision)
}

// underWay is how long a request of a controller may be under way: API servers end
// one after a minute (--request-timeout), and the store has what it was asked then.
const underWay = 90 * time.Second

// others says whether somebody may have removed an object, or marked it, by a
// revision, who is not recorded: the namespace controller and the finalizer of
// definitions with all that is in them; the garbage collector for the sake of
// owners, or by taking its own finalizer off an earlier life (docs/findings/0004);
// and those who delete pods.
func (c *Checker) others(t target, rev int64) bool {
	group, resource := t.kind.Name()
	switch {
	case t.namespace != "" && c.ending(c.table.Kind("", "namespaces"), t.namespace, rev),
		custom(group) && c.ending(c.table.Kind("apiextensions.k8s.io", "customresourcedefinitions"), resource+"."+group, rev),
		t.ever(rev, func(v *history.Version) bool { return len(v.Owners) > 0 }),
		group == "" && resource == "pods" && t.ever(rev, disposable):
		return true
	}
	return c.collected(t, rev)
}

// ending says whether what an object is in was not there at a revision, or had
// ever been marked for deletion by then. A table without any of the kind is none of
// API servers.
func (c *Checker) ending(kind *versions.Kind, name string, rev int64) bool {
	if kind == nil {
		return false
	}
	t := target{kind, "", name}
	return t.at(rev) == nil || t.ever(rev+1, func(v *history.Version) bool { return v.Unread || v.Deleting })
}

// disposable says of a pod that others than its clients may delete it, and any later
// one of its name, because some of them ask for that without its uid: one that is
// bound (kubelets, taints, preemption, evictions, and the collector of pods if its
// node is not there), one that has ended, and one that is marked for deletion
// (k8s.io/kubernetes pkg/controller/podgc/gc_controller.go).
func disposable(v *history.Version) bool {
	switch v.Field("status.phase") {
	case "", "Pending", "Running", "Unknown":
		return v.Unread || v.Deleting || v.Field("spec.nodeName") != ""
	}
	return true
}

// collected says whether the garbage collector may still be taking its finalizer off
// an earlier life, whose end it does not know of: what it removes then is whatever
// has the name (k8s.io/kubernetes pkg/controller/garbagecollector/operations.go
// removeFinalizer).
func (c *Checker) collected(t target, rev int64) bool {
	at, _, known := c.window.Commit(rev)
	for v := t.next(0); v != nil && v.Revision < rev; v = t.next(v.Revision) {
		if !v.Deleting || !ofCollector(v) {
			continue
		}
		_, until, ok := c.window.Commit(t.next(v.Revision).Revision)
		if !known || !ok || at.Sub(until) <= underWay {
			return true
		}
	}
	return false
}

// ever says whether the object was as ok wants it at any revision before rev.
func (t target) ever(rev int64, ok func(*history.Version) bool) bool {
	for v := t.next(0); v != nil && v.Revision < rev; v = t.next(v.Revision) {
		if !v.Delete && ok(v) {
			return true
		}
	}
	return false
}

// swept judges a deletion of a collection that succeeded: what it selects all the
// time, and what stays the same object, is marked for deletion in the end. Of what
// does not stay so it may have listed none.
func (c *Checker) swept(call *history.APICall, t target) {
	w := c.span(call)
	sel, err := versions.ParseSelector(call.LabelSelector, call.FieldSelector)
	if err != nil || call.Limit > 0 || call.Continue != 0 || call.ResourceVersion != "" {
		c.counts.vague++
		return
	}
	if !w.whole {
		c.open[NoLostUpdate]++
		return
	}
	c.counts.sweeps++
	for v := range t.kind.List(call.Namespace, sel, w.lo) {
		o := target{t.kind, v.Namespace, v.Name}
		if o.sometimes(w, func(now *history.Version) bool {
			if now == nil || now.Unread || now.Deleting || now.UID != v.UID {
				return true
			}
			match, known := sel.Matches(now)
			return !match || !known
		}) {
			continue
		}
		c.fail(NoLostUpdate, func() *evidence {
			return because("a deletion of a collection succeeded, but an object that it selects stayed as it was").call(call).states(o, w)
		})
	}
}

// rehearses says whether the effect of a dry run of a deletion would be seen: it is
// about an object with marks that nobody else may delete.
func (c *Checker) rehearses(call *history.APICall, t target) bool {
	w := c.span(call)
	seen := func(v *history.Version) bool {
		return v != nil && len(v.Marks) > 0 && !v.Deleting && !c.others(target{t.kind, v.Namespace, v.Name}, w.lo+1)
	}
	if call.Verb == "delete" {
		return seen(t.at(w.lo))
	}
	sel, err := versions.ParseSelector(call.LabelSelector, call.FieldSelector)
	if err != nil {
		return false
	}
	for v := range t.kind.List(call.Namespace, sel, w.lo) {
		if seen(v) {
			return true
		}
	}
	return false
}
