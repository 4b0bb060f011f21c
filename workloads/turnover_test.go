package workloads

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// turning is a filled cluster and the configuration of a turnover of it.
func turning(t *testing.T) (*fakeAPI, *Density) {
	t.Helper()
	a := newFakeAPI(t)
	d := a.density(t, DensityConfig{
		Pods: 40, PodsPerDeployment: 10, Rate: Rate{PodsPerSecond: MaxPace}, TurnoverRate: 2000, TurnoverMost: 100 * time.Millisecond,
	}, nil)
	if _, err := d.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, d
}

// revisions are those of the Deployments that are there.
func (a *fakeAPI) revisions() map[string]string {
	found := map[string]string{}
	a.locked(func() {
		for key, o := range a.objects["deployments"] {
			found[key] = o.(*appsv1.Deployment).Spec.Template.Annotations[revisionAnnotation]
		}
	})
	return found
}

// all waits until every planned operation has begun.
func (t *Turnover) all(ctx context.Context) error {
	for int(t.Began()) < len(t.d.plan.Turnover) {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return errors.New("not all operations begin")
		}
	}
	return nil
}

// A Deployment that its controller has not seen as it is may look whole.
func TestRolledOut(t *testing.T) {
	three := int32(3)
	whole := appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &three}}
	whole.Generation = 2
	whole.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 3, AvailableReplicas: 3}
	f := func(want bool, change func(*appsv1.Deployment)) {
		t.Helper()
		d := whole
		change(&d)
		if rolledOut(&d) != want {
			t.Errorf("%+v: rolled out is %v", d.Status, !want)
		}
	}
	f(true, func(*appsv1.Deployment) {})
	f(false, func(d *appsv1.Deployment) { d.Generation = 3 })
	f(false, func(d *appsv1.Deployment) { d.Status.Replicas = 4 })
	f(false, func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 2 })
	f(false, func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 2 })
	f(false, func(d *appsv1.Deployment) { d.Spec.Replicas = nil })
}

// What was evicted lies there beside what has taken its place.
func TestWholeBesideWhatHasEnded(t *testing.T) {
	a, d := turning(t)
	add := func(name, phase string) {
		a.locked(func() {
			first := d.plan.Deployments[0]
			a.put("pods", "ADDED", a.pod(first.Namespace, name, first.Name, phase))
		})
	}
	if err := d.Whole(t.Context()); err != nil {
		t.Error(err)
	}
	add("evicted", "Failed")
	waitCounts(t, d.deps.Pods, func(c Counts) bool { return c.Pods == 41 })
	if err := d.Whole(t.Context()); err != nil {
		t.Error(err)
	}
	add("one-more", "Running")
	waitCounts(t, d.deps.Pods, func(c Counts) bool { return c.Running == 41 })
	if err := d.Whole(t.Context()); err == nil {
		t.Error("a pod too many is not missed")
	}
}

// However far a turnover has come, and whatever became of its last writes, in the
// end the Deployments are what they were.
func TestTurnover(t *testing.T) {
	a, d := turning(t)
	if n := len(d.plan.Turnover); n != 20 {
		t.Fatalf("%d operations are planned", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	turned := map[int]bool{}
	for _, op := range d.plan.Turnover {
		turned[op.Deployment] = true
	}
	if len(turned) != 2 {
		t.Errorf("%v of 4 Deployments are replaced", turned)
	}
	turn := d.Turn(ctx)
	if err := errors.Join(turn.all(ctx), turn.End(ctx)); err != nil {
		t.Fatal(err)
	}
	same := slices.IndexFunc([]int{0, 1, 2, 3}, func(i int) bool { return !turn.wasRolled(i) })
	if same < 0 {
		t.Fatal("every Deployment was rolled last")
	}
	a.locked(func() {
		if deleted, rolled := a.served["delete deployments"], a.served["patch deployments"]; deleted != 10 || rolled != 10 {
			t.Errorf("%d deletions and %d rolls", deleted, rolled)
		}
		// What a store that went back in time has left.
		gone, late := d.plan.Deployments[(same+1)%4], d.plan.Deployments[same]
		delete(a.objects["deployments"], gone.Namespace+"/"+gone.Name)
		a.removePods(gone.Namespace, gone.Name)
		a.objects["deployments"][late.Namespace+"/"+late.Name].(*appsv1.Deployment).Spec.Template.Annotations[revisionAnnotation] = "77"
	})
	if err := turn.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	found := a.revisions()
	for _, p := range d.plan.Deployments {
		if got := found[p.Namespace+"/"+p.Name]; got != "0" {
			t.Errorf("%s is of revision %q", p.Name, got)
		}
	}
}

// A write that comes too late meets another Deployment and must do nothing.
func TestTurnoverComesLate(t *testing.T) {
	a, d := turning(t)
	op := ChurnOperation{Kind: RollingUpdate, Revision: 5}
	if err := errors.Join(d.removeExactly(t.Context(), 0, "another", 0), d.rollExactly(t.Context(), op, "another", 0)); err != nil {
		t.Error(err)
	}
	for name, revision := range a.revisions() {
		if revision != "0" {
			t.Errorf("%s is of revision %s", name, revision)
		}
	}
	if n := len(a.revisions()); n != 4 {
		t.Errorf("%d Deployments are left", n)
	}
}

// The name of a Deployment is not taken again before its pods are collected.
func TestTurnoverWaitsForTheCollector(t *testing.T) {
	a, d := turning(t)
	planned := d.plan.Deployments[0]
	made := func() (made int, there bool) {
		a.locked(func() {
			made, there = a.served["create deployments"], a.objects["deployments"][planned.Namespace+"/"+planned.Name] != nil
		})
		return made, there
	}
	var lists int
	a.locked(func() { a.litter, lists = true, a.served["list pods"] })
	before, _ := made()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	turn := &Turnover{d: d, rolled: map[int]bool{}}
	done := make(chan error, 1)
	go func() { done <- turn.one(ctx, ChurnOperation{Kind: Recreate}, 0) }()
	for listed := 0; listed < 2; { // it has found the pods, and looks again
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-ctx.Done():
			t.Fatalf("the pods were listed %d times", listed)
		case <-time.After(time.Millisecond):
		}
		a.locked(func() { listed = a.served["list pods"] - lists })
	}
	if n, there := made(); n != before || there || turn.UnderWay() != 1 {
		t.Errorf("%d Deployments were created before the pods were collected; %d operations are under way", n-before, turn.UnderWay())
	}
	a.locked(func() { a.removePods(planned.Namespace, planned.Name) })
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n, there := made(); n != before+1 || !there || turn.UnderWay() != 0 {
		t.Errorf("%d Deployments were created; there: %v; %d operations are under way", n-before, there, turn.UnderWay())
	}
	// One that is there again by then, because of a write that came late, is waited for no more.
	now, err := d.deployed(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := now.DeepCopy()
	other.UID = "another"
	if err := turn.recreate(ctx, 0, other, 0); err != nil {
		t.Error(err)
	}
	if n, there := made(); n != before+2 || !there {
		t.Errorf("%d Deployments were created; there: %v", n-before, there)
	}
	// A collector that stays away is named.
	short, end := context.WithTimeout(ctx, 2*settlePoll)
	defer end()
	if err := turn.do(short, ChurnOperation{Kind: Recreate}, 0); err == nil || !strings.Contains(err.Error(), "has left 10 ReplicaSets and pods") {
		t.Errorf("the collector stays away: %v", err)
	}
}

// What is refused for good ends neither the turnover nor the run, and is told.
func TestTurnoverRefused(t *testing.T) {
	a, d := turning(t)
	a.locked(func() { a.refuse = []refusal{{verb: "delete", resource: "deployments", code: 403}} })
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	turn := d.Turn(ctx)
	if err := turn.all(ctx); err != nil {
		t.Fatal(err)
	}
	if err := turn.End(ctx); err == nil {
		t.Error("nobody is told of the refusal")
	}
	if err := turn.Settle(ctx); err != nil {
		t.Error(err)
	}
}
