package manifest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// workload is an object with a template of pods, and with more of its own.
func workload(apiVersion, kind, more string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: a}\nspec: {%s template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}\n",
		apiVersion, kind, more)
}

func sizeOf(t *testing.T, copies int, documents ...string) Size {
	t.Helper()
	m, err := Parse("app.yaml", []byte(strings.Join(documents, "---\n")))
	if err != nil {
		t.Fatal(err)
	}
	return m.Size(copies, func(a Annotated) bool { return a.RestartPolicy == "Never" || a.Annotations["ends"] != "" })
}

func TestPodsOfManifests(t *testing.T) {
	f := func(want, staying Pods, text string) {
		t.Helper()
		got := sizeOf(t, 1, text)
		if got.Pods != want || got.Staying != staying {
			t.Errorf("%+v, %+v stay; want %+v, %+v:\n%s", got.Pods, got.Staying, want, staying, text)
		}
	}
	stay := func(n int, text string) { t.Helper(); f(Pods{Fixed: n}, Pods{Fixed: n}, text) }
	stay(1, workload("apps/v1", "Deployment", ""))
	stay(7, workload("apps/v1", "Deployment", "replicas: 7,"))
	stay(0, workload("apps/v1", "Deployment", "replicas: 0,"))
	stay(0, workload("apps/v1", "Deployment", "replicas: 7, paused: true,"))
	stay(3, workload("apps/v1", "ReplicaSet", "replicas: 3,"))
	stay(1, workload("apps/v1", "ReplicaSet", ""))
	stay(4, workload("apps/v1", "StatefulSet", "replicas: 4,"))
	stay(5, workload("v1", "ReplicationController", "replicas: 5,"))
	stay(0, workload("apps/v1", "Deployment", "replicas: -3,"))
	stay(0, workload("example.com/v1", "Deployment", "replicas: 3,")) // another's
	stay(1, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: a}]}\n")
	stay(0, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	stay(0, "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: {parallelism: 9}}}\n")

	// Jobs have as many at once as they may, and as there is to do.
	job := func(want int, more string) {
		t.Helper()
		stay(want, workload("batch/v1", "Job", more))
	}
	job(1, "")
	job(1, "completions: 5,")
	job(3, "parallelism: 3,")
	job(2, "parallelism: 3, completions: 2,")
	job(3, "parallelism: 3, completions: 9,")
	made := func(want Pods, text string) {
		t.Helper()
		if got := sizeOf(t, 1, text).Made; got != want {
			t.Errorf("%+v one after the other, want %+v:\n%s", got, want, text)
		}
	}
	made(Pods{Fixed: 5}, workload("batch/v1", "Job", "completions: 5,"))
	made(Pods{Fixed: 9}, workload("batch/v1", "Job", "parallelism: 3, completions: 9,"))
	made(Pods{Fixed: 3}, workload("batch/v1", "Job", "parallelism: 3,"))
	made(Pods{}, workload("batch/v1", "Job", "completions: 9, suspend: true,"))
	made(Pods{PerNode: 1}, workload("apps/v1", "DaemonSet", ""))
	made(Pods{Fixed: 7}, workload("apps/v1", "Deployment", "replicas: 7, completions: 9,"))
	job(0, "parallelism: 0,")
	job(0, "parallelism: 3, suspend: true,")
	job(0, "parallelism: 3, managedBy: example.com/queue,")
	job(3, "parallelism: 3, managedBy: kubernetes.io/job-controller,")

	// Those that end make room for others.
	f(Pods{Fixed: 2}, Pods{}, strings.Replace(workload("batch/v1", "Job", "parallelism: 2,"), "spec: {containers", "spec: {restartPolicy: Never, containers", 1))
	f(Pods{Fixed: 1}, Pods{}, "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {ends: soon}}\nspec: {containers: [{name: a, image: a}]}\n")

	daemons := workload("apps/v1", "DaemonSet", "")
	f(Pods{PerNode: 1}, Pods{PerNode: 1}, daemons)
	f(Pods{PerNode: 1}, Pods{}, strings.Replace(daemons, "spec: {containers", "spec: {nodeSelector: {a: b}, containers", 1))
	f(Pods{PerNode: 1}, Pods{}, strings.Replace(daemons, "spec: {containers", "spec: {affinity: {nodeAffinity: {}}, containers", 1))
	if got := (Pods{Fixed: 3, PerNode: 2}).On(10); got != 23 {
		t.Errorf("%d pods on 10 nodes, want 23", got)
	}
}

// Copies have namespaces, definitions are applied once, and what nobody could carry
// does not overflow.
func TestSizeOfCopies(t *testing.T) {
	const (
		definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: carts.example.com}\n"
		settings   = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
		elsewhere  = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n"
		system     = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: kube-system}\n"
		namespace  = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
	)
	web := workload("apps/v1", "Deployment", "replicas: 4,")
	f := func(want Size, copies int, documents ...string) {
		t.Helper()
		want.Made = want.Pods // none of them is a Job
		if diff := cmp.Diff(want, sizeOf(t, copies, documents...)); diff != "" {
			t.Errorf("%d copies of %q (-want +got):\n%s", copies, documents, diff)
		}
	}
	pods := func(n int) (p Pods) { p.Fixed = n; return p }
	f(Size{Objects: 2, Pods: pods(4), Staying: pods(4)}, 1, settings, web)
	f(Size{Objects: 10 * (2 + 3), Pods: pods(40), Staying: pods(40)}, 10, settings, web)
	f(Size{Objects: 1 + 10*(1+3), Pods: pods(40), Staying: pods(40)}, 10, definition, web)
	f(Size{Objects: 1 + 3}, 1, elsewhere)
	f(Size{Objects: 2 + 2}, 1, namespace, elsewhere)
	f(Size{Objects: 7 * (2 + 2)}, 7, namespace, elsewhere)
	f(Size{Objects: 7}, 7, system)
	f(Size{Objects: math.MaxInt32, Pods: pods(math.MaxInt32), Staying: pods(math.MaxInt32)}, math.MaxInt, settings, web)
	f(Size{Objects: 2, Pods: pods(math.MaxInt32), Staying: pods(math.MaxInt32)}, 1,
		workload("apps/v1", "ReplicaSet", "replicas: 2000000000,"), strings.Replace(workload("apps/v1", "ReplicaSet", "replicas: 2000000000,"), "name: a}", "name: b}", 1))
}
