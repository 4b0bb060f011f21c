package cluster_test

import (
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

func TestNamespaceEmpties(t *testing.T) {
	ns := object("", "namespaces", "", "gone")
	in := func(resource, name string) history.Version { return object("", resource, "gone", name) }
	full := func() *world { return newWorld().put(ns).put(in("configmaps", "c")).put(in("pods", "p")) }
	widget := object("example.com", "widgets", "gone", "w")
	left := func(w *world) *world { return w.put(deleting(ns)).remove(in("pods", "p")) }
	tell(t, cluster.NamespaceEmpties, []story{
		{"empty", left(full()).remove(in("configmaps", "c")).remove(ns), checkers.Pass, []string{"1 namespaces removed", "0 objects made"}},
		{"not yet", left(full()), checkers.Pass, []string{"0 namespaces removed"}},
		{"never full", newWorld().put(ns).put(deleting(ns)).remove(ns), checkers.Pass, []string{"1 namespaces removed"}},
		{"with something left", left(full()).remove(ns), checkers.Fail, []string{"namespace gone was removed with 1 objects in it", "configmaps/gone/c", "revision 3", "revision 5", "revision 7"}},
		{"with something left that was changed since", left(full()).put(in("configmaps", "c")).remove(ns), checkers.Fail, []string{"with 1 objects"}},
		{"full", full().put(deleting(ns)).remove(ns), checkers.Fail, []string{"with 2 objects"}},
		{"at once", full().remove(ns), checkers.Fail, []string{"with 2 objects"}},
		{"into another one", full().put(withUID(ns, "2")), checkers.Fail, []string{"with 2 objects"}},
		{"with what could not be read", newWorld().put(ns).put(in("configmaps", "b")).put(unread(in("configmaps", "c"))).put(deleting(ns)).remove(in("configmaps", "b")).remove(ns), checkers.Fail, []string{"with 1 objects"}},
		{"beside another one of a like name", full().put(object("", "namespaces", "", "gone0")).put(object("", "configmaps", "gone0", "c")).put(deleting(ns)).
			remove(in("pods", "p")).remove(in("configmaps", "c")).remove(ns), checkers.Pass, nil},
		{"with a custom one", newWorld().put(ns).put(widget).put(deleting(ns)).remove(ns), checkers.Pass, []string{"1 custom ones"}},
		{"with what was made soon after", left(full()).remove(in("configmaps", "c")).put(in("configmaps", "d")).remove(ns), checkers.Pass, []string{"1 objects made within 3m0s"}},
		{"with what was made again", left(full()).remove(in("configmaps", "c")).put(withUID(in("configmaps", "c"), "2")).remove(ns), checkers.Pass, []string{"1 objects made"}},
		{"made soon after, and removed", left(full()).wait(within).put(in("configmaps", "d")).remove(in("configmaps", "d")).remove(in("configmaps", "c")).remove(ns), checkers.Pass, []string{"1 objects made"}},
		{"made long after", left(full()).wait(beyond).put(in("configmaps", "d")).remove(in("configmaps", "d")).remove(in("configmaps", "c")).remove(ns), checkers.Fail,
			[]string{"configmaps/gone/d was made more than 3m0s after its namespace was deleted"}},
		{"a custom one made long after", newWorld().put(ns).put(widget).remove(widget).put(deleting(ns)).wait(beyond).put(widget).remove(widget).remove(ns), checkers.Fail, nil},
		{"made long after, and not removed yet", left(full()).wait(beyond).put(in("configmaps", "d")), checkers.Fail, nil},
		{"changed long after", left(full()).wait(beyond).put(in("configmaps", "c")), checkers.Pass, []string{"0 objects made"}},
		{"made in the next one", left(full()).remove(in("configmaps", "c")).remove(ns).wait(beyond).put(withUID(ns, "2")).put(in("configmaps", "d")), checkers.Pass, []string{"0 objects made"}},
		{"one that cannot be read", left(full()).put(unread(ns)).remove(ns), checkers.Pass, []string{"0 namespaces removed"}},
	})
}

// TestNamespaceOfRestored is removed by what its controller knew of another store.
func TestNamespaceOfRestored(t *testing.T) {
	ns := object("", "namespaces", "", "gone")
	w := newWorld().put(ns).put(object("", "configmaps", "gone", "c")).put(deleting(ns)).remove(ns)
	opts := w.options()
	known := opts.Commit
	opts.Commit = func(rev int64) (called, returned history.Time, ok bool) {
		if rev < w.rev {
			return 0, 0, false
		}
		return known(rev)
	}
	if v := verdict(t, cluster.NamespaceEmpties, opts); v.Outcome != checkers.Pass {
		t.Errorf("%s", v)
	}
	opts = w.options()
	opts.Floors.Removed = 2
	if v := verdict(t, cluster.NamespaceEmpties, opts); v.Outcome != checkers.Fail {
		t.Errorf("below its floor: %s", v)
	}
}
