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
