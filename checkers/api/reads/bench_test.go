package reads

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// BenchmarkGet judges GETs of 5,000 nodes with 20 versions each.
func BenchmarkGet(b *testing.B) {
	s := &store{states: nil, table: newStore().table, window: newStore().window}
	s.rev = 1
	now := history.Time(10)
	for range 20 {
		for i := range 5000 {
			s.rev++
			now += 10
			v := history.Version{
				Revision: s.rev, Key: fmt.Sprintf("/registry/nodes/n%d", i), Resource: "nodes",
				Name: fmt.Sprintf("n%d", i), UID: "u", Content: uint64(s.rev),
			}
			s.table.Add(&v)
			s.window.StoreOp(&history.StoreOp{
				Method: history.MethodPut, Called: now, Returned: now + 5, Header: s.rev,
				Then: []history.StoreAction{{Kind: history.ActionPut, Key: v.Key}}, Results: []history.StoreResult{{}},
			})
		}
	}
	c := New(Options{Versions: s.table, Window: s.window.Window(), Floors: noFloors})
	k := s.table.Kind("", "nodes")
	rng := rand.New(rand.NewPCG(1, 1))
	calls := make([]*history.APICall, 4096)
	for i := range calls {
		rev := 5000 + rng.Int64N(s.rev-5000)
		call := read("get", history.Time(rev*10), history.Time(rev*10+4), []string{"", "0"}[i%2])
		call.Resource, call.Name = "nodes", fmt.Sprintf("n%d", rng.IntN(5000))
		v := k.At("", call.Name, rev)
		call.Object = history.APIObject{Name: v.Name, UID: v.UID, Version: v.Revision, Content: v.Content}
		calls[i] = call
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Call(calls[i%len(calls)])
	}
	if len(c.found) > 0 {
		b.Fatal(c.found)
	}
}

// BenchmarkList judges lists of 100,000 pods: of all of them, and of those of
// one node.
func BenchmarkList(b *testing.B) {
	s := newStore()
	const pods = 100_000
	objects := make([]history.APIObject, 0, pods)
	for i := range pods {
		s.rev++
		v := history.Version{
			Revision: s.rev, Resource: "pods", Namespace: fmt.Sprintf("n%02d", i/1000), Name: fmt.Sprintf("p%05d", i), UID: "u",
			Content: uint64(i), Fields: []history.Pair{{Name: "spec.nodeName", Value: fmt.Sprint(i % 5000)}},
		}
		v.Key = "/registry/pods/" + keyOf(&v)
		s.table.Add(&v)
		objects = append(objects, versions.Object(&v))
	}
	s.window.StoreOp(&history.StoreOp{
		Method: history.MethodPut, Called: 10, Returned: 20, Header: s.rev,
		Then: []history.StoreAction{{Kind: history.ActionPut}}, Results: []history.StoreResult{{}},
	})
	c := New(Options{Versions: s.table, Window: s.window.Window(), Floors: noFloors})
	whole := read("list", 30, 40, "")
	whole.ListVersion = s.rev
	pack(whole, objects)
	node := read("list", 30, 40, "")
	node.ListVersion, node.FieldSelector = s.rev, "spec.nodeName=7"
	for i := 7; i < pods; i += 5000 {
		node.Items = append(node.Items, objects[i])
	}
	for name, call := range map[string]*history.APICall{"all": whole, "node": node} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c.Call(call)
			}
		})
	}
	if len(c.found) > 0 || c.counts.judged[Snapshot] == 0 {
		b.Fatal(c.found)
	}
}
