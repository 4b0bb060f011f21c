package scenarios

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/workloads/manifest"
)

// shop is a manifest with six pods, one of them of a Job, in eight objects beside a
// definition.
const shop = "testdata/shop.yaml"

// What a person's manifest asks for is in the estimate, in all its copies, and beside
// the density load.
func TestDemandOfManifests(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Manifest, o.Copies = 10, shop, 3
	alone := mustPlan(t, Scenario{Name: "t"}, o)
	if d := alone.demand(); d.Pods != 3*6 || d.Objects != 1+3*(8+3) {
		t.Errorf("three copies are %d pods and %d objects, want 18 and 34", d.Pods, d.Objects)
	}
	if want := "manifest " + shop + ", 9 objects, 3 copies: 34 objects and 18 pods\n"; !strings.Contains(alone.String(), want) {
		t.Errorf("the plan does not say %s:\n%s", want, alone)
	}
	o.Pods = 100
	if d := mustPlan(t, Scenario{Name: "t"}, o).demand(); d.Pods != 118 {
		t.Errorf("beside 100 pods they are %d, want 118", d.Pods)
	}
	o.Pods, o.Copies = 0, 100
	many := mustPlan(t, Scenario{Name: "t"}, o)
	few, more := results.EstimateRun(alone.demand()), results.EstimateRun(many.demand())
	if more.Memory() <= few.Memory() || more.HistoryBytes <= few.HistoryBytes || many.length() <= alone.length() {
		t.Errorf("100 copies: %s in %v, 3 copies: %s in %v", &more, many.length(), &few, alone.length())
	}
	o.Drain = false
	if undrained := mustPlan(t, Scenario{Name: "t"}, o); undrained.length() >= many.length() {
		t.Errorf("%v, and without a drain %v", many.length(), undrained.length())
	}
	o.Manifest = writeManifest(t, "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a}\n"+template)
	daemons := mustPlan(t, Scenario{Name: "t"}, o)
	if d := daemons.demand(); d.Pods != 100*10 || !strings.Contains(daemons.String(), "0 pods, and 100 on each node\n") {
		t.Errorf("100 DaemonSets on 10 nodes are %d pods:\n%s", d.Pods, daemons)
	}
	hopeless := Plan{Manifest: &ManifestPlan{Size: manifest.Size{Pods: manifest.Pods{Fixed: 1 << 31}}}, Phases: []string{phaseDrain}}
	if l := hopeless.length(); l < 10*365*24*time.Hour {
		t.Errorf("what nobody carries takes %v", l)
	}
}

const template = "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}\n"

func writeManifest(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A manifest with more pods than there is room for is refused like any other load, but
// not for pods that end, and not if a person knows better.
func TestManifestsThatDoNotFit(t *testing.T) {
	f := func(want string, copies int, change func(*Options)) {
		t.Helper()
		o := DefaultOptions()
		o.World.Nodes, o.Manifest, o.Copies = 10, shop, copies // room for 1,100 pods
		change(&o)
		_, err := NewPlan(Scenario{Name: "t"}, o, testHost())
		var usage *UsageError
		switch {
		case want == "" && err != nil:
			t.Errorf("%d copies: %v", copies, err)
		case want != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%d copies: %v, want one line with %q", copies, err, want)
		}
	}
	unchanged := func(*Options) {}
	f("", 220, unchanged)
	f("1105 pods, those of 221 copies of "+shop+" among them, do not fit on 10 nodes of 110 pods each; add nodes (--nodes 11), or --force", 221, unchanged)
	f("", 221, func(o *Options) { o.Force = true })
	f("", 221, func(o *Options) { o.World.Nodes = 11 })
	f("", 221, func(o *Options) { o.World.PodsPerNode = 200 })
	f("", 120, func(o *Options) { o.Pods = 500 })
	f("1101 pods, ", 120, func(o *Options) { o.Pods = 501 })
	f("(--nodes 11)", 184, func(o *Options) { o.World.JobTime = 0 }) // then those of Jobs stay
	daemons := writeManifest(t, "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a}\n"+template)
	f("", 110, func(o *Options) { o.Manifest = daemons })
	f("; take fewer copies, or --force", 111, func(o *Options) { o.Manifest = daemons })
}

// A flag that nothing heeds is refused if a person gave it.
func TestFlagsWithoutEffect(t *testing.T) {
	f := func(want string, change func(*Options), given ...string) {
		t.Helper()
		o := DefaultOptions()
		o.World.Nodes, o.Given = 10, given
		change(&o)
		_, err := NewPlan(Scenario{Name: "t"}, o, testHost())
		var usage *UsageError
		switch {
		case want == "" && err != nil:
			t.Errorf("%v: %v", given, err)
		case want != "" && (!errors.As(err, &usage) || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%v: %v, want one line that begins with %q", given, err, want)
		}
	}
	none := func(o *Options) { o.NoPods = true }
	ownLoad := func(o *Options) { o.Manifest = shop }
	both := func(o *Options) { o.Manifest, o.Pods = shop, 100 }
	for _, flag := range []string{"namespaces", "pods-per-deployment", "services", "rate", "churn-pods", "churn-rate"} {
		for _, load := range []func(*Options){none, ownLoad} {
			f("--"+flag+" has no effect: it is about the pods of the density load", load, "nodes", flag)
		}
		f("", func(o *Options) { both(o); o.Churn.Pods = 10 }, flag)
		f("", func(o *Options) { o.Pods, o.Churn.Pods = 100, 10 }, flag)
	}
	f("", none, "nodes", "pods", "hold", "contract", "drain", "patience")
	f("", ownLoad, "manifest", "copies", "hold")
	f("--copies has no effect without --manifest", func(o *Options) { o.Pods, o.Copies = 100, 2 }, "copies")
	f("--churn-rate has no effect without --churn-pods", func(o *Options) { o.Pods, o.Churn.Rate = 100, 2 }, "churn-rate")
	f("", func(o *Options) { o.Pods, o.Churn.Rate = 100, 2 }) // nobody gave it
	own := func(o *Options) { o.Pods, o.World.SchedulerConfigFile = 100, shop }
	f("--scheduler has no effect: ", own, "scheduler", "scheduler-config")
	f("", own, "scheduler-config")
	from := func(phase string, rate float64) func(*Options) {
		return func(o *Options) { o.Pods, o.ContractFrom, o.Contract = 100, phase, rate }
	}
	f("--contract-from has no effect: ", from("hold", 0), "contract", "contract-from")
	f("--contract-from has no effect: ", from("nap", 0), "contract", "contract-from")
	f("", from("", 0), "contract", "contract-from")
	f("", from("hold", 15), "contract", "contract-from")
	unrecorded := func(idle bool) func(*Options) {
		return func(o *Options) { o.Idle, o.World.Unrecorded = idle, true }
	}
	f("--unrecorded has no effect: ", unrecorded(true), "nodes", "unrecorded")
	f("", unrecorded(false), "unrecorded")
	for _, load := range []func(*Options){none, ownLoad, func(o *Options) { o.Pods = 100 }} {
		f("--rate: ", func(o *Options) { load(o); o.Rate = "fast" }, "rate")
	}
}
