package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/scenarios"
)

// worldFlags are the settings of what is started.
func worldFlags(fs *pflag.FlagSet, o *scenarios.Options) {
	w := &o.World
	fs.SortFlags = false
	fs.Var((*positive)(&w.Nodes), "nodes", "simulated nodes (scale: sized to the machine; run: 20 in faults/..., else 50)")
	fs.StringVar(&w.Profile, "profile", w.Profile, "what a simulated kubelet does: lean or kubelet")
	fs.DurationVar((*time.Duration)(&w.JobTime), "job-time", time.Duration(w.JobTime),
		"how long the containers of a pod with restartPolicy Never or OnFailure run, give or take a quarter, before they exit with 0; 0s: until it is deleted")
	fs.DurationVar((*time.Duration)(&w.UnreadyEvery), "unready-every", 0,
		"how long a pod with restartPolicy Always is ready, give or take a quarter, before it is not for --unready-for; 0s: for ever. "+
			"It goes for the hold (up: always); at its end all are ready. Not with faults, through which all pods must be ready")
	fs.DurationVar((*time.Duration)(&w.UnreadyFor), "unready-for", 0, "for how long it is not, give or take a quarter (0s: 10s)")
	fs.Float64Var(&w.UnreadyShare, "unready-share", 0, "of which share of these pods this is true, from 0 to 1 (0: of all)")
	fs.DurationVar((*time.Duration)(&w.StopTime), "stop-time", time.Duration(w.StopTime),
		"how long containers take to exit that are told to stop; they are killed at the end of their pod's grace period")
	fs.Var((*positive)(&w.NodeImages), "node-images", "images in the status of each node, which is most of its size (8 if not given; a kubelet lists up to 50)")
	fs.StringVar(&w.Connections, "connections", w.Connections,
		"shared: a token per node over pooled connections; own: a TLS connection and certificate per node")
	fs.IntVar(&w.Controllers, "controllers", w.Controllers, "simulated controllers that watch all pods")
	fs.StringVar(&w.Backend, "backend", w.Backend, "store: "+strings.Join(storage.Known(), ", "))
	externalFlags(fs, &w.External)
	fs.IntVar(&w.APIServers, "apiservers", w.APIServers, "kube-apiservers behind the load balancer")
	fs.IntVar(&w.Schedulers, "schedulers", w.Schedulers, "kube-schedulers; leader election when more than 1")
	fs.IntVar(&w.ControllerManagers, "controller-managers", w.ControllerManagers,
		"kube-controller-managers; leader election when more than 1")
	fs.IntVar(&w.Port, "port", w.Port, "port of the load balancer on 127.0.0.1; 0: any free one")
	fs.StringVar(&w.SchedulerSetting, "scheduler", w.SchedulerSetting,
		"published scheduler setting: default (upstream's) or throughput; both with raised client QPS")
	fs.StringVar(&w.SchedulerConfigFile, "scheduler-config", "", "file of a KubeSchedulerConfiguration of your own instead; one that the scheduler does not take is refused")
	fs.StringVar(&w.KubeAPIServer, "kube-apiserver", "", "path of your own kube-apiserver")
	fs.StringVar(&w.KubeScheduler, "kube-scheduler", "", "path of your own kube-scheduler")
	fs.StringVar(&w.KubeControllerManager, "kube-controller-manager", "", "path of your own kube-controller-manager")
	fs.StringArrayVar(&w.APIServerArgs, "apiserver-arg", nil, "argument for every kube-apiserver, after ours; may be repeated")
	fs.StringArrayVar(&w.KCMArgs, "kcm-arg", nil, "argument for every kube-controller-manager, after ours; may be repeated")
	fs.StringVar(&w.FeatureGates, "feature-gates", "", "A=true,B=false for all three components")
	fs.StringVar(&w.CPUPolicy, "cpu-policy", w.CPUPolicy,
		"Linux scheduling policy of all processes: batch (one that wakes does not preempt) or other (Linux's default)")
	fs.StringVar(&w.Lie, "lie", "", "a lie to tell before the API servers, for the proof that it is seen")
	fs.BoolVar(&w.Unrecorded, "unrecorded", false, "record no history, to measure what recording costs; the verdict is Invalid")
	for _, name := range []string{"lie", "unrecorded"} {
		_ = fs.MarkHidden(name) // the flag is there
	}
	fs.Var(gcPercent{w.GC}, "gogc", "component=GOGC; components: kube-apiserver, kube-scheduler, kube-controller-manager, harness")
	fs.Var(gcLimit{w.GC}, "gomemlimit", "component=GOMEMLIMIT, e.g. kube-apiserver=9GiB (default: from the machine's memory)")
	fs.Uint64Var(&o.Seed, "seed", 1, "all random draws come from it")
	fs.BoolVar(&o.KeepData, "keep-data", false, "keep the store's data after a pass, too")
	fs.BoolVar(&o.Force, "force", false, "start although the estimate says that it does not fit")
}

// runsFlag is where a run goes.
func runsFlag(fs *pflag.FlagSet, o *scenarios.Options) {
	fs.StringVar(&o.RunsDir, "runs", o.RunsDir, "directory that receives the run directory")
}

// externalFlags say where the store of the backend external is.
func externalFlags(fs *pflag.FlagSet, e *storage.External) {
	fs.StringSliceVar(&e.Endpoints, "etcd-endpoints", nil, "endpoints of --backend external, e.g. https://10.0.0.1:2379")
	fs.StringVar(&e.CACert, "etcd-cacert", "", "file of the authorities of their certificates (default: the machine's)")
	fs.StringVar(&e.Cert, "etcd-cert", "", "file of our certificate for them")
	fs.StringVar(&e.Key, "etcd-key", "", "file of its key")
}

// loadFlags are the settings of what is asked of the cluster.
func loadFlags(fs *pflag.FlagSet, o *scenarios.Options) {
	fs.Var(pods{o}, "pods", "pods of the density load (scale: sized to the machine, none with --manifest; run: 100 in faults/..., else 500); 0: none, nodes and their heartbeats only")
	fs.IntVar(&o.Namespaces, "namespaces", 0, "namespaces of the density load (0: one per 3,000 pods, at least 4)")
	fs.IntVar(&o.PodsPerDeployment, "pods-per-deployment", o.PodsPerDeployment, "replicas of each Deployment")
	fs.IntVar(&o.Services, "services", o.Services, "Deployments that get a Service, by which EndpointSlices are judged")
	fs.StringVar(&o.Rate, "rate", o.Rate, "pace of the fill: pods per second, max, or auto (as fast as the start-up objective allows)")
	fs.DurationVar((*time.Duration)(&o.Hold), "hold", time.Duration(o.Hold), "how long the full cluster is watched at rest (with --pods 0 at least 25s: two renewals of every lease; 0s is refused then)")
	fs.DurationVar((*time.Duration)(&o.Patience), "patience", time.Duration(o.Patience), "how long the fill, the churn, the drain and the wait for the pods after a hold may stand still before they are given up (0s: 2m)")
	fs.IntVar(&o.Churn.Pods, "churn-pods", o.Churn.Pods, "pods that the churn replaces; 0: no churn")
	fs.Float64Var(&o.Churn.Rate, "churn-rate", o.Churn.Rate, "pace of the churn in pods per second")
	fs.Float64Var(&o.Contract, "contract", o.Contract,
		"requests/s of contract traffic beside the load, by which the promises of the API are judged; 0: none")
	fs.StringVar(&o.ContractFrom, "contract-from", o.ContractFrom,
		"phase of the plan with which it begins, for example hold (default: as soon as the nodes are registered)")
	fs.BoolVar(&o.Drain, "drain", o.Drain, "delete the load at the end, measured")
	fs.StringVar(&o.Manifest, "manifest", "", "YAML file of objects to apply instead of (or beside, with --pods) the density load")
	fs.IntVar(&o.Copies, "copies", o.Copies, "copies of the manifest, each in its own namespace; more than the nodes have room for are refused")
	fs.BoolVar(&o.FailFast, "fail-fast", false, "judge the histories during the run and end it at the first violation")
	fs.BoolVar(&o.SLOFail, "slo-fail", false, "exit with status 5 when a run passes and misses an objective")
}

// given names the flags that a person gave.
func given(fs *pflag.FlagSet) (names []string) {
	fs.Visit(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// pods is a number of pods of at least 0, which is something else than none given.
type pods struct{ o *scenarios.Options }

func (p pods) Type() string { return "number" }

func (p pods) String() string {
	switch {
	case p.o == nil || p.o.Pods == 0 && !p.o.NoPods:
		return ""
	default:
		return strconv.Itoa(p.o.Pods)
	}
}

func (p pods) Set(s string) error {
	n, err := atLeast(0, s)
	if err != nil {
		return err
	}
	p.o.Pods, p.o.NoPods = n, n == 0
	return nil
}

// atLeast reads a number that may not be smaller than the least.
func atLeast(least int, s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", s)
	}
	if n < least {
		return 0, fmt.Errorf("%d: must be at least %d", n, least)
	}
	return n, nil
}

// positive is a number of at least 1. Its zero value stands for "not given".
type positive int

func (p *positive) Type() string { return "number" }

func (p *positive) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.Itoa(int(*p))
}

func (p *positive) Set(s string) error {
	n, err := atLeast(1, s)
	if err != nil {
		return err
	}
	*p = positive(n)
	return nil
}
