package reads

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// store is a versioned store of objects that keeps every state whole, so that
// what a correct answer is can be read off without the table and the window.
// Revision 1 is the empty store.
type store struct {
	rev    int64
	states []map[string]*history.Version // by revision, then by key
	table  *versions.Table
	window *window.Builder
	ops    []*history.StoreOp
}

func newStore() *store {
	s := &store{rev: 1, states: make([]map[string]*history.Version, 2), table: versions.New(), window: window.New()}
	s.states[1] = map[string]*history.Version{}
	return s
}

// write commits a version within [called, returned]; one without a uid is a
// removal.
func (s *store) write(called, returned history.Time, v history.Version) *history.Version {
	s.rev++
	v.Revision, v.Delete = s.rev, v.UID == ""
	v.Key = "/registry/" + v.Resource + "/" + keyOf(&v)
	v.Content = sum(v.UID, s.rev)
	next := map[string]*history.Version{}
	for k, old := range s.states[s.rev-1] {
		next[k] = old
	}
	next[v.Key] = &v
	if v.Delete {
		delete(next, v.Key)
		v = history.Version{Revision: v.Revision, Key: v.Key, Delete: true, Group: v.Group, Resource: v.Resource}
	}
	s.states = append(s.states, next)
	s.table.Add(&v)
	op := &history.StoreOp{
		Method: history.MethodPut, Called: called, Returned: returned, Header: s.rev,
		Then: []history.StoreAction{{Kind: history.ActionPut, Key: v.Key}}, Results: []history.StoreResult{{}},
	}
	s.ops = append(s.ops, op)
	s.window.StoreOp(op)
	return &v
}

func (s *store) compact(called, returned history.Time, rev int64) {
	s.window.StoreOp(&history.StoreOp{Method: history.MethodCompact, Called: called, Returned: returned, Revision: rev})
}

// at is the state of one object.
func (s *store) at(resource, key string, rev int64) *history.Version {
	return s.states[rev]["/registry/"+resource+"/"+key]
}

// list is the state of a resource at a revision, in order, behind a key.
func (s *store) list(call *history.APICall, rev int64, after string) []history.APIObject {
	var keys []string
	for k, v := range s.states[rev] {
		if v.Resource == call.Resource && (call.Namespace == "" || v.Namespace == call.Namespace) &&
			matches(call, v) && keyOf(v) > after {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var objects []history.APIObject
	for _, k := range keys {
		objects = append(objects, versions.Object(s.states[rev][k]))
	}
	return objects
}

// matches knows the two selectors that the tests use.
func matches(call *history.APICall, v *history.Version) bool {
	if _, want, ok := strings.Cut(call.LabelSelector, "app="); ok {
		if have, _ := v.Label("app"); have != want {
			return false
		}
	}
	if _, want, ok := strings.Cut(call.FieldSelector, "spec.nodeName="); ok && v.Field("spec.nodeName") != want {
		return false
	}
	return true
}

func sum(parts ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, parts...)
	return h.Sum64() | 1
}

// pack puts a list into a record as the recorder does.
func pack(call *history.APICall, items []history.APIObject) {
	call.Items, call.Chunks = items, nil
	if len(items) > history.MaxListed {
		call.Items, call.Chunks = nil, history.ChunkObjects(items)
	}
}

// noFloors lets every guarantee pass on the smallest history.
var noFloors = Floors{-1, -1, -1, -1, -1, -1, -1, -1}

// judged returns the guarantees that calls break, with their details.
func (s *store) judged(calls []*history.APICall) (map[Guarantee]string, *Checker) {
	s.table.Sealed(s.rev)
	b := window.New()
	*b = *s.window
	c := New(Options{Versions: s.table, Window: b.Window(), Floors: noFloors})
	for _, call := range calls {
		c.Call(call)
	}
	broken := map[Guarantee]string{}
	for _, v := range c.Finish() {
		if v.Outcome == checkers.Fail {
			broken[Guarantee(v.Guarantee)] = v.Detail
		} else if v.Outcome != checkers.Pass {
			panic(v.String())
		}
	}
	return broken, c
}

// expectCount judges and wants so many violations of one guarantee.
func (s *store) expectCount(t *testing.T, g Guarantee, want int64, calls []*history.APICall) {
	t.Helper()
	_, c := s.judged(calls)
	got := int64(0)
	if f := c.found[g]; f != nil {
		got = f.count
	}
	if got != want {
		t.Errorf("%d violations of %s, want %d", got, g, want)
	}
}

// expect fails the test unless exactly the wanted guarantees are broken.
func (s *store) expect(t *testing.T, calls []*history.APICall, want ...Guarantee) {
	t.Helper()
	broken, _ := s.judged(calls)
	for _, g := range want {
		if _, ok := broken[g]; !ok {
			t.Errorf("%s is not seen to be broken", g)
		}
		if testing.Verbose() {
			t.Log(g, broken[g])
		}
		delete(broken, g)
	}
	for g, detail := range broken {
		t.Errorf("%s is said to be broken: %s", g, detail)
	}
}
