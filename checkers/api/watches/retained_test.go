package watches

import (
	"fmt"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// What a watch cache must have kept is no older than its list, and there are fewer than
// 100 changes behind it; a list that came back after the refusal, or of something else,
// explains nothing.
func TestRetained(t *testing.T) {
	f := func(name string, changes int, from int64, want checkers.Outcome, lists ...func(*world) history.StoreOp) {
		t.Helper()
		w := newWorld(1)
		for i := range changes {
			w.pod("ns", fmt.Sprint("p-", i%7), "", "x")
		}
		for _, list := range lists {
			w.lists = append(w.lists, list(w))
		}
		story := w.refusal(w.rev(), fmt.Sprint(from), "", 410)
		if v := judgeTales(w, []*tale{story})[ExpiredHonest]; v.Outcome != want {
			t.Errorf("%s: %s (%s), want %s", name, v, v.Checked, want)
		}
	}
	const pass, fail = checkers.Pass, checkers.Fail
	list := func(folder string, rev int64, later history.Time) func(*world) history.StoreOp {
		return func(w *world) history.StoreOp { return listOf(folder, rev, w.commit(rev).at+later) }
	}
	first := list("/registry/pods/", 2, 3*ms)
	// The event of revision 7 is the first behind 5 that a cache may have without that of
	// 6, and 106 is the hundredth.
	f("nobody has listed", 105, 5, pass)
	f("99 changes", 104, 5, fail, first)
	f("100 changes", 105, 5, pass, first)
	f("listed since", 20, 5, pass, first, list("/registry/pods/", 6, 3*ms))
	f("listed as it was", 20, 5, fail, first, list("/registry/pods/", 5, 3*ms))
	f("listed after the refusal", 20, 5, fail, first, list("/registry/pods/", 6, 3600*1000*ms))
	f("another folder", 20, 5, fail, first, list("/registry/nodes/", 6, 3*ms), list("/registry/pods/ns/", 6, 3*ms))
	pinned := func(w *world) history.StoreOp {
		op := list("/registry/pods/", 6, 3*ms)(w)
		op.Then[0].Revision = 4
		return op
	}
	f("a list of an earlier revision", 20, 5, fail, first, pinned)
	compacted := func(rev int64) func(*world) history.StoreOp {
		return func(w *world) history.StoreOp {
			at := w.commit(w.rev()).at
			return history.StoreOp{Method: history.MethodCompact, Called: at - ms, Returned: at, Header: w.rev(), Revision: rev}
		}
	}
	f("compacted", 20, 5, pass, first, compacted(6))
	f("not compacted", 20, 5, fail, first, compacted(5))
	f("the next revision", 20, 20, fail, first)
}
