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
// by progress, not by time, so that it meets the same state on a slow machine.
type Intervention struct {
	// Component is the instance, e.g. "kube-scheduler-0".
	Component string `json:"component"`
	// Kind is "freeze": SIGSTOP, and SIGCONT after For; or "restart": SIGKILL,
	// and a new process at once.
	Kind string `json:"kind"`
	// AfterRunning is the number of pods that have become Running when the
	// intervention starts.
	AfterRunning int64 `json:"afterRunning"`
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
				"with a compaction of the store every five seconds and the restart of one server",
			Labels: []string{"quick"},
			Fix:    contractOptions,
			Interventions: func(o Options) []Intervention {
				if o.World.Lie != "" {
					return nil // a liar does not outlive its server
				}
				return []Intervention{{Component: "kube-apiserver-1", Kind: restart, AfterRunning: int64(o.Pods)}}
			},
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

const (
	contractRate = 150 // requests/s
	contractHold = Duration(45 * time.Second)
)

// The kinds of interventions.
const (
	freeze  = "freeze"
	restart = "restart"
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
	return fmt.Sprintf("%s once %d pods run", text, i.AfterRunning)
}

// validate catches what would make a run meaningless before it starts.
func (i Intervention) validate() error {
	if i.Kind != freeze && i.Kind != restart {
		return fmt.Errorf("intervention kind %q is unknown", i.Kind)
	}
	if i.Kind == freeze && i.For <= 0 {
		return fmt.Errorf("intervention on %s lasts %s", i.Component, i.For)
	}
	return nil
}
