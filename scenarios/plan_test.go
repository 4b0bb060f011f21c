package scenarios

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/workloads"
	"github.com/planecheck/planecheck/workloads/contract"
)

// These are plain units: they start nothing.

func testHost() results.Host { return results.Host{CPUs: 2, MemoryBytes: 24 << 30} }

func mustPlan(t *testing.T, s Scenario, o Options) *Plan {
	t.Helper()
	p, err := NewPlan(s, o, testHost())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A plan is a function of the scenario, the options, the seed and the machine.
func TestPlanIsDeterministic(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Pods, o.Churn.Pods = 100, 3000, 500
	encode := func(seed uint64) string {
		o.Seed = seed
		b, err := mustPlan(t, Registry()[0], o).encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if diff := cmp.Diff(encode(1), encode(1)); diff != "" {
		t.Errorf("the same seed gives another plan:\n%s", diff)
	}
	if encode(1) == encode(2) {
		t.Error("another seed gives the same plan")
	}
}

func TestPlanPhases(t *testing.T) {
	f := func(want string, adjust func(*Options)) {
		t.Helper()
		o := DefaultOptions()
		o.World.Nodes, o.Pods = 10, 100
		adjust(&o)
		if got := strings.Join(mustPlan(t, Scenario{Name: "t"}, o).Phases, " "); got != want {
			t.Errorf("phases %q, want %q", got, want)
		}
	}
	f("register fill hold drain", func(*Options) {})
	f("register fill", func(o *Options) { o.Hold, o.Drain = 0, false })
	f("register fill hold churn drain", func(o *Options) { o.Churn.Pods = 10 })
	f("register manifest hold drain", func(o *Options) { o.Pods, o.Manifest = 0, "testdata/shop.yaml" })
	f("register manifest fill hold drain", func(o *Options) { o.Manifest = "testdata/shop.yaml" })
}

// Contract traffic begins when the nodes are registered, or with a phase that the
// plan has.
func TestPlanContractFrom(t *testing.T) {
	plan := func(phase string, adjust func(*Options)) (*Plan, error) {
		o := DefaultOptions()
		o.World.Nodes, o.Pods, o.ContractFrom = 10, 100, phase
		adjust(&o)
		return NewPlan(Scenario{Name: "t"}, o, testHost())
	}
	unchanged := func(*Options) {}
	f := func(phase, want, text string, adjust func(*Options)) {
		t.Helper()
		p, err := plan(phase, adjust)
		if err != nil {
			t.Fatal(err)
		}
		if p.ContractFrom != want || !strings.Contains(p.String(), text) {
			t.Errorf("from %q: %q, %s", phase, p.ContractFrom, p)
		}
		resumes := p.Contract != nil && slices.Contains(p.Contract.Table, contract.Weight{Name: "watch-events", Weight: 2})
		if resumes != (want != "") || resumes && p.swarms() {
			t.Errorf("from %q: traffic that resumes watches by itself: %v, taken for a swarm's: %v", phase, resumes, p.swarms())
		}
	}
	f("", "", "15 requests/s\n", unchanged)
	f("hold", "hold", "15 requests/s, from hold on\n", unchanged)
	f("drain", "drain", "from drain on", unchanged)
	f("hold", "", "", func(o *Options) { o.Contract = 0 }) // there is none
	refused := func(phase string, adjust func(*Options)) {
		t.Helper()
		_, err := plan(phase, adjust)
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), "--contract-from") {
			t.Errorf("from %q: %v", phase, err)
		}
	}
	refused("nap", unchanged)
	refused("register", unchanged)
	refused("hold", func(o *Options) { o.Hold = 0 })
	refused("traffic", func(o *Options) { o.Store = true })
}

// What is too large is sent where the store is known to refuse it, and then the plan
// claims that what was refused has no effect.
func TestPlanOversized(t *testing.T) {
	f := func(want bool, scenario string, adjust func(*Options)) {
		t.Helper()
		found, err := Find(scenario)
		if err != nil {
			t.Fatal(err)
		}
		o := DefaultOptions()
		o.World.Nodes, o.Pods = 20, 100
		adjust(&o)
		p := mustPlan(t, found[0], o)
		if claimed := slices.Contains(p.Judge.Claimed, storage.DefiniteFailureInert); p.Contract.Oversized != want || claimed != want {
			t.Errorf("%s on %s: sent %t, claimed %t, want %t", scenario, p.World.Backend, p.Contract.Oversized, claimed, want)
		}
	}
	on := func(backend string) func(*Options) { return func(o *Options) { o.World.Backend = backend } }
	f(true, "contract/api", func(*Options) {})
	f(true, "contract/faults", func(*Options) {})
	f(true, "contract/api", on("etcd:members=1,fsync=off"))
	f(true, "contract/storage", on("etcd-process"))
	f(true, "contract/storage", on("memory"))
	f(false, "contract/storage", on("kine-sqlite"))
	f(false, "contract/api", func(o *Options) { o.World.Lie = "store/refused-but-done" })
	f(false, "faults/apiserver-kill", func(*Options) {})
	f(false, "scale/density", func(*Options) {})
}

func TestNothingTakesLessThanNoTime(t *testing.T) {
	for flag, adjust := range map[string]func(*Options){
		"--hold":      func(o *Options) { o.Hold = -1 },
		"--job-time":  func(o *Options) { o.World.JobTime = -1 },
		"--stop-time": func(o *Options) { o.World.StopTime = -1 },

		"--unready-every": func(o *Options) { o.World.UnreadyEvery = -1 },
		"--unready-for":   func(o *Options) { o.World.UnreadyFor = -1 },
	} {
		o := DefaultOptions()
		o.World.Nodes, o.Pods = 10, 100
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		adjust(&o)
		var usage *UsageError
		if err := o.Validate(); !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), flag+" is -1ns") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestScenarioWinsOverThePerson(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Pods, o.World.APIServers = 10, 100, 1
	two, err := Find("scale/two-apiservers")
	if err != nil {
		t.Fatal(err)
	}
	if got := mustPlan(t, two[0], o).World.APIServers; got != 2 {
		t.Errorf("%d API servers, want 2", got)
	}
}

// The limits of all Go runtimes together leave room for the rest of the machine.
// A size that nobody gives is that of the scenario, then that of a small cluster.
func TestSmallClusters(t *testing.T) {
	for name, want := range map[string][2]int{"scale/density": {50, 500}, "contract/api": {50, 500}, "faults/swarm": {20, 100}, "faults/nodes-crash": {20, 100}} {
		found, err := Find("^" + name + "$")
		if err != nil {
			t.Fatal(err)
		}
		o := DefaultOptions()
		o.Small = true
		p := mustPlan(t, found[0], o)
		if got := [2]int{p.World.Nodes, p.pods()}; got != want {
			t.Errorf("%s has %v nodes and pods, want %v", name, got, want)
		}
		o.World.Nodes, o.Pods = 12, 34
		if p = mustPlan(t, found[0], o); p.World.Nodes != 12 || p.pods() != 34 {
			t.Errorf("%s has %d nodes and %d pods, want those of the person, 12 and 34", name, p.World.Nodes, p.pods())
		}
	}
}

func TestMemoryLimitsFitTheMachine(t *testing.T) {
	f := func(servers int) {
		t.Helper()
		o := DefaultOptions()
		o.World.Nodes, o.Pods, o.World.APIServers = 10, 100, servers
		sum := int64(0)
		for name, g := range mustPlan(t, Scenario{Name: "t"}, o).World.GC {
			n := int64(1)
			if name == "kube-apiserver" {
				n = int64(servers)
			}
			sum += n * g.MemoryLimit
		}
		if most := testHost().MemoryBytes * 3 / 4; sum > most {
			t.Errorf("%d API servers: limits sum to %d, above %d", servers, sum, most)
		}
	}
	f(1)
	f(3)
}

func TestDurationReadsWhatItWrites(t *testing.T) {
	b, err := json.Marshal(seconds(90))
	if err != nil || string(b) != `"1m30s"` {
		t.Fatalf("wrote %s, %v", b, err)
	}
	var d Duration
	if err := json.Unmarshal(b, &d); err != nil || d != seconds(90) {
		t.Errorf("read %v, %v", d, err)
	}
	for _, bad := range []string{`"soon"`, `90`} {
		if json.Unmarshal([]byte(bad), &d) == nil {
			t.Errorf("%s was read as a duration", bad)
		}
	}
}

func TestPaceOf(t *testing.T) {
	change := func(rate float64) workloads.PaceChange {
		return workloads.PaceChange{Decision: workloads.Decision{Rate: rate}}
	}
	plan := &Plan{Density: &workloads.DensityPlan{}}
	got := paceOf(plan, &workloads.PhaseResult{
		Phase: "fill", Pace: []workloads.PaceChange{change(50), change(80), change(0), change(60), change(70)},
		Sustained: workloads.Sustained{PodsPerSecond: 66},
	})
	want := &results.Pace{Mode: "auto", Sustained: 66, Last: 70, Highest: 80, Raises: 3, Backoffs: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pace (-want +got):\n%s", diff)
	}
	if paceOf(plan, nil) != nil {
		t.Error("a phase without a pacer has a pace")
	}
}

func TestRateMeter(t *testing.T) {
	var m rateMeter
	if m.perSecond() != 0 {
		t.Error("a rate without samples")
	}
	for i := range 20 {
		m.add(history.Time(int64(i)*1e9), int64(i*i)) // it speeds up
	}
	// The window is the last five seconds: (19² - 14²) / 5.
	if got := m.perSecond(); got != 33 {
		t.Errorf("rate %v, want 33", got)
	}
}

// A store that others use is not compacted, whatever a scenario or a person asks
// for, so nothing is claimed of compactions, nor of what it refuses, for nobody knows what
// that is; its contract has gaps.
func TestPlanLeavesAnExternalStoreAlone(t *testing.T) {
	found, err := Find("contract/api")
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.World.Nodes, o.Pods = 10, 100
	own := mustPlan(t, found[0], o)
	o.World.Backend = externalBackend
	o.World.External.Endpoints = []string{"http://127.0.0.1:1"}
	o.World.APIServerArgs = []string{"--etcd-compaction-interval=1s"}
	p := mustPlan(t, found[0], o)
	if last := p.World.APIServerArgs[len(p.World.APIServerArgs)-1]; last != "--etcd-compaction-interval=0" {
		t.Errorf("the last argument of the API servers is %s", last)
	}
	if p.Judge.Contract.Name != "external" || p.Judge.Contract.Dense || p.members != 1 {
		t.Errorf("contract %+v, %d members", p.Judge.Contract, p.members)
	}
	var missing []string
	for _, claim := range own.Judge.Claimed {
		if !slices.Contains(p.Judge.Claimed, claim) {
			missing = append(missing, claim)
		}
	}
	if diff := cmp.Diff([]string{"CompactedCancel", "DefiniteFailureInert"}, missing); diff != "" {
		t.Errorf("what is not claimed (-want +got):\n%s", diff)
	}
	if found, err = Find("faults/apiserver-kill"); err != nil {
		t.Fatal(err)
	}
	if p := mustPlan(t, found[0], o); slices.ContainsFunc(p.Judge.Claimed, ofCompaction) || len(p.Judge.Claimed) == 0 {
		t.Errorf("%s claims %v", p.Scenario, p.Judge.Claimed)
	}
	var usage *UsageError
	if err := p.checkStore(t.Context()); !errors.As(err, &usage) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody is there: %v", err)
	}
}

// A scenario that tests a guarantee claims it, and its twin, which has no fault to
// test it by, does not.
func TestScenarioClaims(t *testing.T) {
	for name, want := range map[string]string{
		"faults/nodes-crash": "cluster/NodeFailureHeals", "faults/node-returns": "cluster/NodeFailureHeals", "faults/zone-failure": "cluster/NodeFailureHeals",
		"faults/kcm-leader-kill": "cluster/OneLeader", "faults/ha-controllers": "cluster/OneLeader",
		"faults/etcd-compaction-storm": "CompactionHonest", "faults/apiserver-kill": "",
	} {
		found, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		p := mustPlan(t, found[0], DefaultOptions())
		for _, g := range []string{"cluster/NodeFailureHeals", "cluster/OneLeader", "CompactionHonest"} {
			if slices.Contains(p.Judge.Claimed, g) != (g == want) {
				t.Errorf("%s claims %v", name, p.Judge.Claimed)
			}
		}
	}
	if p := mustPlan(t, Scenario{Name: "t"}, DefaultOptions()); p.Judge.Claimed == nil {
		t.Error("a plan that claims nothing claims all")
	}
}

// Leases end, and watches of the store are resumed and meet a compaction, where the traffic makes Events for longer
// than these live; a lie has too little time for that.
func TestEventClaims(t *testing.T) {
	short := func(o *Options) { o.World.Lie, o.Hold = "event-dropped", seconds(15) }
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   bool
	}{
		{"contract/api", nil, true}, {"contract/faults", nil, true}, {"contract/storage", nil, true}, {"contract/api", short, false},
		{"scale/density", nil, false}, {"faults/apiserver-kill", nil, false},
	} {
		found, err := Find(c.name)
		if err != nil {
			t.Fatal(err)
		}
		o := DefaultOptions()
		o.World.Nodes, o.Pods = 20, 100
		if c.change != nil {
			c.change(&o)
		}
		p := mustPlan(t, found[0], o)
		for _, g := range []string{"LeaseHonest", "Resumable", "CompactedCancel"} {
			if slices.Contains(p.Judge.Claimed, g) != c.want {
				t.Errorf("%s with %+v claims %v", c.name, o.World, p.Judge.Claimed)
			}
		}
		if c.want && !slices.Contains(p.World.APIServerArgs, "--event-ttl=20s") {
			t.Errorf("%s: arguments of the API servers: %v", c.name, p.World.APIServerArgs)
		}
	}
}

// Faults are no reason to judge less: a run whose traffic did not put the API, the
// freshness of watches and the bindings to the test is not a Pass.
func TestFaultClaims(t *testing.T) {
	safety := []string{"API/MostRecent", "API/Delivered", "API/NoLostUpdate", "API/UIDUnique", "Fresh", "Replay"}
	bindings := "cluster/NoDoubleBind"
	for name, want := range map[string][]string{
		"faults/scheduler-leader-kill": append(slices.Clone(safety), bindings), "faults/scheduler-leader-freeze": append(slices.Clone(safety), bindings),
		"faults/scheduler-freeze": append(slices.Clone(safety), bindings), "faults/leaders-kill": append(slices.Clone(safety), bindings),
		"faults/ha-controllers": append(slices.Clone(safety), bindings), "faults/kcm-leader-freeze": safety, "faults/apiserver-kill": safety,
		"faults/short": safety, "faults/etcd-kill": safety,
		"faults/swarm": nil, "faults/overload": nil, "faults/backup-restore": nil, "broken/leader-unfenced": nil, "scale/frozen-scheduler": nil,
	} {
		found, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		p := mustPlan(t, found[0], DefaultOptions())
		for _, g := range append(slices.Clone(safety), bindings) {
			if slices.Contains(p.Judge.Claimed, g) != slices.Contains(want, g) {
				t.Errorf("%s claims %v", name, p.Judge.Claimed)
				break
			}
		}
	}
	found, err := Find("faults/scheduler-leader-kill")
	if err != nil {
		t.Fatal(err)
	}
	few := DefaultOptions()
	few.Pods = fewBindings - 1
	if p := mustPlan(t, found[0], few); slices.Contains(p.Judge.Claimed, bindings) {
		t.Error("fewer pods than the floor of evidence, and the bindings are claimed")
	}
	if want := mustPlan(t, found[0], DefaultOptions()); want.World.Accountable {
		t.Error("the writes of killed leaders are logged")
	}
}

// What a leader does that was deposed and goes on is known where one is thawed.
func TestAccountablePlans(t *testing.T) {
	for name, want := range map[string]bool{
		"faults/scheduler-leader-freeze": true, "faults/kcm-leader-freeze": true, "faults/ha-controllers": true, "broken/leader-unfenced": true,
		"faults/leaders-kill": false, "faults/ha-etcd": false,
	} {
		found, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if p := mustPlan(t, found[0], DefaultOptions()); p.World.Accountable != want {
			t.Errorf("%s: %v", name, p.World.Accountable)
		}
	}
}
