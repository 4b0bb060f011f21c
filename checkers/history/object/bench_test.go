package object_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/checkers/history/object"
)

// loadPod is a pod as the load makes them, on its node.
func loadPod() *corev1.Pod {
	yes := true
	p := &corev1.Pod{TypeMeta: kind("v1", "Pod"), ObjectMeta: metav1.ObjectMeta{
		Name: "web-17-5d4f8c7b9d-abcde", GenerateName: "web-17-5d4f8c7b9d-", Namespace: "density-3", UID: "0f8fad5b-d9cb-469f-a165-70867728950e",
		CreationTimestamp: metav1.Unix(1.7e9, 0), Labels: map[string]string{"app": "web-17", "pod-template-hash": "5d4f8c7b9d"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-17-5d4f8c7b9d", UID: "1", Controller: &yes}},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kube-scheduler", FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 900)}}},
	}}
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "registry.k8s.io/pause:3.10", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		"cpu": resource.MustParse("100m"), "memory": resource.MustParse("100Mi")}}}}
	p.Spec.NodeName, p.Spec.SchedulerName, p.Spec.ServiceAccountName, p.Spec.RestartPolicy = "node-00042", "default-scheduler", "default", "Always"
	p.Status.Phase, p.Status.PodIP = corev1.PodRunning, "10.0.0.1"
	for _, typ := range []corev1.PodConditionType{"Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: typ, Status: "True", LastTransitionTime: metav1.Unix(1.7e9, 0)})
	}
	return p
}

func bench(b *testing.B, key string, value []byte) {
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if v := object.Stored(key, value); v.Unread {
			b.Fatal("unread")
		}
	}
}

func BenchmarkStoredPod(b *testing.B) {
	bench(b, "/registry/pods/density-3/web-17-5d4f8c7b9d-abcde", encode(b, loadPod()))
}

func BenchmarkStoredLease(b *testing.B) {
	l := newSource(3).lease()
	holder := "node-00042"
	l.Namespace = "kube-node-lease"
	l.Spec.HolderIdentity = &holder
	bench(b, "/registry/leases/kube-node-lease/node-00042", encode(b, l))
}

func BenchmarkServedPod(b *testing.B) {
	body := encode(b, serve(loadPod(), "123456"))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := object.Served(body); err != nil {
			b.Fatal(err)
		}
	}
}
