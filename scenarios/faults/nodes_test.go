package faults

import (
	"slices"
	"testing"
	"time"
)

// A storm is one of all kubelets, and of watches: their usual requests are none.
func TestKubeletStorm(t *testing.T) {
	f := func(ok bool, k kubeletCounts) {
		t.Helper()
		if err := k.storm(20); (err == nil) != ok {
			t.Errorf("%+v: %v", k, err)
		}
	}
	f(true, kubeletCounts{20, 20, 20})
	f(false, kubeletCounts{0, 500, 500})
	f(false, kubeletCounts{19, 500, 500})
	f(false, kubeletCounts{20, 19, 500})
	f(false, kubeletCounts{20, 500, 19})
	if got := (kubeletCounts{30, 20, 10}).since(kubeletCounts{1, 2, 3}); got != (kubeletCounts{29, 18, 7}) {
		t.Errorf("since: %+v", got)
	}
}

func TestRebooted(t *testing.T) {
	before := map[string]string{"a": "1", "b": "2"}
	f := func(ok bool, after map[string]string) {
		t.Helper()
		if err := rebooted([]string{"a", "b"}, before, after); (err == nil) != ok {
			t.Errorf("%v after %v: %v", after, before, err)
		}
	}
	f(true, map[string]string{"a": "3", "b": "4"})
	f(false, before)
	f(false, map[string]string{"a": "3", "b": "2"})
	f(false, map[string]string{"a": "3"})
}

// A lease that nobody renews grows old as well, which is no clock that is off.
func TestRenewedInThePast(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	f := func(ok bool, before, renewal time.Time) {
		t.Helper()
		if err := renewedInThePast(before, renewal, now); (err == nil) != ok {
			t.Errorf("renewed at %v after %v: %v", renewal, before, err)
		}
	}
	f(true, ago(10*time.Second), ago(61*time.Second))
	f(false, ago(10*time.Second), ago(10*time.Second))
	f(false, ago(61*time.Second), ago(61*time.Second)) // and nobody renews it
	f(false, ago(10*time.Second), ago(0))
	f(false, ago(20*time.Second), ago(50*time.Second))
	f(false, ago(90*time.Second), ago(61*time.Second))
}

// Who is struck is chosen by the pick: the same for the same, all of them over some,
// and without one the first.
func TestPicks(t *testing.T) {
	e, _ := idleEnv(t)
	f := func(target string, number, all int) {
		t.Helper()
		e.Pick = 0
		first, err := someNodes(e, target)
		if err != nil || len(first) != number || target != oneZone && first[0] != e.Nodes.Nodes()[0] {
			t.Errorf("%s is %v, %v", target, first, err)
		}
		struck := map[string]bool{}
		for e.Pick = 1; e.Pick < 200; e.Pick++ {
			names, err := someNodes(e, target)
			again, _ := someNodes(e, target)
			if err != nil || len(names) != number || !slices.Equal(names, again) {
				t.Fatalf("pick %d of %s is %v and %v, %v", e.Pick, target, names, again, err)
			}
			for _, name := range names {
				struck[name] = true
			}
		}
		if len(struck) != all {
			t.Errorf("picks of %s strike %d nodes, want %d", target, len(struck), all)
		}
	}
	f(oneNode, 1, 20)
	f(tenth, 2, 20)
	zone, err := e.Nodes.NodesIn(e.Nodes.Zones()[0])
	if err != nil {
		t.Fatal(err)
	}
	f(oneZone, len(zone), len(zone)*len(e.Nodes.Zones()))
}
