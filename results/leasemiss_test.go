package results

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// A deadline that was missed is shown with the renewal before it and the one that came
// too late, or failed, and the first ones alone.
func TestMisses(t *testing.T) {
	f := func(name string, l *Leases, want ...LeaseMiss) {
		t.Helper()
		if diff := cmp.Diff(want, l.Misses()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	second := func(n int) history.Time { return at(time.Duration(n) * time.Second) }
	told := func(reports ...history.Lease) *Leases {
		l := NewLeases("fill", 40*time.Second)
		for _, r := range reports {
			l.observe(r, r.Sent.Add(5*time.Second))
		}
		return l
	}
	good := renewal("a", 10, 0, 1) // sent at 10: good until 50
	f("in time", told(good))

	late := renewal("a", 20, 0, 31)
	late.Deadline = second(50)
	f("answered too late", told(good, late), LeaseMiss{Node: "a", Deadline: second(50), Before: good, Late: late})
	failed := renewal("a", 20, 31, 0)
	failed.Deadline = second(50)
	again := renewal("a", 60, 0, 1)
	again.Deadline = second(50)
	f("failed, and renewed at last", told(good, failed, again), LeaseMiss{Node: "a", Deadline: second(50), Before: good, Late: failed})
	f("the first one", told(late), LeaseMiss{Node: "a", Deadline: second(50), Late: late})

	silent := told(good, renewal("c", 9, 0, 1), renewal("b", 9, 0, 1), renewal("d", 11, 0, 1))
	silent.Overdue(second(60))
	f("nothing was heard, the earliest deadlines first", silent,
		LeaseMiss{Node: "b", Deadline: second(49), Before: renewal("b", 9, 0, 1)},
		LeaseMiss{Node: "c", Deadline: second(49), Before: renewal("c", 9, 0, 1)},
		LeaseMiss{Node: "a", Deadline: second(50), Before: good})
	if got := silent.Totals().Missed; got != 4 {
		t.Errorf("missed %d, want 4", got)
	}
	silent.observe(late, late.Answered)
	if got := silent.Misses()[2]; got.Late != late {
		t.Errorf("what came after all is not shown: %+v", got)
	}
	next := renewal("a", 120, 0, 1)
	next.Deadline = second(60)
	silent.observe(next, next.Answered)
	if got := silent.Misses(); len(got) != keptMisses || got[2].Late != late {
		t.Errorf("another deadline changed them: %+v", got)
	}
}
