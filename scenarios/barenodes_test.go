package scenarios

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/workloads/contract"
)

// `--pods 0` asks for nodes and their heartbeats, and for no pod that the machine
// would be large enough for.
func TestPlanWithoutPods(t *testing.T) {
	f := func(wantPhases string, wantHold time.Duration, adjust func(*Options)) {
		t.Helper()
		o := DefaultOptions()
		o.World.Nodes, o.NoPods = 10, true
		adjust(&o)
		p := mustPlan(t, Scenario{Name: "t"}, o)
		if got := strings.Join(p.Phases, " "); got != wantPhases || time.Duration(p.Hold) != wantHold || p.pods() != 0 {
			t.Errorf("phases %q, a hold of %s, %d pods; want %q, %s, none", got, p.Hold, p.pods(), wantPhases, wantHold)
		}
	}
	f("register hold", 25*time.Second, func(*Options) {})
	f("register hold", time.Minute, func(o *Options) { o.Hold = Duration(time.Minute) })
	f("register hold", 25*time.Second, func(o *Options) { o.Hold = 1 })
	f("register manifest hold drain", 10*time.Second, func(o *Options) { o.Manifest = "testdata/shop.yaml" })

	f("register manifest drain", 0, func(o *Options) { o.Manifest, o.Hold = "testdata/shop.yaml", 0 })

	o := DefaultOptions()
	o.World.Nodes = 10
	if p := mustPlan(t, Scenario{Name: "t"}, o); p.pods() == 0 {
		t.Error("no pods although nobody said 0")
	}
	o.NoPods = true
	for _, s := range Registry() {
		p, err := NewPlan(s, o, testHost())
		var usage *UsageError
		refused := errors.As(err, &usage) && strings.Contains(err.Error(), "--pods 0 is not for it")
		switch {
		case strings.HasPrefix(s.Name, "scale/density"), s.Name == "contract/api":
			if err != nil || p.pods() != 0 {
				t.Errorf("%s: %v, with pods", s.Name, err)
			}
		case s.Interventions != nil && !refused:
			t.Errorf("%s: %v, want a refusal: its faults are about pods", s.Name, err)
		case err == nil && p.pods() > 0:
			t.Errorf("%s: %d pods all the same", s.Name, p.pods())
		}
	}
	o = DefaultOptions()
	o.World.Nodes, o.NoPods = 10, true
	p := mustPlan(t, Scenario{Name: "t"}, o)
	if !strings.Contains(p.String(), "no pods: every node renews its lease for 25s") {
		t.Errorf("the plan does not say so:\n%s", p)
	}
	if i := slices.IndexFunc(p.Contract.Table, func(w contract.Weight) bool { return w.Name == bind }); i < 0 || p.Contract.Table[i].Weight != 0 {
		t.Errorf("contract traffic binds pods: %v", p.Contract.Table)
	}
	if slices.ContainsFunc(p.Judge.Claimed, func(g string) bool { return strings.Contains(g, "NoDoubleBind") }) {
		t.Errorf("it claims %v", p.Judge.Claimed)
	}
}

// The estimate is asked for all that the World starts.
func TestDemandOfTheWorld(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Pods = 10, 100
	o.World.Connections, o.World.Schedulers, o.World.ControllerManagers, o.World.Controllers = ownConnections, 2, 3, 4
	f := func(profile string, clients int) {
		t.Helper()
		o.World.Profile = profile
		d := mustPlan(t, Scenario{Name: "t"}, o).demand()
		if !d.OwnConnections || d.ClientsPerNode != clients || d.Schedulers != 2 || d.ControllerManagers != 3 || d.Informers != 8 {
			t.Errorf("%s: %+v", profile, d)
		}
	}
	f("lean", 1)
	f("kubelet", 2)
}

// Without pods and without a hold no lease would be renewed. What has other work needs none.
func TestPlanWithoutPodsHasAHold(t *testing.T) {
	for name, refused := range map[string]bool{
		"scale/density": true, "scale/two-apiservers": true, "contract/api": false, "contract/store": false,
	} {
		found, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		o := DefaultOptions()
		o.World.Nodes, o.NoPods, o.Hold = 10, true, 0
		_, err = NewPlan(found[0], o, testHost())
		var usage *UsageError
		if isRefused := errors.As(err, &usage) && strings.HasPrefix(err.Error(), "--hold is 0s; "); isRefused != refused || (err != nil) != refused {
			t.Errorf("%s: %v, want a refusal: %v", name, err, refused)
		}
	}
}
