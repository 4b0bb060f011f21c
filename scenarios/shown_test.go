package scenarios

import (
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
)

// wantRows wants a counter-example with these words, one line after the other.
func wantRows(t *testing.T, detail string, lines ...string) {
	t.Helper()
	got := strings.Split(detail, "\n")
	for i, want := range lines {
		if i >= len(got) || strings.Join(strings.Fields(got[i]), " ") != want {
			t.Fatalf("line %d is not %q:\n%s", i+1, want, detail)
		}
	}
	if len(got) != len(lines) {
		t.Errorf("%d lines, want %d:\n%s", len(got), len(lines), detail)
	}
}

// Who says that a lease was missed says of which node, and how: when its renewal was
// due, sent and acknowledged, and the one before it.
func TestMissedLeasesAreShown(t *testing.T) {
	second := func(n int) history.Time { return history.Time(time.Hour) + history.Time(n)*history.Time(time.Second) }
	before := history.Lease{Node: "node-00007", Due: second(0), Sent: second(1), Answered: second(2)}
	late := history.Lease{Node: "node-00007", Due: second(11), Sent: second(12), Answered: second(43), Deadline: second(41)}
	failed := history.Lease{Node: "node-00008", Due: second(12), Sent: second(13), Failed: true, Deadline: second(42)}
	detail := missedLeases(5, []results.LeaseMiss{
		{Node: "node-00007", Deadline: second(41), Before: before, Late: late},
		{Node: "node-00008", Deadline: second(42), Late: failed},
		{Node: "node-00009", Deadline: second(43)},
	})
	wantRows(t, detail,
		"5 lease deadlines passed without a renewal, of which the first 3 are",
		"+0s due node-00007 the renewal before",
		"+1s +2s sent, acknowledged node-00007 the renewal before",
		"+41s deadline node-00007 the end of the lease",
		"+11s due node-00007 the renewal",
		"+12s +43s sent, acknowledged node-00007 the renewal",
		"nothing heard node-00008 the renewal before",
		"+42s deadline node-00008 the end of the lease",
		"+12s due node-00008 the renewal",
		"+13s sent, failed node-00008 the renewal",
		"nothing heard node-00009 the renewal before",
		"+43s deadline node-00009 the end of the lease",
		"nothing heard node-00009 the renewal",
	)

	// As the verdict of a run has it.
	x := &execution{plan: &Plan{World: World{Nodes: 1}}, m: &measurement{collector: results.NewCollector(nil, 40*time.Second)}}
	x.m.collector.Leases.Lease(before)
	x.m.collector.Leases.Lease(late)
	v := x.judgeLeases()
	if v.Outcome != checkers.Fail {
		t.Errorf("%s (%s)", v, v.Checked)
	}
	wantRows(t, v.Detail,
		"1 lease deadlines passed without a renewal",
		"+0s due node-00007 the renewal before",
		"+1s +2s sent, acknowledged node-00007 the renewal before",
		"+41s deadline node-00007 the end of the lease",
		"+11s due node-00007 the renewal",
		"+12s +43s sent, acknowledged node-00007 the renewal",
	)
}

// Who says that a cache differed from the store says at which server, and by what.
func TestDifferentCachesAreShown(t *testing.T) {
	begun := history.Time(time.Hour)
	phase := func(name string, at history.Time, failures map[string]int64, list ...results.CacheDifference) results.Phase {
		return results.Phase{
			Name: name, Begun: at, Duration: results.Seconds(time.Minute),
			Servers: results.ServerFigures{ConsistencyChecks: failures, CacheDifferences: list},
		}
	}
	pods := results.CacheDifference{
		Server: "kube-apiserver-1", Resource: "pods", Before: map[string]int64{"success": 3}, After: map[string]int64{"success": 5, "failure": 1},
	}
	v := judgeCaches([]results.Phase{
		phase("fill", begun, map[string]int64{"success pods": 3}),
		phase("hold", begun.Add(time.Minute), map[string]int64{"success pods": 2, "failure pods": 1}, pods),
	})
	if v.Outcome != checkers.Fail {
		t.Error(v)
	}
	wantRows(t, v.Detail,
		"in phase hold the cache of pods differed from the store",
		"+0s +1m0s phase hold kube-apiserver-1 apiserver_storage_consistency_checks_total of pods: success 3 -> 5, failure 0 -> 1, error 0 -> 0",
	)
	old := judgeCaches([]results.Phase{phase("fill", 0, map[string]int64{"failure pods": 1})})
	wantRows(t, old.Detail, "in phase fill the cache of pods differed from the store")
}
