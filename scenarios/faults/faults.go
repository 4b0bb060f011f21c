// Package faults holds what can be done to a control plane on purpose, as
// values: what it is, what it acts on, how it begins and ends, and the evidence,
// from outside of the injector, that it took effect. A fault without evidence
// has not happened: whoever injects it gets an error.
package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/planecheck/planecheck/apiserver"
	apiclient "github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
)

// Area is what of a cluster a fault takes away.
type Area string

// The areas.
const (
	Etcd        Area = "etcd"
	APIServer   Area = "apiserver"
	Controllers Area = "controllers"
	Nodes       Area = "nodes"
	Clients     Area = "clients"
)

// Env is what faults act on: a running cluster.
type Env struct {
	Plane Plane
	Store storage.Backend
	Nodes Machines
	// API is the administrator's, through the load balancer.
	API kubernetes.Interface
	// Links lead the shared connections of the clients to the API servers.
	Links []ClientLink
	// Layer is what all clients are of, and Strangers are users that nobody else
	// is, with the rights of an administrator but not exempt from priority and
	// fairness: what a fault asks of the API, it asks in their names.
	Layer     *apiclient.Layer
	Strangers []apiclient.Identity
	// LeasesMissed is how many deadlines of the leases of nodes have passed so far.
	LeasesMissed func() int64
	// Client opens the administrator's client of one address.
	Client func(addr string) (kubernetes.Interface, error)
	// Replaced is told of each process that took the place of another.
	Replaced func(component string, pid int)
	// Forget is told of each node that owes no heartbeats until further notice.
	Forget func(node string)
	// Removed is the user who had a pod deleted at once (grace period 0), and was
	// told that it is; "": none of the client layer.
	Removed func(pod types.UID) (user string)
	// Lost is what the clients of the layer have lost so far of an API server, by
	// their own account.
	Lost func(server string) Loss
	// Pick is a number that chooses where a target can mean several. The plan draws it.
	Pick uint64
	// Recording keeps the histories; nil: nobody does.
	Recording Recording
}

// Plane is the control plane, as apiserver.ControlPlane is.
type Plane interface {
	Components() []apiserver.Component
	Balancer() *link.Balancer
	StoreLinks(server string) []*link.Link
	CA() []byte
	Get(ctx context.Context, component, path string) ([]byte, error)
	Metrics(ctx context.Context, component string) ([]byte, error)
	Resignations() []apiserver.Resignation
	Signal(component string, sig os.Signal) error
	End(component string, sig syscall.Signal) error
	ExitState(component string) (string, error)
	Begin(ctx context.Context, component string) error
}

// Machines are the nodes, as sim.Cluster has them.
type Machines interface {
	Nodes() []string
	Zones() []string
	NodesIn(zone string) ([]string, error)
	Crash(nodes ...string) error
	Boot(nodes ...string) error
	Cut(nodes ...string) error
	Reconnect(nodes ...string) error
	RestartKubelets(nodes ...string) error
	SetClock(node string, offset time.Duration) error
	PressMemory(evictions int, nodes ...string) error
	FreeMemory(nodes ...string) error
	Running(nodes ...string) (pods []string, err error)
}

func (e *Env) forget(nodes []string) {
	for _, name := range nodes {
		if e.Forget != nil {
			e.Forget(name)
		}
	}
}

// Shape is how many of everything a cluster has.
type Shape struct {
	Members, APIServers, Schedulers, ControllerManagers, Nodes int

	ClientLinks bool // there are links between the clients and the API servers
	StoreLinks  bool // there are links between the API servers and the store
}

// Fault is one thing that can be done to a cluster.
type Fault struct {
	Name string // as in the scenario faults/<Name>
	Does string // in one line, for `planecheck list`
	Area Area
	// Needs are the faults that the store must be able to take.
	Needs []string
	// Blocks says that nothing can be written, or nobody knows who leads, while it
	// acts: another fault would wait for its evidence in vain. Or that it needs all
	// of that itself.
	Blocks bool
	// Breaks are the guarantees that it takes from a control plane which keeps all
	// others: no correct one survives it, and a run with it has to fail by them.
	Breaks []string
	// Forgives are words, in lower case, with which a scheduler or controller manager
	// ends itself as a consequence of it. It is started again then, so that the run
	// comes to its end and fails by what the fault Breaks.
	Forgives []string
	// Tests are the guarantees, as judge.Claim names them, that it puts to the test
	// for sure: a run of its scenario without evidence for them is Invalid.
	Tests []string
	// Each says that every target shows something of its own: its scenario acts on
	// all of them in turn.
	Each bool
	// Restores says that it brings the store back to what it was earlier, so that
	// the history has two epochs.
	Restores bool
	// Renews says that it starts an API server anew, whose watch caches then begin with
	// what is there.
	Renews bool
	// APIServerArgs are flags that the API servers have to have for it.
	APIServerArgs []string
	// Crashes says that it ends members of the store, whichever its target, and that
	// they come back with what they have on their disks: see Active.Crashed.
	Crashes bool
	// Thaws says that a leader which was deposed goes on: it has to be known then what
	// each scheduler and controller manager writes.
	Thaws bool
	// Slows says that everything is slow under it, so that leaders need leases as
	// long as upstream's.
	Slows bool
	// For is how long it lasts if a plan does not say. 0: it is over as soon as
	// it has taken effect.
	For time.Duration
	// targets lists what of a cluster it can act on; empty: nothing, because the
	// cluster is too small.
	targets func(Shape) []string
	inject  func(ctx context.Context, e *Env, target string) (*Active, error)
}

// Active is a fault that acts.
type Active struct {
	// Evidence says how it shows from outside.
	Evidence string
	// Crashed names the members of the store that it ended and that are back, with
	// what was on their disks, when it is healed.
	Crashed []string
	// Verdict is on a guarantee that only this fault puts to the test; nil: there
	// is none, or it is not healed yet.
	Verdict *checkers.Verdict
	heal    func(context.Context) (evidence string, err error)
}

// effectBound is how long a fault may take to show. An election takes a second
// or two; a lease of a controller, or the grace period of a node, has to run out
// first.
const effectBound = time.Minute

// Catalogue lists all faults.
func Catalogue() []Fault {
	return slices.Concat(
		etcdFaults(), processFaults(), dataFaults(), apiserverFaults(), linkFaults(), watchFaults(), controllerFaults(), nodeFaults(),
		clientFaults(), overloadFaults(),
	)
}

// Find returns the fault of that name.
func Find(name string) (Fault, bool) {
	all := Catalogue()
	i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
	if i < 0 {
		return Fault{}, false
	}
	return all[i], true
}

// Targets lists what of a cluster the fault can act on. It is empty where the
// cluster is too small for it.
func (f Fault) Targets(s Shape) []string { return f.targets(s) }

// Possible says whether a store takes the fault, given the faults it lists.
func (f Fault) Possible(store []string) bool {
	for _, need := range f.Needs {
		if !slices.Contains(store, need) {
			return false
		}
	}
	return true
}

// Several says whether a target can mean several members, or nodes, of which
// Env.Pick chooses.
func Several(target string) bool {
	return slices.Contains([]string{follower, minority, majority, oneNode, tenth, oneZone}, target)
}

// shuffled is the list in an order that pick chooses; 0: in its own.
func shuffled[T any](list []T, pick uint64) []T {
	list = slices.Clone(list)
	if pick > 0 {
		rand.New(rand.NewPCG(pick, 0)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	return list
}

// Meets says whether the fault may begin while another one still acts.
func (f Fault) Meets(other Fault) bool { return !f.Blocks && !other.Blocks && f.Area != other.Area }

// Inject begins the fault and returns when it shows from outside. If it does not
// show it is healed, and that is an error.
func (f Fault) Inject(ctx context.Context, e *Env, target string) (*Active, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
	defer cancel()
	a, err := f.inject(ctx, e, target)
	if err != nil {
		return nil, fmt.Errorf("fault %s of %s: %w", f.Name, target, err)
	}
	return a, nil
}

// Heal ends the fault and returns when the other side shows it. ctx should not
// end with the run: what was broken has to be mended also after Ctrl-C.
func (a *Active) Heal(ctx context.Context) (evidence string, err error) {
	if a.heal == nil {
		return "", nil
	}
	return a.heal(ctx)
}
