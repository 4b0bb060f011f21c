package reads

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// TestNodes lists the pods of nodes at every revision of a store in which names
// come back on other nodes. A true list has no alarm; one of another node has.
func TestNodes(t *testing.T) {
	s := newStore()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		v := pod(fmt.Sprintf("%s/p%d", []string{"a", "a-b"}[rng.IntN(2)], rng.IntN(12)), "", "")
		if s.at("pods", keyOf(&v), s.rev) == nil {
			v.UID = fmt.Sprint("u", i)
			v.Fields = []history.Pair{{Name: nodeField, Value: fmt.Sprint("n", rng.IntN(3))}}
		}
		s.write(history.Time(i*10+10), history.Time(i*10+15), v)
	}
	end := history.Time(5000)
	found := 0
	for rev := int64(1); rev <= s.rev; rev += 7 {
		for node := range 3 {
			list := read("list", end, end+1, "0")
			list.ListVersion, list.FieldSelector = rev, fmt.Sprint("spec.nodeName=n", node)
			if node == 1 {
				list.Namespace = "a"
			}
			pack(list, s.list(list, rev, ""))
			found += len(list.Items)
			if node == 2 {
				list.FieldSelector = "metadata.namespace!=b,spec.nodeName==n2"
			}
			s.expect(t, []*history.APICall{list})
			if len(list.Items) == 0 {
				continue
			}
			other := list.Clone()
			other.FieldSelector = "spec.nodeName=other"
			s.expect(t, []*history.APICall{other}, Snapshot)
			less := list.Clone()
			less.Items = less.Items[1:]
			s.expect(t, []*history.APICall{less}, Snapshot)
		}
	}
	if found < 100 {
		t.Errorf("%d objects only", found)
	}

	// A pod that cannot be read may be on any node.
	s.rev++
	s.table.Add(&history.Version{Revision: s.rev, Key: "/registry/pods/a/odd", Resource: "pods", Unread: true})
	list := read("list", end, end+1, "0")
	list.FieldSelector, list.ListVersion = "spec.nodeName=n7", s.rev-1
	if _, c := s.judged([]*history.APICall{list}); c.counts.judged[Snapshot] != 1 {
		t.Error("a list from before the pod is not judged")
	}
	list.ListVersion = s.rev
	s.window.StoreOp(&history.StoreOp{
		Method: history.MethodPut, Called: end - 2, Returned: end - 1, Header: s.rev,
		Then: []history.StoreAction{{Kind: history.ActionPut}}, Results: []history.StoreResult{{}},
	})
	if _, c := s.judged([]*history.APICall{list}); c.counts.unread != 1 {
		t.Error("a list that may have to hold it is judged")
	}
}
