package scenarios

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	backends "github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers/judge"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios/faults"
	"github.com/planecheck/planecheck/workloads"
	"github.com/planecheck/planecheck/workloads/contract"
)

// Plan is everything that a run will do, with every random draw already made.
// It is printed and saved before anything starts; the same plan on the same
// versions asks the same of the control plane.
type Plan struct {
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	World    World  `json:"world"`

	// Density is nil without a density load.
	Density  *workloads.DensityPlan `json:"density,omitempty"`
	Manifest *ManifestPlan          `json:"manifest,omitempty"`
	// Contract is the traffic that puts the promises of the API to the test; nil:
	// there is none.
	Contract *contract.Plan `json:"contract,omitempty"`
	// ContractFrom is the phase with which this traffic begins; "": it begins when
	// the nodes are registered.
	ContractFrom string `json:"contractFrom,omitempty"`
	// Storage is what is asked of the store before any API server starts; nil:
	// nothing is.
	Storage *StoragePlan `json:"storage,omitempty"`
	// Phases are the names of the phases, in their order.
	Phases []string `json:"phases"`
	// Hold is that of a manifest alone; a density load has its own.
	Hold          Duration       `json:"hold,omitempty"`
	Interventions []Intervention `json:"interventions,omitempty"`
	// Breaks are the guarantees that its control plane cannot keep, as it is broken
	// on purpose.
	Breaks []string `json:"breaks,omitempty"`
	// Judge says which guarantees the run puts to the test.
	Judge judge.Options `json:"judge"`
	// Files are the person's files of which the run directory has copies, once there is
	// one.
	Files []GivenFile `json:"files,omitempty"`
	// FailFast ends the run at the first violation that its histories show.
	FailFast bool `json:"failFast,omitempty"`

	members  int  // of the store
	proxied  bool // a proxy in the harness stands before them
	volatile bool // they keep nothing on this machine's disk
	machine  results.Host
}

// The phases of a run, in their order.
const (
	phaseShapes   = "shapes"
	phaseTraffic  = "traffic"
	phaseRegister = "register"
	phaseFill     = "fill"
	phaseManifest = "manifest"
	phaseHold     = "hold"
	phaseChurn    = "churn"
	phaseDrain    = "drain"
)

// The size of a small cluster, where neither a person nor the scenario says more.
const (
	smallNodes = 50
	smallPods  = 500
)

// NewPlan makes the plan of a scenario on a machine. Its errors are usage
// errors.
func NewPlan(s Scenario, o Options, host results.Host) (*Plan, error) {
	if s.Fix != nil {
		s.Fix(&o)
	}
	if o.NoPods && (o.Pods > 0 || s.Interventions != nil && o.Manifest == "") {
		return nil, Usagef("%s is about a cluster with pods: --pods 0 is not for it", s.Name)
	}
	nodes, pods := sizeFor(host)
	if o.Small {
		nodes, pods = smallNodes, smallPods
	}
	if o.World.Nodes == 0 {
		o.World.Nodes = nodes
	}
	if o.Pods == 0 && o.Manifest == "" && !o.Idle && !o.NoPods {
		o.Pods = min(pods, o.World.Nodes*o.World.room())
	}
	if s.Sized != nil {
		s.Sized(&o)
	}
	if _, ok := storeLie(o.World.Lie); ok { // it is told behind the proxy
		o.World.Backend = backends.ThroughProxy(o.World.Backend)
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	backend, err := backends.Open(o.World.Backend, backends.Options{Dir: o.RunsDir, External: o.World.External})
	if err != nil {
		return nil, Usagef("--backend: %v", err)
	}
	o.World.fillGC(host)
	o.World.fillUnready()
	p := &Plan{Scenario: s.Name, Seed: o.Seed, World: o.World, FailFast: o.FailFast, Breaks: s.Breaks, members: len(backend.Members()), machine: host}
	p.proxied = slices.ContainsFunc(backend.Members(), func(m backends.Member) bool { return m.Proxied })
	p.volatile = slices.Contains([]string{memoryBackend, "kine-memory", externalBackend}, backend.Name())
	if len(s.Breaks) > 0 {
		o.Turnover = 0 // what is broken shows without it, and may not get over it
	}
	if err := p.addLoad(o); err != nil {
		return nil, err
	}
	if !o.Idle && p.load() <= consistencyPods {
		p.World.ConsistencyPeriod = consistencyPeriod
	}
	if err := p.checkUnready(s, o); err != nil {
		return nil, err
	}
	if s.Interventions != nil {
		p.Interventions = s.Interventions(o, Ground{p.shape(), backend.Faults()})
		p.World.APIServerArgs = slices.Concat(p.World.APIServerArgs, argsFor(p.Interventions))
		p.World.Accountable = slices.ContainsFunc(p.Interventions, thaws)
		if slices.ContainsFunc(p.Interventions, slows) {
			p.World.LeaderLease = 0
		}
		if s.faultless {
			p.Interventions = nil
		}
		p.World.Forgiven = forgivenBy(p.Interventions)
	}
	p.leaveOthersAlone(backend.Name())
	p.Judge = judge.Options{
		Claimed: append(p.claims(o.Contradict), p.tests(s.Tests)...), Large: p.load() > largePods, Faultless: len(p.Interventions) == 0,
		Contract: contractOf(backend.Name()), ClaimedAfter: p.lastingClaims(),
	}
	if p.Judge.Restores = p.restores(); p.Judge.Restores && p.FailFast {
		return nil, Usagef("%s restores its store from a snapshot: it cannot be judged before it has ended, so --fail-fast is not for it", s.Name)
	}
	for _, i := range p.Interventions {
		if err := i.validate(p.shape(), backend.Faults(), p.Phases); err != nil {
			return nil, Usagef("%s: %v", s.Name, err)
		}
	}
	return p, nil
}

// slows says that leaders need leases as long as upstream's under a fault.
func slows(i Intervention) bool {
	f, _ := faults.Find(i.Fault)
	return f.Slows
}

// thaws says that a deposed leader goes on.
func thaws(i Intervention) bool {
	f, _ := faults.Find(i.Fault)
	return f.Thaws
}

// argsFor are the flags that faults need the API servers to have.
func argsFor(acts []Intervention) (args []string) {
	for _, i := range acts {
		f, _ := faults.Find(i.Fault)
		for _, arg := range f.APIServerArgs {
			if !slices.Contains(args, arg) {
				args = append(args, arg)
			}
		}
	}
	return args
}

// forgivenBy are the words with which components may end under faults.
func forgivenBy(acts []Intervention) (words []string) {
	for _, i := range acts {
		f, _ := faults.Find(i.Fault)
		words = append(words, f.Forgives...)
	}
	return words
}

// restores says whether the plan brings the store back to what it was earlier.
func (p *Plan) restores() bool {
	return slices.ContainsFunc(p.Interventions, func(i Intervention) bool {
		f, _ := faults.Find(i.Fault)
		return f.Restores
	})
}

// contractOf is what a backend promises; zero: what etcd does.
func contractOf(backend string) (c storage.Contract) {
	switch {
	case backend == memoryBackend:
		c = storage.Memory()
	case backend == "kine-memory":
		c = storage.KineMemory()
	case strings.HasPrefix(backend, "kine-"):
		c = storage.Kine()
	case backend == externalBackend:
		c = storage.External()
	}
	return c
}

// fewPods is a load whose history falls short of the floors of evidence, and
// largePods one whose key space is not read whole at the end. A manifest's pods are a
// part of the load, but nothing is claimed for them: nobody knows what becomes of them.
const (
	fewPods   = 300
	largePods = 15_000
)

// Up to so many nodes and pods every member of the store is asked for all its
// events, where a larger load asks one: each such watch costs its member, and the
// recorder, as much as the first does.
const (
	everyMemberNodes = 200
	everyMemberPods  = 1_000
)

// everyMember says whether all events are asked of every member of the store. What
// becomes of a manifest, nobody knows.
func (p *Plan) everyMember() bool {
	return p.World.Nodes <= everyMemberNodes && p.pods() <= everyMemberPods && p.Manifest == nil
}

// A comparison lists everything twice, so it is made often only where that is
// little beside the load, a manifest's pods among it, which lasts a minute or two.
// Under `up` it is left as upstream has it: what load comes, and for how long, nobody
// knows, and no verdict needs the comparison.
const (
	consistencyPods   = 3_000
	consistencyPeriod = Duration(15 * time.Second)
)

// shape is how many of everything the plan starts.
func (p *Plan) shape() faults.Shape {
	return faults.Shape{
		Members: p.members, APIServers: p.World.APIServers,
		Schedulers: p.World.Schedulers, ControllerManagers: p.World.ControllerManagers, Nodes: p.World.Nodes,
		ClientLinks: p.World.ClientLinks && p.World.Connections != ownConnections,
		StoreLinks:  p.World.StoreLinks,
	}
}

// has says whether the plan contains a phase.
func (p *Plan) has(phase string) bool { return slices.Contains(p.Phases, phase) }

// pods is the number of pods of the density load. Those of a manifest are in its Size.
func (p *Plan) pods() int {
	if p.Density == nil {
		return 0
	}
	return p.Density.Config.Pods
}

// turns says whether the load is replaced while faults act.
func (p *Plan) turns() bool { return p.Density != nil && len(p.Density.Turnover) > 0 }

// String describes the plan in a few lines for the person who waits.
func (p *Plan) String() string {
	var b strings.Builder
	w := p.World
	if p.alone() {
		fmt.Fprintf(&b, "%s, seed %d: %s\n  backend %s, no API server\n", p.Scenario, p.Seed, strings.Join(p.Phases, " → "), w.Backend)
		p.describeStorage(&b)
		return b.String()
	}
	fmt.Fprintf(&b, "%s, seed %d: %s\n", p.Scenario, p.Seed, strings.Join(p.Phases, " → "))
	fmt.Fprintf(&b, "  %d nodes, profile %s, %s connections; backend %s; %d kube-apiserver, %d kube-scheduler (%s), %d kube-controller-manager\n",
		w.Nodes, w.Profile, w.Connections, w.Backend, w.APIServers, w.Schedulers, w.schedulerText(), w.ControllerManagers)
	if d := p.Density; d != nil {
		fmt.Fprintf(&b, "  %d pods of %d containers in %d Deployments over %d namespaces, rate %s",
			d.Config.Pods, d.Config.Containers, len(d.Deployments), len(d.Namespaces), d.Config.Rate)
		if n := len(d.Services); n > 0 {
			fmt.Fprintf(&b, ", %d Services", n)
		}
		if n := len(d.Churn); n > 0 {
			fmt.Fprintf(&b, "; churn of %d pods in %d operations at %g pods/s", d.Config.ChurnPods, n, d.Config.ChurnRate)
		}
		if len(d.Turnover) > 0 {
			fmt.Fprintf(&b, "; %g pods/s replaced until the faults are over", d.Config.TurnoverRate)
		}
		b.WriteByte('\n')
	}
	if p.Density == nil && p.Manifest == nil && p.Hold > 0 {
		fmt.Fprintf(&b, "  no pods: every node renews its lease for %s\n", p.Hold)
	}
	p.describeStorage(&b)
	if c := p.Contract; c != nil {
		fmt.Fprintf(&b, "  contract traffic of %d clients, %g requests/s", c.Clients, c.Rate)
		if p.ContractFrom != "" {
			fmt.Fprintf(&b, ", from %s on", p.ContractFrom)
		}
		without := maps.Clone(c.Weights)
		maps.DeleteFunc(without, func(_ string, weight int) bool { return weight > 0 })
		if len(without) > 0 {
			fmt.Fprintf(&b, ", without %s", strings.Join(slices.Sorted(maps.Keys(without)), ", "))
		}
		b.WriteByte('\n')
	}
	if m := p.Manifest; m != nil {
		fmt.Fprintf(&b, "  %s\n", m)
	}
	for _, flags := range []struct {
		of   string
		args []string
	}{{"kube-apiserver", w.APIServerArgs}, {"kube-controller-manager", w.KCMArgs}} {
		if len(flags.args) > 0 {
			fmt.Fprintf(&b, "  %s %s\n", flags.of, strings.Join(flags.args, " "))
		}
	}
	if w.UnreadyEvery > 0 {
		fmt.Fprintf(&b, "  %g of 100 pods are not ready for %s every %s\n", 100*w.UnreadyShare, w.UnreadyFor, w.UnreadyEvery)
	}
	if w.LeaderLease > 0 {
		fmt.Fprintf(&b, "  leases of leaders last %s (upstream: 15s)\n", w.LeaderLease)
	}
	for _, i := range p.Interventions {
		fmt.Fprintf(&b, "  %s\n", i)
	}
	return b.String()
}

func (w *World) schedulerText() string {
	if w.SchedulerConfigFile != "" {
		return w.SchedulerConfigFile
	}
	return w.SchedulerSetting
}

// encode returns the plan as it is saved.
func (p *Plan) encode() (json.RawMessage, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	return b, nil
}
