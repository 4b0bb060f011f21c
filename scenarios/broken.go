package scenarios

import (
	"time"

	"github.com/planecheck/planecheck/checkers/api/writes"
	guarantees "github.com/planecheck/planecheck/checkers/cluster"
)

// unhealed is how long nodes stay away: longer than NodeFailureHeals allows pods
// to stay on them (cluster.Options.Heal, a minute, and what they tolerate).
const unhealed = Duration(80 * time.Second)

// hastyGrace is less than the 10 s from one renewal of a node's lease to the next.
const hastyGrace = "6s"

// setup is how a control plane is set up wrongly that a fault of the same name
// acts on, and without which it would break nothing.
type setup struct {
	fix  func(*Options)
	acts func(Options, Ground) []Intervention // nil: as other faults
}

var brokenBy = map[string]setup{
	"two-schedulers":  {func(o *Options) { crowdedOptions(o); o.World.Leaderless = true }, atOnce("two-schedulers")},
	"leader-unfenced": {fix: func(o *Options) { faultOptions(o); o.World.Lie = "lease-unfenced" }},
}

func (b setup) set(s *Scenario) {
	if b.fix != nil {
		s.Fix = b.fix
	}
	if b.acts != nil {
		s.Interventions = b.acts
	}
}

// registering is how many keys a node writes, its Lease among them, before it is
// Ready.
const registering = 4

// atOnce injects a fault when the nodes are there and the load is about to begin.
func atOnce(name string) func(Options, Ground) []Intervention {
	return func(o Options, g Ground) []Intervention {
		list := inTurn(name)(o, g)
		list[0].Phase, list[0].AfterRunning, list[0].AfterRevisions, list[0].AfterWrites = "", 0, 0, int64(registering*o.World.Nodes)
		return list
	}
}

// crowdedNodes are as many as NoOvercommit wants bindings.
const crowdedNodes = 100

// crowdedOptions make nodes with room for one pod each, and as many pods, all of
// them at once. Nothing but the scheduler stops a second pod from being bound to
// a full node: the API server looks only whether the pod has a node already
// (assignPod in k8s.io/kubernetes/pkg/registry/core/pod/storage), and a kubelet,
// which would refuse it (OutOfpods), sees it after the binding.
func crowdedOptions(o *Options) {
	faultOptions(o)
	o.Turnover = 0 // the race is for all pods at once
	w := &o.World
	w.PodsPerNode = 1
	w.Nodes = max(w.Nodes, crowdedNodes)
	o.Pods, o.Rate = w.Nodes, "max"
}

// brokenScenarios are control planes that are broken by how they are set up
// alone, and what shows that it is that which breaks them.
func brokenScenarios() []Scenario {
	lying := func(lie string) func(*Options) {
		return func(o *Options) { processOptions(o); o.World.Lie = lie }
	}
	return []Scenario{
		{
			Name: "broken/pod-rebound", Labels: []string{"long", "etcd"}, Fix: lying("pod-rebound"), Breaks: []string{guarantees.NoDoubleBind},
			Proves: "a store puts pods on other nodes than the scheduler did, which ends itself when it sees that",
		},
		{
			Name: "broken/uid-again", Labels: []string{"long", "etcd"}, Fix: lying("uid-again"), Breaks: []string{writes.UIDUnique},
			Proves: "a store gives new objects the uids of others",
		},
		{
			Name: "broken/no-eviction", Labels: []string{"long", "nodes"}, Breaks: []string{guarantees.NodeFailureHeals},
			Proves: "a controller manager without the controller taint-eviction-controller, and nodes that fail",
			Fix: func(o *Options) {
				faultOptions(o)
				// A new leader counts anew what pods tolerate, and on a busy machine there
				// may be one at any time: so there is no election.
				o.World.ControllerManagers = 1
				o.World.KCMArgs = append(o.World.KCMArgs, "--controllers=*,-taint-eviction-controller")
			},
			Interventions: func(o Options, g Ground) []Intervention {
				list := inTurn("nodes-crash of tenth")(o, g)
				list[0].For = unhealed
				return list
			},
		},
		{
			Name: "broken/hasty-eviction", Labels: []string{"long", "nodes", "controllers"}, Breaks: []string{"NoWrongEviction"},
			Proves: "a controller manager that gives nodes up between two renewals of their leases",
			Fix: func(o *Options) {
				faultOptions(o)
				// Of the same flags the last one counts. Without the threshold nothing would
				// be evicted, as it is most of the nodes that are given up; one in 50 s, so
				// that there is a load at all.
				o.World.APIServerArgs = append(o.World.APIServerArgs, "--default-unreachable-toleration-seconds=0")
				o.World.KCMArgs = append(o.World.KCMArgs, "--node-monitor-grace-period="+hastyGrace, "--node-monitor-period=1s",
					"--unhealthy-zone-threshold=1", "--node-eviction-rate=0.02")
			},
			Interventions: inTurn("scheduler-leader-kill"),
		},
		{
			Name: "faults/full-nodes", Labels: []string{"long", "controllers"}, Fix: crowdedOptions, Interventions: atOnce("two-schedulers"),
			Proves: "two schedulers fill nodes that have room for one pod each, and none gets two, " +
				"because they elect a leader (without: broken/two-schedulers)",
		},
	}
}
