package results

import (
	"strconv"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

func TestOperatorLag(t *testing.T) {
	const base = history.Time(1e9)
	commit := func(revision int64, after time.Duration) history.Commit {
		return history.Commit{Key: podPrefix + "ns/pod", Revision: revision, Returned: base.Add(after)}
	}
	f := func(want OperatorFigures, steps func(o *Operators, saw func(int64, time.Duration))) {
		t.Helper()
		o := NewOperators("fill")
		steps(o, func(revision int64, after time.Duration) { o.Saw(strconv.FormatInt(revision, 10), base.Add(after)) })
		o.StartPhase("hold")
		got := o.Phase("fill")
		if got == nil {
			got = &OperatorFigures{}
		}
		if got.Lag.Count != want.Lag.Count || got.Lag.Max != want.Lag.Max || got.Unpaired != want.Unpaired {
			t.Errorf("%+v, want %+v", *got, want)
		}
	}
	lag := func(count int64, most time.Duration) Latency { return Latency{Count: count, Max: Seconds(most)} }

	f(OperatorFigures{Lag: lag(2, 3*time.Second)}, func(o *Operators, saw func(int64, time.Duration)) {
		o.Commit(commit(7, 0))
		saw(7, 3*time.Second)
		saw(7, time.Second) // by another operator
	})
	// An event that overtakes the report of its commit is no lag, but counts.
	f(OperatorFigures{Lag: lag(1, 0)}, func(o *Operators, saw func(int64, time.Duration)) {
		saw(8, time.Second)
		o.Commit(commit(8, 2*time.Second))
	})
	f(OperatorFigures{Unpaired: 1}, func(_ *Operators, saw func(int64, time.Duration)) { saw(9, 0) })
	f(OperatorFigures{Unpaired: 1}, func(o *Operators, _ func(int64, time.Duration)) { o.Saw("x", base) })
	f(OperatorFigures{Unpaired: 1}, func(o *Operators, saw func(int64, time.Duration)) {
		o.Commit(commit(5, 0))
		o.Commit(commit(5+operatorCommits, 0)) // takes its place
		saw(5, time.Second)
	})
	f(OperatorFigures{}, func(o *Operators, _ func(int64, time.Duration)) {
		o.Commit(history.Commit{Key: "/registry/leases/a/b", Revision: 3, Returned: base})
	})
}
