package writes

import (
	"runtime"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// TestFloors says that little evidence is Invalid, and a violation in it a Fail.
func TestFloors(t *testing.T) {
	s := hand(vs{cm(2, "u"), cm(3, "u")}, ask("update", 34, 36, failing(409, "Conflict"), needing("3", "")))
	for name, v := range s.judge(Floors{}) {
		want := checkers.Invalid
		if name == ConflictHonest {
			want = checkers.Fail
		}
		if v.Outcome != want || !strings.Contains(v.Checked, "floor") {
			t.Errorf("%s, want %s; checked %s", v, want, v.Checked)
		}
	}
}

// TestOlderStore says that nothing is held against what was there before the
// first version of the table.
func TestOlderStore(t *testing.T) {
	late := vs{other(100), cm(101, "u", mark("x", "1")), other(102)}
	expect(t, hand(late, ask("create", 1004, 1006, failing(409, "AlreadyExists"))))
	expect(t, hand(late, ask("create", 4, 6, failing(409, "AlreadyExists"))))
	expect(t, hand(late, ask("patch", 1007, 1015, answered(200, 101, "u"), needing("7", ""))))
	expect(t, hand(late, ask("patch", 1007, 1015, answered(200, 50, "u"))))
	// Once it has changed it is known.
	expect(t, hand(late, ask("patch", 1014, 1016, failing(404, "NotFound"))), NotFoundHonest)
	expect(t, hand(append(late, cm(103, "", gone)), ask("create", 1034, 1036, failing(409, "AlreadyExists"))), ExistsHonest)
}

// TestUnjudged says that what cannot be read, what the table does not have and
// API events are counted and not judged.
func TestUnjudged(t *testing.T) {
	unread := func(v *history.Version) { v.Unread, v.UID, v.Created = true, "", 0 }
	s := hand(vs{cm(2, "u"), cm(3, "", unread), cm(4, "u")}, ask("update", 34, 36, answered(200, 3, "u"), sets("x", "1")),
		ask("update", 34, 36, failing(409, "Conflict"), needing("", "u")), ask("delete", 34, 36, answered(200, 3, "w")))
	expect(t, s)
	for _, resource := range []string{"events", "nothings"} {
		c := ask("create", 24, 26, failing(409, "AlreadyExists"), func(c *history.APICall) { c.Resource, c.Name = resource, "x" })
		s := hand(vs{cm(2, "u"), cm(3, "u", func(v *history.Version) { v.Resource, v.UID, v.Key = "events", "e", "/registry/events/ns/a" })}, c)
		v := s.judge(noFloors)[ExistsHonest]
		if v.Outcome != checkers.Pass || !strings.Contains(v.Checked, "1 writes of ") {
			t.Errorf("%s; checked %s", v, v.Checked)
		}
	}
}

// TestDisorder says that a table that lost versions judges nothing.
func TestDisorder(t *testing.T) {
	for name, v := range hand(vs{cm(3, "u"), cm(2, "w")}).judge(noFloors) {
		if v.Outcome != checkers.Invalid {
			t.Errorf("%s: %s", name, v)
		}
	}
}

// BenchmarkCall is one status write of a kubelet, as a run at scale has them by
// the hundred thousand.
func BenchmarkCall(b *testing.B) {
	const pods = 5000
	table, w := versions.New(), window.New()
	var calls []*history.APICall
	uid := func(i int) string { return "pod-" + utoa(uint64(i)) }
	for rev := int64(2); rev < 4*pods; rev++ {
		i := int(rev) % pods
		v := &history.Version{Revision: rev, Resource: "pods", Namespace: "ns", Name: uid(i), Key: "/registry/pods/ns/" + uid(i), UID: uid(i)}
		table.Add(v)
		at := history.Time(10 * rev)
		w.StoreOp(&history.StoreOp{
			Method: history.MethodTxn, Called: at, Returned: at + 2, Header: rev, Succeeded: true,
			Then: []history.StoreAction{{Kind: history.ActionPut, Key: v.Key}}, Results: []history.StoreResult{{}},
		})
		calls = append(calls, &history.APICall{
			ID: uint64(rev), Class: history.ClassKubelet, Verb: "patch", Resource: "pods", Subresource: "status", Namespace: "ns",
			Name: v.Name, Called: at - 3, Returned: at + 5, Status: 200, Object: versions.Object(v), NeedUID: v.UID,
			ContentType: "application/strategic-merge-patch+json",
		})
	}
	c := New(Options{Versions: table, Window: w.Window(), Floors: noFloors})
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		c.Call(calls[i%len(calls)])
	}
}

// BenchmarkDeclared is the writes of contract clients, each of which declares its
// marks, in a history that is judged as a whole: B/call is what is kept of each.
func BenchmarkDeclared(b *testing.B) {
	const objects, writes = 500, 100_000
	table, w := versions.New(), window.New()
	var calls []*history.APICall
	for rev := int64(2); rev < 2+writes; rev++ {
		name := "a-" + utoa(uint64(rev%objects))
		v := cm(rev, "uid-"+name, mark("client", utoa(uint64(rev))))
		v.Name, v.Key = name, "/registry/configmaps/ns/"+name
		table.Add(v)
		at := history.Time(10 * rev)
		w.StoreOp(&history.StoreOp{
			Method: history.MethodTxn, Called: at, Returned: at + 2, Header: rev, Succeeded: true,
			Then: []history.StoreAction{{Kind: history.ActionPut, Key: v.Key}}, Results: []history.StoreResult{{}},
		})
		c := ask("patch", at-3, at+5, sets("client", utoa(uint64(rev))))
		c.Name = name
		answered(200, rev, v.UID)(c)
		calls = append(calls, c)
	}
	win := w.Window()
	for b.Loop() {
		before := inUse()
		c := New(Options{Versions: table, Window: win, Floors: noFloors})
		for _, call := range calls {
			c.Call(call)
		}
		b.StopTimer()
		b.ReportMetric(float64(inUse()-before)/writes, "B/call")
		b.StartTimer()
		for _, v := range c.Finish() {
			if v.Outcome != checkers.Pass {
				b.Fatal(v)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/writes, "ns/call")
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
