package reads

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// story simulates API servers in front of a store, and clients that read in
// every legal way while others write. Every operation takes effect at one
// moment within its interval; intervals overlap.
type story struct {
	*store
	rng     *rand.Rand
	now     history.Time
	servers []*apiserver
	calls   []*history.APICall
	next    []page
	gone    int64 // the compact revision
}

// apiserver has a watch cache that is behind the store, and snapshots of it
// that may outlive a compaction.
type apiserver struct {
	name      string
	starts    int
	cache     int64
	snapshots int64 // the oldest revision that the cache has a snapshot of
}

// page is a continue token that somebody has: the revision, 0 for the newest,
// and the key behind which it goes on.
type page struct {
	hash     uint64
	revision int64
	after    string
	call     *history.APICall // whose parameters come back with it
}

// tell runs a story of so many steps.
func tell(seed uint64, steps int) *story {
	st := &story{store: newStore(), rng: rand.New(rand.NewPCG(seed, 7)), now: 1000}
	for i := range 2 + st.rng.IntN(2) {
		st.servers = append(st.servers, &apiserver{name: fmt.Sprint("s", i), cache: 1, snapshots: 1})
	}
	for i := range 80 { // a resource of more objects than a record holds
		st.write(st.around(history.Version{Resource: "configmaps", Namespace: "a", Name: fmt.Sprintf("c%02d", i), UID: st.uid()}))
	}
	for range steps {
		st.now += history.Time(1 + st.rng.IntN(20))
		switch n := st.rng.IntN(100); {
		case n < 30:
			st.change()
		case n < 32:
			st.compaction()
		case n < 34:
			st.restart()
		case n < 55:
			st.get()
		case n < 85 || len(st.next) == 0:
			st.list()
		default:
			st.goOn()
		}
	}
	// Records come nearly in the order of their returns.
	slices.SortFunc(st.calls, func(a, b *history.APICall) int { return int(a.Returned - b.Returned) })
	for i := 1; i < len(st.calls); i += 1 + st.rng.IntN(8) {
		st.calls[i-1], st.calls[i] = st.calls[i], st.calls[i-1]
	}
	return st
}

func (st *story) uid() string { return fmt.Sprintf("u%x", st.rng.Uint64()) }

// span is an interval around now.
func (st *story) span() (called, returned history.Time) {
	return st.now - history.Time(st.rng.IntN(40)), st.now + history.Time(1+st.rng.IntN(40))
}

func (st *story) around(v history.Version) (called, returned history.Time, _ history.Version) {
	called, returned = st.span()
	return called, returned, v
}

func (st *story) object() (resource, namespace, name string) {
	switch st.rng.IntN(4) {
	case 0:
		return "nodes", "", fmt.Sprint("n", st.rng.IntN(4))
	case 1:
		return "configmaps", "a", fmt.Sprintf("c%02d", st.rng.IntN(80))
	}
	return "pods", []string{"a", "a-b", "b"}[st.rng.IntN(3)], fmt.Sprint("p", st.rng.IntN(5))
}

// change creates, changes or removes an object.
func (st *story) change() {
	resource, namespace, name := st.object()
	v := history.Version{Resource: resource, Namespace: namespace, Name: name}
	switch old := st.at(resource, keyOf(&v), st.rev); {
	case old == nil:
		v.UID = st.uid()
	case st.rng.IntN(4) == 0 && resource != "configmaps":
	default:
		v.UID, v.Deleting = old.UID, st.rng.IntN(6) == 0
	}
	v.Labels = []history.Pair{{Name: "app", Value: []string{"one", "two"}[st.rng.IntN(2)]}}
	if resource == "pods" && st.rng.IntN(2) == 0 {
		v.Fields = []history.Pair{{Name: "spec.nodeName", Value: "n1"}}
	}
	st.write(st.around(v))
}

func (st *story) compaction() {
	st.gone = max(st.gone, st.rev-int64(st.rng.IntN(30)))
	called, returned := st.span()
	st.compact(called, returned, st.gone)
}

// restart gives a server a new cache, as of the store or somewhat older.
func (st *story) restart() {
	s := st.server()
	s.starts++
	s.cache = st.rev
	s.snapshots = s.cache
}

func (st *story) server() *apiserver {
	s := st.servers[st.rng.IntN(len(st.servers))]
	if st.rng.IntN(6) == 0 {
		s.cache += st.rng.Int64N(st.rev - s.cache + 1)
	}
	if st.rng.IntN(3) == 0 {
		s.snapshots = max(s.snapshots, min(s.cache, st.gone)) // the poll of the compactor
	}
	return s
}

// begin makes the record of a call that takes effect now.
func (st *story) begin(verb, resource, namespace string) (*history.APICall, *apiserver) {
	s := st.server()
	called, returned := st.span()
	c := &history.APICall{
		ID: uint64(len(st.calls) + 1), Class: "contract", Server: fmt.Sprintf("%s/%d", s.name, s.starts),
		Called: called, Returned: returned, Verb: verb, Resource: resource, Namespace: namespace, Status: 200,
	}
	st.calls = append(st.calls, c)
	return c, s
}

// some is a revision to ask for, which may be ahead of a cache, or of the store.
func (st *story) some() int64 { return max(1, st.rev+4-st.rng.Int64N(25)) }

// fresh makes a cache wait for a revision. It may take too long for the server.
func (st *story) fresh(c *history.APICall, s *apiserver, rev int64) bool {
	if rev <= s.cache {
		return true
	}
	if rev > st.rev || st.rng.IntN(8) == 0 {
		c.Status, c.Reason, c.Cause = 504, "Timeout", tooLarge
		return false
	}
	s.cache = rev + st.rng.Int64N(st.rev-rev+1)
	return true
}

func (st *story) get() {
	resource, namespace, name := st.object()
	c, s := st.begin("get", resource, namespace)
	c.Name = name
	rev := st.rev
	switch st.rng.IntN(3) {
	case 0:
		c.ResourceVersion, rev = "0", s.cache
	case 1:
		n := st.some()
		c.ResourceVersion = strconv.FormatInt(n, 10)
		if !st.fresh(c, s, n) {
			return
		}
		rev = s.cache
	}
	key := history.APIObject{Namespace: namespace, Name: name}
	if v := st.at(resource, key.Key(), rev); v != nil {
		c.Object = versions.Object(v)
		return
	}
	c.Status, c.Reason, c.DetailsKind, c.DetailsName = 404, "NotFound", resource, name
}

// list reads a list in one of the legal ways.
func (st *story) list() {
	resource, namespace, _ := st.object()
	if st.rng.IntN(2) == 0 {
		namespace = ""
	}
	c, s := st.begin("list", resource, namespace)
	switch st.rng.IntN(4) {
	case 0:
		c.LabelSelector = "app=one"
	case 1:
		if resource == "pods" {
			c.FieldSelector = "spec.nodeName=n1"
		}
	}
	if st.rng.IntN(2) == 0 {
		c.Limit = int64(1 + st.rng.IntN(4))
		if resource == "configmaps" {
			c.Limit *= 20
		}
	}
	switch st.rng.IntN(6) {
	case 0: // the newest, from the cache
		s.cache = st.rev
		st.serve(c, st.rev, "", false)
	case 1:
		c.ResourceVersion = "0"
		c.Match = []string{"", "NotOlderThan"}[st.rng.IntN(2)]
		st.serve(c, s.cache, "", true)
	case 2, 3:
		n := st.some()
		c.ResourceVersion, c.Match = strconv.FormatInt(n, 10), "NotOlderThan"
		if c.Limit == 0 {
			c.Match = []string{"", "NotOlderThan"}[st.rng.IntN(2)]
		}
		if st.fresh(c, s, n) {
			st.serve(c, s.cache, "", false)
		}
	default:
		n := st.some()
		c.ResourceVersion, c.Match = strconv.FormatInt(n, 10), "Exact"
		if c.Limit > 0 {
			c.Match = []string{"", "Exact"}[st.rng.IntN(2)]
		}
		st.exactly(c, s, page{revision: n})
	}
}

// exactly serves a list at a revision from a snapshot of the cache or from the
// store, if one of them still has it.
func (st *story) exactly(c *history.APICall, s *apiserver, p page) {
	switch {
	case !st.fresh(c, s, p.revision):
	case p.revision >= st.gone || p.revision >= s.snapshots:
		st.serve(c, p.revision, p.after, false)
	default:
		c.Status, c.Reason = 410, "Expired"
		if c.Continue != 0 {
			st.offer(c, page{0, 0, p.after, c})
		}
	}
}

// serve answers with the state at a revision behind a key.
func (st *story) serve(c *history.APICall, rev int64, after string, whole bool) {
	c.ListVersion = rev
	items := st.store.list(c, rev, after)
	if c.Limit > 0 && int64(len(items)) >= c.Limit && !whole {
		// A page that ends with the last match may offer one more, empty.
		if int64(len(items)) > c.Limit || st.rng.IntN(3) == 0 {
			items = items[:c.Limit]
			st.offer(c, page{0, rev, items[len(items)-1].Key(), c})
		}
	}
	pack(c, items)
}

// offer makes the continue token of an answer.
func (st *story) offer(c *history.APICall, p page) {
	p.hash = sum("token", p.revision, p.after)
	c.NextPage = p.hash
	st.next = append(st.next, p)
}

// goOn reads a next page, or reads one again.
func (st *story) goOn() {
	p := st.next[st.rng.IntN(len(st.next))]
	c, s := st.begin("list", p.call.Resource, p.call.Namespace)
	c.LabelSelector, c.FieldSelector, c.Limit = p.call.LabelSelector, p.call.FieldSelector, p.call.Limit
	c.Continue = p.hash
	// It is called after the page with its token has come.
	for c.Called <= p.call.Returned {
		st.now += 5
		c.Called, c.Returned = st.now-1, st.now+history.Time(1+st.rng.IntN(40))
	}
	if p.revision != 0 {
		st.exactly(c, s, p)
		return
	}
	s.cache = st.rev
	st.serve(c, st.rev, p.after, false)
}

// TestValid tells stories in which every answer is right.
func TestValid(t *testing.T) {
	var all counts
	all.judged = map[Guarantee]int64{}
	var back backwards
	for seed := range uint64(60) {
		st := tell(seed, 600)
		broken, c := st.judged(st.calls)
		for g, detail := range broken {
			t.Errorf("seed %d: %s: %s", seed, g, detail)
		}
		for g, n := range c.counts.telling {
			all.judged[g] += n
		}
		all.restarted += c.counts.restarted
		all.outlived += c.counts.outlived
		all.lagging += c.counts.lagging
		all.refused += c.counts.refused
		all.chunked += c.counts.chunked
		all.strangers += c.counts.strangers + c.counts.unread + c.counts.unbounded + c.counts.unselect
		back.listsAcross += c.back.listsAcross
		back.objectsAcross += c.back.objectsAcross
	}
	for _, g := range Guarantees() {
		if all.judged[g] < 500 {
			t.Errorf("%s: judged on %d answers only", g, all.judged[g])
		}
	}
	for what, n := range map[string]int64{
		"pages behind a 410": all.restarted, "lists of compacted revisions": all.outlived,
		"caches that lag": all.lagging, "refusals": all.refused, "lists in chunks": all.chunked,
		"lists back in time": back.listsAcross, "objects back in time": back.objectsAcross,
	} {
		if n < 3 {
			t.Errorf("the stories have %d %s only", n, what)
		}
	}
	if all.strangers > 0 {
		t.Errorf("%d answers were not judged", all.strangers)
	}
	t.Log(all.judged, all.restarted, all.outlived, all.lagging, all.refused, all.chunked, back.listsAcross, back.objectsAcross)
}
