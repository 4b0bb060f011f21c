package watches

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

const ms = history.Time(time.Millisecond)

// commit is one revision of a world.
type commit struct {
	at        history.Time
	kind      string           // resource
	ns, name  string           //
	now, prev *history.Version // nil: nothing
}

// world is a store whose every state is known. It knows nothing of package
// versions but how to fill its table.
type world struct {
	rng     *rand.Rand
	commits []commit // of revision first+1+i
	first   int64
	live    map[string]*history.Version // by kind/ns/name
	clock   history.Time
	uids    int
	told    []*tale // what tales made
	lists   []history.StoreOp
}

// listOf is a list of everything below a folder of the store.
func listOf(folder string, rev int64, returned history.Time) history.StoreOp {
	return history.StoreOp{
		Method: history.MethodRange, Called: returned - ms, Returned: returned, Header: rev,
		Then:    []history.StoreAction{{Kind: history.ActionRange, Key: folder, End: folder[:len(folder)-1] + "0"}},
		Results: []history.StoreResult{{}},
	}
}

func newWorld(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 7)), first: 1, live: map[string]*history.Version{}, clock: 1000 * ms}
}

func (w *world) rev() int64 { return w.first + int64(len(w.commits)) }

// write commits a version, or a removal if v is nil.
func (w *world) write(kind, ns, name string, v *history.Version) {
	w.clock += 5*ms + history.Time(w.rng.IntN(10))*ms
	key := kind + "/" + ns + "/" + name
	c := commit{at: w.clock, kind: kind, ns: ns, name: name, now: v, prev: w.live[key]}
	w.commits = append(w.commits, c)
	if v == nil {
		delete(w.live, key)
		return
	}
	v.Revision, v.Key, v.Resource, v.Namespace, v.Name = w.rev(), "/registry/"+key, kind, ns, name
	if v.UID == "" {
		w.uids++
		v.UID = fmt.Sprintf("uid-%d", w.uids)
		if c.prev != nil {
			v.UID = c.prev.UID
		}
	}
	v.Content = uint64(w.rev()) * 0x9e3779b97f4a7c15
	w.live[key] = v
}

// pod commits a pod on a node with a label.
func (w *world) pod(ns, name, node, app string) {
	v := &history.Version{Kind: "Pod", Labels: []history.Pair{{Name: "app", Value: app}}}
	if node != "" {
		v.Fields = []history.Pair{{Name: "spec.nodeName", Value: node}}
	}
	w.write("pods", ns, name, v)
}

// churn commits n random revisions.
func (w *world) churn(n int) {
	for range n {
		ns, name := fmt.Sprintf("ns-%d", w.rng.IntN(2)), fmt.Sprintf("p-%d", w.rng.IntN(9))
		switch old := w.live["pods/"+ns+"/"+name]; {
		case w.rng.IntN(6) == 0:
			w.write("configmaps", "ns-0", "noise", &history.Version{Kind: "ConfigMap"})
		case old != nil && w.rng.IntN(4) == 0:
			w.write("pods", ns, name, nil)
		default:
			node := []string{"", "n-0", "n-1"}[w.rng.IntN(3)]
			if old != nil {
				if had := old.Field("spec.nodeName"); had != "" {
					node = had
				}
			}
			w.pod(ns, name, node, []string{"x", "y"}[w.rng.IntN(2)])
		}
	}
}

// table and window are what the checker is given.
func (w *world) table() *versions.Table {
	t := versions.New()
	for i, c := range w.commits {
		v := c.now
		if v == nil {
			v = &history.Version{Key: "/registry/" + c.kind + "/" + c.ns + "/" + c.name, Resource: c.kind, Delete: true, Revision: w.first + 1 + int64(i)}
		}
		t.Add(v)
	}
	t.Sealed(w.rev())
	return t
}

func (w *world) window() *window.Window {
	b := window.New()
	for i, c := range w.commits {
		b.StoreOp(&history.StoreOp{
			Method: history.MethodPut, Called: c.at - 2*ms, Returned: c.at + 2*ms, Header: w.first + 1 + int64(i),
			Then: []history.StoreAction{{Kind: history.ActionPut, Key: "k"}}, Results: []history.StoreResult{{}},
		})
	}
	for i := range w.lists {
		b.StoreOp(&w.lists[i])
	}
	return b.Window()
}

// at is the revision of the store at a time.
func (w *world) at(t history.Time) int64 {
	rev := w.first
	for i, c := range w.commits {
		if c.at <= t {
			rev = w.first + 1 + int64(i)
		}
	}
	return rev
}

func (w *world) commit(rev int64) commit { return w.commits[rev-w.first-1] }

// query is what a watch selects.
type query struct{ ns, name, node, app, notApp string }

func (q query) picks(v *history.Version) bool {
	if v == nil {
		return false
	}
	app, _ := v.Label("app")
	return (q.ns == "" || v.Namespace == q.ns) && (q.name == "" || v.Name == q.name) &&
		(q.node == "" || v.Field("spec.nodeName") == q.node) && (q.app == "" || app == q.app) && (q.notApp == "" || app != q.notApp)
}

func (q query) call(c *history.APICall) {
	c.Namespace = q.ns
	switch {
	case q.name != "":
		c.FieldSelector = "metadata.name=" + q.name
	case q.node != "":
		c.FieldSelector = "spec.nodeName=" + q.node
	}
	switch {
	case q.app != "":
		c.LabelSelector = "app=" + q.app
	case q.notApp != "":
		c.LabelSelector = "app!=" + q.notApp
	}
}

// state returns what a query selects at a revision.
func (w *world) state(q query, rev int64) []*history.Version {
	live := map[string]*history.Version{}
	var names []string
	for r := w.first + 1; r <= rev; r++ {
		c := w.commit(r)
		if c.kind != "pods" {
			continue
		}
		key := c.ns + "/" + c.name
		if live[key] == nil {
			names = append(names, key)
		}
		live[key] = c.now
	}
	var list []*history.Version
	for _, n := range names {
		if v := live[n]; q.picks(v) {
			list = append(list, v)
			live[n] = nil
		}
	}
	return list
}

// shown returns the event that a revision is for a query, nil if it is none.
func (w *world) shown(q query, rev int64) *history.APIWatch {
	c := w.commit(rev)
	if c.kind != "pods" {
		return nil
	}
	switch before, now := q.picks(c.prev), q.picks(c.now); {
	case now && before:
		return event("MODIFIED", c.now, rev)
	case now:
		return event("ADDED", c.now, rev)
	case before:
		return event("DELETED", c.prev, rev)
	}
	return nil
}

func event(kind string, v *history.Version, rev int64) *history.APIWatch {
	return &history.APIWatch{Type: kind, Object: history.APIObject{
		Namespace: v.Namespace, Name: v.Name, UID: v.UID, Version: rev, Content: v.Content, Deleting: v.Deleting,
	}}
}
