package scenarios

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/scenarios/faults"
	"github.com/planecheck/planecheck/workloads/contract"
)

// Every scenario's plan must be one that its cluster can suffer, also a random
// one; the swarm must be the same for the same seed and reach every fault.
func TestFaultPlans(t *testing.T) {
	for _, s := range Registry() {
		p := mustPlan(t, s, DefaultOptions())
		if s.Interventions != nil && len(p.Interventions) == 0 {
			t.Errorf("%s does nothing", s.Name)
		}
		for _, act := range p.Interventions {
			w := p.World // nodes have to say within a fault's time that they are short of memory, and that they no longer are
			if act.Fault == "nodes-memory-pressure" && (w.Housekeeping == 0 || w.PressureTransition == 0) {
				t.Errorf("%s has kubelets look at their memory every %s, %s", s.Name, w.Housekeeping, w.PressureTransition)
			}
		}
	}
	found, err := Find("faults/swarm")
	if err != nil {
		t.Fatal(err)
	}
	drawn, overlaps := map[string]int{}, 0
	var early, revisions, writes int
	for seed := range uint64(200) {
		o := DefaultOptions()
		o.Seed = seed
		acts := mustPlan(t, found[0], o).Interventions
		if again := mustPlan(t, found[0], o).Interventions; !slices.Equal(acts, again) {
			t.Fatalf("seed %d draws %v and then %v", seed, acts, again)
		}
		if len(acts) < swarmLeast || len(acts) > swarmMost {
			t.Errorf("seed %d draws %d faults", seed, len(acts))
		}
		for i, act := range acts {
			drawn[act.Fault]++
			f, _ := faults.Find(act.Fault)
			switch {
			case act.Phase == phaseFill && (i > 0 || f.Restores || f.Area == faults.Controllers):
				t.Errorf("seed %d: %s comes in the fill", seed, act)
			case act.Phase == phaseFill:
				early++
			case act.AfterRevisions > 0:
				revisions++
				if from := int64(i * revisionsApart); act.Phase != phaseHold || act.AfterRevisions <= from || act.AfterRevisions > from+revisionsApart {
					t.Errorf("seed %d: fault %d: %s", seed, i, act)
				}
			case act.AfterWrites > 0:
				writes++
			}
			if act.Overlap {
				overlaps++
				a, _ := faults.Find(acts[i-1].Fault)
				b, _ := faults.Find(act.Fault)
				if !b.Meets(a) {
					t.Errorf("seed %d: %s meets %s", seed, b.Name, a.Name)
				}
			}
		}
	}
	for _, f := range faults.Catalogue() {
		if harmless := len(f.Breaks) == 0; drawn[f.Name] > 0 != harmless {
			t.Errorf("200 seeds draw %s %d times", f.Name, drawn[f.Name])
		}
	}
	if overlaps == 0 {
		t.Error("no two faults ever meet")
	}
	if early == 0 || revisions == 0 || writes == 0 {
		t.Errorf("%d faults come in the fill, %d at a revision, %d after writes", early, revisions, writes)
	}
}

// largeGround is a cluster in which every fault finds something to act on.
func largeGround() Ground {
	g := Ground{
		Shape: faults.Shape{Members: 3, APIServers: 2, Schedulers: 2, ControllerManagers: 2, Nodes: faultNodes, ClientLinks: true, StoreLinks: true},
	}
	for _, f := range faults.Catalogue() {
		g.Store = append(g.Store, f.Needs...)
	}
	return g
}

// A scenario is labelled with the areas of all faults that any seed may draw for it:
// `make long LABELS=nodes` runs all that has to do with nodes.
func TestLabels(t *testing.T) {
	found := 0
	for _, s := range Registry() {
		if s.Interventions == nil {
			continue
		}
		for seed := range uint64(20) {
			for _, act := range s.Interventions(Options{Seed: seed, Pods: faultPods}, largeGround()) {
				f, _ := faults.Find(act.Fault)
				if found++; !s.Labelled(string(f.Area)) {
					t.Errorf("%s, labelled %v, has %s of area %s", s.Name, s.Labels, f.Name, f.Area)
				}
			}
		}
	}
	if found == 0 {
		t.Error("there are no faults")
	}
}

// When a fault in turn begins, on which of its targets, and who that is, are draws of
// the seed: over some seeds each target comes, and the same seed does the same. What a
// scenario is named after stays.
func TestTurns(t *testing.T) {
	acts := func(name string, seed uint64) []Intervention {
		found, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		return found[0].Interventions(Options{Seed: seed, Pods: faultPods}, largeGround())
	}
	drawn := func(name string) (targets, picks, triggers map[string]bool) {
		targets, picks, triggers = map[string]bool{}, map[string]bool{}, map[string]bool{}
		for seed := range uint64(60) {
			list := acts(name, seed)
			if again := acts(name, seed); !slices.Equal(list, again) {
				t.Fatalf("seed %d draws %v and then %v", seed, list, again)
			}
			for i, act := range list {
				writes, revisions := act.AfterWrites, act.AfterRevisions
				if early := writes < 50 && revisions <= int64(i)*revisionsApart; early || writes > 400 || revisions > int64(i+1)*revisionsApart || act.Phase != phaseHold {
					t.Errorf("seed %d: %s", seed, act)
				}
				if shown := strings.Contains(act.String(), fmt.Sprintf("pick %d)", act.Pick)); shown != faults.Several(act.Target) {
					t.Errorf("seed %d: %s", seed, act)
				}
			}
			targets[list[0].Target] = true
			picks[fmt.Sprint(list[0].Pick)] = true
			triggers[fmt.Sprint(list[0].AfterWrites, list[0].AfterRevisions)] = true
		}
		return targets, picks, triggers
	}
	for name, want := range map[string][]string{
		"faults/apiserver-kill": {"kube-apiserver-0", "kube-apiserver-1"}, "faults/nodes-crash": {"one", "tenth", "zone"},
		"faults/nodes-memory-pressure": {"one", "tenth"},
		"faults/etcd-kill":             {"follower", "leader"}, "faults/ha-etcd": {"leader"}, "faults/zone-failure": {"zone"}, "faults/short": {"leader"},
	} {
		targets, picks, triggers := drawn(name)
		if got := slices.Sorted(maps.Keys(targets)); !slices.Equal(got, want) {
			t.Errorf("%s begins with %v, want %v", name, got, want)
		}
		if several := faults.Several(want[len(want)-1]) || faults.Several(want[0]); several && len(picks) < 20 || len(triggers) < 20 {
			t.Errorf("%s draws %d picks and %d triggers", name, len(picks), len(triggers))
		}
	}
}

// Each kind of operation but those that a swarm needs is left out by some seeds
// and sent by others, and the same seed always does the same.
func TestSwarmTraffic(t *testing.T) {
	found, err := Find("faults/swarm")
	if err != nil {
		t.Fatal(err)
	}
	const seeds = 100
	left := map[string]int{}
	for seed := range uint64(seeds) {
		o := DefaultOptions()
		o.Seed = seed
		table := mustPlan(t, found[0], o).Contract.Table
		if again := mustPlan(t, found[0], o).Contract.Table; !slices.Equal(table, again) {
			t.Fatalf("seed %d draws %v and then %v", seed, table, again)
		}
		for _, w := range table {
			if w.Weight == 0 {
				left[w.Name]++
			}
		}
	}
	for _, name := range contract.Operations() {
		n, kept := left[name], slices.Contains(swarmKeeps, name)
		switch {
		case name == bind && n == seeds, kept && n == 0, name != bind && !kept && n > 0 && n < seeds:
		default:
			t.Errorf("%s is left out by %d of %d seeds", name, n, seeds)
		}
	}
}

// A fault that a cluster is too small for, or that there is not, is refused
// before anything starts.
func TestImpossibleFaults(t *testing.T) {
	f := func(fault, target string) {
		t.Helper()
		s := Scenario{Name: "t", Interventions: func(Options, Ground) []Intervention {
			return []Intervention{{Fault: fault, Target: target}}
		}}
		o := DefaultOptions()
		o.World.Backend = "etcd:members=1"
		if _, err := NewPlan(s, o, testHost()); err == nil {
			t.Errorf("%s of %s is planned", fault, target)
		}
	}
	f("etcd-explode", "all")
	f("etcd-leader-move", "leader")
	f("apiserver-kill", "kube-apiserver-0")
	f("scheduler-freeze", "kube-scheduler-1")
	for _, act := range []Intervention{{Phase: phaseDrain}, {AfterRevisions: -1}} {
		act.Fault, act.Target = "scheduler-freeze", "kube-scheduler-0"
		s := Scenario{Name: "t", Fix: faultOptions, Interventions: func(Options, Ground) []Intervention { return []Intervention{act} }}
		if _, err := NewPlan(s, DefaultOptions(), testHost()); err == nil {
			t.Errorf("%s is planned", act)
		}
	}
}

// What only etcd can do is refused of a store that is none, before anything starts.
func TestFaultsOfEtcdAlone(t *testing.T) {
	for _, f := range faults.Catalogue() {
		found, err := Find("faults/" + f.Name)
		if f.Area != faults.Etcd || err != nil || len(found) == 0 {
			continue // those that no control plane survives are of another name
		}
		o := DefaultOptions()
		o.World.Backend = "memory"
		if _, err := NewPlan(found[0], o, testHost()); err == nil {
			t.Errorf("%s is planned with %s", found[0].Name, o.World.Backend)
		}
		var said strings.Builder
		var usage *UsageError
		o.RunsDir = t.TempDir()
		if _, err := (&Runner{Out: &said}).Run(t.Context(), found[0], o); !errors.As(err, &usage) || said.Len() > 0 {
			t.Errorf("%s says %q before it ends with %v", found[0].Name, said.String(), err)
		}
	}
}

// Every store carries the faults of API servers, controllers, nodes and clients.
// Those that the store itself would have to take are planned where it takes them,
// and refused elsewhere, in one line that says what it lacks.
func TestFaultsOfBackends(t *testing.T) {
	for _, spec := range []string{"etcd", "etcd:proxy=on", "etcd-process", "kine-sqlite", "kine-postgres", "kine-memory", "memory", externalBackend} {
		o := DefaultOptions()
		o.World.Backend = spec
		opt := storage.Options{Dir: t.TempDir()}
		if spec == externalBackend {
			o.World.External.Endpoints = []string{"http://127.0.0.1:1"}
			opt.External = o.World.External
		}
		b, err := storage.Open(spec, opt)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range faults.Catalogue() {
			s := Scenario{Name: "t", Fix: faultOptions, Interventions: inTurn(f.Name)}
			_, err := NewPlan(s, o, testHost())
			text := ""
			if err != nil {
				text = err.Error()
			}
			takes := f.Possible(b.Faults())
			switch {
			case len(f.Needs) == 0 && f.Area != faults.Etcd && err != nil:
				t.Errorf("%s is refused on %s, which has nothing to do with it: %v", f.Name, spec, err)
			case !takes && (!strings.Contains(text, "fault "+f.Name+" needs a store that takes ") || strings.Contains(text, "\n")):
				t.Errorf("%s, which %s cannot take: %q", f.Name, spec, text)
			}
		}
	}
}

// A run that restores its store is judged when it has ended, not on its way.
func TestRestoreIsNotFollowed(t *testing.T) {
	found, err := Find("faults/backup-restore")
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	if p := mustPlan(t, found[0], o); !p.Judge.Restores {
		t.Error("its plan does not say that it restores the store")
	}
	o.FailFast = true
	if _, err := NewPlan(found[0], o, testHost()); err == nil {
		t.Error("it is planned with --fail-fast")
	}
	found, err = Find("faults/etcd-quota")
	if err != nil {
		t.Fatal(err)
	}
	if p := mustPlan(t, found[0], o); p.Judge.Restores {
		t.Error("the plan of another fault says that it restores the store")
	}
}

// A scheduler may end itself because the store went back, and for nothing else.
func TestForgiven(t *testing.T) {
	forgiving := 0
	for _, s := range Registry() {
		w := mustPlan(t, s, DefaultOptions()).World
		if forgives := len(w.Forgiven) > 0; forgives != (s.Name == "broken/etcd-rollback") {
			t.Errorf("%s forgives %q", s.Name, w.Forgiven)
		} else if forgives {
			forgiving++
		}
		if len(w.Forgiven) > 0 && !w.Supervised {
			t.Errorf("%s forgives, and nobody starts anything again", s.Name)
		}
	}
	if forgiving != 1 {
		t.Errorf("%d scenarios forgive", forgiving)
	}
}

// What a fault needs the API servers to have is in every plan with it, once, and
// in no other.
func TestFlagsOfFaults(t *testing.T) {
	overload, ok := faults.Find("overload")
	if !ok || len(overload.APIServerArgs) == 0 {
		t.Fatal("an overload needs no flags")
	}
	f := func(want int, names ...string) {
		t.Helper()
		world := mustPlan(t, Scenario{Name: "t", Fix: faultOptions, Interventions: inTurn(names...)}, DefaultOptions()).World
		args := world.APIServerArgs
		if short := world.LeaderLease == faultLease; short != (want == 0) {
			t.Errorf("%v: leaders have leases of %s", names, world.LeaderLease)
		}
		for _, flag := range overload.APIServerArgs {
			n := 0
			for _, arg := range args {
				if arg == flag {
					n++
				}
			}
			if n != want {
				t.Errorf("%v: %s comes %d times in %v", names, flag, n, args)
			}
		}
	}
	f(1, "overload")
	f(1, "apiserver-kill", "overload", "overload-node-high")
	f(0, "apiserver-kill")
}
