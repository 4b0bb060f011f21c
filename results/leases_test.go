package results

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// renewal is a heartbeat that was due at a second, sent and answered so many
// seconds later; answered 0 stands for a failure.
func renewal(node string, due, sent, answered int) history.Lease {
	second := func(n int) history.Time { return at(time.Duration(n) * time.Second) }
	r := history.Lease{Node: node, Due: second(due), Sent: second(due + sent), Deadline: second(due + 30)}
	if answered > 0 {
		r.Answered = second(due + sent + answered)
	} else {
		r.Failed = true
	}
	return r
}

func TestLeasesSplitLateness(t *testing.T) {
	l := NewLeases("fill", 40*time.Second)
	l.Lease(renewal("a", 10, 1, 3))
	l.Lease(renewal("b", 10, 0, 2))
	l.StartPhase("hold")
	l.Lease(renewal("a", 25, 0, 1))
	l.StartPhase("")
	f := l.Phase("fill")
	if f.Renewals != 2 || f.Missed != 0 || f.Failed != 0 || f.PerSecond <= 0 {
		t.Errorf("fill = %+v", f)
	}
	want := [3]Seconds{Seconds(4 * time.Second), Seconds(time.Second), Seconds(3 * time.Second)}
	if got := [3]Seconds{f.Lateness.Max, f.SentLate.Max, f.AnsweredLate.Max}; got != want {
		t.Errorf("lateness, sent late, answered late = %v, want %v", got, want)
	}
	if got := l.Phase("hold").Renewals; got != 1 {
		t.Errorf("hold has %d renewals, want 1", got)
	}
	if diff := cmp.Diff(LeaseTotals{Renewals: 3}, l.Totals()); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestMissedDeadlines(t *testing.T) {
	f := func(name string, want LeaseTotals, reports ...history.Lease) {
		t.Helper()
		l := NewLeases("fill", 40*time.Second)
		for _, r := range reports {
			// A failure is reported at once, five seconds after it was sent.
			l.observe(r, r.Sent.Add(5*time.Second))
		}
		if diff := cmp.Diff(want, l.Totals()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	f("in time, just", LeaseTotals{Renewals: 1}, renewal("a", 10, 10, 20))
	f("answered too late", LeaseTotals{Renewals: 1, Missed: 1}, renewal("a", 10, 10, 21))
	f("failed in time", LeaseTotals{Failed: 1}, renewal("a", 10, 0, 0))
	f("failed too late", LeaseTotals{Failed: 1, Missed: 1}, renewal("a", 10, 26, 0))
	// Retries of one renewal miss one deadline.
	again := renewal("a", 10, 27, 0)
	f("failed twice", LeaseTotals{Failed: 2, Missed: 1}, renewal("a", 10, 26, 0), again)
	late := renewal("a", 10, 30, 3)
	f("failed, then late", LeaseTotals{Renewals: 1, Failed: 1, Missed: 1}, renewal("a", 10, 26, 0), late)
	f("missed, renewed, missed again", LeaseTotals{Renewals: 2, Missed: 2},
		renewal("a", 10, 10, 21), renewal("a", 60, 10, 21))
	f("two nodes", LeaseTotals{Renewals: 2, Missed: 2}, renewal("a", 10, 10, 21), renewal("b", 10, 10, 21))
}

func TestOverdueFindsSilentNodes(t *testing.T) {
	l := NewLeases("fill", 40*time.Second)
	for _, node := range []string{"a", "b", "gone"} {
		l.Lease(renewal(node, 10, 0, 1)) // sent at 10: good until 50
	}
	l.Forget("gone")
	if n := l.Overdue(at(50 * time.Second)); n != 0 {
		t.Errorf("%d nodes overdue at their deadline", n)
	}
	l.Lease(renewal("b", 20, 0, 1)) // good until 60
	if n := l.Overdue(at(51 * time.Second)); n != 1 {
		t.Errorf("%d nodes overdue, want only a", n)
	}
	if n := l.Overdue(at(52 * time.Second)); n != 0 {
		t.Errorf("%d nodes are found overdue again", n)
	}
	// The renewal that comes after all is not a second miss.
	r := renewal("a", 20, 0, 35)
	l.observe(r, r.Answered)
	if got := l.Totals().Missed; got != 1 {
		t.Errorf("missed %d, want 1", got)
	}
}

func BenchmarkLease(b *testing.B) {
	l := NewLeases("fill", 40*time.Second)
	r := renewal("node-00042", 10, 0, 1)
	b.ReportAllocs()
	for b.Loop() {
		l.Lease(r)
	}
}

func TestRecentLateness(t *testing.T) {
	l := NewLeases("fill", 40*time.Second)
	now := history.Now()
	l.Lease(history.Lease{Node: "a", Due: now.Add(-2 * time.Second), Sent: now, Answered: now})
	l.Lease(history.Lease{Node: "b", Due: now.Add(-90 * time.Second), Sent: now.Add(-70 * time.Second), Answered: now.Add(-60 * time.Second)})
	if got := l.Recent(); got.Count != 1 || got.P99 != Seconds(2*time.Second) {
		t.Errorf("recent = %+v, want only the renewal of now, 2s late", got)
	}
}
