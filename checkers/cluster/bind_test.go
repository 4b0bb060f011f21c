package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

const big = "allocatable.pods=110"

func TestNoDoubleBind(t *testing.T) {
	nodes := func() *world { return newWorld().put(node("a", big)).put(node("b", big)) }
	tell(t, cluster.NoDoubleBind, []story{
		{"bound once", nodes().put(pod("p")).put(pod("p", "spec.nodeName=a")).put(pod("p", "spec.nodeName=a", "status.phase=Running")), checkers.Pass, []string{"1 pods"}},
		{"same name, another life", nodes().put(pod("p")).put(pod("p", "spec.nodeName=a")).remove(pod("p")).
			put(withUID(pod("p"), "2")).put(withUID(pod("p", "spec.nodeName=b"), "2")), checkers.Pass, []string{"2 pods"}},
		{"bound twice", nodes().put(pod("p")).put(pod("p", "spec.nodeName=a")).put(pod("p", "spec.nodeName=b")), checkers.Fail,
			[]string{"bound to node a, and then to \"b\"", "revision 5", "revision 6"}},
		{"unbound", nodes().put(pod("p", "spec.nodeName=a")).put(pod("p")), checkers.Fail, []string{`then to ""`}},
		{"bound twice with an unreadable version between", nodes().put(pod("p", "spec.nodeName=a")).
			put(unread(pod("p"))).put(pod("p", "spec.nodeName=b")), checkers.Fail, nil},
		{"there and back", nodes().put(pod("p", "spec.nodeName=a")).put(pod("p", "spec.nodeName=b")).put(pod("p", "spec.nodeName=a")),
			checkers.Fail, []string{"the first of 2 violations"}},
	})
}

func small() *world {
	return newWorld().put(node("n", "allocatable.cpu=1000", "allocatable.memory=1000", "allocatable.pods=2"))
}

// bind creates a pod and binds it.
func (w *world) bind(name, node string, fields ...string) *world {
	return w.put(pod(name, fields...)).put(pod(name, append(fields, "spec.nodeName="+node)...))
}

func TestNoOvercommit(t *testing.T) {
	cpu, memory := "requests.cpu=600", "requests.memory=600"
	two := func() *world { return small().bind("p", "n", cpu).bind("q", "n", cpu) }
	tell(t, cluster.NoOvercommit, []story{
		{"just full", small().bind("p", "n", "requests.cpu=400", memory).bind("q", "n", "requests.cpu=600", "requests.memory=400"), checkers.Pass, []string{"2 bindings"}},
		{"too much cpu", two(), checkers.Fail, []string{"1000 millicores allocatable, and its pods ask for 1200", "600 millicores"}},
		{"too much memory", small().bind("p", "n", memory).bind("q", "n", memory), checkers.Fail, []string{"1000 bytes"}},
		{"too many pods", small().bind("p", "n").bind("q", "n").bind("r", "n"), checkers.Fail, []string{"2 pods allocatable, and its pods ask for 3"}},
		{"no longer than a moment", small().bind("p", "n", cpu).bind("q", "n", cpu).remove(pod("q")), checkers.Fail, nil},
		{"an ended pod takes nothing", small().bind("p", "n", cpu).put(pod("p", cpu, "spec.nodeName=n", "status.phase=Succeeded")).bind("q", "n", cpu), checkers.Pass, nil},
		{"a removed pod takes nothing", small().bind("p", "n", cpu).remove(pod("p")).bind("q", "n", cpu), checkers.Pass, nil},
		{"a pod that is being deleted takes its share", small().bind("p", "n", cpu).put(deleting(pod("p", cpu, "spec.nodeName=n"))).bind("q", "n", cpu), checkers.Fail, nil},
		{"a new life is another pod", small().bind("p", "n", cpu).remove(pod("p")).put(withUID(pod("p", cpu), "2")).
			put(withUID(pod("p", cpu, "spec.nodeName=n"), "2")), checkers.Pass, nil},
		{"who asks for no cpu fits", small().bind("p", "n", "requests.cpu=1000").bind("q", "n"), checkers.Pass, nil},
		{"no node", newWorld().bind("p", "n"), checkers.Fail, []string{"does not exist"}},
		{"no such node", small().bind("p", "m"), checkers.Fail, []string{"does not exist"}},
		{"a node that was removed just now", small().remove(node("n")).bind("p", "n"), checkers.Pass, []string{"1 bindings beyond"}},
		{"a node that was removed long ago", small().remove(node("n")).wait(time.Minute).bind("p", "n"), checkers.Fail, []string{"does not exist"}},
		{"cordoned just now", small().put(cordoned()).bind("p", "n"), checkers.Pass, []string{"1 bindings beyond"}},
		{"cordoned long ago", small().put(cordoned()).wait(time.Minute).bind("p", "n"), checkers.Fail, []string{"is cordoned"}},
		{"cordoned from the start", newWorld().put(cordoned()).bind("p", "n"), checkers.Fail, []string{"is cordoned"}},
		{"cordoned, but tolerated", small().put(cordoned()).wait(time.Minute).bind("p", "n", "toleratesUnschedulable=True"), checkers.Pass, []string{" 0 bindings beyond"}},
		{"an allocatable that shrank", small().bind("p", "n", cpu).put(node("n", "allocatable.cpu=500", "allocatable.pods=2")).
			bind("q", "n", "requests.cpu=1"), checkers.Pass, []string{"1 bindings beyond"}},
		{"a pod that was put there", small().put(pod("d", cpu, "spec.nodeName=n")).bind("p", "n", cpu), checkers.Pass,
			[]string{"1 pods put on their node by others than ", "1 bindings beyond"}},
		{"a pod that had been put there", small().put(pod("d", "spec.nodeName=n")).remove(pod("d")).bind("p", "n", cpu).bind("q", "n", cpu), checkers.Fail, nil},
		{"a pod that grew", small().bind("p", "n", "requests.cpu=100").put(pod("p", "requests.cpu=900", "spec.nodeName=n")).bind("q", "n", cpu), checkers.Pass, []string{"1 bindings beyond"}},
		{"two schedulers", small().bind("p", "n", cpu, "spec.schedulerName=a").bind("q", "n", cpu, "spec.schedulerName=b"), checkers.Pass,
			[]string{"1 pods put on their node by others than a", " 0 bindings beyond"}},
		{"beside another scheduler", small().bind("p", "n", cpu, "spec.schedulerName=b").bind("q", "n", cpu, "spec.schedulerName=a").
			bind("r", "x", "spec.schedulerName=a"), checkers.Fail, []string{"does not exist"}},
		{"the default one, among more by hand", small().bind("p", "m", "spec.schedulerName=none").bind("r", "m", "spec.schedulerName=none").
			bind("q", "x", "spec.schedulerName=default-scheduler"), checkers.Fail, []string{"x, which does not exist"}},
		{"by hand, to no node", small().bind("p", "m", "spec.schedulerName=none").bind("q", "n", "spec.schedulerName=a").
			bind("r", "n", "spec.schedulerName=a"), checkers.Pass, nil},
		{"another scheduler just now", small().put(leader("a")).bind("p", "n", cpu).put(leader("b")).bind("q", "n", cpu), checkers.Pass, []string{"1 bindings beyond"}},
		{"another scheduler long ago", small().put(leader("a")).bind("p", "n", cpu).put(leader("b")).wait(time.Minute).bind("q", "n", cpu), checkers.Fail, nil},
		{"the same scheduler", small().put(leader("a")).bind("p", "n", cpu).put(leader("a")).bind("q", "n", cpu), checkers.Fail, nil},
	})
}

// TestAsksForNothing binds a pod that asks for nothing to a node that is too
// full already: only the binding that filled it is wrong.
func TestAsksForNothing(t *testing.T) {
	w := newWorld().put(node("n", "allocatable.cpu=1000", "allocatable.memory=1000", big))
	w.bind("p", "n", "requests.cpu=600").bind("q", "n", "requests.cpu=600").bind("r", "n")
	v := verdict(t, cluster.NoOvercommit, w.options())
	if v.Outcome != checkers.Fail || strings.Contains(v.Detail, "violations") {
		t.Errorf("%s", v)
	}
	t.Log(v)
}

func cordoned() history.Version {
	return node("n", "allocatable.cpu=1000", "allocatable.memory=1000", "allocatable.pods=2", "spec.unschedulable=true")
}

func leader(holder string) history.Version {
	return object("coordination.k8s.io", "leases", "kube-system", "kube-scheduler", "spec.holderIdentity="+holder)
}
