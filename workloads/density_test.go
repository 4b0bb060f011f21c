package workloads

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// density returns a Density on a fake API server.
func (a *fakeAPI) density(t *testing.T, cfg DensityConfig, adapt func(*DensityDeps)) *Density {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	plan := PlanDensity(cfg, 5)
	deps := DensityDeps{
		Clients:  []*client.Client{a.client(t, history.ClassWorkload), a.client(t, history.ClassWorkload)},
		Observer: a.client(t, history.ClassObserver),
		Pods:     a.watcher(t, PodWatcherConfig{Counted: plan.Owns}),
	}
	if adapt != nil {
		adapt(&deps)
	}
	d, err := NewDensity(plan, deps)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// scheduled records what a Density says is due.
type scheduled struct {
	mu     sync.Mutex
	due    map[string]history.Time
	rolled map[string]bool
}

func (s *scheduled) hook(namespace, deployment string, due history.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if due == 0 {
		s.rolled[namespace+"/"+deployment] = true
		return
	}
	s.due[namespace+"/"+deployment] = due
}

func TestDensityPhases(t *testing.T) {
	a := newFakeAPI(t)
	s := scheduled{due: map[string]history.Time{}, rolled: map[string]bool{}}
	var paces []string
	cfg := DensityConfig{
		Pods: 95, Namespaces: 3, PodsPerDeployment: 10, Rate: Rate{PodsPerSecond: 500}, DrainRate: Rate{PodsPerSecond: MaxPace},
		Hold: 10 * time.Millisecond, ChurnPods: 60, ChurnRate: 1000,
	}
	d := a.density(t, cfg, func(deps *DensityDeps) {
		deps.Scheduled = s.hook
		deps.PaceChanged = func(phase string, c PaceChange) {
			paces = append(paces, fmt.Sprintf("%s %g %s", phase, c.Rate, c.Rule))
		}
	})
	check := func(phase string, run func(context.Context) (PhaseResult, error), operations int, want Counts) PhaseResult {
		t.Helper()
		r, err := run(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", phase, err)
		}
		got := r.After
		if phase == "churn" { // the watch of pods may be behind that of Deployments, which ends the phase
			if err := d.deps.Pods.await(t.Context(), testPatience, func(c Counts) int64 { return c.EverRunning }, func(c Counts) bool {
				return c.EverRunning >= want.EverRunning && c.Deleted >= want.Deleted
			}); err != nil {
				t.Fatalf("%s: %v", phase, err)
			}
			got = d.deps.Pods.Counts()
		}
		got.Resumes, got.Relists = 0, 0
		if r.Phase != phase || r.Operations != operations || r.Completed != operations || r.Latency.Count != operations || len(r.Errors) > 0 {
			t.Errorf("%s: %+v", phase, r)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", phase, diff)
		}
		return r
	}
	check("fill", d.Fill, 10, Counts{Pods: 95, Bound: 95, Running: 95, Created: 95, EverBound: 95, EverRunning: 95})
	if len(s.due) != 10 || len(s.rolled) != 0 {
		t.Errorf("%d deployments scheduled, %d rolled", len(s.due), len(s.rolled))
	}
	hold := check("hold", d.Hold, 0, Counts{Pods: 95, Bound: 95, Running: 95, Created: 95, EverBound: 95, EverRunning: 95})
	if hold.RunningLeast != 95 {
		t.Errorf("least running %d", hold.RunningLeast)
	}
	replaced := int64(0)
	for _, op := range d.plan.Churn {
		replaced += int64(d.plan.Deployments[op.Deployment].Replicas)
	}
	churn := check("churn", d.Churn, len(d.plan.Churn), Counts{
		Pods: 95, Bound: 95, Running: 95, Created: 95 + replaced, EverBound: 95 + replaced, EverRunning: 95 + replaced,
		EverDeleted: replaced, Deleted: replaced,
	})
	if churn.Converged.Count != len(d.plan.Churn) || len(s.rolled) == 0 {
		t.Errorf("%d roll-outs converged, %d rolled", churn.Converged.Count, len(s.rolled))
	}
	all := 95 + replaced
	check("drain", d.Drain, 10, Counts{Created: all, EverBound: all, EverRunning: all, EverDeleted: all, Deleted: all})
	if diff := gocmp.Diff([]string{"fill 500 fixed", "drain 1e+06 fixed"}, paces); diff != "" {
		t.Error(diff)
	}
}

// What is refused is sent again; what was done although the answer was lost is
// not done twice. All attempts are counted.
func TestDensityRetries(t *testing.T) {
	a := newFakeAPI(t)
	cfg := DensityConfig{Pods: 30, PodsPerDeployment: 10, Rate: Rate{PodsPerSecond: MaxPace}, DrainRate: Rate{PodsPerSecond: MaxPace}, ChurnPods: 20, ChurnRate: 1e4}
	d := a.density(t, cfg, nil)
	f := func(run func(context.Context) (PhaseResult, error), attempts int, errors map[string]int, refuse ...refusal) {
		t.Helper()
		a.locked(func() { a.refuse = refuse })
		r, err := run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(errors, r.Errors); diff != "" || r.Attempts != attempts {
			t.Errorf("%s: %d attempts, want %d; errors (-want +got)\n%s", r.Phase, r.Attempts, attempts, diff)
		}
	}
	f(func(ctx context.Context) (PhaseResult, error) { return PhaseResult{Attempts: 0}, d.Prepare(ctx) }, 0, nil,
		refusal{verb: "create", resource: "namespaces", code: 429})
	f(d.Fill, 5, map[string]int{"Refused": 1, "Lost": 1, "AlreadyExists": 1},
		refusal{verb: "create", resource: "deployments", code: 503},
		refusal{verb: "create", resource: "deployments", code: 500, after: true})
	// One rolling update; one deletion and creation, whose Deployment is then
	// read to learn its UID.
	f(d.Churn, 7, map[string]int{"Refused": 1, "Lost": 2, "NotFound": 1, "AlreadyExists": 1},
		refusal{verb: "patch", resource: "deployments", code: 429},
		refusal{verb: "delete", resource: "deployments", code: 504, after: true},
		refusal{verb: "create", resource: "deployments", code: 504, after: true})
	f(d.Drain, 4, map[string]int{"Lost": 1, "NotFound": 1},
		refusal{verb: "delete", resource: "deployments", code: 500, after: true})
}

// A refusal for good ends the phase, and the error says of what.
func TestDensityRefused(t *testing.T) {
	a := newFakeAPI(t)
	d := a.density(t, DensityConfig{Pods: 30, Namespaces: 1, PodsPerDeployment: 10, Rate: Rate{PodsPerSecond: MaxPace}}, nil)
	a.locked(func() { a.refuse = []refusal{{verb: "create", resource: "deployments", code: 403}} })
	_, err := d.Fill(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "fill: ") || !strings.Contains(err.Error(), "create deployments density-000/web-0000") ||
		!strings.Contains(err.Error(), "attempt 1: api server answered 403 Refused") {
		t.Error(err)
	}
}

// Pods that never start end the fill with the figures, not with a hang.
func TestDensityInterrupted(t *testing.T) {
	a := newFakeAPI(t)
	a.stopped = true
	d := a.density(t, DensityConfig{Pods: 30, PodsPerDeployment: 10, Rate: Rate{PodsPerSecond: MaxPace}}, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		waited, stop := context.WithTimeout(t.Context(), testPatience)
		defer stop()
		_ = d.deps.Pods.await(waited, testPatience, func(Counts) int64 { return 0 }, func(c Counts) bool { return c.Pods == 30 })
		cancel(fmt.Errorf("interrupted"))
	}()
	r, err := d.Fill(ctx)
	const want = "of 3 operations done, 30 pods exist, 0 bound, 0 Running, 0 terminating, of 30 planned: interrupted"
	if err == nil || !strings.HasPrefix(err.Error(), "fill: ") || !strings.HasSuffix(err.Error(), want) || r.After.Pods != 30 {
		t.Errorf("got  %v\nwant ... %s", err, want)
	}
}

func TestPhaseBounds(t *testing.T) {
	f := func(what string, got, want time.Duration) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	f("auto", phaseBound(150_000, Rate{}), 2*time.Minute+7500*time.Second)
	f("slow", phaseBound(100, Rate{PodsPerSecond: 1}), 2*time.Minute+200*time.Second)
	f("max", phaseBound(2000, Rate{PodsPerSecond: MaxPace}), 2*time.Minute+100*time.Second)
	f("patience", patience(DensityConfig{PodsPerDeployment: 50}, Rate{}), 2*time.Minute)
	f("patience of a plan", patience(DensityConfig{PodsPerDeployment: 50, Patience: 30 * time.Second}, Rate{PodsPerSecond: 10}), 40*time.Second)
	f("patience with a slow pace", patience(DensityConfig{PodsPerDeployment: 50}, Rate{PodsPerSecond: 0.5}), 2*time.Minute+200*time.Second)
}

func TestNewDensityNeedsClients(t *testing.T) {
	if _, err := NewDensity(DensityPlan{}, DensityDeps{}); err == nil {
		t.Error("no error without clients")
	}
}
