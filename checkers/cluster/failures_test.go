package cluster_test

import (
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

const (
	notReady    = "node.kubernetes.io/not-ready"
	unreachable = "node.kubernetes.io/unreachable"
)

// sick is a node that is not Ready.
func sick(name, taints string) history.Version {
	return object("", "nodes", "", name, "taints.noExecute="+taints)
}

// tenant is a pod of a ReplicaSet on the node n, which bears a failure of it for
// 10 s, or 20 s where it is unreachable.
func tenant(name string, fields ...string) history.Version {
	p := pod(name, append(fields, "spec.nodeName=n", "stays.notReady=10", "stays.unreachable=20")...)
	p.Owners = []history.Owner{{Kind: "ReplicaSet", Name: "rs", UID: "uid-rs", Controller: true}}
	return p
}

// evict commits the two versions that the taint manager makes.
func (w *world) evict(p history.Version) *world {
	p.Fields = append(p.Fields, history.Pair{Name: "disruption", Value: "DeletionByTaintManager"})
	return w.put(p).put(deleting(p))
}

func manager(holder string, transitions, acquired int) history.Version {
	return lease("kube-controller-manager", holder, transitions, acquired)
}

func TestNodeFailureHeals(t *testing.T) {
	const brief, long = 9 * time.Second, 80 * time.Second
	up, down, lost := node("n"), sick("n", notReady), sick("n", unreachable)
	// The node fails in second 4, and p is due in second 14.
	failed := func() *world { return newWorld().put(up).put(tenant("p")).put(down) }
	forever := with(tenant("p"), "stays.notReady", "forever")
	tell(t, cluster.NodeFailureHeals, []story{
		{"nothing failed", newWorld().put(up).put(tenant("p")).wait(long), checkers.Pass, []string{"0 pods"}},
		{"in time", failed().wait(brief).evict(tenant("p")).wait(long), checkers.Pass, []string{"1 pods", "1 of them evicted"}},
		{"deleted by somebody else", failed().wait(brief).put(deleting(tenant("p"))).wait(long), checkers.Pass, []string{"0 of them evicted"}},
		{"removed by somebody else", failed().wait(brief).remove(tenant("p")).wait(long), checkers.Pass, []string{"0 of them evicted"}},
		{"ended", failed().wait(brief).put(tenant("p", "status.phase=Failed")).wait(long), checkers.Pass, nil},
		{"never", failed().wait(long), checkers.Fail, []string{"was on node n 1m19.999999s after that had failed, which it tolerates for 10s", "revision 4"}},
		{"within the bound", failed().wait(65 * time.Second), checkers.Pass, []string{"1 pods", "0 of them evicted"}},
		{"too late", failed().wait(long).evict(tenant("p")), checkers.Fail, []string{"which it tolerates for 10s"}},
		{"marked and not deleted", failed().wait(brief).put(tenant("p", "disruption=DeletionByTaintManager")).wait(90 * time.Second), checkers.Fail, nil},
		{"of another owner", newWorld().put(up).put(replica("p", "x", "spec.nodeName=n", "stays.notReady=1")).put(down).wait(long), checkers.Pass, []string{"0 pods"}},
		{"one of two", newWorld().put(up).put(tenant("p")).put(tenant("q")).put(down).wait(brief).evict(tenant("p")).wait(long), checkers.Fail, []string{"pod ns/q"}},
		{"one after the other", newWorld().put(up).put(tenant("p")).put(tenant("q")).put(down).wait(50 * time.Second).evict(tenant("p")).
			wait(50 * time.Second).evict(tenant("q")), checkers.Pass, []string{"2 of them"}},
		{"many, slowly", newWorld().put(up).put(tenant("p")).put(tenant("q")).put(tenant("r")).put(down).wait(50 * time.Second).evict(tenant("p")).
			wait(50 * time.Second).evict(tenant("q")).wait(50 * time.Second).evict(tenant("r")), checkers.Pass, []string{"3 of them"}},
		{"it came back", failed().wait(brief).put(up).wait(long), checkers.Pass, []string{"0 pods"}},
		{"it came back too late", failed().wait(long).put(up).wait(long), checkers.Fail, nil},
		{"it was removed too late", failed().wait(long).remove(up).wait(long), checkers.Fail, nil},
		{"a new one of its name", failed().wait(brief).put(withUID(down, "2")).wait(65 * time.Second), checkers.Pass, nil},
		{"Ready, with a taint", newWorld().put(up).put(tenant("p")).put(node("n", "taints.noExecute="+notReady)).wait(long), checkers.Pass, []string{"0 pods"}},
		{"without a taint", newWorld().put(up).put(tenant("p")).put(sick("n", "")).wait(long), checkers.Pass, []string{"0 pods", "1 times a node"}},
		{"with a taint later", newWorld().put(up).put(tenant("p")).put(sick("n", "")).wait(long).put(down), checkers.Pass, []string{"0 times a node"}},
		{"it bears that for ever", newWorld().put(up).put(forever).put(down).wait(long), checkers.Pass, []string{"0 pods"}},
		{"its time depends on the taint", newWorld().put(up).put(tenant("p")).put(lost).wait(14 * time.Second).evict(tenant("p")), checkers.Fail,
			[]string{"at most 15.000001s after its taint, which it tolerates for 20s"}},
		{"its time was changed", failed().put(with(tenant("p"), "stays.notReady", "60")).wait(brief).evict(with(tenant("p"), "stays.notReady", "60")),
			checkers.Pass, []string{"2 whose times"}},
		{"at once", newWorld().put(up).put(with(tenant("p"), "stays.notReady", "no")).put(down).evict(with(tenant("p"), "stays.notReady", "no")), checkers.Pass, nil},
		{"of a history that does not say", newWorld().put(up).put(with(tenant("p"), "stays.notReady", "")).put(down).wait(long), checkers.Pass, []string{"1 whose times"}},
		{"the longer of two", newWorld().put(up).put(tenant("p")).put(down).put(lost).wait(75 * time.Second), checkers.Pass, nil},
		{"longer than the longer", newWorld().put(up).put(tenant("p")).put(down).put(lost).wait(85 * time.Second), checkers.Fail, nil},
		{"bound when it had failed", newWorld().put(up).put(down).wait(long).put(tenant("p")).wait(65 * time.Second), checkers.Pass, nil},

		{"evicted from a node that never failed", newWorld().put(up).put(tenant("p")).evict(tenant("p")), checkers.Fail, []string{"which had no taint that evicts", "DisruptionTarget \"DeletionByTaintManager\""}},
		{"evicted from one that is not Ready", newWorld().put(up).put(tenant("p")).put(sick("n", "")).evict(tenant("p")), checkers.Fail, []string{"no taint"}},
		{"evicted when it had come back", failed().wait(brief).put(up).wait(long).evict(tenant("p")), checkers.Fail, []string{"no taint"}},
		{"evicted when it came back", failed().wait(brief).put(up).evict(tenant("p")), checkers.Pass, nil},
		{"evicted too early", failed().wait(7 * time.Second).evict(tenant("p")), checkers.Fail, []string{"at most 8.000001s after its taint, which it tolerates for 10s", "revision 4"}},
		{"evicted too early the second time", failed().put(up).wait(long).put(down).wait(5 * time.Second).evict(tenant("p")), checkers.Fail, []string{"after its taint"}},
		{"flapping", failed().put(up).put(down).wait(7 * time.Second).evict(tenant("p")), checkers.Pass, nil},
		{"evicted though it bears that for ever", newWorld().put(up).put(forever).put(down).wait(long).evict(forever), checkers.Fail, []string{"tolerates for ever"}},
		{"evicted by the taint of somebody", newWorld().put(up).put(tenant("p")).put(node("n", "taints.noExecute=mine")).evict(tenant("p")), checkers.Pass, []string{"1 pods"}},
		{"evicted by another", newWorld().put(up).put(tenant("p")).put(tenant("p", "disruption=EvictionByEvictionAPI")), checkers.Pass, []string{"0 pods"}},
		{"scaled down", newWorld().put(up).put(tenant("p")).put(deleting(tenant("p"))).remove(tenant("p")), checkers.Pass, []string{"0 pods"}},
		{"evicted from no node", newWorld().put(tenant("p")).evict(tenant("p")), checkers.Pass, []string{"1 evictions from nodes that are not known"}},
		{"evicted from one that was removed", failed().remove(up).wait(long).evict(tenant("p")), checkers.Pass, []string{"1 evictions from nodes that are not known"}},
		{"an unreadable node", failed().put(unread(up)).wait(long), checkers.Pass, []string{"0 pods"}},
		{"an unreadable pod", failed().put(unread(tenant("p"))).wait(long), checkers.Pass, []string{"1 versions of pods could not be read"}},
	})
}

// TestManagers lets nobody be there to evict a pod: it is due only when somebody
// has had the time.
func TestManagers(t *testing.T) {
	up, down := node("n"), sick("n", notReady)
	led := func() *world {
		return newWorld().put(up).put(tenant("p")).hold(manager("a", 0, 4)).put(down) // due in second 15
	}
	renewing := func(w *world, holder string, transitions, acquired, n int) *world {
		for range n {
			w.hold(manager(holder, transitions, acquired)).wait(time.Second)
		}
		return w
	}
	silent := newWorld().put(up).put(tenant("p")).put(down)
	for range 40 { // of a history without the terms of Leases
		silent.put(with(with(manager("a", 0, 4), "spec.leaseDurationSeconds", ""), "spec.leaseTransitions", "")).wait(time.Second)
	}
	tell(t, cluster.NodeFailureHeals, []story{
		{"one that does not say for how long", silent, checkers.Fail, []string{"which it tolerates for 10s"}},
		{"one that renews", renewing(led(), "a", 0, 4, 40), checkers.Fail, []string{"which it tolerates for 10s"}},
		{"one that is gone", led().wait(200 * time.Second), checkers.Pass, []string{"1 pods", "0 of them evicted"}},
		{"one that released", led().hold(manager("", 0, 4)).wait(200 * time.Second), checkers.Pass, []string{"0 pods"}},
		{"the next one begins anew", renewing(led().wait(30*time.Second), "b", 1, 36, 34), checkers.Pass, []string{"1 pods"}},
		{"the next one has its time, too", renewing(led().wait(30*time.Second), "b", 1, 36, 40), checkers.Fail, nil},
		{"one that was frozen", renewing(led().wait(60*time.Second), "a", 0, 4, 25), checkers.Pass, []string{"1 pods"}},
		{"one that was frozen evicts from what came back", led().wait(20 * time.Second).put(up).wait(40 * time.Second).hold(manager("a", 0, 4)).evict(tenant("p")),
			checkers.Pass, []string{"1 whose times"}},
		{"one that was deposed does, too", renewing(led().wait(20*time.Second).put(up), "b", 1, 26, 30).evict(tenant("p")), checkers.Fail, []string{"no taint"}},
		{"one that had been frozen", renewing(led().wait(60*time.Second), "a", 0, 4, 35), checkers.Fail, nil},
	})
}
