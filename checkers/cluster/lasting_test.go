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

// Within patience, and beyond it: it is 3 min.
const within, beyond = 170 * time.Second, 190 * time.Second

// lasts judges a world only by what lasts: it never settled.
func lasts(t *testing.T, guarantee string, w *world, calm history.Time) checkers.Verdict {
	t.Helper()
	opts := w.options()
	opts.Settled, opts.Calm = nil, calm
	return verdict(t, guarantee, opts)
}

// tellLasting tells stories that end well, so that no moment shows what was wrong.
func tellLasting(t *testing.T, guarantee string, stories []story) {
	t.Helper()
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			v := lasts(t, guarantee, s.w, 1)
			if v.Outcome != s.want {
				t.Fatalf("%s; checked: %s", v, v.Checked)
			}
			for _, part := range s.says {
				if !strings.Contains(v.Detail+v.Checked, part) {
					t.Errorf("%q does not say %q", v.Detail+v.Checked, part)
				}
			}
			for _, other := range cluster.Judge(s.w.options()) {
				if other.Guarantee != guarantee && other.Outcome == checkers.Fail {
					t.Errorf("%s", other)
				}
			}
			if v := lasts(t, guarantee, s.w, 0); v.Outcome != checkers.Invalid {
				t.Errorf("never calm: %s", v)
			}
			if v := lasts(t, guarantee, s.w, second(s.w.rev-100)); v.Outcome != checkers.Invalid {
				t.Errorf("calm only at the end: %s", v)
			}
		})
	}
}

func TestReplicaSetsInTime(t *testing.T) {
	const of = "uid-rs"
	rs := func(want string) history.Version { return set("replicasets", "rs", want, want) }
	one := func() *world { return newWorld().put(rs("2")).put(replica("a", of)) }
	whole := func(w *world) *world { return w.put(replica("b", of)) }
	ns := object("", "namespaces", "", "ns")
	busy := func(w *world, n int) *world { // another one gets a pod now and then, and was asked for later
		w.put(set("replicasets", "other", fmt.Sprint(n), fmt.Sprint(n)))
		for i := range n {
			w.wait(time.Minute).put(replica(fmt.Sprint("o", i), "uid-other"))
		}
		return w
	}
	before := newWorld().put(set("replicasets", "other", "4", "4")).put(replica("o0", "uid-other")).put(rs("2")).put(replica("a", of))
	for i := range 3 {
		before.wait(time.Minute).put(replica(fmt.Sprint("o", i+1), "uid-other"))
	}
	tellLasting(t, cluster.ReplicasConverge, []story{
		{"in time", whole(one().wait(within)), checkers.Invalid, []string{"2 times", "within 2m51s"}},
		{"too late", whole(one().wait(beyond)), checkers.Fail, []string{"asked for 2 replicas and owned 1 pods", "revision 3", "revision 194"}},
		{"never", one().wait(beyond), checkers.Fail, []string{"owned 1 pods"}},
		{"too many for too long", newWorld().put(rs("1")).put(replica("a", of)).put(replica("b", of)).wait(beyond).remove(pod("b")), checkers.Fail, []string{"asked for 1 replicas and owned 2"}},
		{"scaled, and nothing happens", newWorld().put(rs("1")).put(replica("a", of)).wait(beyond).put(generation(rs("2"), 2)).wait(beyond), checkers.Fail, []string{"asked for 2"}},
		{"slowly", newWorld().put(rs("3")).put(replica("a", of)).wait(within).put(replica("b", of)).wait(within).put(replica("c", of)), checkers.Invalid, nil},
		{"its status changes meanwhile", whole(one().wait(within).put(set("replicasets", "rs", "2", "1")).wait(within)), checkers.Fail, nil},
		{"one that is on its way out", one().put(deleting(rs("2"))).wait(beyond), checkers.Invalid, nil},
		{"one that never had a pod", newWorld().put(rs("2")).wait(beyond), checkers.Invalid, []string{"1 excused"}},
		{"under a quota", one().put(object("", "resourcequotas", "ns", "q")).wait(beyond), checkers.Invalid, []string{"1 excused"}},
		{"in a namespace that goes", newWorld().put(ns).put(rs("2")).put(replica("a", of)).put(deleting(ns)).wait(beyond), checkers.Invalid, []string{"1 excused"}},
		{"unreadable", one().put(unread(pod("b"))).wait(beyond), checkers.Invalid, nil},
		{"behind another", whole(before), checkers.Invalid, nil},
		{"before others that were asked for later", whole(busy(one(), 5)), checkers.Fail, []string{"owned 1 pods"}},
	})
	// What is settled says nothing of the time before, if not all could be read.
	for _, g := range []string{cluster.ReplicasConverge, cluster.EndpointsMatch, cluster.NoOrphans} {
		w := newWorld().put(rs("1")).put(unread(pod("c"))).remove(pod("c")).put(replica("a", of))
		v := verdict(t, g, w.options())
		if v.Outcome != checkers.Invalid || !strings.Contains(v.Detail, "1 versions of pods") || strings.Contains(v.Checked, "at every revision") {
			t.Errorf("%s; checked: %s", v, v.Checked)
		}
		opts := w.options()
		opts.Calm = 0
		if v := verdict(t, g, opts); v.Outcome != checkers.Pass {
			t.Errorf("judged at its end alone: %s", v)
		}
	}
	for name, w := range map[string]*world{ // what they leave is NoOrphans'
		"one that is removed":    one().remove(rs("2")).wait(beyond),
		"of a life that is over": whole(one().put(withUID(rs("0"), "2")).wait(beyond)),
	} {
		if v := lasts(t, cluster.ReplicasConverge, w, 1); v.Outcome != checkers.Invalid {
			t.Errorf("%s: %s", name, v)
		}
	}
}

func TestEndpointsInTime(t *testing.T) {
	n := node("n", "allocatable.pods=9")
	front := func() *world { return newWorld().put(n).put(object("", "services", "ns", "s", "selector=app=x")) }
	up := func(name string, fields ...string) history.Version {
		return labelled(pod(name, append(fields, "ready=True", "hasIP=True", "spec.nodeName=n")...), "app=x")
	}
	both := slice("e", "uid-a:true,uid-b:true")
	foreign := slice("e", "uid-z:true")
	foreign.Labels = nil
	restless := func(w *world) *world { // pods of the same Service come and go
		for i := range 12 {
			p := up(fmt.Sprint("c", i))
			w.wait(15 * time.Second).put(p).put(slice("f", "uid-"+p.Name+":true")).remove(p).put(slice("f", ""))
		}
		return w
	}
	tellLasting(t, cluster.EndpointsMatch, []story{
		{"in time", front().put(up("a")).wait(within).put(slice("e", "uid-a:true")), checkers.Invalid, []string{"1 endpoints were put right, within 2m51"}},
		{"too late", front().put(up("a")).wait(beyond).put(slice("e", "uid-a:true")), checkers.Fail, []string{"no ready endpoint for a ready pod", "pods/ns/a", "revision 4"}},
		{"never", front().put(up("a")).wait(beyond), checkers.Fail, nil},
		{"gone too late", front().put(up("a")).put(slice("e", "uid-a:true")).remove(pod("a")).wait(beyond).put(slice("e", "")), checkers.Fail, []string{"that is no ready pod"}},
		{"no longer selected", front().put(up("a")).put(slice("e", "uid-a:true")).put(labelled(pod("a", "ready=True", "hasIP=True", "spec.nodeName=n"), "app=y")).wait(beyond), checkers.Fail, []string{"that is no ready pod"}},
		{"one of two, while others come and go", restless(front().put(up("a")).put(up("b")).put(slice("e", "uid-b:true"))).put(both), checkers.Fail, []string{"pods/ns/a"}},
		{"all, while others come and go", restless(front().put(up("a")).put(up("b")).put(both)), checkers.Invalid, nil},
		{"in another slice", front().put(up("a")).put(slice("e", "uid-a:true")).put(slice("f", "uid-a:true")).put(slice("e", "")).wait(beyond), checkers.Invalid, nil},
		{"in none of two", front().put(up("a")).put(slice("e", "uid-a:true")).put(slice("f", "uid-a:true")).remove(slice("e", "")).remove(slice("f", "")).wait(beyond), checkers.Fail, nil},
		{"ready and not, again and again", front().put(up("a")).wait(within).put(labelled(pod("a", "hasIP=True", "spec.nodeName=n"), "app=x")).put(up("a")).wait(within).put(slice("e", "uid-a:true")), checkers.Invalid, nil},
		{"a Service that comes later", newWorld().put(n).put(up("a")).wait(beyond).put(object("", "services", "ns", "s", "selector=app=x")).wait(within).put(slice("e", "uid-a:true")), checkers.Invalid, nil},
		{"a Service that comes later and gets none", newWorld().put(n).put(up("a")).put(object("", "services", "ns", "s", "selector=app=x")).wait(beyond), checkers.Fail, nil},
		{"a Service that asks for others", front().put(up("a")).put(slice("e", "uid-a:true")).put(object("", "services", "ns", "s", "selector=app=y")).wait(beyond).put(slice("e", "")), checkers.Fail, nil},
		{"a Service that was removed", front().put(up("a")).remove(object("", "services", "ns", "s")).wait(beyond), checkers.Invalid, nil},
		{"a pod of a node that is not there", front().put(up("a")).remove(n).wait(beyond), checkers.Invalid, []string{"1 excused"}},
		{"a pod whose node came later", newWorld().put(object("", "services", "ns", "s", "selector=app=x")).put(up("a")).put(n).wait(beyond), checkers.Invalid, []string{"1 excused"}},
		{"a slice of somebody else", front().put(labelled(foreign, "a=b")).wait(beyond), checkers.Invalid, nil},
	})
}

func TestCollectedInTime(t *testing.T) {
	owner := object("", "configmaps", "ns", "o")
	item := func(uids ...string) history.Version { return owned(object("", "secrets", "ns", "d"), uids...) }
	lost := func() *world { return newWorld().put(owner).put(item("uid-o")).remove(owner) }
	kind := func(v history.Version, k string) history.Version { v.Kind = k; return v }
	// Owner is the kind of all owners here.
	stored := func() *world { return newWorld().put(kind(object("", "configmaps", "ns", "x"), "Owner")) }
	far := versions.New()
	far.Sealed(1000)
	late := &world{table: far, rev: 1000, now: map[string]history.Version{}}
	tellLasting(t, cluster.NoOrphans, []story{
		{"in time", lost().wait(within).remove(item()), checkers.Invalid, []string{"1 objects without an owner were collected, within 2m51"}},
		{"too late", lost().wait(beyond).remove(item()), checkers.Fail, []string{"secrets/ns/d was there without any of its owners", "revision 4", "uid uid-o"}},
		{"marked in time", lost().wait(within).put(deleting(item("uid-o"))).wait(beyond), checkers.Invalid, nil},
		{"never", lost().wait(beyond), checkers.Fail, nil},
		{"given to another in time", lost().put(item("uid-p")).put(object("", "configmaps", "ns", "p")).wait(beyond), checkers.Invalid, nil},
		{"given to nobody", lost().put(func() history.Version { v := item(); v.Owners = []history.Owner{}; return v }()).wait(beyond), checkers.Invalid, nil},
		{"an owner that never was", stored().put(item("uid-z")).wait(beyond), checkers.Fail, []string{"uid uid-z"}},
		{"an owner that never was, of a kind that is none", newWorld().put(item("uid-x")).wait(beyond), checkers.Invalid, []string{"1 excused"}},
		{"an owner that never was, of an object without a namespace", stored().put(owned(node("n"), "uid-z")).wait(beyond), checkers.Invalid, []string{"1 excused"}},
		{"an owner that never was, or could not be read", stored().put(unread(object("", "configmaps", "ns", "y"))).put(item("uid-z")).wait(beyond), checkers.Invalid, []string{"1 excused"}},
		{"an owner of before the history", late.put(kind(object("", "configmaps", "ns", "x"), "Owner")).put(item("uid-z")).wait(beyond), checkers.Invalid, []string{"1 excused"}},
		{"an owner that comes later", stored().put(item("uid-o")).put(owner).wait(beyond), checkers.Invalid, nil},
		{"one owner that never was, and one that is", stored().put(owner).put(item("uid-o", "uid-z")).wait(beyond), checkers.Invalid, nil},
		{"made for an owner that was gone", newWorld().put(kind(owner, "Owner")).remove(owner).put(item("uid-o")).wait(beyond), checkers.Fail, nil},
		{"one of many, each in time after the one before", inTurn(true), checkers.Invalid, nil},
		{"left when there was nothing else to do", lost().wait(beyond).put(object("", "configmaps", "ns", "p")).put(owned(object("", "secrets", "ns", "f"), "uid-p")).
			remove(object("", "configmaps", "ns", "p")).remove(object("", "secrets", "ns", "f")).wait(time.Minute).remove(item()), checkers.Fail, []string{"secrets/ns/d"}},
		{"one of many that is left out", inTurn(false), checkers.Fail, []string{"secrets/ns/d0"}},
	})
}

// inTurn has a collector that needs a minute for each of some objects, and does
// them in their order, or leaves the first one to the end.
func inTurn(order bool) *world {
	w := newWorld()
	owner := object("", "configmaps", "ns", "o")
	w.put(owner)
	item := func(i int) history.Version {
		return owned(object("", "secrets", "ns", fmt.Sprint("d", i)), fmt.Sprint("uid-o", i))
	}
	for i := range 5 {
		w.put(object("", "configmaps", "ns", fmt.Sprint("o", i))).put(item(i))
	}
	for i := range 5 {
		w.remove(object("", "configmaps", "ns", fmt.Sprint("o", i)))
	}
	first, last := 0, 5
	if !order {
		first = 1
	}
	for i := first; i < last; i++ {
		w.wait(time.Minute).remove(item(i))
	}
	if !order {
		w.wait(time.Minute).remove(item(0))
	}
	return w
}

// TestLeaderInTime has a controller manager that is not there, or has just begun.
func TestLeaderInTime(t *testing.T) {
	owner, item := object("", "configmaps", "ns", "o"), owned(object("", "secrets", "ns", "d"), "uid-o")
	lost := func() *world {
		return newWorld().put(owner).put(item).hold(manager("a", 0, 4)).remove(owner)
	}
	renewing := func(w *world, holder string, transitions, acquired, n int) *world {
		for range n {
			w.hold(manager(holder, transitions, acquired)).wait(time.Second)
		}
		return w
	}
	for _, s := range []struct {
		name string
		w    *world
		want checkers.Outcome
	}{
		{"one that renews", renewing(lost(), "a", 0, 4, 95), checkers.Fail},
		{"one that is gone", lost().wait(beyond), checkers.Invalid},
		{"one that has just taken over", renewing(lost().wait(beyond), "b", 1, 200, 80), checkers.Invalid},
		{"one that has taken over", renewing(lost().wait(beyond), "b", 1, 200, 95), checkers.Fail},
		{"one that was frozen", renewing(lost().wait(beyond), "a", 0, 4, 80), checkers.Invalid},
	} {
		if v := lasts(t, cluster.NoOrphans, s.w, 1); v.Outcome != s.want {
			t.Errorf("%s: %s; %s", s.name, v, v.Checked)
		}
	}
}

// TestLastingIsSeen has what is wrong for too long be known while it goes on.
func TestLastingIsSeen(t *testing.T) {
	n, svc := node("n", "allocatable.pods=9"), object("", "services", "ns", "s", "selector=app=x")
	ready := labelled(pod("a", "ready=True", "hasIP=True", "spec.nodeName=n"), "app=x")
	for g, w := range map[string]func() *world{
		cluster.ReplicasConverge: func() *world {
			return newWorld().put(set("replicasets", "rs", "2", "2")).put(replica("a", "uid-rs"))
		},
		cluster.EndpointsMatch: func() *world { return newWorld().put(n).put(svc).put(ready) },
		cluster.NoOrphans: func() *world {
			o := object("", "configmaps", "ns", "o")
			return newWorld().put(o).put(owned(object("", "secrets", "ns", "d"), "uid-o")).remove(o)
		},
	} {
		for d, want := range map[time.Duration]int{within: 0, beyond: 1} {
			_, broken := inSteps(w().wait(d).put(node("x")).put(node("x")).options())
			if len(broken) != want || want == 1 && broken[0] != g {
				t.Errorf("%s after %s: %q", g, d, broken)
			}
		}
	}
}

// TestCalmCounts says nothing of what was put right before anything was judged.
func TestCalmCounts(t *testing.T) {
	w := newWorld()
	for i := range 3 {
		o, item := object("", "configmaps", "ns", fmt.Sprint("o", i)), object("", "secrets", "ns", fmt.Sprint("d", i))
		w.put(o).put(owned(item, fmt.Sprint("uid-o", i))).remove(o).remove(item).wait(time.Minute)
	}
	for calm, says := range map[history.Time]string{1: "3 objects", second(60): "2 objects", second(w.rev): "0 objects"} {
		if v := lasts(t, cluster.NoOrphans, w, calm); !strings.Contains(v.Checked, "at every revision: "+says) {
			t.Errorf("calm at %d: %s", calm, v.Checked)
		}
	}
}

// TestUntimed has a store that was restored: of what was before nobody knows the
// times, and does not look for them far and wide; what is wrong from then on is found.
func TestUntimed(t *testing.T) {
	w := newWorld()
	for i := range 300 {
		o, item := object("", "configmaps", "ns", fmt.Sprint("o", i)), object("", "secrets", "ns", fmt.Sprint("d", i))
		w.put(o).put(owned(item, fmt.Sprint("uid-o", i))).remove(o).remove(item)
	}
	before := w.rev
	o, item := object("", "configmaps", "ns", "o"), owned(object("", "secrets", "ns", "d"), "uid-o")
	w.put(o).put(item).wait(time.Minute).remove(o).wait(beyond).remove(item)
	for from, want := range map[int64]checkers.Outcome{1: checkers.Fail, before: checkers.Fail, w.rev - 1: checkers.Invalid} {
		opts := w.options()
		opts.Settled = nil
		known, asked := opts.Commit, int64(0)
		opts.Commit = func(rev int64) (called, returned history.Time, ok bool) {
			if asked++; rev <= from {
				return 0, 0, false
			}
			return known(rev)
		}
		if v := cluster.Judge(opts)[4]; v.Guarantee != cluster.NoOrphans || v.Outcome != want {
			t.Errorf("known after %d: %s", from, v)
		}
		if asked > 5*w.rev {
			t.Errorf("known after %d: asked %d times for the times of %d revisions", from, asked, w.rev)
		}
	}
}

// TestMoments judges more than one moment: each has its own past.
func TestMoments(t *testing.T) {
	w := newWorld().put(set("replicasets", "rs", "1", "1")).put(replica("a", "uid-rs")).wait(time.Minute)
	hold := w.rev
	w.remove(pod("a")).put(set("replicasets", "rs", "1", "0")).wait(time.Minute)
	churn := w.rev
	opts := w.options()
	for _, c := range []struct {
		moments []cluster.Moment
		want    checkers.Outcome
		says    string
	}{
		{[]cluster.Moment{{Revision: hold, After: "hold"}}, checkers.Pass, "1 workloads at rest (floor 0), at rest for 30s"},
		{[]cluster.Moment{{Revision: hold, After: "hold"}, {Revision: churn, After: "churn"}}, checkers.Fail, "at the end of the churn, with nothing changed for 30s"},
		{[]cluster.Moment{{Revision: hold, After: "hold"}, {Revision: hold + 10, After: "churn"}}, checkers.Pass, "at the end of the hold; 0, at rest for 30s"},
		// Nothing shows that the controller had come to it.
		{[]cluster.Moment{{Revision: hold, After: "hold"}, {Revision: churn, After: "churn", Busy: true}}, checkers.Pass, "1 still changing"},
	} {
		opts.Settled = c.moments
		v := verdict(t, cluster.ReplicasConverge, opts)
		if v.Outcome != c.want || !strings.Contains(v.Detail+v.Checked, c.says) {
			t.Errorf("%v: %s; %s", c.moments, v, v.Checked)
		}
	}
	// What was due later was done, so this one had had its turn.
	w.put(set("replicasets", "later", "1", "1")).put(replica("l", "uid-later")).wait(40 * time.Second)
	opts = w.options()
	opts.Settled = []cluster.Moment{{Revision: w.rev, After: "churn", Busy: true}}
	if v := verdict(t, cluster.ReplicasConverge, opts); v.Outcome != checkers.Fail || !strings.Contains(v.Detail, "at the end of the churn") {
		t.Errorf("%s", v)
	}
}

// TestStuckRollouts are not excused for ever: beside the short ones in
// TestReplicasConverge, which are.
func TestStuckRollouts(t *testing.T) {
	n := node("n", "allocatable.pods=9")
	stuck := func(fields ...string) *world {
		return deployment("1").put(n).put(replica("a", "uid-rs")).put(owned(set("replicasets", "new", "1", "0"), "uid-d")).
			put(owned(pod("b", fields...), "uid-new"))
	}
	placed := "spec.nodeName=n"
	ordered := func() *world {
		return newWorld().put(n).put(set("statefulsets", "rs", "2", "0")).put(owned(pod("a", placed), "uid-rs"))
	}
	tell(t, cluster.ReplicasConverge, []story{
		{"a rollout, for a while", stuck(placed).wait(within), checkers.Pass, []string{"1 waiting"}},
		{"a rollout", stuck(placed).wait(beyond), checkers.Fail, []string{"deployments/ns/d asks for 1 replicas and owns 2 pods"}},
		{"a rollout without room", stuck().wait(beyond), checkers.Pass, []string{"1 waiting"}},
		{"a rollout on a node that failed", stuck(placed).put(sick("n", notReady)).wait(beyond), checkers.Pass, []string{"1 waiting"}},
		{"a stateful set, for a while", ordered().wait(within), checkers.Pass, []string{"1 waiting"}},
		{"a stateful set", ordered().wait(beyond), checkers.Fail, []string{"statefulsets/ns/rs asks for 2"}},
	})
}
