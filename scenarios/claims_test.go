package scenarios

import (
	"slices"
	"testing"
)

// A load puts guarantees to the test by itself: a run of it that has no evidence for
// them is not a Pass. What the plan leaves out is not claimed, nor what is too little
// or may be in vain.
func TestLoadClaims(t *testing.T) {
	always := []string{"API/Ordered", "API/Unique", "API/Delivered", "API/IdentityStable", "API/UIDUnique", "cluster/NoDoubleBind", "cluster/NoOvercommit"}
	const orphans, replicas, endpoints = "cluster/NoOrphans", "cluster/ReplicasConverge", "cluster/EndpointsMatch"
	all := append(slices.Clone(always), orphans, replicas, endpoints)
	claims := func(scenario string, pods int, adjust func(*Options)) []string {
		t.Helper()
		found, err := Find(scenario)
		if err != nil {
			t.Fatal(err)
		}
		o := DefaultOptions()
		o.World.Nodes, o.Pods = 20, pods
		adjust(&o)
		return mustPlan(t, found[0], o).Judge.Claimed
	}
	f := func(what string, got, want []string) {
		t.Helper()
		for _, g := range all {
			if slices.Contains(got, g) != slices.Contains(want, g) {
				t.Errorf("%s: %s is claimed %v", what, g, slices.Contains(got, g))
			}
		}
		for i, g := range got {
			if slices.Contains(got[:i], g) {
				t.Errorf("%s: %s is claimed twice", what, g)
			}
		}
	}
	plain := func(*Options) {}
	long := func(o *Options) { o.Hold = Duration(restful) }
	with := func(more ...string) []string { return append(slices.Clone(always), more...) }
	f("a plain run", claims("scale/density", fewPods, plain), with(orphans))
	f("a long hold", claims("scale/density", fewPods, long), all)
	f("no contract traffic", claims("scale/density", fewPods, func(o *Options) { o.Contract = 0 }), with(orphans))
	f("no Services", claims("scale/density", fewPods, func(o *Options) { long(o); o.Services = 0 }), with(orphans, replicas))
	f("pods that become unready", claims("scale/density", fewPods, func(o *Options) { long(o); o.World.UnreadyEvery = seconds(9) }), with(orphans))
	f("a turnover", claims("scale/density", fewPods, func(o *Options) { long(o); o.Turnover = 1 }), with(orphans))
	f("no drain", claims("scale/density", fewPods, func(o *Options) { o.Drain = false }), with(orphans))
	f("no rest", claims("scale/density", fewPods, func(o *Options) { o.Hold = 0 }), always)
	f("few pods", claims("scale/density", fewPods-1, long), nil)
	f("no pods", claims("scale/density", 0, func(o *Options) { o.NoPods = true }), nil)
	f("a fault", claims("scale/frozen-scheduler", fewPods, long), nil)
	f("broken", claims("broken/no-eviction", fewPods, func(o *Options) { o.Contract = 0 }), nil)
	f("beside contract traffic", claims("contract/api", fewPods, plain), all)
}

// Durable is claimed where members of the store end and come back, and nowhere else: a
// store that loses everything with its process keeps it as long as nobody ends that.
func TestCrashClaims(t *testing.T) {
	for name, want := range map[string]bool{
		"faults/etcd-kill": true, "faults/etcd-majority-kill": true, "faults/etcd-member-stop": true, "faults/etcd-all-restart": true,
		"faults/etcd-slow-disk": true, "faults/short": true, "faults/ha-etcd": true, "faults/ha-etcd-stop": true,
		"contract/api": false, "contract/faults": false, "contract/storage": false, "contract/store": false, "scale/density": false,
		"faults/etcd-freeze": false, "faults/etcd-leader-move": false, "faults/etcd-member-replace": false, "faults/apiserver-kill": false,
		"faults/backup-restore": false, "broken/etcd-rollback": false,
	} {
		found, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		p := mustPlan(t, found[0], DefaultOptions())
		if slices.Contains(p.Judge.Claimed, "Durable") != want {
			t.Errorf("%s claims %v", name, p.Judge.Claimed)
		}
	}
}

// What is too old is claimed only where an API server starts anew, but of the store where
// somebody compacts it on purpose.
func TestClaimsOfWindows(t *testing.T) {
	const store, lists, watches = "CompactionHonest", "API/ExpiredHonest", "API/WatchExpiredHonest"
	for scenario, want := range map[string][]string{
		"contract/api": nil, "contract/faults": {store, lists, watches}, "contract/storage": {store}, "contract/store": {store},
		"faults/apiserver-kill": {lists}, "faults/apiserver-stop": {lists}, "faults/ha-apiserver": {lists}, "faults/short": {lists},
		"faults/apiserver-freeze": nil, "faults/scheduler-leader-kill": nil, "faults/etcd-compaction-storm": {store},
	} {
		found, err := Find(scenario)
		if err != nil {
			t.Fatal(err)
		}
		o := DefaultOptions()
		o.World.Nodes, o.Pods = 20, 100
		claimed := mustPlan(t, found[0], o).Judge.Claimed
		for _, g := range []string{store, lists, watches} {
			if slices.Contains(claimed, g) != slices.Contains(want, g) {
				t.Errorf("%s claims %s: %v", scenario, g, slices.Contains(claimed, g))
			}
		}
	}
}
