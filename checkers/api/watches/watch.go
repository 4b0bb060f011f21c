package watches

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// phase is how far a watch has come.
type phase int

const (
	initial phase = iota // its initial events are coming
	waiting              // it began at a revision that is not known yet
	walking              // its start is known, and it walks along the changes
	failed               // it has ended with an error
)

// watch is one open watch.
type watch struct {
	call   *history.APICall
	server *server
	res    *resource // nil: it is not judged
	group  *group
	sel    versions.Selector
	opened history.Time
	phase  phase
	// unknown says that something that the judgement needs is not in the table.
	unknown bool

	needed   int64 // the initial state is not older
	wantsEnd bool  // a bookmark must end the initial events
	ended    bool  // it has come
	endedAt  int64 // the revision that it named
	seen     []seen
	keys     map[*object]int64 // of seen, with their revisions

	start  int64
	next   int   // the first of the group's entries that is not accounted for
	passed int64 // everything up to here is accounted for
	owed   []debt

	last, bookmark     int64
	lastAt, bookmarkAt history.Time
	served             bool // it has shown that the server took it
}

// seen is an initial event.
type seen struct {
	rev int64
	at  history.Time
	obj *object
}

// debt is a change that was passed by.
type debt struct {
	entry
	kind    string // of the event that is missing
	by      row    // what passed it by
	claimed bool   // a bookmark said that it was delivered
}

func (c *Checker) newWatch(call *history.APICall) *watch {
	w := &watch{call: brief(call), opened: call.Returned, server: c.server(call)}
	if call.Resource == "events" && (call.Group == "" || call.Group == "events.k8s.io") {
		c.counts.excepted++
		return w
	}
	res := c.resource(call.Group, call.Resource)
	sel, ok := sought(call)
	switch {
	case call.Subresource != "":
		c.skip(call, "of a subresource")
		return w
	case !ok:
		c.skip(call, "by a selector that is none")
		return w
	case res == nil:
		c.skip(call, "which are not known to be stored")
		return w
	}
	if w.call.Namespace == w.call.Name && call.Group == "" && call.Resource == "namespaces" {
		w.call.Namespace = ""
	}
	field, value := pin(w.call)
	w.res, w.sel, w.group = res, sel, res.group(field, value)
	c.begin(w)
	return w
}

// skip counts a watch that is not judged.
func (c *Checker) skip(call *history.APICall, why string) {
	c.skipped[strings.TrimSuffix(call.Resource+"."+call.Group, ".")+" "+why]++
}

// unread says why a watch could not be judged in full.
func (w *watch) unread() string {
	if fields := w.sel.Unknown(w.call.Group, w.call.Resource); len(fields) > 0 {
		return "by " + strings.Join(fields, " and ") + ", which the version table does not have"
	}
	return "of which a version could not be read, or is without what selects it"
}

// brief copies what a watch needs of its call.
func brief(call *history.APICall) *history.APICall {
	return &history.APICall{
		ID: call.ID, Identity: call.Identity, Server: call.Server, Called: call.Called, Returned: call.Returned,
		Verb: call.Verb, Group: call.Group, Version: call.Version, Resource: call.Resource,
		Namespace: call.Namespace, Name: call.Name, ResourceVersion: call.ResourceVersion, Match: call.Match,
		LabelSelector: call.LabelSelector, FieldSelector: call.FieldSelector,
		Bookmarks: call.Bookmarks, InitialEvents: call.InitialEvents,
	}
}

// from is the revision that a watch asked for, 0 if it named none.
func from(call *history.APICall) int64 {
	rev, err := strconv.ParseInt(call.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return rev
}

// wantsState says whether a watch begins with the state, as the server fills in
// its options (apimachinery, meta/internalversion/defaults.go).
func wantsState(call *history.APICall) bool {
	if call.InitialEvents != "" || call.Match != "" {
		return call.InitialEvents == "true"
	}
	return call.ResourceVersion == "" || call.ResourceVersion == "0"
}

func (c *Checker) begin(w *watch) {
	rev := from(w.call)
	if w.call.ResourceVersion == "" {
		w.needed = c.opt.Window.Lo(w.call.Called)
	} else {
		w.needed = rev
	}
	switch {
	case wantsState(w.call):
		w.phase, w.wantsEnd, w.keys = initial, w.call.Bookmarks, map[*object]int64{}
	case rev > 0:
		c.walkFrom(w, rev)
	default:
		w.phase = waiting
	}
	if rev > c.hi(w.call.Returned) {
		c.counts.future++
	}
}

func (c *Checker) walkFrom(w *watch, rev int64) {
	w.phase, w.start, w.passed, w.next = walking, rev, rev, w.group.after(rev)
}

// matches says whether a watch is about a version.
func (w *watch) matches(v *history.Version) bool {
	switch {
	case v == nil || v.Delete,
		w.call.Namespace != "" && v.Namespace != w.call.Namespace,
		w.call.Name != "" && v.Name != w.call.Name:
		return false
	case v.Unread:
		w.unknown = true
		return false
	}
	match, known := w.sel.Matches(v)
	if !known {
		w.unknown = true
	}
	return match
}

// shows returns the type of the event that a change is for a watch, "" if it is
// none, and the version that it shows.
func (w *watch) shows(s step) (kind string, v *history.Version) {
	before, now := w.matches(s.prev), w.matches(s.now)
	switch {
	case now && before:
		return "MODIFIED", s.now
	case now:
		return "ADDED", s.now
	case before:
		return "DELETED", s.prev
	}
	return "", nil
}

// due is the revision up to which a watch must have shown everything when it ends,
// 0 if there is none: what the store had reached Options.Bound before, if the watch
// was open by then and the faults were over. Only the client's end, or that of the
// history, says that the server had all the time to deliver, and the client read:
// of a watch that ends otherwise nobody knows since when.
func (c *Checker) due(w *watch, at history.Time, byClient bool) int64 {
	bound := c.opt.Bound
	if c.opt.Calm == 0 || bound <= 0 || !byClient || at.Sub(max(w.opened, c.opt.Calm)) <= bound {
		return 0
	}
	return c.opt.Window.Lo(at.Add(-bound))
}

// overdue says how long a watch was open that did not show what it owed.
func (c *Checker) overdue(w *watch) string {
	since := "its opening"
	if c.opt.Calm > w.opened {
		since = "the last fault"
	}
	return "the watch was still open " + c.opt.Bound.String() + " after the commit and " + since
}

// closed judges a watch at its end.
func (c *Checker) closed(w *watch, at history.Time, byClient bool) {
	if w.res == nil {
		return
	}
	due := c.due(w, at, byClient)
	if w.phase == initial {
		c.endInitial(w, due)
	}
	if w.phase == waiting && due > 0 {
		c.walkFrom(w, c.hi(w.opened))
	}
	if w.phase == walking && due > 0 {
		c.counts.owing++
		c.pass(w, due, func() row { return row{From: at, What: "end", Text: c.overdue(w)} })
	}
	for i := range w.owed {
		c.unpaid(w, &w.owed[i])
	}
	if w.unknown {
		c.skip(w.call, w.unread())
	}
	w.owed, w.seen, w.keys = nil, nil, nil
}

// stillOpen returns the watches that have not ended, in the order of their calls.
func (c *Checker) stillOpen() []*watch {
	var list []*watch
	for _, w := range c.open {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *watch) int { return cmp.Compare(a.call.ID, b.call.ID) })
	return list
}
