package workloads

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

func hash(t *testing.T, plan DensityPlan) string {
	t.Helper()
	b, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))[:16]
}

// The hashes pin the plan of a seed: a change of them means that recorded seeds
// no longer reproduce their runs.
func TestPlanIsAFunctionOfTheSeed(t *testing.T) {
	cfg := DensityConfig{Pods: 10_020, ChurnPods: 2_000}
	f := func(seed uint64, want string) {
		t.Helper()
		if got := hash(t, PlanDensity(cfg, seed)); got != want {
			t.Errorf("seed %d: plan %s, want %s", seed, got, want)
		}
	}
	f(1, "04907fb39467aa51")
	f(2, "74967622558621b2")
	f(1, "04907fb39467aa51")
}

// Each Deployment gets at most one Service, whose selector is its pods'.
func TestPlannedServices(t *testing.T) {
	f := func(services, pods, want int) {
		t.Helper()
		plan := PlanDensity(DensityConfig{Pods: pods, Services: services}, 3)
		if len(plan.Services) != want {
			t.Errorf("%d services of %d pods: planned for Deployments %v, want %d", services, pods, plan.Services, want)
		}
		for _, i := range plan.Services {
			body, err := serviceBody(plan.Deployments[i])
			if err != nil {
				t.Fatal(err)
			}
			_, _, raw, err := wire.Unwrap(body)
			if err != nil {
				t.Fatal(err)
			}
			var s corev1.Service
			if err := s.Unmarshal(raw); err != nil {
				t.Fatal(err)
			}
			if s.Name != plan.Deployments[i].Name || s.Spec.Selector[nameLabel] != s.Name || len(s.Spec.Selector) != 1 {
				t.Errorf("service %s selects %v", s.Name, s.Spec.Selector)
			}
		}
	}
	f(0, 1000, 0)
	f(10, 1000, 10)
	f(10, 100, 2)
}

func TestPlan(t *testing.T) {
	plan := PlanDensity(DensityConfig{Pods: 10_020, ChurnPods: 15_000, ChurnRate: 100}, 7)
	if diff := cmp.Diff([]string{"density-000", "density-001", "density-002", "density-003"}, plan.Namespaces); diff != "" {
		t.Error(diff)
	}
	pods, names := 0, map[string]bool{}
	for _, d := range plan.Deployments {
		pods += d.Replicas
		names[d.Namespace+"/"+d.Name] = true
		if !plan.Owns(d.Namespace) {
			t.Errorf("the plan does not own %s", d.Namespace)
		}
	}
	if pods != 10_020 || len(plan.Deployments) != 201 || len(names) != 201 {
		t.Errorf("%d pods in %d Deployments with %d names", pods, len(plan.Deployments), len(names))
	}
	replaced, touched, last := 0, map[int]int{}, time.Duration(-1)
	for i, op := range plan.Churn {
		if want := time.Duration(replaced) * time.Second / 100; op.Due != want || op.Due <= last || op.Revision != i+1 {
			t.Errorf("operation %d is due at %v with revision %d, want %v", i, op.Due, op.Revision, want)
		}
		replaced, last = replaced+plan.Deployments[op.Deployment].Replicas, op.Due
		touched[op.Deployment]++
	}
	if plan.Replaced() != replaced || replaced < 15_000 || replaced >= 15_050 || plan.Churn[0].Kind != RollingUpdate || plan.Churn[1].Kind != Recreate {
		t.Errorf("%d pods replaced, beginning with %s, %s", replaced, plan.Churn[0].Kind, plan.Churn[1].Kind)
	}
	// 300 operations on 201 Deployments: each once before any comes again.
	if len(touched) != 201 {
		t.Errorf("only %d Deployments touched", len(touched))
	}
	drained := map[int]bool{}
	for _, i := range plan.Drain {
		drained[i] = true
	}
	if len(drained) != 201 {
		t.Errorf("%d Deployments drained", len(drained))
	}
}

// A load is spread over namespaces however small it is, and none of them is empty.
func TestNamespaces(t *testing.T) {
	f := func(want int, cfg DensityConfig) {
		t.Helper()
		plan := PlanDensity(cfg, 1)
		used := map[string]bool{}
		for _, d := range plan.Deployments {
			used[d.Namespace] = true
		}
		if len(plan.Namespaces) != want || len(used) != want {
			t.Errorf("%d pods in %d Deployments: %d namespaces, %d of them in use; want %d",
				cfg.Pods, len(plan.Deployments), len(plan.Namespaces), len(used), want)
		}
	}
	f(4, DensityConfig{Pods: 3000}) // make quick
	f(4, DensityConfig{Pods: 500})
	f(2, DensityConfig{Pods: 100})
	f(4, DensityConfig{Pods: 100, PodsPerDeployment: 5})
	f(1, DensityConfig{Pods: 1})
	f(4, DensityConfig{Pods: 12_000})
	f(5, DensityConfig{Pods: 12_001})
	f(50, DensityConfig{Pods: 150_000})
	f(1, DensityConfig{Pods: 3000, Namespaces: 1})
}

func TestOwns(t *testing.T) {
	plan := PlanDensity(DensityConfig{Pods: 6000, Namespaces: 2}, 1)
	for _, ns := range []string{"density-000", "density-001"} {
		if !plan.Owns(ns) {
			t.Errorf("%s is not owned", ns)
		}
	}
	for _, ns := range []string{"density-002", "density-1", "density--1", "density-001x", "default", ""} {
		if plan.Owns(ns) {
			t.Errorf("%q is owned", ns)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := (DensityConfig{Pods: 1}).Validate(); err != nil {
		t.Error(err)
	}
	err := DensityConfig{Namespaces: -1, Containers: -2, ChurnRate: -1, ChurnPods: -5, Hold: -time.Second, GraceSeconds: -1}.Validate()
	for _, want := range []string{
		"pods is 0, want at least 1", "namespaces is -1", "containers is -2", "churn rate is -1", "churn pods is -5",
		"hold is -1", "grace seconds is -1",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestDeploymentBody(t *testing.T) {
	cfg := DensityConfig{Pods: 1}.withDefaults()
	body, err := deploymentBody(cfg, PlannedDeployment{Namespace: "density-000", Name: "web-00001", Replicas: 50}, 3)
	if err != nil {
		t.Fatal(err)
	}
	apiVersion, kind, raw, err := wire.Unwrap(body)
	if err != nil || apiVersion != "apps/v1" || kind != "Deployment" {
		t.Fatalf("%s %s: %v", apiVersion, kind, err)
	}
	var d appsv1.Deployment
	if err := d.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	template := d.Spec.Template
	if *d.Spec.Replicas != 50 || template.Annotations[revisionAnnotation] != "3" || len(template.Spec.Containers) != 2 {
		t.Errorf("%d replicas, annotations %v, %d containers", *d.Spec.Replicas, template.Annotations, len(template.Spec.Containers))
	}
	for key, value := range d.Spec.Selector.MatchLabels {
		if template.Labels[key] != value {
			t.Errorf("the selector %s=%s does not match the template", key, value)
		}
	}
	// The kubelet's limit of pods must be what fills a node of 16 CPU, 64 GiB.
	var cpu, memory int64
	for _, c := range template.Spec.Containers {
		cpu += c.Resources.Requests.Cpu().MilliValue()
		memory += c.Resources.Requests.Memory().Value()
	}
	if 110*cpu > 16_000 || 110*memory > 64<<30 {
		t.Errorf("110 pods of %dm and %d bytes do not fit a node", cpu, memory)
	}
}

func TestRollBody(t *testing.T) {
	var patch appsv1.Deployment
	if err := json.Unmarshal(rollBody(17, ""), &patch); err != nil || patch.Spec.Template.Annotations[revisionAnnotation] != "17" {
		t.Errorf("%s: %v", rollBody(17, ""), err)
	}
}

func BenchmarkPlanDensity(b *testing.B) {
	for b.Loop() {
		PlanDensity(DensityConfig{Pods: 150_000, ChurnPods: 15_000}, 1)
	}
}

func BenchmarkDeploymentBody(b *testing.B) {
	cfg := DensityConfig{Pods: 1}.withDefaults()
	for b.Loop() {
		if _, err := deploymentBody(cfg, PlannedDeployment{Namespace: "density-000", Name: "web-00001", Replicas: 50}, 3); err != nil {
			b.Fatal(err)
		}
	}
}
