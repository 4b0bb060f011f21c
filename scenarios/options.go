package scenarios

import (
	"cmp"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/workloads"
)

// Options is everything that a person can choose about a run. The zero value
// is not usable: start from DefaultOptions.
type Options struct {
	World World
	// Small makes what neither a person nor the scenario sizes a small cluster of
	// 50 nodes and 500 pods, rather than one as large as the machine carries.
	Small bool
	// Pods is the number of pods of the density load; 0 with a Manifest means
	// no density load.
	Pods int
	// NoPods plans no density load although nothing takes its place: nodes that
	// register and renew their leases.
	NoPods bool
	// Namespaces of the density load; 0: one per 3,000 pods, at least 4 as long as
	// there are Deployments for them.
	Namespaces        int
	PodsPerDeployment int
	// Services is the number of Deployments that get a Service, at most one each.
	Services int
	// Rate paces the fill: "auto", "max", or pods per second.
	Rate string
	// Hold is how long the full cluster is watched at rest.
	Hold Duration
	// Patience is how long the fill, the churn, the drain, and the wait for the pods
	// after a hold may stand still before they are given up; 0: two minutes.
	Patience Duration
	Churn    Churn
	// Turnover is how many pods a second are replaced through the hold, until the
	// plan's faults are over; 0: none.
	Turnover float64
	Drain    bool
	// Contract is the rate, in requests per second, of the traffic that puts the
	// promises of the API to the test; 0: there is none.
	Contract float64
	// ContractFrom is the phase with which that traffic begins; "": it begins when
	// the nodes are registered.
	ContractFrom string
	// Contradict says that contract traffic is what the run is about: then it has
	// to bring enough evidence for every promise of the API.
	Contradict bool
	// Without are the kinds of operations that contract traffic leaves out.
	Without []string
	// Store puts the store to the test before any API server is started, and Alone
	// ends the run after that.
	Store, Alone bool
	// Idle plans no load at all: the cluster is for a person to use (`up`).
	Idle bool
	// Manifest is a file of objects to apply, Copies times.
	Manifest string
	Copies   int

	// Given names the flags that the person gave, whatever their values are. One that
	// nothing heeds is refused.
	Given []string

	Seed    uint64
	RunsDir string
	// KeepData keeps etcd's data directories after a Pass, too.
	KeepData bool
	// Force starts a run that is estimated not to fit.
	Force bool
	// FailFast judges the histories during the run and ends the run when they show
	// the first violation.
	FailFast bool
	// SLOFail makes a missed objective an error (exit status 5).
	SLOFail bool
}

// Churn is the phase that changes a full cluster.
type Churn struct {
	// Pods is how many pods are replaced, by rolling updates and by deleting
	// and creating Deployments in turn; 0: no churn.
	Pods int     `json:"pods"`
	Rate float64 `json:"rate"` // pods per second
}

// World is what is started: the control plane, its store and the nodes.
type World struct {
	Nodes       int    `json:"nodes"`
	Profile     string `json:"profile"`     // lean or kubelet
	Connections string `json:"connections"` // shared or own
	Controllers int    `json:"controllers"` // simulated controllers
	Backend     string `json:"backend"`
	// External is the store of the backend external.
	External           storage.External `json:"external,omitzero"`
	APIServers         int              `json:"apiservers"`
	Schedulers         int              `json:"schedulers"`
	ControllerManagers int              `json:"controllerManagers"`
	// LeaderLease is how long the lease of a leading scheduler or controller
	// manager lasts; 0: as upstream, 15 s.
	LeaderLease Duration `json:"leaderLease,omitempty"`
	// Leaderless has several schedulers act at once, without an election.
	Leaderless bool `json:"leaderless,omitempty"`
	// PodsPerNode is how many pods a node has room for; 0: as many as a kubelet
	// takes by default, 110.
	PodsPerNode int `json:"podsPerNode,omitempty"`
	// JobTime is how long the containers of a pod run whose restartPolicy is Never or
	// OnFailure, within a quarter; 0: until they are deleted.
	JobTime Duration `json:"jobTime,omitempty"`
	// UnreadyEvery is for how long a pod with restartPolicy Always is ready, within a
	// quarter, before it is not for UnreadyFor, again and again; 0: for ever. It goes for
	// a UnreadyShare of these pods, from 0 to 1, while the cluster is held.
	UnreadyEvery Duration `json:"unreadyEvery,omitempty"`
	UnreadyFor   Duration `json:"unreadyFor,omitempty"`   // 0: 10 s
	UnreadyShare float64  `json:"unreadyShare,omitempty"` // 0: all of them
	// NodeImages is how many images the status of a node lists, which is most of its
	// size; 0: 8. A kubelet lists 50 at most by default (--node-status-max-images).
	NodeImages int `json:"nodeImages,omitempty"`
	// StopTime is how long containers take to exit that are told to stop; those that
	// outlive the grace period of their pod are killed at its end. 0: they exit at once.
	StopTime Duration `json:"stopTime,omitempty"`
	// Housekeeping is how often a kubelet looks how much memory is left; 0: as upstream,
	// every 10 s.
	Housekeeping Duration `json:"housekeeping,omitempty"`
	// PressureTransition is for how long a node that was short of memory must have had
	// enough before it says so; 0: as upstream, 5 min.
	PressureTransition Duration `json:"pressureTransition,omitempty"`
	// Accountable has the API servers log which scheduler or controller manager wrote
	// what, for LeaderGivesUp.
	Accountable bool `json:"accountable,omitempty"`
	// Supervised starts those again that end because they lost the lead.
	Supervised bool `json:"supervised,omitempty"`
	// Forgiven are words with which others of them may end as well.
	Forgiven []string `json:"forgiven,omitempty"`
	// ClientLinks puts links between the clients and the API servers, for faults;
	// shared connections only.
	ClientLinks bool `json:"clientLinks,omitempty"`
	// StoreLinks puts links between the API servers and the store, for faults.
	StoreLinks bool `json:"storeLinks,omitempty"`
	// Port of the load balancer in front of the API servers; 0: any.
	Port int `json:"port"`

	SchedulerSetting    string `json:"schedulerSetting"` // default or throughput
	SchedulerConfigFile string `json:"schedulerConfigFile,omitempty"`

	// Program is the planecheck binary that the components are run from; "": this one.
	Program               string `json:"-"`
	KubeAPIServer         string `json:"kubeAPIServer,omitempty"`
	KubeScheduler         string `json:"kubeScheduler,omitempty"`
	KubeControllerManager string `json:"kubeControllerManager,omitempty"`

	APIServerArgs []string `json:"apiserverArgs,omitempty"`
	KCMArgs       []string `json:"kcmArgs,omitempty"`
	FeatureGates  string   `json:"featureGates,omitempty"`

	// CPUPolicy is the Linux scheduling policy of all processes: batch
	// (SCHED_BATCH) or other (Linux's default).
	CPUPolicy string `json:"cpuPolicy"`

	// ConsistencyPeriod is how often the API servers compare their watch caches
	// with the store; 0: as upstream, every five minutes.
	ConsistencyPeriod Duration `json:"consistencyPeriod,omitempty"`

	// Lie is the name of a lie that is told before every API server, or before
	// every controller manager if it is about their election, or before every
	// member of the store, to prove that the checkers see it; "": none.
	Lie string `json:"lie,omitempty"`
	// LieAbout is the plural of what alone clients of the API servers are lied to about,
	// one of lyingResources; "": about all of these.
	LieAbout string `json:"lieAbout,omitempty"`

	// Unrecorded leaves out the histories, to measure what recording costs. The
	// verdict is then Invalid.
	Unrecorded bool `json:"unrecorded,omitempty"`

	// GC holds GOGC and GOMEMLIMIT by component; "harness" is this process
	// with its etcd members. What is missing is filled in from the machine.
	GC map[string]GC `json:"gc"`
}

// GC is a Go runtime's garbage collector setting.
type GC struct {
	Percent     int   `json:"gogc"`
	MemoryLimit int64 `json:"gomemlimit"` // bytes
}

// DefaultOptions returns the settings of `planecheck scale` without a flag.
// Nodes and Pods are left 0: the runner sizes them to the scenario, or to the
// machine.
func DefaultOptions() Options {
	return Options{
		World: World{
			Profile:            "kubelet",
			Connections:        "shared",
			Backend:            "etcd",
			APIServers:         1,
			Schedulers:         1,
			ControllerManagers: 1,
			SchedulerSetting:   "throughput",
			CPUPolicy:          cpuBatch,
			GC:                 map[string]GC{},
			JobTime:            seconds(5),
		},
		PodsPerDeployment: 50,
		Services:          10,
		Rate:              "auto",
		Churn:             Churn{Rate: 20},
		Hold:              seconds(10),
		Drain:             true,
		Contract:          scaleRate,
		Copies:            1,
		RunsDir:           "runs",
	}
}

// Validate returns a UsageError for the first value that cannot work.
func (o *Options) Validate() error {
	w := &o.World
	atLeast := func(name string, got, least int) error {
		if got < least {
			return Usagef("--%s is %d; it must be at least %d", name, got, least)
		}
		return nil
	}
	oneOf := func(name, got string, known ...string) error {
		if !slices.Contains(known, got) {
			return Usagef("--%s is %q; it must be one of %s", name, got, strings.Join(known, ", "))
		}
		return nil
	}
	leastPods := 1
	if o.Manifest != "" || o.Idle || o.NoPods {
		leastPods = 0
	}
	for _, err := range []error{
		atLeast("nodes", w.Nodes, 1),
		atLeast("pods", o.Pods, leastPods),
		atLeast("namespaces", o.Namespaces, 0),
		atLeast("pods-per-deployment", o.PodsPerDeployment, 1),
		atLeast("services", o.Services, 0),
		atLeast("copies", o.Copies, 1),
		atLeast("churn-pods", o.Churn.Pods, 0),
		atLeast("apiservers", w.APIServers, 1),
		atLeast("schedulers", w.Schedulers, 1),
		atLeast("controller-managers", w.ControllerManagers, 1),
		atLeast("controllers", w.Controllers, 0),
		oneOf("profile", w.Profile, "lean", "kubelet"),
		oneOf("connections", w.Connections, "shared", "own"),
		oneOf("cpu-policy", w.CPUPolicy, cpuBatch, cpuOther),
		oneOf("scheduler", w.SchedulerSetting, "default", "throughput"),
		readable("manifest", o.Manifest),
		readable("scheduler-config", w.SchedulerConfigFile),
		readable("kube-apiserver", w.KubeAPIServer),
		readable("kube-scheduler", w.KubeScheduler),
		readable("kube-controller-manager", w.KubeControllerManager),
		o.validateRate(),
		o.validateNumbers(),
		o.validateGiven(),
		o.validateLie(),
		o.validateTimes(),
		w.validateUnready(),
		o.validateCapacity(),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) validateLie() error {
	if o.World.Lie == "" {
		return nil
	}
	if _, ok := storeLie(o.World.Lie); ok {
		if !storage.Interferes(o.World.Backend) {
			return Usagef("--lie %s is told before the store, behind the recording proxy, and --backend %s has none", o.World.Lie, o.World.Backend)
		}
		return nil
	}
	if _, ok := findLie(o.World.Lie); !ok {
		return Usagef("--lie is %q; there is no such lie", o.World.Lie)
	}
	if about := o.World.LieAbout; about != "" && !slices.Contains(lyingResources, about) {
		return Usagef("%s are not lied about; what is: %s", about, strings.Join(lyingResources, ", "))
	}
	if o.World.Connections == ownConnections {
		return Usagef("--lie needs shared connections: a liar takes bearer tokens only")
	}
	return nil
}

func (o *Options) validateRate() error {
	if _, err := workloads.ParseRate(o.Rate); err != nil {
		return Usagef("--rate: %v", err)
	}
	return nil
}

// validateNumbers refuses "inf" and "nan", which flags take for numbers: a plan with them
// cannot be saved, and a comparison with the second says that it is all right.
func (o *Options) validateNumbers() error {
	for _, n := range []struct {
		flag  string
		value float64
	}{{"churn-rate", o.Churn.Rate}, {"contract", o.Contract}, {"unready-share", o.World.UnreadyShare}} {
		if math.IsInf(n.value, 0) || math.IsNaN(n.value) {
			return Usagef("--%s is %g; it must be a number that is finite", n.flag, n.value)
		}
	}
	return nil
}

// densityFlags are those that are about the density load alone.
var densityFlags = []string{"namespaces", "pods-per-deployment", "services", "rate", "churn-pods", "churn-rate"}

// validateGiven refuses a flag without effect: what a person wants by it would be left
// out in silence. A load that a scenario leaves out, and not the person, is not meant:
// flags may be given to several scenarios at once.
func (o *Options) validateGiven() error {
	given := func(flag string) bool { return slices.Contains(o.Given, flag) }
	noDensity := o.Pods == 0 && (o.NoPods || o.Manifest != "")
	for _, flag := range densityFlags {
		if noDensity && given(flag) {
			return Usagef("--%s has no effect: it is about the pods of the density load, and there are none without --pods", flag)
		}
	}
	switch {
	case given("churn-rate") && o.Churn.Pods == 0:
		return Usagef("--churn-rate has no effect without --churn-pods")
	case given("copies") && o.Manifest == "":
		return Usagef("--copies has no effect without --manifest")
	case given("scheduler") && o.World.SchedulerConfigFile != "":
		return Usagef("--scheduler has no effect: all settings of the scheduler are those of --scheduler-config")
	case given("contract-from") && o.ContractFrom != "" && o.Contract == 0:
		return Usagef("--contract-from has no effect: with --contract 0 there is no contract traffic")
	case given("unrecorded") && o.World.Unrecorded && o.Idle:
		return Usagef("--unrecorded has no effect: nothing is recorded here")
	}
	return nil
}

func (o *Options) validateTimes() error {
	if o.Hold < 0 {
		return Usagef("--hold is %s; a phase cannot last less than no time", o.Hold)
	}
	if o.World.JobTime < 0 {
		return Usagef("--job-time is %s; nothing runs for less than no time", o.World.JobTime)
	}
	if o.World.StopTime < 0 {
		return Usagef("--stop-time is %s; nothing stops in less than no time", o.World.StopTime)
	}
	if o.Contract < 0 {
		return Usagef("--contract is %g; it must not be below 0", o.Contract)
	}
	if o.Churn.Pods > 0 && o.Churn.Rate <= 0 {
		return Usagef("--churn-rate is %g; it must be above 0", o.Churn.Rate)
	}
	return nil
}

// podsPerNode is the kubelet's default of --max-pods, which the simulated
// nodes announce as their capacity.
const podsPerNode = 110

// room is how many pods each node takes.
func (w *World) room() int { return cmp.Or(w.PodsPerNode, podsPerNode) }

// foreign says whether the API servers, or what their store holds, may be of another
// version than what is linked here.
func (w *World) foreign() bool { return w.KubeAPIServer != "" || w.Backend == externalBackend }

// refusesLarge says whether what is started as the store is known to refuse more than
// 1.5 MiB: etcd as we configure it, and ours in memory. kine takes as much as its
// database does, and of an external store nobody knows. A lie about a write that no
// store could have done would be none that one could tell.
func (w *World) refusesLarge() bool {
	store, _, _ := strings.Cut(w.Backend, ":")
	return w.Lie == "" && (store == "etcd" || store == "etcd-process" || store == "memory")
}

// validateCapacity refuses a density load that the scheduler could never place.
func (o *Options) validateCapacity() error {
	room := o.World.room()
	if capacity := o.World.Nodes * room; o.Pods > capacity {
		return Usagef("%d pods do not fit on %d nodes of %d pods each; add nodes (--nodes %d)",
			o.Pods, o.World.Nodes, room, (o.Pods+room-1)/room)
	}
	return nil
}

func readable(flag, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return Usagef("--%s: %v", flag, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return Usagef("--%s: %s is no file", flag, path)
	}
	return nil
}
