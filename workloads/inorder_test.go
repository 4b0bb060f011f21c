package workloads

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// Operations on one Deployment run in the order of the plan, in whatever order they
// come; those on another one do not wait for them.
func TestInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		order := newInOrder([]ChurnOperation{{Deployment: 1}, {Deployment: 0}, {Deployment: 1}, {Deployment: 1}})
		var ran []int
		for _, i := range []int{3, 1, 2, 0} {
			go func() {
				_ = order.run(i, func() error {
					ran = append(ran, i)
					return nil
				})
			}()
			synctest.Wait()
		}
		if want := []int{1, 0, 2, 3}; !slices.Equal(ran, want) {
			t.Errorf("they ran in the order %v, want %v", ran, want)
		}
	})
}

// A churn of more pods than there are comes to each Deployment more than once, and may
// be due there before the last time is over.
func TestChurnKeepsTheOrder(t *testing.T) {
	a := newFakeAPI(t)
	d := a.density(t, DensityConfig{
		Pods: 10, PodsPerDeployment: 10, Rate: Rate{PodsPerSecond: MaxPace}, ChurnPods: 1000, ChurnRate: 1e9,
	}, nil)
	if _, err := d.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Churn(t.Context()); err != nil || r.Completed != len(d.plan.Churn) {
		t.Fatalf("%d of %d operations: %v", r.Completed, len(d.plan.Churn), err)
	}
	revisions := a.revisionsWritten(t)
	if last := len(d.plan.Churn); d.revision[0] != last || len(revisions) == 0 || revisions[len(revisions)-1] != last {
		t.Errorf("it ends with revision %d, and the server with the last of %v; want %d", d.revision[0], revisions, last)
	}
	if !slices.IsSorted(revisions) {
		t.Errorf("the revisions were written in the order %v", revisions)
	}
}

// revisionsWritten are those of all Deployments that were written, in that order.
func (a *fakeAPI) revisionsWritten(t *testing.T) (list []int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.log {
		if e.resource != "deployments" || e.typ == "DELETED" {
			continue
		}
		_, _, raw, err := wire.Unwrap(e.body)
		if err != nil {
			t.Fatal(err)
		}
		var d appsv1.Deployment
		if err := d.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		revision, err := strconv.Atoi(d.Spec.Template.Annotations[revisionAnnotation])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, revision)
	}
	return list
}
