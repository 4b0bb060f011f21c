package apipower

import (
	"fmt"
	"slices"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
)

// write says that a call may change an object that it names.
func write(c *history.APICall) bool {
	return c.Verb == "create" || c.Verb == "update" || c.Verb == "patch" || c.Verb == "delete"
}

func success(c *history.APICall) bool { return c.Status >= 200 && c.Status < 300 }

// codes are the reasons of metav1.StatusReason with their HTTP codes.
var codes = map[string]int32{
	"BadRequest": 400, "Unauthorized": 401, "Forbidden": 403, "NotFound": 404, "MethodNotAllowed": 405,
	"NotAcceptable": 406, "AlreadyExists": 409, "Conflict": 409, "Gone": 410, "Expired": 410,
	"RequestEntityTooLarge": 413, "UnsupportedMediaType": 415, "Invalid": 422, "TooManyRequests": 429,
}

// illegal says that the options of a list contradict each other.
func illegal(c *history.APICall) bool {
	return c.Verb == "list" && c.Match != "" && (c.ResourceVersion == "" || c.Match == "Exact" && c.ResourceVersion == "0" ||
		c.Match != "Exact" && c.Match != "NotOlderThan" || c.Continue != 0)
}

// callWrong says what is wrong with a call of any verb, "": nothing.
func (f *facts) callWrong(w *window.Window, calls []*history.APICall, c *history.APICall) string {
	if want := codes[c.Reason]; want != 0 && want != c.Status {
		return fmt.Sprintf("%s has the code %d, not %d", c.Reason, want, c.Status)
	}
	if illegal(c) && c.Status != 422 && c.Status < 500 && c.Status != 429 && c.Status != 0 {
		return fmt.Sprintf("illegal options were answered with %d", c.Status)
	}
	if c.Verb == "deletecollection" {
		return f.collectionWrong(w, c)
	}
	if !write(c) {
		return f.readWrong(w, c)
	}
	if c.Verb == "delete" && success(c) && !c.DryRun {
		if why := f.deletionWrong(w, c); why != "" {
			return why
		}
	}
	switch n := called(c); {
	case c.Reason == "Conflict" && c.Cause == "" && (c.Subresource == "" || c.Subresource == "status") && (c.NeedUID != "" || c.NeedVersion != ""):
		if f.sometimes(w, c, func(v *history.Version) bool {
			return !meets(c, v) || c.Verb == "delete" && c.NeedVersion != "" && collected(v)
		}) {
			return ""
		}
		return "what was needed was so all the time"
	case c.Reason == "AlreadyExists":
		if c.GenerateName || f.sometimes(w, c, func(v *history.Version) bool { return v != nil }) {
			return ""
		}
		return n.key() + " did not exist"
	case c.Reason == "NotFound" && c.DetailsName == c.Name:
		if f.sometimes(w, c, func(v *history.Version) bool { return v == nil }) {
			return ""
		}
		return n.key() + " was there all the time"
	case c.Verb == "delete" && success(c) && (c.NeedUID != "" || c.NeedVersion != "") &&
		!f.sometimes(w, c, func(v *history.Version) bool { return v != nil && meets(c, v) }):
		return "it was deleted though what was needed was never so"
	case needing(c) && success(c) && len(f.objects[n]) > 0 && !f.sometimes(w, c, func(v *history.Version) bool { return meets(c, v) }):
		return "it was done though what was needed was never so"
	case success(c) && c.DryRun:
		return f.dryRunWrong(w, calls, c)
	case success(c) && c.Declared && c.Object.UID != "" && c.Subresource == "" && c.Verb != "delete":
		return f.answerWrong(w, calls, c)
	}
	return ""
}

// collected says that an object waits for the garbage collector alone. A deletion
// that names its version is refused then for good (docs/findings/0006).
func collected(v *history.Version) bool {
	others := slices.DeleteFunc(slices.Clone(v.Finalizers), func(f string) bool { return f == "orphan" || f == "foregroundDeletion" })
	return len(v.Finalizers) > 0 && len(others) == 0
}

// needing says that a write needs a version of the object.
func needing(c *history.APICall) bool {
	_, numbered := number(c.NeedVersion)
	return (c.Verb == "update" || c.Verb == "patch") && (c.Subresource == "" || c.Subresource == "status") && numbered
}

// sometimes says that a predicate holds at one of the revisions that the store
// may have been at.
func (f *facts) sometimes(w *window.Window, c *history.APICall, holds func(*history.Version) bool) bool {
	lo, hi := w.Lo(c.Called), w.Hi(c.Returned)
	if holds(f.at(called(c), lo)) {
		return true
	}
	return slices.ContainsFunc(f.objects[called(c)], func(v *history.Version) bool {
		if v.Revision <= lo || v.Revision > hi {
			return false
		}
		if v.Delete {
			v = nil
		}
		return holds(v)
	})
}

func meets(c *history.APICall, v *history.Version) bool {
	return v != nil && (c.NeedUID == "" || c.NeedUID == v.UID) &&
		(c.NeedVersion == "" || c.NeedVersion == fmt.Sprint(v.Revision))
}

// dryRunWrong finds the trace of a dry run: a version of its time that it
// shows, or a removal, that nobody else caused. A version that changed no mark
// may be a controller's, and so may the removals of some objects; their writes are
// in no API history.
func (f *facts) dryRunWrong(w *window.Window, calls []*history.APICall, c *history.APICall) string {
	lo, hi := w.Lo(c.Called), w.Hi(c.Returned)
	for _, v := range f.objects[called(c)] {
		if v.Revision <= lo || v.Revision > hi {
			continue
		}
		prev := f.at(called(c), v.Revision-1)
		marked := prev == nil || len(difference(prev.Marks, v.Marks)) > 0
		shown := !v.Delete && marked && c.Object.Version == v.Revision && c.Object.UID == v.UID && c.Object.Content == v.Content
		removed := c.Verb == "delete" && prev != nil && !prev.Deleting && (v.Delete || v.Deleting) && !f.othersMay(called(c), v.Revision)
		if !shown && !removed {
			continue
		}
		other := slices.ContainsFunc(calls, func(o *history.APICall) bool {
			switch {
			case o == c:
				return false
			case removed:
				return removing(o) && f.mayRemove(w, o, called(c), prev, v) && (o.NeedVersion == "" || o.Verb != "delete" || meets(o, prev))
			}
			return f.mayHaveMade(w, o, c, prev, v)
		})
		if !other {
			return fmt.Sprintf("revision %d is the dry run's", v.Revision)
		}
	}
	return ""
}

// mayHaveMade says that another call than a dry run may have made the version v of prev
// that it shows.
func (f *facts) mayHaveMade(w *window.Window, o, dry *history.APICall, prev, v *history.Version) bool {
	unknown := o.Status == 0 || o.Status >= 500 // it may take effect at any time after its call
	switch {
	case o.DryRun, called(o) != called(dry), !write(o), w.Lo(o.Called) >= v.Revision, !unknown && w.Hi(o.Returned) < v.Revision,
		o.Status >= 400 && o.Status < 500, o.Declared && !setsAll(o, brought(dry, prev, v)):
		return false
	}
	return unknown || o.Object.Version == v.Revision
}

// brought are the marks that a call sets and a version has, but not the one before.
func brought(c *history.APICall, prev, v *history.Version) []history.Pair {
	return slices.DeleteFunc(slices.Clone(c.Sets), func(p history.Pair) bool {
		return !slices.Contains(v.Marks, p) || prev != nil && slices.Contains(prev.Marks, p)
	})
}

// setsAll says that a call sets all of some marks.
func setsAll(o *history.APICall, marks []history.Pair) bool {
	return !slices.ContainsFunc(marks, func(p history.Pair) bool { return !slices.Contains(o.Sets, p) })
}

// answerWrong judges the object that a write answered with. A write that takes
// away the last finalizer removes the object: what it answers with is not stored.
func (f *facts) answerWrong(w *window.Window, calls []*history.APICall, c *history.APICall) string {
	n := name{kindOf(c), c.Object.Namespace, c.Object.Name}
	if c.Object.Deleting && f.removed(n, c.Object, w.Lo(c.Called), w.Hi(c.Returned)) {
		return ""
	}
	for _, o := range calls {
		if o != c && o.Returned < c.Called && called(o) == n && write(o) && o.Verb != "delete" && success(o) && !o.DryRun &&
			o.Subresource == "" && o.Object.Version > c.Object.Version {
			return fmt.Sprintf("version %d was answered before %d was called", o.Object.Version, c.Object.Version)
		}
	}
	if hi := w.Hi(c.Returned); c.Object.Version > hi {
		return fmt.Sprintf("version %d was answered when the store was at %d at most", c.Object.Version, hi)
	}
	i := slices.IndexFunc(f.objects[n], func(v *history.Version) bool { return v.Revision == c.Object.Version && !v.Delete })
	if i < 0 {
		return fmt.Sprintf("version %d of %s was never stored", c.Object.Version, n.key())
	}
	v := f.objects[n][i]
	if v.Content != c.Object.Content || v.UID != c.Object.UID {
		return fmt.Sprintf("version %d of %s is another one", v.Revision, n.key())
	}
	for _, p := range c.Sets {
		if !slices.Contains(v.Marks, p) {
			return fmt.Sprintf("%s=%s is not in version %d", p.Name, p.Value, v.Revision)
		}
	}
	for _, gone := range c.Removes {
		if slices.ContainsFunc(v.Marks, func(p history.Pair) bool { return p.Name == gone }) {
			return fmt.Sprintf("%s is still in version %d", gone, v.Revision)
		}
	}
	return ""
}

// removed says whether the life that an answer shows, from the version that it
// names on, ended at a revision of the window. It may have begun in it, too.
func (f *facts) removed(n name, o history.APIObject, lo, hi int64) bool {
	seen := false
	for _, v := range f.objects[n] {
		switch {
		case !v.Delete && v.Revision == o.Version:
			seen = v.UID == o.UID
		case v.Delete && seen:
			return v.Revision >= lo && v.Revision <= hi
		}
	}
	return false
}

// tableWrong judges the versions of the objects by themselves, by the calls that
// answered with them, and by those that may have removed them.
func (f *facts) tableWrong(w *window.Window, calls []*history.APICall) string {
	owner := map[string]name{} // by uid, of the life that has it
	lives := map[name]int{}
	lifeOf := map[string]int{}
	for n, vs := range f.objects {
		var prev *history.Version
		for _, v := range vs {
			if v.Delete {
				prev = nil
				lives[n]++
				continue
			}
			if why := lifeWrong(prev, v); why != "" {
				return n.key() + ": " + why
			}
			if o, ok := owner[v.UID]; ok && v.UID != "" && (o != n || lifeOf[v.UID] != lives[n]) {
				return fmt.Sprintf("uid %s is that of %s and of %s", v.UID, o.key(), n.key())
			}
			owner[v.UID], lifeOf[v.UID] = n, lives[n]
			prev = v
		}
	}
	if why := f.removedWrong(w, calls); why != "" {
		return why
	}
	return f.marksWrong(calls)
}

func lifeWrong(prev, v *history.Version) string {
	switch {
	case prev == nil:
		return ""
	case prev.UID != v.UID:
		return fmt.Sprintf("another uid at %d", v.Revision)
	case prev.Created != v.Created:
		return fmt.Sprintf("another creationTimestamp at %d", v.Revision)
	case prev.Deleting && !v.Deleting:
		return fmt.Sprintf("no deletionTimestamp any more at %d", v.Revision)
	case prev.Generation > v.Generation:
		return fmt.Sprintf("the generation fell at %d", v.Revision)
	}
	return ""
}

// marksWrong compares each version that a write was answered with, with what
// those writes declare: all of them, because a write that changes nothing is
// answered with the version of another.
func (f *facts) marksWrong(calls []*history.APICall) string {
	type made struct {
		name
		version int64
	}
	declared := map[made]map[string]bool{}
	for _, c := range calls {
		if c.DryRun || !success(c) || c.Object.UID == "" || !write(c) || c.Verb == "delete" {
			continue
		}
		m := made{name{kindOf(c), c.Object.Namespace, c.Object.Name}, c.Object.Version}
		if declared[m] == nil {
			declared[m] = map[string]bool{}
		}
		for _, p := range c.Sets {
			declared[m][p.Name] = true
		}
		for _, gone := range c.Removes {
			declared[m][gone] = true
		}
	}
	for m, names := range declared {
		v, prev := f.at(m.name, m.version), f.at(m.name, m.version-1)
		if v == nil || v.Revision != m.version || prev == nil || prev.UID != v.UID || len(names) == 0 {
			continue
		}
		for _, changed := range difference(prev.Marks, v.Marks) {
			if !names[changed] {
				return fmt.Sprintf("%s of %s changed at %d, by a write that does not touch it", changed, m.key(), v.Revision)
			}
		}
	}
	return ""
}

// difference are the names of the marks that differ.
func difference(a, b []history.Pair) []string {
	var names []string
	for _, p := range a {
		if !slices.Contains(b, p) {
			names = append(names, p.Name)
		}
	}
	for _, p := range b {
		if !slices.Contains(a, p) {
			names = append(names, p.Name)
		}
	}
	return names
}
