package watch

import (
	"slices"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// answeredAt is a read of a key that nobody watches, called at a time and
// answered at a revision.
func answeredAt(rev int64, called history.Time) *history.StoreOp {
	return &history.StoreOp{
		Method: history.MethodRange, Header: rev, Called: called, Returned: called + second/10,
		Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "x"}},
		Results: []history.StoreResult{{}},
	}
}

// TestAheadOfTheEndOfALease: nobody asks for the end of a lease, so that no
// call says when its revision was made. A later call that did not find it does.
func TestAheadOfTheEndOfALease(t *testing.T) {
	local := answeredAt(5, 6*second)
	local.Then[0].Serializable = true
	refused := answeredAt(5, 6*second)
	refused.Error.Kind = history.ErrorTooManyRequests
	deletion := answeredAt(6, 6*second)
	deletion.Method, deletion.Then[0].Kind, deletion.Results[0].Deleted = history.MethodDeleteRange, history.ActionDelete, 1
	f := func(name string, s *script, op *history.StoreOp, want ...Guarantee) {
		t.Helper()
		c := NewChecker(s.tl, Options{Floors: noFloors, Commit: func(rev int64) (Interval, bool) {
			at, ok := handCommit(rev)
			return at, ok && rev != 6
		}})
		c.AddOp(op)
		for _, r := range s.records {
			c.Add(r)
		}
		if got := outcomes(c.Finish(), checkers.Fail); !slices.Equal(got, want) {
			t.Errorf("%s: %v fail, want %v", name, got, want)
		}
	}
	early := func(w *history.StoreWatch) { w.At = 5*second + second/2 + 9*second/100 }
	progress := func() *script {
		return newScript().watch("b/", "b0", 4).created(0, 5).progress(0, 6).edit(early)
	}
	f("a later call did not find it", progress(), answeredAt(5, 6*second), Bookmarkable)
	f("a later call made it", progress(), deletion, Bookmarkable)
	f("an earlier call did not find it", progress(), answeredAt(5, 5*second+second/2))
	f("a later call found it", progress(), answeredAt(6, 6*second))
	f("a member alone did not find it", progress(), local)
	f("a call was refused", progress(), refused)
	f("created too early", newScript().watch("b/", "b0", 4).created(0, 6).edit(early), answeredAt(5, 6*second), Resumable)
}

// TestDepthsAreBounded: a header that lies must not cost memory.
func TestDepthsAreBounded(t *testing.T) {
	var f depths
	for _, rev := range []int64{1 << 61, 7, 700, 1 << 40} {
		f.add(answeredAt(rev, history.Time(time.Duration(rev%1000)*time.Second)))
	}
	if len(f.pages) != 4 {
		t.Errorf("%d pages", len(f.pages))
	}
	for rev, want := range map[int64]history.Time{1: 0, 7: 0, 8: 7 * second, 700: 7 * second, 701: 700 * second, 5000: 0} {
		if got := f.of(rev); got != want {
			t.Errorf("revision %d: not before %d, want %d", rev, got, want)
		}
	}
}
