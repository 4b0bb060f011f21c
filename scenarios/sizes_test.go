package scenarios

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A size that nobody gives makes the plan that it makes when a person gives it: what a
// scenario derives from a size, it derives from the one that there is going to be.
func TestDefaultSizesMakeTheSamePlans(t *testing.T) {
	encode := func(s Scenario, o Options) (*Plan, string) {
		p := mustPlan(t, s, o)
		b, err := p.encode()
		if err != nil {
			t.Fatal(err)
		}
		return p, string(b)
	}
	for _, small := range []bool{true, false} {
		for _, s := range Registry() {
			o := DefaultOptions()
			o.Small = small
			p, byDefault := encode(s, o)
			o.World.Nodes, o.Pods = p.World.Nodes, p.pods()
			if q, given := encode(s, o); byDefault != given {
				t.Errorf("%s with its default size, small: %v (-given +default):\n%s", s.Name, small, cmp.Diff(q.String(), p.String()))
			}
		}
	}
}

// The churn of two API servers is half of the pods, and none where there are none.
func TestChurnOfTwoAPIServers(t *testing.T) {
	f := func(want int, adjust func(*Options)) {
		t.Helper()
		found, err := Find("scale/two-apiservers")
		if err != nil {
			t.Fatal(err)
		}
		o := DefaultOptions()
		o.Small = true
		adjust(&o)
		p, churned := mustPlan(t, found[0], o), 0
		if p.Density != nil {
			churned = p.Density.Config.ChurnPods
		}
		if churned != want || p.has(phaseChurn) != (want > 0) {
			t.Errorf("of %d pods %d are churned, want %d; phases: %v", p.pods(), churned, want, p.Phases)
		}
	}
	f(smallPods/2, func(*Options) {})
	f(50, func(o *Options) { o.Pods = 100 })
	f(1, func(o *Options) { o.Pods = 1 })
	f(0, func(o *Options) { o.NoPods = true })
	f(0, func(o *Options) { o.Manifest = shop })
}

// What goes by how many pods there are goes by those of a manifest, too: of a Job also
// those that have ended, which stay in the store.
func TestSizesCountThePodsOfManifests(t *testing.T) {
	deployment := writeManifest(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"+template)
	daemons := writeManifest(t, "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a}\n"+template)
	job := writeManifest(t, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\n"+
		"spec: {parallelism: 1, completions: 100, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}\n")
	f := func(name string, often, crowded, large bool, adjust func(*Options)) {
		t.Helper()
		o := DefaultOptions()
		o.World.Nodes, o.Manifest = 500, deployment
		adjust(&o)
		p := mustPlan(t, Scenario{Name: "t"}, o)
		if got := p.World.ConsistencyPeriod > 0; got != often {
			t.Errorf("%s: caches are compared often: %v", name, got)
		}
		if p.Contract.Crowded != crowded || p.Judge.Large != large {
			t.Errorf("%s: crowded %v, large %v; want %v, %v", name, p.Contract.Crowded, p.Judge.Large, crowded, large)
		}
	}
	copies := func(n int) func(*Options) { return func(o *Options) { o.Copies = n } }
	f("a few pods", true, false, false, copies(fewPods))
	f("more than a few", true, true, false, copies(fewPods+1))
	f("many pods", true, true, false, copies(consistencyPods))
	f("more than many", false, true, false, copies(consistencyPods+1))
	f("large", false, true, false, copies(largePods))
	f("larger", false, true, true, copies(largePods+1))
	f("half of each", false, true, false, func(o *Options) { o.Pods, o.Copies = consistencyPods/2, consistencyPods/2+1 })
	f("a load alone", true, true, false, func(o *Options) { o.Manifest, o.Pods = "", consistencyPods })
	f("a larger load alone", false, true, false, func(o *Options) { o.Manifest, o.Pods = "", consistencyPods+1 })
	f("a pod on each node", true, true, false, func(o *Options) { o.Manifest = daemons })
	f("seven pods on each node", false, true, false, func(o *Options) { o.Manifest, o.Copies = daemons, 7 })
	f("Jobs of many pods", false, true, false, func(o *Options) { o.Manifest, o.Copies = job, 31 })
}

// Nobody knows what load a person puts on a cluster to play with.
func TestUpComparesCachesAsUpstreamDoes(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Idle = 10, true
	if p := mustPlan(t, Scenario{Name: "up"}, o); p.World.ConsistencyPeriod != 0 {
		t.Errorf("every %s", p.World.ConsistencyPeriod)
	}
	o.Idle, o.NoPods = false, true
	if p := mustPlan(t, Scenario{Name: "t"}, o); p.World.ConsistencyPeriod != consistencyPeriod {
		t.Errorf("in a run without pods every %s", p.World.ConsistencyPeriod)
	}
}
