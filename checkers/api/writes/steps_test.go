package writes

import (
	"testing"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// A call that may have made what was judged already is late, another one is not.
func TestLate(t *testing.T) {
	unanswered := func(c *history.APICall) {
		c.Status, c.Declared, c.Sets = 0, true, []history.Pair{{Name: "x", Value: "1"}}
	}
	dry := func(c *history.APICall) { c.DryRun, c.Object.UID, c.Status = true, "u", 201 }
	f := func(what string, call *history.APICall, want bool) {
		t.Helper()
		all := vs{cm(2, "u"), cm(3, "u", mark("x", "1")), cm(4, "u", mark("x", "2"))}
		s, b, table := hand(all, call), window.New(), versions.New()
		for i, v := range all {
			table.Add(v)
			b.StoreOp(s.ops[i])
		}
		c := New(Options{Versions: table, Window: b.Window(), Floors: noFloors})
		c.Advance(3)
		c.Call(call)
		if c.Late() != want {
			t.Errorf("%s: late %v", what, !want)
		}
	}
	f("an unanswered write of before", ask("update", 25, 36, unanswered), true)
	f("an unanswered write of after", ask("update", 35, 46, unanswered), false)
	f("the answered cause of what had none", ask("update", 25, 36, answered(200, 3, "u"), marking), true)
	f("the answered cause of what is to come", ask("update", 35, 46, answered(200, 4, "u"), marking), false)
	f("a dry run with the uid of an object", ask("create", 35, 46, dry), true)
	f("a dry run of a deletion", ask("delete", 25, 36, func(c *history.APICall) { c.DryRun = true }), true)
	f("a deletion", ask("delete", 25, 36), false)
}

func marking(c *history.APICall) {
	c.Declared, c.Sets = true, []history.Pair{{Name: "x", Value: "1"}}
}

// What was kept of calls is dropped once the versions are judged that it bears on;
// a deletion of unknown outcome may still take effect.
func TestForget(t *testing.T) {
	all := vs{cm(2, "u"), cm(3, "u", mark("x", "1")), cm(4, "u", mark("x", "2")), cm(5, "", gone), cm(6, "w")}
	calls := []*history.APICall{
		ask("update", 27, 35, answered(200, 3, "u"), marking),
		ask("delete", 47, 55, func(c *history.APICall) { c.Status = 200 }),
		ask("delete", 47, 55),
		ask("deletecollection", 47, 55, func(c *history.APICall) { c.Name, c.Status = "", 200 }),
		ask("deletecollection", 57, 65, func(c *history.APICall) { c.Name, c.Status = "", 200 }),
	}
	s, b, table := hand(all, calls...), window.New(), versions.New()
	for i, v := range all {
		table.Add(v)
		b.StoreOp(s.ops[i])
	}
	c := New(Options{Versions: table, Window: b.Window(), Floors: noFloors})
	for _, call := range calls {
		c.Call(call)
	}
	f := func(claims, removers, sweepers int) {
		t.Helper()
		n := 0
		for _, effects := range c.removers {
			n += len(effects)
		}
		if len(c.claims) != claims || n != removers || len(c.sweepers) != sweepers {
			t.Errorf("up to %d: %d claims, %d deletions, %d of collections are kept, want %d, %d, %d",
				c.sweep.to, len(c.claims), n, len(c.sweepers), claims, removers, sweepers)
		}
	}
	f(1, 2, 2)
	c.Advance(2)
	f(1, 2, 2)
	c.Advance(3)
	f(0, 2, 2)
	c.Advance(5)
	f(0, 1, 1)
	c.Advance(6)
	f(0, 1, 0)
}
