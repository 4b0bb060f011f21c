package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

func controlled(v history.Version, kind, uid string) history.Version {
	v.Owners = []history.Owner{{Kind: kind, Name: uid, UID: uid, Controller: true}}
	return v
}

// rolling is a Deployment of 10 replicas, or another number, with a surge of 3 and 2
// that need not be available.
func rolling(name string, replicas int, fields ...string) history.Version {
	return object("apps", "deployments", "ns", name, append(fields, fmt.Sprint("spec.replicas=", replicas), "maxSurge=3", "maxUnavailable=20%")...)
}

// turn is a ReplicaSet of the Deployment d: "web-2" is number 2.
func turn(name string, asks, available int) history.Version {
	_, number, _ := strings.Cut(name, "-")
	return controlled(object("apps", "replicasets", "ns", name, "rollout="+number, fmt.Sprint("spec.replicas=", asks),
		fmt.Sprint("status.availableReplicas=", available)), "Deployment", "uid-d")
}

// turns commits versions of ReplicaSets.
func (w *world) turns(vs ...history.Version) *world {
	for _, v := range vs {
		w.put(v)
	}
	return w
}

// rolls is a Deployment with a ReplicaSet that is whole, and the next one.
func rolls(vs ...history.Version) *world {
	return newWorld().put(rolling("d", 10)).turns(turn("w-1", 10, 0), turn("w-1", 10, 10), turn("w-2", 3, 0), turn("w-2", 3, 0)).turns(vs...)
}

func TestRolloutBounded(t *testing.T) {
	adopted := turn("w-3", 4, 0)
	adopted.Owners = nil
	named := func(d history.Version, vs ...history.Version) *world { return newWorld().put(d).turns(vs...) }
	tell(t, cluster.RolloutBounded, []story{
		{"a rollout", rolls(turn("w-1", 8, 10), turn("w-1", 8, 8), turn("w-2", 5, 0), turn("w-2", 5, 3), turn("w-1", 5, 8), turn("w-1", 5, 5), turn("w-2", 8, 3),
			turn("w-2", 8, 8), turn("w-1", 0, 5), turn("w-1", 0, 0), turn("w-2", 10, 8)), checkers.Pass, []string{"5 steps"}},
		{"too many pods", rolls(turn("w-1", 8, 10), turn("w-2", 6, 0)), checkers.Fail,
			[]string{"asked for 6 pods where others asked for 8 at least, and all of them may ask for 13", "revision 8", "deployments/ns/d", "number 1"}},
		{"too many pods of one", newWorld().put(rolling("d", 10)).turns(turn("w-1", 10, 0), turn("w-1", 14, 0)), checkers.Fail, []string{"asked for 14 pods where others asked for 0"}},
		{"too many by what may not have been seen", rolls(turn("w-1", 8, 10), turn("w-1", 10, 10), turn("w-2", 5, 0)), checkers.Pass, []string{"2 steps"}},
		{"too many by what was seen", rolls(turn("w-1", 8, 10), turn("w-1", 10, 10), turn("w-2", 3, 1), turn("w-2", 3, 2), turn("w-2", 5, 2)), checkers.Fail, []string{"others asked for 10 at least"}},
		{"too few available", rolls(turn("w-1", 6, 10)), checkers.Fail, []string{"asked for 6 pods instead of 10 where others had 0 available at most, and 8 have to be", "10 replicas without 2"}},
		{"some of the new ones available", rolls(turn("w-2", 3, 2), turn("w-1", 6, 10)), checkers.Pass, []string{"1 steps"}},
		{"too few of the new ones available", rolls(turn("w-2", 3, 1), turn("w-1", 6, 10)), checkers.Fail, []string{"others had 1 available at most"}},
		{"two steps for one", rolls(turn("w-1", 8, 10), turn("w-1", 8, 8), turn("w-1", 8, 8), turn("w-1", 6, 8)), checkers.Fail, []string{"instead of 8"}},
		{"a status of before", rolls(turn("w-1", 8, 10), turn("w-1", 8, 10), turn("w-1", 6, 10)), checkers.Pass, []string{"2 steps"}},
		{"more unavailable ones than there may be", rolls(turn("w-1", 10, 4), turn("w-1", 10, 4), turn("w-1", 10, 4), turn("w-2", 3, 3), turn("w-1", 4, 4)), checkers.Fail, nil},
		{"unavailable ones of two", rolls(turn("w-1", 4, 0), turn("w-1", 4, 0)), checkers.Fail, nil},
		{"unavailable ones of three", newWorld().put(rolling("d", 10)).turns(turn("w-1", 4, 0), turn("w-2", 6, 4), turn("w-3", 3, 3), turn("w-1", 0, 0)), checkers.Pass, []string{"1 steps"}},
		{"available ones of three", newWorld().put(rolling("d", 10)).turns(turn("w-1", 4, 1), turn("w-2", 6, 4), turn("w-3", 3, 3), turn("w-1", 0, 1)), checkers.Fail, nil},
		{"down to what the Deployment asks for", newWorld().put(rolling("d", 10)).turns(turn("w-1", 13, 0), turn("w-2", 3, 0), turn("w-1", 10, 0)), checkers.Pass, []string{"0 steps", "1 that nothing bounds"}},
		{"the new one itself", rolls(turn("w-2", 1, 0)), checkers.Pass, []string{"1 that nothing bounds"}},
		{"one that was numbered anew", rolls(func() history.Version { v := turn("w-1", 10, 10); v.Fields[0].Value = "3"; return v }(), turn("w-2", 0, 0)), checkers.Pass, []string{"1 steps"}},
		{"one pod too many", named(rolling("d", 10), turn("w-1", 10, 10), turn("w-2", 3, 0), turn("w-2", 4, 0)), checkers.Fail, nil},
		{"of a Deployment that was scaled", rolls().put(rolling("d", 9)).turns(turn("w-1", 1, 10)), checkers.Pass, []string{"1 of Deployments that were scaled"}},
		{"of a Deployment that is paused", named(rolling("d", 10, "spec.paused=true"), turn("w-1", 10, 10), turn("w-2", 9, 0), turn("w-2", 10, 0)), checkers.Pass, []string{"0 steps"}},
		{"of a Deployment without a strategy", named(object("apps", "deployments", "ns", "d", "spec.replicas=10"), turn("w-1", 10, 10), turn("w-2", 9, 0), turn("w-2", 10, 0)), checkers.Pass, []string{"2 whose numbers"}},
		{"without what is available", rolls(set("replicasets", "w-1", "2", "2")), checkers.Pass, []string{"2 whose numbers"}},
		{"with one of somebody else", rolls().turns(adopted, turn("w-3", 4, 0), turn("w-2", 9, 0)), checkers.Pass, []string{"1 of Deployments that were scaled, paused or took"}},
		{"with one that was given up", rolls().turns(unowned(turn("w-1", 10, 10)), turn("w-2", 14, 0)), checkers.Pass, nil},
		{"with one that could not be read", rolls().turns(unread(turn("w-1", 10, 10)), turn("w-2", 14, 0)), checkers.Pass, nil},
		{"with one that was removed", rolls(turn("w-1", 8, 10), turn("w-1", 8, 8)).remove(turn("w-1", 0, 0)).turns(turn("w-2", 5, 0)), checkers.Pass, nil},
		{"of another Deployment", rolls().put(rolling("e", 10)).turns(controlled(turn("x-1", 10, 0), "Deployment", "uid-e")), checkers.Pass, []string{"0 steps"}},
		{"of nothing", rolls().remove(rolling("d", 10)).turns(turn("w-2", 14, 0)), checkers.Pass, []string{"0 steps"}},
	})
}

func unowned(v history.Version) history.Version { v.Owners = []history.Owner{}; return v }

// TestRolloutTerms tries what a Deployment may say of its rollouts.
func TestRolloutTerms(t *testing.T) {
	f := func(surge, unavailable string, replicas, most, least int) {
		t.Helper()
		d := object("apps", "deployments", "ns", "d", fmt.Sprint("spec.replicas=", replicas), "maxSurge="+surge, "maxUnavailable="+unavailable)
		for _, c := range []struct {
			next int // that the second asks for before
			v    history.Version
			want checkers.Outcome
		}{
			{0, turn("w-2", most-replicas, 0), checkers.Pass}, {0, turn("w-2", most-replicas+1, 0), checkers.Fail},
			{1, turn("w-1", least, replicas), checkers.Pass}, {1, turn("w-1", least-1, replicas), checkers.Fail},
		} {
			w := newWorld().put(d).turns(turn("w-1", replicas, replicas), turn("w-2", c.next, 0), c.v)
			if v := verdict(t, cluster.RolloutBounded, w.options()); v.Outcome != c.want {
				t.Errorf("surge %s, unavailable %s of %d: to %+v: %s", surge, unavailable, replicas, c.v.Fields, v)
			}
		}
	}
	f("25%", "25%", 10, 13, 8)
	f("1", "0", 4, 5, 4)
	f("0", "1", 4, 4, 3)
	f("0", "0", 4, 4, 3)
	f("0%", "10%", 4, 4, 3)
	f("100%", "50%", 4, 8, 2)
	f("1", "3", 4, 5, 1)
	for _, text := range []string{"x", "-1", "1%%", "99999999999999"} {
		d := object("apps", "deployments", "ns", "d", "spec.replicas=4", "maxSurge="+text, "maxUnavailable=1")
		w := newWorld().put(d).turns(turn("w-1", 4, 4), turn("w-2", 1, 0), turn("w-1", 0, 4))
		if v := verdict(t, cluster.RolloutBounded, w.options()); v.Outcome != checkers.Pass || !strings.Contains(v.Checked, "0 steps") {
			t.Errorf("surge %s: %s", text, v)
		}
	}
}

// TestFirstStep makes a ReplicaSet with too many pods: only what others asked for
// within the patience, and since it is calm, may not have been seen.
func TestFirstStep(t *testing.T) {
	f := func(pause time.Duration, calm history.Time, asks int, want checkers.Outcome, says string) {
		t.Helper()
		w := newWorld().put(rolling("d", 10)).turns(turn("w-1", 10, 0), turn("w-1", 10, 10)).wait(pause).turns(turn("w-2", asks, 0))
		opts := w.options()
		opts.Calm = calm
		if v := verdict(t, cluster.RolloutBounded, opts); v.Outcome != want || !strings.Contains(v.Checked+v.Detail, says) {
			t.Errorf("%d after %s: %s; %s", asks, pause, v, v.Checked)
		}
	}
	f(beyond, 1, 3, checkers.Pass, "1 steps")
	f(beyond, 1, 4, checkers.Fail, "asked for 4 pods where others asked for 10")
	f(within, 1, 4, checkers.Pass, "1 whose numbers or times")
	f(beyond, second(30), 4, checkers.Pass, "1 whose numbers or times")
	f(beyond, 0, 4, checkers.Pass, "1 whose numbers or times")
}

// TestRolloutOfRestored knows nothing of when the first revisions were made.
func TestRolloutOfRestored(t *testing.T) {
	w := rolls(turn("w-1", 6, 10))
	opts := w.options()
	known := opts.Commit
	opts.Commit = func(rev int64) (called, returned history.Time, ok bool) {
		if rev < w.rev {
			return 0, 0, false
		}
		return known(rev)
	}
	if v := verdict(t, cluster.RolloutBounded, opts); v.Outcome != checkers.Pass || !strings.Contains(v.Checked, "2 whose numbers or times") {
		t.Errorf("%s; %s", v, v.Checked)
	}
}

func TestRolloutFloor(t *testing.T) {
	opts := rolls(turn("w-1", 8, 10)).options()
	for floor, want := range map[int64]checkers.Outcome{0: checkers.Invalid, 1: checkers.Pass, 2: checkers.Invalid} {
		opts.Floors.Rollouts = floor
		if v := verdict(t, cluster.RolloutBounded, opts); v.Outcome != want {
			t.Errorf("floor %d: %s", floor, v)
		}
	}
}
