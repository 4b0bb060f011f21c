package scenarios

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/scenarios/faults"
	"github.com/planecheck/planecheck/workloads/contract"
)

// The cluster of a scenario about faults, unless a person wants another: small,
// because what matters is what happens to it, but with two of everything that
// can have a standby.
const (
	faultNodes = 20
	faultPods  = 100
	faultHold  = Duration(15 * time.Second)
	// faultLease is short, so that a lost leader is missed in seconds.
	faultLease = Duration(6 * time.Second)
	// gracePeriod is how long a node may be silent before it counts as not Ready:
	// two renewals of its lease (upstream: 50 s); and tolerated is how long its
	// pods bear that (upstream: 300 s).
	gracePeriod = 22 * time.Second
	tolerated   = "5"
	// housekeeping is how often kubelets look at their memory (upstream: 10 s), and
	// pressureTransition for how long there must have been enough (upstream: 5 min).
	housekeeping       = Duration(time.Second)
	pressureTransition = Duration(5 * time.Second)
	// evictionRate is how many nodes a second get the taint that evicts their pods
	// (upstream: one in 10 s, so that most of a zone would be back before).
	evictionRate = "10"
	// turnoverRate is how many pods a second are replaced while faults act, and
	// there are turnoverShare Deployments, which take their turns.
	turnoverRate  = 5.0
	turnoverShare = 10
)

// bind is left out of contract traffic under faults: kube-scheduler ends itself when
// it has to list pods anew and finds that one which was bound has gone and another,
// which is not, has taken its name. See docs/findings/0020.
const bind = "bind"

// faultOptions make a cluster with standbys under contract traffic, whose load is
// replaced while faults act: there are pods to make, to bind and to run then.
func faultOptions(o *Options) {
	w := &o.World
	w.APIServers, w.Schedulers, w.ControllerManagers = max(w.APIServers, 2), max(w.Schedulers, 2), max(w.ControllerManagers, 2)
	w.APIServerArgs = append(w.APIServerArgs, "--etcd-compaction-interval=5s",
		"--default-not-ready-toleration-seconds="+tolerated, "--default-unreachable-toleration-seconds="+tolerated)
	w.KCMArgs = append(w.KCMArgs, "--node-monitor-grace-period="+gracePeriod.String(), "--node-monitor-period=2s",
		"--node-eviction-rate="+evictionRate)
	w.LeaderLease, w.Supervised = faultLease, true
	w.Housekeeping, w.PressureTransition = housekeeping, pressureTransition
	w.ClientLinks, w.StoreLinks = true, true
	if w.Nodes == 0 {
		w.Nodes = faultNodes
	}
	if o.Pods == 0 {
		o.Pods = faultPods
	}
	o.Contract = max(o.Contract, contractRate)
	o.Without = append(o.Without, bind)
	o.Hold = max(o.Hold, faultHold)
	o.PodsPerDeployment, o.Turnover = min(o.PodsPerDeployment, max(o.Pods/turnoverShare, 1)), turnoverRate
	o.Drain = false
}

// processOptions are those of a fault that only members in processes can suffer.
// A person may choose how many members there are.
func processOptions(o *Options) {
	faultOptions(o)
	if rest, ok := strings.CutPrefix(o.World.Backend, "etcd"); ok && !strings.HasPrefix(rest, "-") {
		o.World.Backend = "etcd-process" + rest
	}
}

// inProcess are the faults that members inside the harness can take.
var inProcess = []string{
	storage.FaultMemberStop, storage.FaultMemberRestart, storage.FaultLeaderMove,
	storage.FaultDefragment, storage.FaultNoSpace, storage.FaultCompact,
}

// faultScenarios are one for each fault, those that take away one thing after
// the other, and the random one.
func faultScenarios() []Scenario {
	scenario := func(name, proves string, label string, acts func(Options, Ground) []Intervention) Scenario {
		return Scenario{
			Name: "faults/" + name, Proves: proves, Labels: []string{label}, Fix: faultOptions, Interventions: acts,
			Twin: label == "long", // the short form has no time for it
		}
	}
	onProcesses := func(s Scenario) Scenario {
		s.Fix = processOptions
		return s
	}
	compound := func(name, proves, label string, strikes ...string) Scenario {
		s := scenario(name, proves, label, inTurn(strikes...))
		s.Labels = append(s.Labels, areasOf(strikes)...)
		return s
	}
	random := scenario("swarm", "nothing is lost under a random choice of faults, some of them at once, by the seed", "long", swarm)
	random.Labels = append(random.Labels, areasOf(harmless())...)
	random.Fix = swarmOptions
	list := []Scenario{
		onProcesses(compound("short", "nothing is lost while etcd's leader, an API server and the leading scheduler are killed, all connections of clients reset, "+
			"and all kubelets list at once",
			"quick", "etcd-kill of leader", "apiserver-kill of kube-apiserver-0", "scheduler-leader-kill", "connections-reset of all", "kubelets-restart")),
		onProcesses(compound("ha-etcd", "nothing is lost while etcd's leader is killed, frozen and cut off from its peers, and a member is replaced",
			"long", "etcd-kill of leader", "etcd-freeze of leader", "etcd-partition of leader", "etcd-member-replace")),
		compound("ha-etcd-stop", "nothing is lost while etcd loses a member, its leader, its majority, and all members, in good order",
			"long", "etcd-member-stop", "etcd-leader-stop", "etcd-majority-stop", "etcd-all-restart"),
		compound("ha-apiserver", "nothing is lost while one of two API servers is killed and frozen, and both are restarted in turn",
			"long", "apiserver-kill", "apiserver-freeze", "apiserver-rolling-restart"),
		compound("ha-controllers", "no pod is bound twice and a deposed leader gives up, while the leading scheduler is killed, then it and the leading controller manager at once, "+
			"and the leading controller manager frozen past its lease and thawed",
			"long", "scheduler-leader-kill", "leaders-kill", "kcm-leader-freeze").testing("leaders-kill"),
		compound("ha-nodes", "nothing is lost while nodes lose power and are back at once, and all kubelets list at once (relist storm)",
			"long", "nodes-flap", "kubelets-restart"),
		compound("zone-failure", "a zone of nodes loses power for longer than the grace period; its pods run elsewhere, and it comes back",
			"long", "nodes-crash of zone").testing("nodes-crash"),
		compound("nodes-tenth", "a tenth of the nodes loses power for longer than the grace period; its pods are evicted; it comes back",
			"long", "nodes-crash of tenth").testing("nodes-crash"),
		random,
	}
	for _, f := range faults.Catalogue() {
		acts := inTurn(f.Name)
		if f.Each {
			acts = onEach(f)
		}
		s := scenario(f.Name, f.Does+lossOf(f)+", and the cluster comes back", "long", acts).testing(f.Name)
		s.Labels = append(s.Labels, string(f.Area))
		if !f.Possible(inProcess) {
			s = onProcesses(s)
		}
		if len(f.Breaks) > 0 {
			s.Name, s.Proves, s.Twin, s.Breaks = "broken/"+f.Name, f.Does, false, f.Breaks
			brokenBy[f.Name].set(&s)
		}
		list = append(list, s)
	}
	return list
}

// testing claims what a fault puts to the test.
func (s Scenario) testing(fault string) Scenario {
	f, _ := faults.Find(fault)
	s.Tests = f.Tests
	return s
}

// lossOf is what a control plane may lose under a fault that it survives.
func lossOf(f faults.Fault) string {
	if f.Restores {
		return ": nothing else is lost"
	}
	return ": nothing is lost"
}

// harmless names the faults that a correct control plane survives.
func harmless() (names []string) {
	for _, f := range faults.Catalogue() {
		if len(f.Breaks) == 0 {
			names = append(names, f.Name)
		}
	}
	return names
}

// areasOf are the areas of what inTurn injects, each once.
func areasOf(strikes []string) (areas []string) {
	for _, strike := range strikes {
		name, _, _ := strings.Cut(strike, aimedAt)
		if f, _ := faults.Find(name); !slices.Contains(areas, string(f.Area)) {
			areas = append(areas, string(f.Area))
		}
	}
	return areas
}

// aimedAt stands between a fault and a target that is not left to the seed.
const aimedAt = " of "

// turnStream and pickStream keep the draws of faults in turn, and of who is struck,
// apart from others of the same seed.
const (
	turnStream = 0x5455_524e_00
	pickStream = 0x5049_434b_00
)

// inTurn injects faults one after the other. The seed draws when, and, unless a strike
// says so ("etcd-kill of leader"), on which of its targets.
func inTurn(strikes ...string) func(Options, Ground) []Intervention {
	return func(o Options, g Ground) []Intervention {
		r := rand.New(rand.NewPCG(o.Seed, turnStream))
		var list []Intervention
		for n, strike := range strikes {
			name, target, aimed := strings.Cut(strike, aimedAt)
			f, _ := faults.Find(name)
			i := Intervention{Fault: name, Target: target, Phase: phaseHold, AfterRunning: int64(o.Pods), For: Duration(f.For)}
			if targets := f.Targets(g.Shape); !aimed && len(targets) > 0 {
				i.Target = targets[r.IntN(len(targets))]
			}
			trigger(&i, r, n, false, o)
			list = append(list, i)
		}
		return picked(list, o.Seed)
	}
}

// picked draws who is struck, where a target can mean several.
func picked(list []Intervention, seed uint64) []Intervention {
	r := rand.New(rand.NewPCG(seed, pickStream))
	for i := range list {
		if n := 1 + r.Uint64N(mostPicks); faults.Several(list[i].Target) {
			list[i].Pick = n
		}
	}
	return list
}

// mostPicks is how many picks there are: many more than members or zones.
const mostPicks = 1000

// onEach injects one fault on each of its targets in turn, in an order of the seed.
func onEach(f faults.Fault) func(Options, Ground) []Intervention {
	return func(o Options, g Ground) []Intervention {
		targets := f.Targets(g.Shape)
		if len(targets) == 0 { // a plan without the fault would pass; this one is refused
			return inTurn(f.Name)(o, g)
		}
		var strikes []string
		for _, n := range rand.New(rand.NewPCG(o.Seed, turnStream)).Perm(len(targets)) {
			strikes = append(strikes, f.Name+aimedAt+targets[n])
		}
		return inTurn(strikes...)(o, g)
	}
}

const (
	// A swarm has at least swarmLeast and at most swarmMost faults.
	swarmLeast, swarmMost = 3, 5
	// swarmStream and swarmTraffic keep their draws apart from others of the same
	// seed.
	swarmStream  = 0x5357_4152_4d00
	swarmTraffic = 0x5357_4152_4d01
)

// swarmKeeps are the kinds of operations that every swarm has: without them there
// would be nothing to lose.
var swarmKeeps = []string{"get", "list", "watch", "create", "update", "increment", "delete"}

// swarmOptions leave about half of all other kinds of operations out, by the seed.
func swarmOptions(o *Options) {
	processOptions(o)
	r := rand.New(rand.NewPCG(o.Seed, swarmTraffic))
	for _, operation := range contract.Operations() {
		if !slices.Contains(swarmKeeps, operation) && r.IntN(2) == 0 {
			o.Without = append(o.Without, operation)
		}
	}
}

// swarm draws faults from the seed: which, in which order, on what, when, for how
// long, and which of them meet. A random subset finds what all at once hide from
// each other (Groce and others, Swarm Testing, 2012).
func swarm(o Options, g Ground) []Intervention {
	r := rand.New(rand.NewPCG(o.Seed, swarmStream))
	var possible []faults.Fault
	for _, f := range faults.Catalogue() {
		if f.Possible(g.Store) && len(f.Breaks) == 0 && len(f.Targets(g.Shape)) > 0 {
			possible = append(possible, f)
		}
	}
	r.Shuffle(len(possible), func(i, j int) { possible[i], possible[j] = possible[j], possible[i] })
	n := min(swarmLeast+r.IntN(swarmMost-swarmLeast+1), len(possible))
	var list []Intervention
	for i, f := range possible[:n] {
		targets := f.Targets(g.Shape)
		act := Intervention{
			Fault: f.Name, Target: targets[r.IntN(len(targets))], Phase: phaseHold, AfterRunning: int64(o.Pods),
			For: Duration((f.For * time.Duration(5+r.IntN(11)) / 10).Round(100 * time.Millisecond)),
		}
		trigger(&act, r, i, i == 0 && mayComeEarly(f), o)
		if i > 0 && r.IntN(2) == 0 {
			act.Overlap = f.Meets(possible[i-1]) && !list[i-1].Overlap
		}
		list = append(list, act)
	}
	return picked(list, o.Seed)
}

// mayComeEarly says whether a fault may begin in the fill. What a store that was
// brought back in time has lost of that, nobody would make again; and on a slow
// machine all pods are bound by the time that half of them run, so that controllers
// would have nothing to do. In the hold there is always something to do.
func mayComeEarly(f faults.Fault) bool { return !f.Restores && f.Area != faults.Controllers }

// revisionsApart is how many revisions lie between faults that each wait for one: so
// many that the hold is still there, and so few that a fault waits for the one before
// it, if it does not meet it, rather than for them.
const revisionsApart = 400

// trigger draws by what progress the i-th fault begins: so many revisions after the
// hold began, after so many writes in it, or, where it may, while the load is still
// being made.
func trigger(act *Intervention, r *rand.Rand, i int, early bool, o Options) {
	kind := r.IntN(3)
	switch {
	case kind == 0 && early:
		act.Phase, act.AfterRunning = phaseFill, r.Int64N(int64(o.Pods))/2 // while there is much to do
	case kind == 1:
		act.AfterRevisions = int64(i*revisionsApart) + 1 + r.Int64N(revisionsApart)
	default:
		act.AfterWrites = 50 + r.Int64N(350)
	}
}
