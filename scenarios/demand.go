package scenarios

import (
	"time"

	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/sim/controllers"
	"github.com/planecheck/planecheck/workloads"
)

// demand is what the plan asks of the machine.
func (p *Plan) demand() results.Demand {
	w := p.World
	watches := map[string]int{"lean": 1, "kubelet": 4}
	changes := map[string]int{"lean": 4, "kubelet": 11}
	clients := map[string]int{"lean": 1, "kubelet": 2}
	d := results.Demand{
		Nodes: w.Nodes, Pods: p.pods(), Replaced: p.replaced(), Length: p.length(),
		WatchesPerNode: watches[w.Profile], ChangesPerPod: changes[w.Profile],
		OwnConnections: w.Connections == ownConnections, ClientsPerNode: clients[w.Profile],
		Servers: w.APIServers, Schedulers: w.Schedulers, ControllerManagers: w.ControllerManagers, Leaderless: w.Leaderless,
		Informers: w.Controllers * controllers.DefaultReplicas,
		Members:   p.members, Volatile: p.volatile, Proxied: p.proxied,
		StoreLinks: w.StoreLinks, ClientLinks: p.shape().ClientLinks, GC: map[string]results.GC{},
	}
	if m := p.Manifest; m != nil {
		d.Pods += m.Size.Pods.On(w.Nodes)
		d.Objects = m.Size.Objects
	}
	if p.Contract != nil {
		d.ContractRate = p.Contract.Rate
	}
	for name, g := range w.GC {
		d.GC[name] = results.GC{Percent: g.Percent, Limit: g.MemoryLimit}
	}
	return d
}

// What a run takes besides its load, and what an automatic pace carries: in the recorded
// run 20261123T112710Z (planecheck 69ab591, 1,000 nodes in kubelet, 2 CPUs) 44 nodes/s
// registered, and 49 pods/s were started and 57 deleted, which is 53 of both.
const (
	startTime           = 8 * time.Second
	registeredPerSecond = 50
	podsPerSecondPerCPU = 26
	// densePodsPerGiB is where an automatic fill takes twice as long as it does where
	// memory is plenty. To 60,000 pods on 24 GiB one took 17 minutes, to 120,000 an hour
	// (run 20261123T124537Z, planecheck 7eaebe6, 5,000 nodes in lean).
	densePodsPerGiB = 6_250
	// objectsPerSecond is how many objects of a manifest are applied, or deleted: a guess.
	objectsPerSecond = 100
	// longest bounds what is guessed of a load that no machine carries.
	longest = 10 * 365 * 24 * time.Hour
	// overTime is how much longer than it is said to a hold lasts at whose end a cluster
	// under turnover has to be whole, and healTime what a fault takes until it is over.
	overTime = 15 * time.Second
	healTime = 5 * time.Second
)

// holdTime is how long the cluster is going to be held at its size.
func (p *Plan) holdTime() time.Duration {
	hold := time.Duration(p.Hold)
	if p.Density != nil {
		hold += p.Density.Config.Hold
	}
	if p.turns() {
		hold += overTime
	}
	for _, i := range p.Interventions {
		hold += time.Duration(i.For) + healTime
	}
	return hold
}

// length is how long the run is going to take until it is judged. On machines whose
// CPUs are faster or slower than those that it rests on, it is off by as much.
func (p *Plan) length() time.Duration {
	l := startTime + spent(p.World.Nodes, registeredPerSecond) + p.holdTime() + p.manifestTime()
	if p.Density == nil {
		return l
	}
	c := p.Density.Config
	l += p.podTime(c.Pods, c.Rate)
	if p.has(phaseChurn) {
		l += spent(c.ChurnPods, c.ChurnRate)
	}
	if p.has(phaseDrain) {
		l += p.podTime(c.Pods, c.DrainRate)
	}
	return l
}

// manifestTime is how long a manifest takes until it is ready, and until it is gone.
func (p *Plan) manifestTime() time.Duration {
	if p.Manifest == nil {
		return 0
	}
	size := p.Manifest.Size
	each := spent(size.Objects, objectsPerSecond) + p.podTime(size.Pods.On(p.World.Nodes), workloads.Rate{})
	if p.has(phaseDrain) {
		return 2 * each
	}
	return each
}

// replaced is how many pods are replaced in the churn, and by the turnover in the
// hold.
func (p *Plan) replaced() int {
	if p.Density == nil {
		return 0
	}
	c := p.Density.Config
	return c.ChurnPods + int(c.TurnoverRate*p.holdTime().Seconds())
}

// podTime is how long it takes to start or to delete so many pods. Where they fill the
// memory, collecting garbage takes the CPUs.
func (p *Plan) podTime(n int, r workloads.Rate) time.Duration {
	if !r.Auto() && r.PodsPerSecond < workloads.MaxPace {
		return spent(n, r.PodsPerSecond)
	}
	free := spent(n, podsPerSecondPerCPU*float64(max(p.machine.CPUs, 1)))
	gib := max(float64(p.machine.MemoryBytes)/(1<<30), 1)
	dense := float64(n) / (densePodsPerGiB * gib)
	return free + time.Duration(min(dense*dense*float64(free), float64(longest)))
}

// spent is how long so many things take at a pace per second.
func spent(n int, perSecond float64) time.Duration {
	return time.Duration(float64(n) / perSecond * float64(time.Second))
}
