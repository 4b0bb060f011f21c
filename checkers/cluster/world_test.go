package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// world writes a history by hand: revision n is committed in second n.
type world struct {
	table *versions.Table
	rev   int64
	now   map[string]history.Version
}

func newWorld() *world {
	return &world{table: versions.New(), rev: 1, now: map[string]history.Version{}}
}

// object is a version in shorthand: Fields as "name=value".
func object(group, resource, namespace, name string, fields ...string) history.Version {
	v := history.Version{Group: group, Resource: resource, Namespace: namespace, Name: name, Generation: 1}
	v.Key = strings.Join([]string{"/registry", resource, namespace, name}, "/")
	if namespace == "" {
		v.Key = "/registry/" + resource + "/" + name
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		v.Fields = append(v.Fields, history.Pair{Name: name, Value: value})
	}
	return v
}

// put commits a version; without a uid it is the next one of the same life.
func (w *world) put(v history.Version) *world {
	w.rev++
	v.Revision = w.rev
	if v.UID == "" {
		v.UID = "uid-" + v.Name
	}
	if v.Owners == nil {
		v.Owners = w.now[v.Key].Owners
	}
	if v.Labels == nil {
		v.Labels = w.now[v.Key].Labels
	}
	w.now[v.Key] = v
	w.table.Add(&v)
	return w
}

func (w *world) remove(v history.Version) *world {
	w.rev++
	w.table.Add(&history.Version{Revision: w.rev, Key: v.Key, Group: v.Group, Resource: v.Resource, Delete: true})
	return w
}

// wait lets time pass: one revision a second.
func (w *world) wait(d time.Duration) *world {
	w.rev += int64(d / time.Second)
	w.table.Sealed(w.rev)
	return w
}

func owned(v history.Version, uids ...string) history.Version {
	for _, uid := range uids {
		v.Owners = append(v.Owners, history.Owner{Kind: "Owner", Name: uid, UID: uid, Controller: len(v.Owners) == 0})
	}
	return v
}

func labelled(v history.Version, labels ...string) history.Version {
	for _, l := range labels {
		name, value, _ := strings.Cut(l, "=")
		v.Labels = append(v.Labels, history.Pair{Name: name, Value: value})
	}
	return v
}

func withUID(v history.Version, uid string) history.Version { v.UID = uid; return v }

func deleting(v history.Version) history.Version { v.Deleting = true; return v }

func generation(v history.Version, n int64) history.Version { v.Generation = n; return v }

func unread(v history.Version) history.Version { v.Unread, v.Fields = true, nil; return v }

func pod(name string, fields ...string) history.Version {
	return object("", "pods", "ns", name, fields...)
}

func node(name string, fields ...string) history.Version {
	return object("", "nodes", "", name, append(fields, "ready=True")...)
}

func second(n int64) history.Time { return history.Time(n * int64(time.Second)) }

// options judge a world without floors.
func (w *world) options() cluster.Options {
	w.table.Sealed(w.rev)
	return cluster.Options{
		Versions: w.table, Settled: settledAt(w.rev), Calm: 1, Floors: cluster.Floors{Bindings: -1, Workloads: -1, Services: -1, Owned: -1, Leaders: -1, Evictions: -1,
			Rollouts: -1, Jobs: -1, Removed: -1},
		Commit: func(rev int64) (called, returned history.Time, ok bool) {
			return second(rev), second(rev) + 1000, rev > 1 && rev <= w.rev
		},
	}
}

func settledAt(rev int64) []cluster.Moment { return []cluster.Moment{{Revision: rev}} }

func verdict(t *testing.T, guarantee string, opts cluster.Options) checkers.Verdict {
	t.Helper()
	sameInSteps(t, opts)
	for _, v := range cluster.Judge(opts) {
		if v.Guarantee == guarantee {
			if v.Area != checkers.AreaCluster || v.Statement == "" || v.Checked == "" {
				t.Errorf("%+v is not whole", v)
			}
			return v
		}
	}
	t.Fatalf("no verdict on %s", guarantee)
	return checkers.Verdict{}
}

// story is a history with the outcome that it must have: says are parts of the
// detail of a Fail, or of what was checked otherwise.
type story struct {
	name string
	w    *world
	want checkers.Outcome
	says []string
}

func tell(t *testing.T, guarantee string, stories []story) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			v := verdict(t, guarantee, s.w.options())
			text := v.Checked
			if v.Outcome != checkers.Pass {
				text = v.Detail
			}
			if v.Outcome != s.want {
				t.Fatalf("%s; checked: %s", v, v.Checked)
			}
			for _, part := range s.says {
				if !strings.Contains(text, part) {
					t.Errorf("%q does not say %q", text, part)
				}
			}
			// A history with a violation of one guarantee has none of another.
			for _, other := range cluster.Judge(s.w.options()) {
				if other.Guarantee != guarantee && other.Outcome == checkers.Fail {
					t.Errorf("%s", other)
				}
			}
		})
	}
}

func TestFloors(t *testing.T) {
	w := newWorld().put(node("n", "allocatable.pods=9")).put(pod("p")).put(pod("p", "spec.nodeName=n"))
	opts := w.options()
	for _, c := range []struct {
		floor int64
		want  checkers.Outcome
	}{{0, checkers.Invalid}, {-1, checkers.Pass}, {1, checkers.Pass}, {2, checkers.Invalid}} {
		opts.Floors.Bindings = c.floor
		for _, g := range []string{cluster.NoDoubleBind, cluster.NoOvercommit} {
			if v := verdict(t, g, opts); v.Outcome != c.want {
				t.Errorf("floor %d: %s", c.floor, v)
			}
		}
	}
	led := newWorld().hold(lease("x", "a", 0, 2), lease("x", "", 0, 3), lease("x", "b", 1, 4)).options()
	for floor, want := range map[int64]checkers.Outcome{0: checkers.Pass, 2: checkers.Invalid, 1: checkers.Pass} {
		led.Floors.Leaders = floor
		if v := verdict(t, cluster.OneLeader, led); v.Outcome != want {
			t.Errorf("floor %d: %s", floor, v)
		}
	}
	none := newWorld().put(pod("p")).options()
	none.Floors = cluster.Floors{}
	for _, v := range cluster.Judge(none) {
		if v.Outcome != checkers.Invalid || v.Unfit {
			t.Errorf("of nothing: %s", v)
		}
	}
	none.Floors = cluster.Floors{Bindings: 1, Workloads: 1, Services: 1, Owned: 1, Leaders: 1, Evictions: 1, Rollouts: 1, Jobs: 1, Removed: 1}
	for _, v := range cluster.Judge(none) {
		if v.Outcome != checkers.Invalid {
			t.Errorf("below a floor that was set: %s", v)
		}
	}
}

func TestDisorderIsInvalid(t *testing.T) {
	w := newWorld().put(pod("p"))
	w.table.Add(&history.Version{Revision: 1, Key: "late"})
	for _, v := range cluster.Judge(w.options()) {
		if v.Outcome != checkers.Invalid {
			t.Errorf("%s", v)
		}
	}
}

// TestLaterIsAnotherStory lets everything break after the moment at which the
// cluster had settled.
func TestLaterIsAnotherStory(t *testing.T) {
	w := newWorld().put(object("apps", "replicasets", "ns", "rs", "spec.replicas=0", "status.observedGeneration=1")).wait(5 * time.Minute)
	settled := w.rev
	w.put(labelled(pod("p", "ready=True"), "app=x"))
	w.put(object("apps", "replicasets", "ns", "rs", "spec.replicas=3", "status.observedGeneration=1")).wait(5 * time.Minute)
	opts := w.options()
	if v := verdict(t, cluster.ReplicasConverge, opts); v.Outcome != checkers.Fail {
		t.Errorf("at the end: %s", v)
	}
	opts.Settled, opts.Calm = settledAt(settled), 0
	if v := verdict(t, cluster.ReplicasConverge, opts); v.Outcome != checkers.Pass {
		t.Errorf("before: %s", v)
	}
}

// TestNotSettled gives a history with a violation of everything that is about
// the moment.
func TestNotSettled(t *testing.T) {
	w := bad()
	opts := w.options()
	for _, g := range []string{cluster.ReplicasConverge, cluster.EndpointsMatch, cluster.NoOrphans} {
		opts.Settled, opts.Calm = settledAt(w.rev), 0
		if v := verdict(t, g, opts); v.Outcome != checkers.Fail {
			t.Errorf("settled: %s", v)
		}
		opts.Settled = nil
		if v := verdict(t, g, opts); v.Outcome != checkers.Invalid {
			t.Errorf("not settled: %s", v)
		}
	}
}

// bad breaks every guarantee.
func bad() *world {
	w := newWorld().put(object("apps", "replicasets", "ns", "rs", "spec.replicas=2", "status.observedGeneration=1"))
	w.put(object("", "services", "ns", "s", "selector=app=x"))
	w.put(node("n", "allocatable.pods=0"))
	w.put(labelled(pod("p", "ready=True", "hasIP=True"), "app=x")).put(pod("p", "spec.nodeName=n", "ready=True", "hasIP=True"))
	w.put(pod("p", "spec.nodeName=m", "ready=True", "hasIP=True"))
	owner := object("", "configmaps", "ns", "o")
	w.put(owner).put(owned(object("", "configmaps", "ns", "child"), "uid-o")).remove(owner)
	w.put(lease("x", "a", 0, 1)).put(lease("x", "b", 5, 2))
	w.put(pod("e", "spec.nodeName=n")).put(pod("e", "spec.nodeName=n", "disruption=DeletionByTaintManager"))
	w.put(rolling("d", 10)).turns(turn("w-1", 10, 10), turn("w-2", 3, 0), turn("w-2", 9, 0))
	w.put(batch(0)).put(batch(1))
	gone := object("", "namespaces", "", "gone")
	w.put(gone).put(object("", "configmaps", "gone", "c")).put(deleting(gone)).remove(gone)
	return w.wait(5 * time.Minute)
}

// TestWithoutTimes knows no times: what needs them is not judged, and nothing
// fails that time would excuse.
func TestWithoutTimes(t *testing.T) {
	opts := bad().options()
	opts.Commit = nil
	want := map[string]checkers.Outcome{
		cluster.NoDoubleBind: checkers.Fail, cluster.NoOvercommit: checkers.Fail,
		cluster.ReplicasConverge: checkers.Pass, cluster.EndpointsMatch: checkers.Pass, cluster.NoOrphans: checkers.Pass,
		cluster.OneLeader: checkers.Fail, cluster.NodeFailureHeals: checkers.Fail,
		cluster.RolloutBounded: checkers.Fail, cluster.JobCompletionsExact: checkers.Fail, cluster.NamespaceEmpties: checkers.Fail,
	}
	for _, v := range cluster.Judge(opts) {
		if v.Outcome != want[v.Guarantee] {
			t.Errorf("%s", v)
		}
	}
}

// TestRevisionsWithoutCall leaves the time of most revisions unknown: the
// neighbours bound it.
func TestRevisionsWithoutCall(t *testing.T) {
	opts := bad().options()
	known := opts.Commit
	opts.Commit = func(rev int64) (called, returned history.Time, ok bool) {
		if rev%7 != 0 {
			return 0, 0, false
		}
		return known(rev)
	}
	for _, v := range cluster.Judge(opts) {
		if v.Outcome != checkers.Fail {
			t.Errorf("%s", v)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	w := newWorld()
	for n := range 500 {
		w.put(node(fmt.Sprintf("node-%d", n), "allocatable.cpu=32000", "allocatable.memory=1000000", "allocatable.pods=110"))
	}
	for s := range 500 {
		w.put(object("apps", "replicasets", "ns", fmt.Sprintf("rs-%d", s), "spec.replicas=30", "status.replicas=30", "status.readyReplicas=30", "status.observedGeneration=1"))
		w.put(object("", "services", "ns", fmt.Sprintf("s-%d", s), fmt.Sprintf("selector=app=%d", s)))
	}
	for p := range 15_000 {
		name, need := fmt.Sprintf("p-%d", p), []string{"requests.cpu=100", "requests.memory=100"}
		w.put(labelled(owned(pod(name, need...), fmt.Sprintf("uid-rs-%d", p/30)), fmt.Sprintf("app=%d", p/30)))
		w.put(pod(name, append(need, fmt.Sprintf("spec.nodeName=node-%d", p%500))...))
	}
	opts := w.options()
	b.ReportAllocs()
	for b.Loop() {
		cluster.Judge(opts)
	}
}
