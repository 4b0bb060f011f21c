package workloads

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

const (
	prepareBound   = 2 * time.Minute
	preparePoll    = 250 * time.Millisecond
	prepareAtOnce  = 16
	defaultAtOnce  = 256
	defaultAccount = "default"
)

// DensityDeps is what a Density works with.
type DensityDeps struct {
	// Clients send the load in turn; they are of class workload. At least one.
	Clients []*client.Client
	// Observer is of class observer. It watches the Deployments of a churn.
	Observer *client.Client
	// Pods is the measuring watch. It must be running, and should count only
	// the pods of the plan: see DensityPlan.Owns.
	Pods *PodWatcher
	// Signals supplies StartupP99, LeaseLatenessP99, Errors and SLOMissed; the
	// counters of pods are filled in here. nil: there are only the load's own
	// errors.
	Signals func() Signals
	// Scheduled is told when the pods of a Deployment are due, before it is
	// created. A zero due says that a rolling update begins, whose pods are
	// due when the roll-out comes to them. nil: nobody is told.
	Scheduled func(namespace, deployment string, due history.Time)
	// PaceChanged is told of each change of the pace. nil: nobody is.
	PaceChanged func(phase string, change PaceChange)
	// InFlight bounds the operations that run at once; default 256.
	InFlight int
	Log      *slog.Logger
}

// Density creates the Deployments of a plan, replaces some of them and deletes
// them. Its phases are called in order and never at once.
type Density struct {
	plan   DensityPlan
	deps   DensityDeps
	sender sender

	prepared bool
	revision []int // of each Deployment: the last that was asked for
}

// NewDensity returns a Density that sends nothing yet.
func NewDensity(plan DensityPlan, deps DensityDeps) (*Density, error) {
	if len(deps.Clients) == 0 || deps.Observer == nil || deps.Pods == nil {
		return nil, errors.New("density: clients, observer and pods are required")
	}
	setDefault(&deps.InFlight, defaultAtOnce)
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	d := &Density{plan: plan, deps: deps, revision: make([]int, len(plan.Deployments))}
	d.sender.clients = deps.Clients
	d.sender.reset()
	return d, nil
}

// Owns says whether a namespace is one of the plan's.
func (p DensityPlan) Owns(namespace string) bool {
	i, err := strconv.Atoi(strings.TrimPrefix(namespace, "density-"))
	return err == nil && i >= 0 && i < len(p.Namespaces) && p.Namespaces[i] == namespace
}

// Prepare creates the namespaces, waits for their default service accounts,
// without which no pod is admitted, and creates the Services. Fill calls it if
// nobody has; to call it before keeps it out of Fill's time.
func (d *Density) Prepare(ctx context.Context) error {
	ctx, cancel := bounded(ctx, "prepare", prepareBound)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(prepareAtOnce)
	for _, name := range d.plan.Namespaces {
		g.Go(func() error { return d.createNamespace(gctx, name) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("prepare: %w", reason(ctx, err))
	}
	for {
		missing, err := d.missingAccounts(ctx)
		if err == nil && missing == 0 {
			if err := d.createServices(ctx); err != nil {
				return fmt.Errorf("prepare: %w", reason(ctx, err))
			}
			d.prepared = true
			return nil
		}
		select {
		case <-time.After(preparePoll):
		case <-ctx.Done():
			return fmt.Errorf("prepare: wait for the service account %q of %d namespaces: %w",
				defaultAccount, missing, errors.Join(err, context.Cause(ctx)))
		}
	}
}

func (d *Density) createNamespace(ctx context.Context, name string) error {
	body, err := namespaceBody(name)
	if err != nil {
		return err
	}
	_, err = d.sender.send(ctx, client.Request{Verb: "create", Resource: namespaceResource, Name: name, Body: body}, client.IsAlreadyExists)
	if client.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (d *Density) createServices(ctx context.Context) error {
	for _, i := range d.plan.Services {
		planned := d.plan.Deployments[i]
		body, err := serviceBody(planned)
		if err != nil {
			return err
		}
		_, err = d.sender.send(ctx, client.Request{
			Verb: "create", Resource: serviceResource, Namespace: planned.Namespace, Name: planned.Name, Body: body,
		}, client.IsAlreadyExists)
		if err != nil && !client.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// missingAccounts counts the namespaces of the plan whose default service
// account does not exist yet.
func (d *Density) missingAccounts(ctx context.Context) (int, error) {
	resp, err := d.deps.Observer.Do(ctx, &client.Request{Verb: "list", Resource: accountResource, Query: url.Values{
		"fieldSelector": {"metadata.name=" + defaultAccount},
	}})
	if err != nil {
		return len(d.plan.Namespaces), err
	}
	_, _, raw, err := wire.Unwrap(resp.Body)
	if err != nil {
		return len(d.plan.Namespaces), err
	}
	found := 0
	_, err = wire.ScanList(raw, func(item []byte) error {
		meta, err := wire.ScanMeta(item)
		if err == nil && d.plan.Owns(meta.Namespace) {
			found++
		}
		return err
	})
	return len(d.plan.Namespaces) - found, err
}

// Fill creates all Deployments at the pace of the plan and returns when every
// planned pod is Running.
func (d *Density) Fill(ctx context.Context) (PhaseResult, error) {
	if !d.prepared {
		if err := d.Prepare(ctx); err != nil {
			return PhaseResult{Phase: "fill"}, err
		}
	}
	want := int64(d.plan.Config.Pods)
	return d.paced(ctx, pacedPhase{
		name: "fill", rate: d.plan.Config.Rate,
		order: func(i int) int { return i },
		run: func(ctx context.Context, i int, due history.Time) error {
			_, err := d.create(ctx, i, due)
			return err
		},
		signals: func(sig Signals, c, before Counts) Signals {
			sig.Created, sig.Bound = c.Created-before.Created, c.EverBound-before.EverBound
			// A pod that was deleted before it ran is no backlog either.
			sig.Running = c.EverRunning - before.EverRunning + c.EverLost - before.EverLost
			return sig
		},
		progress: func(c Counts) int64 { return c.EverRunning },
		done:     func(c Counts) bool { return c.Running == want && c.Pods-c.Ended == want },
	})
}

// create creates the i-th Deployment. There is no response if the answer was
// lost and a second attempt has found the Deployment there.
func (d *Density) create(ctx context.Context, i int, due history.Time) (*client.Response, error) {
	planned := d.plan.Deployments[i]
	body, err := deploymentBody(d.plan.Config, planned, d.revision[i])
	if err != nil {
		return nil, err
	}
	if d.deps.Scheduled != nil {
		d.deps.Scheduled(planned.Namespace, planned.Name, due)
	}
	return d.sender.send(ctx, client.Request{
		Verb: "create", Resource: deploymentResource, Namespace: planned.Namespace, Name: planned.Name, Body: body, Due: due,
	}, client.IsAlreadyExists)
}

// Hold keeps the cluster as it is for the plan's time and records how many
// pods stayed Running.
func (d *Density) Hold(ctx context.Context) (PhaseResult, error) {
	p := d.begin("hold")
	p.result.RunningLeast = p.result.Before.Running
	end := time.NewTimer(d.plan.Config.Hold)
	defer end.Stop()
	sample := time.NewTicker(tick)
	defer sample.Stop()
	for {
		p.result.RunningLeast = min(p.result.RunningLeast, d.deps.Pods.Counts().Running)
		select {
		case <-end.C:
			return p.end(), nil
		case <-sample.C:
		case <-ctx.Done():
			return p.end(), fmt.Errorf("hold: %w", context.Cause(ctx))
		}
	}
}

// Drain deletes all Deployments at the plan's pace and returns when all their
// pods are gone.
//
// It deletes Deployments and not namespaces, because that is how workloads end
// in real clusters, and because the namespace controller would take each
// namespace's 3,000 pods one after the other: a deletion of a collection has
// one worker by default (--delete-collection-workers), and ten namespaces are
// worked on at once, at no pace that anybody could set. The empty namespaces
// stay; the control plane goes with them.
func (d *Density) Drain(ctx context.Context) (PhaseResult, error) {
	return d.paced(ctx, pacedPhase{
		name: "drain", rate: d.plan.Config.DrainRate,
		order: func(i int) int { return d.plan.Drain[i] },
		run:   d.drain,
		signals: func(sig Signals, c, before Counts) Signals {
			// The stages of a deletion: the garbage collector of the
			// controller-manager marks the pod, its kubelet ends it.
			sig.Created = c.EverDeleted - before.EverDeleted
			sig.Bound, sig.Running = sig.Created, c.Deleted-before.Deleted
			sig.StartupP99 = 0
			return sig
		},
		progress: func(c Counts) int64 { return c.Deleted + c.EverDeleted },
		done:     func(c Counts) bool { return c.Pods == 0 },
	})
}

// drain deletes the i-th Deployment and its Service, if it has one.
func (d *Density) drain(ctx context.Context, i int, due history.Time) error {
	if slices.Contains(d.plan.Services, i) {
		planned := d.plan.Deployments[i]
		_, err := d.sender.send(ctx, client.Request{
			Verb: "delete", Resource: serviceResource, Namespace: planned.Namespace, Name: planned.Name,
		}, client.IsNotFound)
		if err != nil && !client.IsNotFound(err) {
			return err
		}
	}
	return d.remove(ctx, i, due)
}

// remove deletes the i-th Deployment; its pods follow by garbage collection.
func (d *Density) remove(ctx context.Context, i int, due history.Time) error {
	planned := d.plan.Deployments[i]
	_, err := d.sender.send(ctx, client.Request{
		Verb: "delete", Resource: deploymentResource, Namespace: planned.Namespace, Name: planned.Name, Due: due,
		Query: url.Values{"propagationPolicy": {"Background"}},
	}, client.IsNotFound)
	return err
}
