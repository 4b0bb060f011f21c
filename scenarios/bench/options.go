// Package bench measures stores without an API server: what is behind
// `planecheck bench-storage`. It starts one backend after another, has
// workloads/storebench load it, takes the floors of the machine beside it, and
// keeps the figures in a run directory. The backends that are members of this
// process share it with the clients and with one another's remains; those with
// processes of their own are reached through their links and their proxy, which
// then records nothing; beside such a backend all that can be behind a proxy are.
package bench

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
	"github.com/planecheck/planecheck/workloads/storebench"
)

// Options is what a person can choose. Start from DefaultOptions.
type Options struct {
	Backends    string           // specs, separated by commas
	External    storage.External // where the backend external is
	Clients     []int
	Operations  []string // in the order in which they are measured
	Window      time.Duration
	Warmup      time.Duration
	Connections int
	Objects     int
	Namespaces  int
	Page        int
	Seed        uint64
	RunsDir     string
	KeepData    bool
	Planecheck  string // the version of this program
}

// DefaultOptions measure the default backend.
func DefaultOptions() Options {
	o := Options{
		Backends: "etcd", Clients: []int{1, 10, 100, 1000}, Window: 5 * time.Second, Warmup: time.Second,
		Connections: 32, Objects: 5000, Namespaces: 50, Page: 500, Seed: 1, RunsDir: "runs",
	}
	for _, op := range storebench.Operations() {
		o.Operations = append(o.Operations, string(op))
	}
	return o
}

// The bounds of what is measured at once, and of everything.
const (
	shortest    = 100 * time.Millisecond
	longest     = time.Minute // the store keeps what is written in it
	longestAll  = 2 * time.Hour
	mostClients = 10_000
	mostObjects = 1_000_000
)

// open opens a backend that is not started.
func (o *Options) open(spec string, opt storage.Options) (storage.Backend, error) {
	if spec == "external" {
		opt.External = o.External
	}
	return storage.Open(spec, opt)
}

// check returns the backends' specs. Its errors are usage errors.
func (o *Options) check(ctx context.Context, host results.Host) ([]string, error) {
	specs := storage.SplitSpecs(o.Backends)
	for i, spec := range specs {
		b, err := o.open(spec, storage.Options{Dir: o.RunsDir})
		if err != nil {
			return nil, scenarios.Usagef("--backends: %v", err)
		}
		if c, ok := b.(storage.Checker); ok {
			if err := c.Check(ctx); err != nil {
				return nil, scenarios.Usagef("--backends: %v", err)
			}
		}
		if slices.Contains(specs[:i], spec) {
			return nil, scenarios.Usagef("--backends: %s is given twice", spec)
		}
	}
	if len(o.Clients) == 0 || slices.Min(o.Clients) < 1 || slices.Max(o.Clients) > mostClients {
		return nil, scenarios.Usagef("--clients %v: each must be from 1 to %d", o.Clients, mostClients)
	}
	if most := slices.Max(o.Clients); o.Objects < most || o.Objects > mostObjects {
		return nil, scenarios.Usagef("--objects %d: must be from %d, one for each client, to %d", o.Objects, most, mostObjects)
	}
	if o.Namespaces < 1 || o.Namespaces > o.Objects {
		return nil, scenarios.Usagef("--namespaces %d: must be from 1 to the number of objects, %d", o.Namespaces, o.Objects)
	}
	if o.Page < 1 || o.Page > mostObjects {
		return nil, scenarios.Usagef("--page %d: must be from 1 to %d", o.Page, mostObjects)
	}
	if o.Connections < 1 || o.Connections > mostClients {
		return nil, scenarios.Usagef("--connections %d: must be from 1 to %d", o.Connections, mostClients)
	}
	for _, op := range o.Operations {
		if !slices.Contains(storebench.Operations(), storebench.Operation(op)) {
			return nil, scenarios.Usagef("--operations: unknown operation %q, known: %s", op, strings.Join(DefaultOptions().Operations, ", "))
		}
	}
	if len(o.Operations) == 0 {
		return nil, scenarios.Usagef("--operations: none is given")
	}
	return specs, o.checkFit(len(specs), host)
}

// checkFit refuses what would take too long or too much memory.
func (o *Options) checkFit(backends int, host results.Host) error {
	if o.Window < shortest || o.Window > longest {
		return scenarios.Usagef("--duration %v: must be from %v to %v", o.Window, shortest, longest)
	}
	if o.Warmup < 0 || o.Warmup > longest {
		return scenarios.Usagef("--warmup %v: must be from 0s to %v", o.Warmup, longest)
	}
	if all := o.takes(backends); all > longestAll {
		return scenarios.Usagef("this would take %v, more than %v: choose fewer backends, --clients or --operations, or a shorter --duration",
			all.Round(time.Minute), longestAll)
	}
	// A list is in memory some times over, in the store and here.
	const copies = 5
	perList := min(o.Page, (o.Objects+o.Namespaces-1)/o.Namespaces)
	if slices.Contains(o.Operations, string(storebench.Stream)) {
		perList = (o.Objects + o.Namespaces - 1) / o.Namespaces
	}
	lists := slices.Contains(o.Operations, string(storebench.List)) || slices.Contains(o.Operations, string(storebench.Stream))
	need := int64(slices.Max(o.Clients)) * int64(perList) * storebench.MeanPod * copies
	if lists && need > host.AvailableBytes/2 {
		return scenarios.Usagef("lists of %d pods by %d clients at once need some %d GiB, of %d GiB that are free: choose more --namespaces or fewer --clients",
			perList, slices.Max(o.Clients), need>>30+1, host.AvailableBytes>>30)
	}
	return nil
}

// takes is how long everything is measured, without what lies in between.
func (o *Options) takes(backends int) time.Duration {
	each := o.Warmup + o.Window
	floors := 1 + len(o.Clients)
	return each * time.Duration(floors+backends*len(o.Clients)*len(o.Operations))
}
