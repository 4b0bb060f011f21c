package apipower

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
)

// world is a control plane that answers one request after the other, each right
// and at once, and records everything. Its histories are tiny.
type world struct {
	b      *Base
	window *window.Builder
	now    history.Time
	rev    int64
	id     uint64
	state  map[string]*history.Version
	ops    []*history.StoreOp
}

const (
	step = history.Time(500 * time.Millisecond)
	tick = history.Time(time.Millisecond)
)

func newWorld() *world {
	return &world{b: &Base{Name: "tiny", Calm: 1}, window: window.New(), now: history.Time(time.Hour), rev: 1, state: map[string]*history.Version{}}
}

func path(resource, ns, n string) string { return "/registry/" + resource + "/" + ns + "/" + n }

// call begins a request, which the store sees a tick later.
func (w *world) call(verb, resource, ns, n string) *history.APICall {
	w.now += step
	w.id++
	c := &history.APICall{
		ID: w.id, Class: history.ClassContract, Server: "one", Called: w.now, Returned: w.now + 3*tick,
		Verb: verb, Version: "v1", Resource: resource, Namespace: ns, Name: n, Status: 200,
	}
	w.b.Calls = append(w.b.Calls, c)
	w.op(history.MethodRange, history.StoreAction{Kind: history.ActionRange, Key: path(resource, ns, n)})
	return c
}

func (w *world) op(method history.StoreMethod, a history.StoreAction) {
	w.store(&history.StoreOp{
		Method: method, Called: w.now + tick, Returned: w.now + 2*tick,
		Then: []history.StoreAction{a}, Header: w.rev, Succeeded: true, Results: []history.StoreResult{{Header: w.rev}},
	})
}

func (w *world) store(op *history.StoreOp) {
	op.ID = uint64(len(w.ops) + 1)
	w.ops = append(w.ops, op)
	w.window.StoreOp(op)
}

// commit stores a version.
func (w *world) commit(v *history.Version) *history.Version {
	w.rev++
	v = v.Clone()
	v.Revision, v.Content = w.rev, uint64(w.rev)*7919
	w.b.Versions = append(w.b.Versions, v)
	w.op(history.MethodTxn, history.StoreAction{Kind: history.ActionPut, Key: v.Key, Value: v.Content})
	w.state[v.Key] = v
	return v
}

func (w *world) answer(c *history.APICall, v *history.Version) {
	c.Object = show(v)
}

func (w *world) create(resource, ns, n, client string) *history.APICall {
	c := w.call("create", resource, ns, n)
	key := path(resource, ns, n)
	if old := w.state[key]; old != nil {
		exists(c)
		return c
	}
	v := w.commit(&history.Version{
		Key: key, Resource: resource, Kind: resource, Namespace: ns, Name: n, UID: fmt.Sprint("uid-", w.rev),
		Created: 1, Generation: 1, Labels: []history.Pair{{Name: "color", Value: "blue"}}, Marks: []history.Pair{{Name: client, Value: fmt.Sprint(w.rev)}},
	})
	c.Status, c.Declared, c.Sets = 201, true, slices.Clone(v.Marks)
	w.answer(c, v)
	return c
}

// write sets a client's mark; version, if there is one, is what it needs.
func (w *world) write(verb, resource, ns, n, client, version string) *history.APICall {
	c := w.call(verb, resource, ns, n)
	old := w.state[path(resource, ns, n)]
	c.NeedVersion, c.Declared = version, true
	c.Sets = []history.Pair{{Name: client, Value: fmt.Sprint(client, w.rev)}}
	if verb == "patch" {
		c.ContentType = "application/merge-patch+json"
	}
	switch {
	case old == nil:
		notFound(c)
	case version != "" && version != fmt.Sprint(old.Revision):
		conflict(c)
	default:
		v := old.Clone()
		remark(v, client, c.Sets[0].Value)
		w.answer(c, w.commit(v))
	}
	return c
}

// dry asks for a dry run, which succeeds.
func (w *world) dry(verb, resource, ns, n string) {
	c := w.call(verb, resource, ns, n)
	c.DryRun = true
	if old := w.state[path(resource, ns, n)]; old != nil {
		c.NeedVersion = fmt.Sprint(old.Revision)
		w.answer(c, old)
	} else {
		c.Status, c.Object = 201, history.APIObject{Namespace: ns, Name: n, UID: "dry"}
	}
}

// remove deletes an object, if it has the version; with a finalizer it is only
// marked first.
func (w *world) remove(resource, ns, n, version string, finalizer bool) {
	c := w.call("delete", resource, ns, n)
	c.NeedVersion, c.Declared = version, true
	key := path(resource, ns, n)
	old := w.state[key]
	switch {
	case old == nil:
		notFound(c)
		return
	case version != "" && version != fmt.Sprint(old.Revision):
		conflict(c)
		return
	case finalizer:
		v := old.Clone()
		v.Deleting, v.Finalizers = true, []string{"hold"}
		w.answer(c, w.commit(v))
		return
	}
	w.answer(c, old)
	w.commit(&history.Version{Key: key, Delete: true, Resource: resource})
	delete(w.state, key)
}

// paint gives an object another color.
func (w *world) paint(resource, ns, n, color string) {
	w.write("patch", resource, ns, n, "a", "")
	w.state[path(resource, ns, n)].Labels = []history.Pair{{Name: "color", Value: color}}
}

// sweep deletes the objects of a color, one after the other.
func (w *world) sweep(resource, ns, color string) {
	c := w.call("deletecollection", resource, ns, "")
	c.Declared, c.LabelSelector, c.ListVersion = true, "color="+color, w.rev
	c.Items = learn(nil, nil, w.b.Versions).state(c, w.rev)
	for _, o := range c.Items {
		key := path(resource, ns, o.Name)
		w.commit(&history.Version{Key: key, Delete: true, Resource: resource})
		delete(w.state, key)
	}
}

func (w *world) get(resource, ns, n, version string) {
	c := w.call("get", resource, ns, n)
	c.ResourceVersion = version
	if v := w.state[path(resource, ns, n)]; v != nil {
		w.answer(c, v)
	} else {
		notFound(c)
	}
}

// list answers at the newest revision, at the one that is asked for, or at that
// of the page before.
func (w *world) list(resource, ns, version, match string, limit int64, prev *history.APICall) *history.APICall {
	c := w.call("list", resource, ns, "")
	c.ResourceVersion, c.Match, c.Limit, c.ListVersion = version, match, limit, w.rev
	if match == "Exact" {
		c.ListVersion, _ = strconv.ParseInt(version, 10, 64)
	}
	f, after := learn(nil, nil, w.b.Versions), ""
	if prev != nil {
		c.Continue, c.ListVersion, after = prev.NextPage, prev.ListVersion, lastKey(prev)
	}
	items := f.page(c, c.ListVersion, after)
	if limit > 0 && len(items) > 0 && f.more(c, c.ListVersion, items[len(items)-1].Key()) {
		c.NextPage = w.id
	}
	if c.Items = items; len(items) > history.MaxListed {
		c.Items, c.Chunks = nil, history.ChunkObjects(items)
	}
	return c
}

// watch opens a watch now; finish fills it.
func (w *world) watch(resource, ns, version string, initial bool) {
	c := w.call("watch", resource, ns, "")
	c.ResourceVersion, c.Bookmarks = version, true
	if initial {
		c.InitialEvents, c.Match = "true", "NotOlderThan"
	}
}

// lag reads from a cache that is behind, and may be.
func (w *world) lag(cm string, rev int64) {
	old := w.state[path(cm, "n", "e")]
	w.write("patch", cm, "n", "e", "b", "")
	get := w.call("get", cm, "n", "e")
	get.ResourceVersion = fmt.Sprint(old.Revision)
	w.answer(get, old)
	w.list(cm, "n", fmt.Sprint(rev), "Exact", 0, nil).Match = "NotOlderThan"
}

// finish delivers everything to the watches, and a bookmark behind each event.
func (w *world) finish() *Base {
	w.b.Window, w.b.Calm = w.window.Window(), 1
	f := learn(w.b.Calls, nil, w.b.Versions)
	for _, c := range w.b.Calls {
		if c.Verb != "watch" {
			continue
		}
		at := c.Returned
		say := func(kind string, o history.APIObject, end bool) {
			w.b.Watches = append(w.b.Watches, &history.APIWatch{Call: c.ID, Type: kind, At: at, Object: o, InitialEnd: end})
		}
		say(history.APIWatchOpen, history.APIObject{}, false)
		from, _ := number(c.ResourceVersion)
		if !plain(c) {
			from = w.b.Window.Lo(c.Returned)
			for _, o := range f.state(c, from) {
				say("ADDED", o, false)
			}
			say("BOOKMARK", history.APIObject{Version: from}, true)
		}
		for _, e := range f.owed(c) {
			if e.object.Version <= from {
				continue
			}
			_, committed, _ := w.b.Window.Commit(e.object.Version)
			at = max(at, committed+tick)
			say(e.kind, e.object, false)
			say("BOOKMARK", history.APIObject{Version: e.object.Version}, false)
		}
		at = w.now + step
		w.b.Watches = append(w.b.Watches, &history.APIWatch{Call: c.ID, Type: history.APIWatchClosed, At: at, Error: history.ClosedByClient})
	}
	w.b.Learn()
	return w.b
}

func tiny() *Base {
	b := script().finish()
	b.Calm = 1
	return b
}

// flawed is a request with a flaw, and its documented answer.
func (w *world) flawed(verb, what string, status int32, reason string) {
	c := w.call(verb, "configmaps", "n", "a")
	c.Illegal, c.Status, c.Reason = what, status, reason
	if verb == "patch" {
		c.ContentType = "application/merge-patch+json"
	}
}

// script makes a history in which every lie has a place.
func script() *world {
	w := newWorld()
	node := w.commit(&history.Version{Key: "/registry/minions/node-0", Resource: "nodes", Kind: "Node", Name: "node-0", UID: "node", Created: 1,
		Fields: []history.Pair{{Name: "allocatable.cpu", Value: "4000"}, {Name: "allocatable.memory", Value: "64000000"},
			{Name: "allocatable.pods", Value: "110"}, {Name: "ready", Value: "True"}}})
	w.now += step
	w.commit(node)
	for i := range 70 {
		w.create("secrets", "n", fmt.Sprintf("s-%02d", i), "a")
	}
	const cm = "configmaps"
	names := []string{"a", "b", "c", "d", "e"}
	for round := range 3 {
		w.watch(cm, "n", "", false)
		w.watch(cm, "n", "0", false)
		for i, n := range names {
			w.create(cm, "n", n, "a")
			w.create(cm, "m", n, "a")
			w.create(cm, "n", n, "a") // exists
			w.write("patch", cm, "n", n, "b", "")
			w.write("update", cm, "n", n, "a", fmt.Sprint(w.rev))
			w.write("update", cm, "n", n, "a", fmt.Sprint(w.rev-1))
			w.write("patch", cm, "n", n, "a", fmt.Sprint(w.rev-1))
			w.write("patch", cm, "n", n, "b", "")
			w.write("patch", cm, "n", n, "a", "")
			w.get(cm, "n", n, "")
			w.get(cm, "n", n, "0")
			w.get(cm, "n", n, fmt.Sprint(w.rev))
			w.dry("update", cm, "n", n)
			w.dry("create", cm, "n", fmt.Sprintf("dry-%d-%d", round, i))
			w.remove(cm, "n", n, fmt.Sprint(w.rev-1), false)
		}
		gone := fmt.Sprint("gone-", round)
		w.create(cm, "n", gone, "a")
		w.remove(cm, "n", gone, "", false)
		rev := w.rev
		w.watch(cm, "n", fmt.Sprint(rev-12), false)
		w.watch(cm, "n", fmt.Sprint(rev), true)
		w.write("patch", "secrets", "n", "s-03", "b", "")
		w.lists(cm, rev)
		for _, n := range names {
			w.remove(cm, "n", n, "", n == "b")
			w.get(cm, "n", n, "")
			w.write("patch", cm, "n", n, "a", "")
			w.remove(cm, "n", n+"-no", "", false)
			w.write("update", cm, "n", n+"-no", "a", "")
			w.write("patch", cm, "n", n+"-no", "a", "")
			w.remove(cm, "m", n, "", false)
		}
		w.remove(cm, "n", "b", fmt.Sprint(w.rev), false)
		w.list(cm, "n", "", "", 0, nil)
		w.list(cm, "", "", "", 0, nil)
		w.swept(cm, round)
	}
	return w
}

// swept makes some objects in a namespace of their own, and deletes those of a color.
func (w *world) swept(cm string, round int) {
	for i := range 3 {
		w.create(cm, "k", fmt.Sprintf("swept-%d-%d", round, i), "a")
	}
	w.paint(cm, "k", fmt.Sprintf("swept-%d-0", round), "red")
	w.sweep(cm, "k", "blue")
}

// lists reads in all ways, with a write between two pages, and a compaction.
func (w *world) lists(cm string, rev int64) {
	w.list("secrets", "n", "", "", 0, nil)
	w.list("secrets", "n", "0", "", 0, nil)
	w.list(cm, "n", "", "", 0, nil)
	w.list(cm, "n", "0", "", 0, nil)
	w.list(cm, "n", fmt.Sprint(rev), "NotOlderThan", 0, nil)
	w.write("patch", cm, "n", "e", "a", "")
	w.list(cm, "n", fmt.Sprint(rev), "NotOlderThan", 0, nil)
	w.list(cm, "n", fmt.Sprint(rev), "Exact", 0, nil)
	w.lag(cm, rev)
	first := w.list(cm, "n", "", "", 2, nil)
	w.write("patch", cm, "n", "d", "a", "")
	w.write("patch", cm, "n", "e", "a", "")
	w.write("patch", cm, "n", "a", "a", "")
	second := w.list(cm, "n", "", "", 2, first)
	w.write("patch", cm, "n", "e", "b", "")
	w.list(cm, "n", "", "", 2, second)
	w.call("list", cm, "n", "").Match = "Exact"
	c := w.b.Calls[len(w.b.Calls)-1]
	c.Status, c.Reason = 422, "Invalid"
	w.flawed("patch", history.UnknownDryRun, 422, "Invalid")
	w.flawed("patch", history.PatchNoJSON, 400, "BadRequest")
	w.flawed("delete", history.PropagationTwice, 422, "Invalid")
	w.flawed("update", history.OtherName, 400, "BadRequest")
	w.now += step
	w.store(&history.StoreOp{Method: history.MethodCompact, Revision: rev - 5, Called: w.now, Returned: w.now + tick, Header: w.rev})
	gone := w.list(cm, "n", fmt.Sprint(rev-9), "Exact", 0, nil)
	expired(gone)
	future := w.call("get", cm, "n", "a")
	future.ResourceVersion = fmt.Sprint(w.rev + 1000)
	tooLarge(future)
}
