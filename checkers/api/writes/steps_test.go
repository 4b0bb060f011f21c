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
