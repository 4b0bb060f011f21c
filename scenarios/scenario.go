// Package scenarios turns a named experiment into a plan, runs the plan
// against a real control plane, and says how it ended. It is where the parts
// meet: apiserver, sim and workloads know nothing of each other.
package scenarios

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Scenario is one named experiment. It is plain data: what it starts, what it
// asks of it and what it does to it is all in the Plan that it makes.
type Scenario struct {
	// Name is area/case, as in `planecheck run area/case`.
	Name string
	// Proves says in one sentence what a Pass means.
	Proves string
	// Labels select scenarios in the test suite: "quick" ones run in CI,
	// "long" ones only by command.
	Labels []string
	// Fix sets what makes the scenario what it is; it wins over the person's
	// own settings. It may be nil.
	Fix func(*Options)
	// Interventions are what the plan does to the cluster while it works. It
	// may be nil.
	Interventions func(Options) []Intervention
}

// Intervention is one thing that a plan does to a component. It is triggered
// by progress, not by time, so that it meets the same state on a slow machine;
// only the pauses between several of them are times.
type Intervention struct {
	// Component is the instance, e.g. "kube-scheduler-0".
	Component string `json:"component"`
	// Kind is "freeze": SIGSTOP, and SIGCONT after For; "restart": SIGKILL, and
	// a new process at once; or "move-leader": the store's leader hands over.
	Kind string `json:"kind"`
	// AfterRunning is the number of pods that have become Running when the
	// intervention starts, and After a pause before it. A plan's interventions
	// come one after the other.
	AfterRunning int64    `json:"afterRunning"`
	After        Duration `json:"after,omitempty"`
	// For is how long a freeze lasts.
	For Duration `json:"for,omitempty"`
}

// Registry lists every scenario there is, in the order in which `planecheck
// list` shows them and the suite runs them.
func Registry() []Scenario {
	return []Scenario{
		{
			Name:   "scale/density",
			Proves: "the control plane carries the planned nodes and pods with every heartbeat in time, and how fast",
			Labels: []string{"quick"},
		},
		{
			Name:   "scale/two-apiservers",
			Proves: "the same through two API servers, with rolling updates and re-creations",
			Labels: []string{"quick"},
			Fix:    func(o *Options) { o.World.APIServers, o.Churn.Pods = 2, max(o.Pods/2, 1) },
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
				"and the other API server stands still for 5 s, so that its watches fall behind",
			Labels:        []string{"quick"},
			Fix:           contractOptions,
			Interventions: contractFaults,
		},
		{
			Name:   "scale/frozen-scheduler",
			Proves: "the pace of an automatic fill backs off while the scheduler stands still for 10 s, and recovers",
			Labels: []string{"quick"},
			Interventions: func(o Options) []Intervention {
				return []Intervention{{
					Component: "kube-scheduler-0", Kind: freeze,
					AfterRunning: int64(o.Pods / 4), For: seconds(10),
				}}
			},
		},
	}
}

// contractOptions put most of the load into contract traffic, which needs a
// while: some promises are only put to the test once a minute.
func contractOptions(o *Options) {
	o.World.APIServers = 2
	o.World.APIServerArgs = append(o.World.APIServerArgs, "--etcd-compaction-interval=5s")
	o.Contract = max(o.Contract, contractRate)
	if o.World.Lie == "" { // a lie is told every second or so
		o.Hold = max(o.Hold, contractHold)
	}
}

// contractFaults come one after the other, in the hold.
func contractFaults(o Options) []Intervention {
	full, pause := int64(o.Pods), seconds(6)
	return []Intervention{
		{Component: "kube-apiserver-1", Kind: restart, AfterRunning: full},
		{Component: storeComponent, Kind: moveLeader, AfterRunning: full, After: pause},
		{Component: "kube-apiserver-0", Kind: freeze, AfterRunning: full, After: pause, For: seconds(5)},
	}
}

// storeComponent names the store where an intervention is on the whole of it.
const storeComponent = "store"

const (
	contractRate = 150 // requests/s
	contractHold = Duration(45 * time.Second)
)

// The kinds of interventions.
const (
	freeze     = "freeze"
	restart    = "restart"
	moveLeader = "move-leader"
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
	text := fmt.Sprintf("%s of %s", i.Kind, i.Component)
	if i.For > 0 {
		text += fmt.Sprintf(" for %s", i.For)
	}
	text = fmt.Sprintf("%s once %d pods run", text, i.AfterRunning)
	if i.After > 0 {
		text += fmt.Sprintf(", %s later", i.After)
	}
	return text
}

// validate catches what would make a run meaningless before it starts.
func (i Intervention) validate() error {
	if !slices.Contains([]string{freeze, restart, moveLeader}, i.Kind) {
		return fmt.Errorf("intervention kind %q is unknown", i.Kind)
	}
	if i.Kind == freeze && i.For <= 0 {
		return fmt.Errorf("intervention on %s lasts %s", i.Component, i.For)
	}
	if i.After < 0 {
		return fmt.Errorf("intervention on %s comes after %s", i.Component, i.After)
	}
	return nil
}
