// Package scenarios turns a named experiment into a plan, runs the plan
// against a real control plane, and says how it ended. It is where the parts
// meet: apiserver, sim and workloads know nothing of each other.
package scenarios

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/planecheck/planecheck/scenarios/faults"
)

// Scenario is one named experiment. It is plain data: what it starts, what it
// asks of it and what it does to it is all in the Plan that it makes.
type Scenario struct {
	// Name is area/case, as in `planecheck run area/case`.
	Name string
	// Proves says in one sentence what a Pass means.
	Proves string
	// Breaks are guarantees that its control plane cannot keep, because it is
	// broken on purpose: a run has to fail by them, or a Pass of others would mean
	// little.
	Breaks []string
	// Labels select scenarios in the test suite: "quick" ones run in CI,
	// "long" ones only by command.
	Labels []string
	// Fix sets what makes the scenario what it is; it wins over the person's
	// own settings. It may be nil.
	Fix func(*Options)
	// Sized sets what goes by the size of the cluster, which nobody may have said by the
	// time of Fix. It may be nil.
	Sized func(*Options)
	// Interventions are what the plan does to the cluster while it works. It
	// may be nil.
	Interventions func(Options, Ground) []Intervention
	// Tests are guarantees, as judge.Claim names them, that it puts to the test for
	// sure: without evidence for them a run is Invalid.
	Tests []string
	// Twin runs the plan without its faults first; with them it must end in the
	// same state.
	Twin bool
	// faultless plans no faults, but all that they need.
	faultless bool
}

// Ground is the cluster that interventions are planned for.
type Ground struct {
	faults.Shape
	Store []string // the faults that its store takes
}

// Intervention is a fault that a plan injects. It is triggered by progress, not
// by time, so that it meets the same state on a slow machine; only how long it
// lasts is a time.
type Intervention struct {
	Fault  string `json:"fault"`  // name in faults.Catalogue
	Target string `json:"target"` // one of the fault's targets
	// Pick chooses, where the target can mean several.
	Pick uint64 `json:"pick,omitempty"`
	// It may begin when all of this is so: the Phase has begun, AfterRunning pods
	// have become Running, and the store is AfterRevisions past the revision at which
	// the Phase began (any: past its first). Then AfterWrites keys have
	// to be written.
	Phase          string `json:"phase,omitempty"` // "": any
	AfterRunning   int64  `json:"afterRunning"`
	AfterRevisions int64  `json:"afterRevisions,omitempty"`
	AfterWrites    int64  `json:"afterWrites,omitempty"`
	// Overlap lets it begin while those before it still act. Otherwise it waits
	// until they are healed.
	Overlap bool `json:"overlap,omitempty"`
	// For is how long it lasts.
	For Duration `json:"for,omitempty"`
}

// Registry lists every scenario there is, in the order in which `planecheck
// list` shows them and the suite runs them.
func Registry() []Scenario {
	return append([]Scenario{
		{
			Name:   "scale/density",
			Proves: "the control plane carries the planned nodes and pods with every heartbeat in time, and how fast",
			Labels: []string{"quick"},
		},
		{
			Name:   "scale/two-apiservers",
			Proves: "the same through two API servers, with rolling updates and re-creations",
			Labels: []string{"quick"},
			Fix:    func(o *Options) { o.World.APIServers = 2 },
			Sized:  func(o *Options) { o.Churn.Pods = (o.Pods + 1) / 2 },
		},
		{
			Name: "contract/api",
			Proves: "every answer and every watch of two API servers kept its promises to clients that contradict each other, " +
				"with a compaction of the store every five seconds",
			Labels: []string{"long"},
			Fix:    contractOptions,
		},
		{
			Name: "contract/faults",
			Proves: "the same while an API server is killed and started anew, the store's leader moves, " +
				"the watches of the other API server are read too slowly until it gives them up, and it stands still for 5 s",
			Labels: []string{"quick", string(faults.APIServer), string(faults.Etcd), string(faults.Clients)},
			Fix: func(o *Options) {
				contractOptions(o)
				o.World.ClientLinks = true // the way to slow readers
				o.Without = append(o.Without, bind)
			},
			Interventions: contractFaults,
		},
		{
			Name: "contract/storage",
			Proves: "a store answers every kind of request of a kube-apiserver as the model does, keeps its guarantees under the traffic " +
				"of several, and then two API servers keep their promises on it",
			Labels: []string{"long"},
			Fix:    func(o *Options) { contractOptions(o); o.Store = true },
		},
		{
			Name:   "contract/store",
			Proves: "the first two of these, without any API server",
			Labels: []string{"quick"},
			Fix:    func(o *Options) { o.Store, o.Alone = true, true },
		},
		{
			Name:   "scale/frozen-scheduler",
			Proves: "the pace of an automatic fill backs off while the scheduler stands still for 10 s, and recovers",
			Labels: []string{"quick", string(faults.Controllers)},
			Interventions: func(o Options, _ Ground) []Intervention {
				return []Intervention{{
					Fault: "scheduler-freeze", Target: "kube-scheduler-0",
					AfterRunning: int64(o.Pods / 4), For: seconds(10),
				}}
			},
		},
	}, slices.Concat(faultScenarios(), brokenScenarios())...)
}

// contractOptions put most of the load into contract traffic, which needs a
// while: some promises are only put to the test once a minute.
func contractOptions(o *Options) {
	o.World.APIServers = 2
	o.World.APIServerArgs = append(o.World.APIServerArgs, "--etcd-compaction-interval=5s", "--event-ttl="+eventTTL)
	o.Contract, o.Contradict = max(o.Contract, contractRate), true
	if o.World.Lie == "" { // a lie is told every second or so
		o.Hold = max(o.Hold, contractHold)
	}
}

// contractFaults come one after the other, in the hold.
func contractFaults(o Options, _ Ground) []Intervention {
	full := int64(o.Pods)
	return []Intervention{
		{Fault: "apiserver-kill", Target: "kube-apiserver-1", AfterRunning: full},
		{Fault: "etcd-leader-move", Target: "leader", AfterRunning: full, AfterWrites: 400},
		{Fault: "slow-readers", Target: "kube-apiserver-0", AfterRunning: full, AfterWrites: 400, For: seconds(3)},
		{Fault: "apiserver-freeze", Target: "kube-apiserver-0", AfterRunning: full, AfterWrites: 400, For: seconds(5)},
	}
}

const (
	// eventTTL (upstream: 1 h) has leases of the store end in the course of a run, with
	// the Events that hold them. An API server adds a twentieth, in whole seconds, and
	// gives one lease to the Events of so long a time: below 20 s each would get its own
	// (apiserver/pkg/storage/etcd3/lease_manager.go).
	eventTTL     = "20s"
	contractRate = 150 // requests/s
	contractHold = Duration(45 * time.Second)
)

// Find returns the scenarios whose whole name matches the regular expression.
func Find(expr string) ([]Scenario, error) {
	re, err := regexp.Compile("^(?:" + expr + ")$")
	if err != nil {
		return nil, Usagef("scenario %q is no regular expression: %v", expr, err)
	}
	var found []Scenario
	for _, s := range Registry() {
		if re.MatchString(s.Name) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return nil, Usagef("no scenario matches %q; `planecheck list` shows them", expr)
	}
	return found, nil
}

// Labelled says whether the scenario carries the label.
func (s Scenario) Labelled(label string) bool { return slices.Contains(s.Labels, label) }

func (i Intervention) String() string {
	text := fmt.Sprintf("%s of %s", i.Fault, i.Target)
	if i.Pick > 0 {
		text += fmt.Sprintf(" (pick %d)", i.Pick)
	}
	if i.For > 0 {
		text += fmt.Sprintf(" for %s", i.For)
	}
	text = fmt.Sprintf("%s once %d pods run", text, i.AfterRunning)
	if i.Phase != "" {
		text += ", in phase " + i.Phase
	}
	if i.AfterRevisions > 0 {
		text += fmt.Sprintf(", %d revisions after its beginning", i.AfterRevisions)
	}
	if i.AfterWrites > 0 {
		text += fmt.Sprintf(", %d writes later", i.AfterWrites)
	}
	if i.Overlap {
		text += ", whatever still acts"
	}
	return text
}

// validate catches what would make a run meaningless before it starts: a fault
// that the cluster cannot suffer or the store cannot take.
func (i Intervention) validate(shape faults.Shape, store, phases []string) error {
	f, ok := faults.Find(i.Fault)
	switch {
	case !ok:
		return fmt.Errorf("there is no fault %q", i.Fault)
	case !f.Possible(store):
		return fmt.Errorf("fault %s needs a store that takes %s", i.Fault, strings.Join(f.Needs, ", "))
	case !slices.Contains(f.Targets(shape), i.Target):
		return fmt.Errorf("fault %s cannot act on %q in a cluster of %+v", i.Fault, i.Target, shape)
	case i.For < 0 || i.AfterWrites < 0 || i.AfterRevisions < 0:
		return fmt.Errorf("fault %s comes after %d revisions, %d writes later, and lasts %s", i.Fault, i.AfterRevisions, i.AfterWrites, i.For)
	case i.Phase != "" && !slices.Contains(phases, i.Phase):
		return fmt.Errorf("fault %s comes in phase %q, which there is not", i.Fault, i.Phase)
	}
	return nil
}
