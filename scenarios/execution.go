package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/sim"
	"github.com/planecheck/planecheck/workloads"
	"github.com/planecheck/planecheck/workloads/contract/store"
	"github.com/planecheck/planecheck/workloads/manifest"
)

// execution is one plan on its way.
type execution struct {
	plan    *Plan
	dir     *results.Dir
	run     *results.Run
	m       *measurement
	log     *slog.Logger
	logFile io.Closer
	// say tells the person at once why the run ends early.
	say func(cause error)

	cluster  *cluster
	density  *workloads.Density
	manifest *manifest.Workload
	// contract is nil without contract traffic.
	contract *contractTraffic
	// shapes is what became of each kind of request of the store; nil: the plan does
	// not compare them, or has not come to it.
	shapes  []store.Verdict
	applied manifest.Result
	// refused is what is wrong with the person's manifest, as the server found; nil:
	// nothing.
	refused *manifest.InputError
	// lapsed is what of the manifest was not ready again after the hold; nil: nothing,
	// or nobody has looked.
	lapsed error
	// backend outlives the cluster, for the size of its data.
	backend storage.Backend

	// violation is what broke the run from the control plane's side, such as
	// a component that died. A fault of the harness is never put here.
	violation error
	// lost is the end of the store that nobody asked for; nil: it lives.
	lost *lostStore
	// interrupted is set when a person or a fault of ours cut the run short.
	interrupted bool
	acts        interventions
	// turnover replaces pods through the hold; nil: it has not begun, or there is
	// none.
	turnover atomic.Pointer[workloads.Turnover]
	// recovered is how the cluster came back after its faults; nil: it had none,
	// they are not over, or it was not looked at to the end.
	recovered *recovery
	// ends are compared in the end; nil: nobody asks.
	ends *twins
	// recording keeps the histories; nil: the plan wants none.
	recording *recording
	// follower judges while the run goes on; nil: it is judged after its end.
	follower *follower
	// shortfalls are planned pods that were not Running when they should be.
	shortfalls []string
}

// newExecution begins the record of a run. Where it fails, nothing of it is left.
func newExecution(plan *Plan, dir *results.Dir, run *results.Run) (*execution, error) {
	x := &execution{plan: plan, dir: dir, run: run}
	x.acts.over = make(chan struct{})
	if err := x.open(); err != nil {
		return nil, errors.Join(err, x.discard())
	}
	return x, nil
}

// open opens all files of the run directory that are written from the beginning.
func (x *execution) open() (err error) {
	if x.log, x.logFile, err = newLog(x.dir); err != nil {
		return err
	}
	if err := x.keepFiles(); err != nil {
		return err
	}
	if x.run.Plan, err = x.plan.encode(); err != nil {
		return err
	}
	if !x.plan.World.Unrecorded {
		if x.recording, err = newRecording(x.dir.Path, x.plan.everyMember(), x.acts.calm, x.log); err != nil {
			return err
		}
	}
	if x.m, err = newMeasurement(x.dir, x.plan, x.log); err != nil {
		return err
	}
	return x.dir.Save(x.run) // the plan is on disk before anything starts
}

// discard closes what open has opened, and removes the run directory: nothing was
// started that it could tell of.
func (x *execution) discard() error {
	var errs []error
	if x.m != nil {
		errs = append(errs, x.m.series.Close())
	}
	x.recording.close()
	if x.logFile != nil {
		errs = append(errs, x.logFile.Close())
	}
	return errors.Join(append(errs, x.dir.Release(), os.RemoveAll(x.dir.Path))...)
}

// execute starts the world, goes through the phases, and stops the world. The
// first error ends it; what was measured until then is kept.
func (x *execution) execute(parent context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(parent)
	var watching sync.WaitGroup
	defer watching.Wait() // nothing is said any more when the summary is printed
	defer cancel(nil)
	sampling, stopSampling := context.WithCancel(context.WithoutCancel(parent))
	defer stopSampling()
	go x.m.collector.Sampler.Run(sampling)

	watching.Go(func() { watchHistory(ctx, x.recording, announced(cancel, x.say)) })
	x.m.setPhase("start")
	x.cluster, err = startStore(ctx, x.world(), x.plan.Seed, x.dir.Path, x.hooks(), x.log)
	if err != nil {
		return x.startFailed(ctx, err)
	}
	defer func() { err = errors.Join(err, x.stop(parent)) }()
	x.backend = x.cluster.backend
	watching.Go(func() { watchStore(ctx, x.backend, announced(cancel, x.say)) })
	if err := x.testStore(ctx); err != nil || x.plan.alone() {
		return err
	}
	x.m.setPhase("start")
	if err := x.cluster.startPlane(ctx, x.dir.Path); err != nil {
		return x.startFailed(ctx, err)
	}
	x.m.attach(x.cluster)
	if err := x.recordSettings(); err != nil {
		return err
	}
	watching.Go(func() { watchPlane(ctx, x.cluster.plane.Died(), announced(cancel, x.say)) })
	if err := x.failFast(cancel); err != nil {
		return err
	}
	if err := x.prepareLoad(ctx); err != nil {
		return err
	}
	go x.intervene(ctx)
	defer func() { cancel(nil); err = errors.Join(err, tornDown(x.awaitEnds(endsBound))) }() // a fault must not meet a world that ends
	defer x.sumUpContract()
	for _, name := range x.plan.Phases {
		if storePhase(name) {
			continue // it is over
		}
		x.startContract(ctx, name)
		if err := x.phase(ctx, name); err != nil {
			return x.reason(ctx, name, err)
		}
		if name == phaseRegister {
			if err := x.prepareContract(ctx); err != nil {
				return x.reason(ctx, name, err)
			}
		}
	}
	if err := x.stopContract(ctx); err != nil {
		return x.reason(ctx, "contract", err)
	}
	return x.survived(ctx)
}

// survived is nil unless the run was ended by what its last phase did not meet: a
// component may die while the figures of the phase are taken.
func (x *execution) survived(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return x.reason(ctx, "end", context.Cause(ctx))
}

// hooks are all ears of the run.
func (x *execution) hooks() hooks {
	h := x.m.hooks()
	h.recording = x.recording
	h.logins = contractLogins(x.plan.Contract)
	return h
}

// watchPlane cancels everything when a component dies that nobody stopped.
func watchPlane(ctx context.Context, deaths <-chan *apiserver.ComponentError, cancel context.CancelCauseFunc) {
	select {
	case died := <-deaths:
		cancel(died)
	case <-ctx.Done():
	}
}

// announced cancels, and says why at once: to tear the world down and to judge
// what it did may take a minute. It cancels first, since a terminal may take its time.
func announced(cancel context.CancelCauseFunc, say func(cause error)) context.CancelCauseFunc {
	return func(cause error) {
		cancel(cause)
		say(cause)
	}
}

// componentDied says whether everything was cancelled because a component died.
func componentDied(ctx context.Context) bool {
	var died *apiserver.ComponentError
	return errors.As(context.Cause(ctx), &died)
}

// startFailed sorts why the control plane did not come up. A component that
// does not start is a failure of it: its binaries and arguments may be a
// person's own, and its last log lines say what it is about. So is one that says it
// is ready and does not answer.
func (x *execution) startFailed(ctx context.Context, err error) error {
	var component *apiserver.ComponentError
	var lost *lostStore
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &lost):
		return errors.Join(x.storeLost(lost), teardownOf(err))
	case cause != nil:
		x.interrupted = true
		return errors.Join(cause, teardownOf(err))
	case errors.As(err, &component):
		x.violation = component
	case stalled(err):
		x.violation = err
	}
	return err
}

// reason prefers why everything was cancelled, or is in a moment, to the error
// that followed, and sorts a broken control plane from a broken harness.
func (x *execution) reason(ctx context.Context, phase string, err error) error {
	var died *apiserver.ComponentError
	var lost *lostStore
	var seen *violationSeen
	cause := awaitDeath(ctx)
	switch {
	case errors.As(cause, &died):
		x.violation = died
		x.run.Death = &results.Death{Component: died.Name, State: died.State, Ended: died.Ended}
		return died
	case errors.As(cause, &lost):
		return x.storeLost(lost)
	case errors.As(cause, &seen): // the history will show it again
		return seen
	case cause != nil:
		x.interrupted = true
		return cause
	}
	err = fmt.Errorf("phase %s: %w", phase, err)
	if stalled(err) && x.acts.calm() {
		x.violation = err
	}
	return err
}

// stalled says that the control plane did not carry the plan in the time it had.
func stalled(err error) bool {
	var stall *workloads.StallError
	return errors.As(err, &stall) || errors.Is(err, sim.ErrNotReady)
}

// prepareLoad starts the measuring watch and makes the workloads. Everything is watched
// over by then, so that its error is sorted as that of a phase is.
func (x *execution) prepareLoad(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = x.reason(ctx, "start", err)
		}
	}()
	c := x.cluster
	observer := c.layer.Client(c.observerIdentity())
	cfg := workloads.PodWatcherConfig{Client: observer, Hook: x.m.podEvent, Log: x.log}
	if x.plan.Density != nil {
		cfg.Counted = x.plan.Density.Owns
	}
	watcher := workloads.NewPodWatcher(cfg)
	go watcher.Run(ctx)
	if err := watcher.WaitSynced(ctx); err != nil {
		return err
	}
	if m := x.plan.Manifest; m != nil {
		if err := x.prepareManifest(m); err != nil {
			return err
		}
	}
	if x.plan.Density == nil {
		return nil
	}
	x.density, err = workloads.NewDensity(*x.plan.Density, workloads.DensityDeps{
		Clients:     []*client.Client{c.layer.Client(c.workloadIdentity())},
		Observer:    observer,
		Pods:        watcher,
		Signals:     x.m.signals,
		Scheduled:   x.scheduled,
		PaceChanged: x.m.paceChanged,
		Log:         x.log,
	})
	return err
}

func (x *execution) scheduled(namespace, deployment string, due history.Time) {
	x.m.collector.Pods.Scheduled(namespace, deployment, 0, due)
}

// recordSettings writes down how everything was started.
func (x *execution) recordSettings() error {
	settings := struct {
		Components []apiserver.Component `json:"components"`
		Control    []string              `json:"control"`
		Store      map[string]string     `json:"store,omitempty"`
		Recorded   string                `json:"recorded,omitempty"` // how the store was
		GC         map[string]GC         `json:"gc"`
		Leases     string                `json:"leases"`
	}{
		GC:     x.plan.World.GC,
		Leases: fmt.Sprintf("renewed every 10 s and up to 4 %% more, lasting %s", leaseDuration),
	}
	if plane := x.cluster.plane; plane != nil {
		settings.Components = plane.Components()
		settings.Control = apiserver.DescribeSettings(planeConfig(x.plan.World, x.plan.Seed, contractLogins(x.plan.Contract), x.dir.Path, x.backend.Endpoints(), x.log))
		for component, version := range plane.Versions() {
			x.run.Versions[component] = version
		}
	}
	if d, ok := x.cluster.backend.(storage.Describer); ok {
		settings.Store = d.Settings()
	}
	if x.recording != nil {
		settings.Recorded = recordedBy(x.backend)
	}
	b, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("record settings: %w", err)
	}
	x.run.Settings = b
	return x.dir.Save(x.run)
}

// recordedBy says what stands between the store and its clients to record it:
// each costs the clients something else.
func recordedBy(b storage.Backend) string {
	if !slices.ContainsFunc(b.Members(), func(m storage.Member) bool { return m.Proxied }) {
		return "by interceptors in its gRPC servers, in the process of the harness"
	}
	text := "by a gRPC proxy in the harness before each of its servers"
	if b.Name() == externalBackend {
		text += ", which also puts every key below a prefix"
	}
	return text
}

// tearsDown notes that everything is stopped from now on, and how long after the
// death by which the run ended.
func (x *execution) tearsDown(now history.Time) {
	if d := x.run.Death; d != nil {
		d.Teardown = results.Seconds(now.Sub(d.Ended))
		x.log.Info("teardown begins", "died", d.Component, "after", d.Teardown)
		return
	}
	x.log.Info("teardown begins")
}

// stop ends the world, keeping the size of the store's data.
func (x *execution) stop(ctx context.Context) error {
	x.tearsDown(history.Now())
	x.m.setPhase("stop")
	peak := x.m.collector.Sampler.Peak()
	if bytes, err := x.backend.DiskBytes(); err == nil {
		peak.DiskBytes = bytes
	}
	x.run.Peak = &peak
	if a := x.m.availability; a != nil {
		x.sumUpStrikes()
		x.run.Availability = a.Figures(history.Now())
	}
	x.run.Restore = x.recording.restored()
	x.recording.setHurry(x.interrupted || ctx.Err() != nil)
	x.run.Lies = x.cluster.told()
	return tornDown(x.cluster.stop())
}

// finish writes the record of the run for the last time.
func (x *execution) finish(keepData bool) error {
	x.run.Ended = time.Now()
	x.run.Calls = x.m.collector.Recorder.Total()
	return errors.Join(
		x.dir.Release(), // the record may need the room
		x.dir.Save(x.run),
		removeData(x.backend, x.run.Verdict.Outcome, keepData),
		x.logFile.Close(),
	)
}

// asSaved is the record of the run as its directory has it, so that the summary is what
// `planecheck report` prints of it. It is as in memory if saving it failed, as saved
// says.
func (x *execution) asSaved(saved error) (*results.Run, error) {
	if saved != nil {
		return x.run, saved
	}
	run, err := results.Load(x.dir.Path)
	if err != nil {
		return x.run, err
	}
	return run, nil
}
