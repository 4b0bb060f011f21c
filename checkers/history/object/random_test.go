package object_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/planecheck/planecheck/checkers/history"
)

// source makes random objects of the API.
type source struct{ *rand.Rand }

func newSource(seed uint64) *source { return &source{rand.New(rand.NewPCG(seed, 7))} }

func (s *source) yes() bool { return s.IntN(2) == 0 }

func pick[T any](s *source, list ...T) T { return list[s.IntN(len(list))] }

func (s *source) word() string {
	return pick(s, "a", "default", "web", "x-y", "Running") + strconv.Itoa(s.IntN(9))
}

func (s *source) words() map[string]string {
	m := map[string]string{}
	for range s.IntN(4) {
		m[s.word()] = s.word()
	}
	return m
}

func (s *source) meta() metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Name: s.word(), Namespace: pick(s, "", "ns", "default"), UID: types.UID(s.word()), Generation: s.Int64N(3),
		CreationTimestamp: metav1.Unix(s.Int64N(1e9), 0), Labels: s.words(), Annotations: s.words(),
	}
	if s.yes() {
		m.Annotations[history.MarkPrefix+s.word()] = s.word()
		m.Annotations[history.MarkPrefix+s.word()] = s.word()
	}
	if s.yes() {
		now, grace := metav1.Unix(s.Int64N(1e9), 0), s.Int64N(60)
		m.DeletionTimestamp, m.DeletionGracePeriodSeconds = &now, &grace
		m.Finalizers = []string{s.word(), s.word()}
	}
	for range s.IntN(3) {
		o := metav1.OwnerReference{APIVersion: "apps/v1", Kind: pick(s, "ReplicaSet", "Node"), Name: s.word(), UID: types.UID(s.word())}
		if yes := s.yes(); s.yes() {
			o.Controller = &yes
		}
		m.OwnerReferences = append(m.OwnerReferences, o)
	}
	return m
}

func (s *source) list() corev1.ResourceList {
	list := corev1.ResourceList{}
	quantity := func(texts ...string) resource.Quantity { return resource.MustParse(pick(s, texts...)) }
	if s.yes() {
		list["cpu"] = quantity("100m", "2", "0.5", "1.5", "0", "1u", "250m", "3n", "1e3")
	}
	if s.yes() {
		list["memory"] = quantity("1Gi", "100Mi", "123456789", "1.5Gi", "0", "100m", "2e9", "1Ki")
	}
	if s.yes() {
		list["ephemeral-storage"] = quantity("1Gi")
	}
	if s.yes() {
		list["pods"] = quantity("110", "1k")
	}
	return list
}

func (s *source) container(initial bool) corev1.Container {
	c := corev1.Container{Name: s.word(), Image: s.word(), Resources: corev1.ResourceRequirements{Requests: s.list(), Limits: s.list()}}
	if policy := corev1.ContainerRestartPolicyAlways; initial && s.yes() {
		c.RestartPolicy = &policy
	}
	return c
}

func (s *source) pod() *corev1.Pod {
	p := &corev1.Pod{TypeMeta: kind("v1", "Pod"), ObjectMeta: s.meta()}
	for range s.IntN(3) {
		p.Spec.Containers = append(p.Spec.Containers, s.container(false))
	}
	for range s.IntN(4) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, s.container(true))
	}
	if s.yes() {
		p.Spec.Overhead = s.list()
	}
	if s.IntN(3) == 0 {
		p.Spec.Resources = &corev1.ResourceRequirements{Requests: s.list(), Limits: s.list()}
	}
	p.Spec.NodeName, p.Spec.SchedulerName = pick(s, "", s.word()), pick(s, "", "default-scheduler")
	p.Spec.ServiceAccountName, p.Spec.RestartPolicy = s.word(), pick(s, corev1.RestartPolicyAlways, corev1.RestartPolicyNever)
	for range s.IntN(5) {
		seconds := s.Int64N(9) - 2
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{
			TolerationSeconds: pick(s, nil, &seconds),

			Key: pick(s, "", "node.kubernetes.io/unschedulable", "other",
				"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"),
			Operator: pick(s, "", corev1.TolerationOpEqual, corev1.TolerationOpExists),
			Value:    pick(s, "", "x"), Effect: pick(s, "", corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute),
		})
	}
	p.Status.Phase = pick(s, "", corev1.PodPending, corev1.PodRunning, corev1.PodFailed)
	p.Status.NominatedNodeName, p.Status.PodIP = pick(s, "", s.word()), pick(s, "", "10.0.0.1")
	for _, typ := range []corev1.PodConditionType{"Initialized", "Ready", "PodScheduled", corev1.DisruptionTarget} {
		if s.yes() {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: typ, Reason: s.word(), Status: pick(s, corev1.ConditionTrue, corev1.ConditionFalse)})
		}
	}
	return p
}

func (s *source) node() *corev1.Node {
	n := &corev1.Node{TypeMeta: kind("v1", "Node"), ObjectMeta: s.meta()}
	n.Spec.Unschedulable = s.yes()
	for range s.IntN(3) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: s.word(), Effect: pick(s, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute)})
	}
	n.Status.Allocatable, n.Status.Capacity = s.list(), s.list()
	for _, typ := range []corev1.NodeConditionType{"MemoryPressure", "Ready"} {
		if s.yes() {
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: typ, Status: pick(s, corev1.ConditionTrue, corev1.ConditionUnknown)})
		}
	}
	return n
}

func (s *source) replicas() *int32 {
	if n := int32(s.IntN(3)); s.yes() {
		return &n
	}
	return nil
}

func (s *source) replicaSet() *appsv1.ReplicaSet {
	set := &appsv1.ReplicaSet{
		TypeMeta: kind("apps/v1", "ReplicaSet"), ObjectMeta: s.meta(),
		Spec:   appsv1.ReplicaSetSpec{Replicas: s.replicas(), Selector: s.selector(), MinReadySeconds: s.Int32N(9)},
		Status: appsv1.ReplicaSetStatus{Replicas: s.Int32N(9), FullyLabeledReplicas: s.Int32N(9), ReadyReplicas: s.Int32N(9), AvailableReplicas: s.Int32N(9), ObservedGeneration: s.Int64N(9)},
	}
	if s.yes() {
		set.Annotations["deployment.kubernetes.io/revision"] = strconv.Itoa(s.IntN(99))
	}
	return set
}

func (s *source) deployment() *appsv1.Deployment {
	d := &appsv1.Deployment{
		TypeMeta: kind("apps/v1", "Deployment"), ObjectMeta: s.meta(),
		Spec:   appsv1.DeploymentSpec{Replicas: s.replicas(), Selector: s.selector(), MinReadySeconds: s.Int32N(9), Paused: s.yes()},
		Status: appsv1.DeploymentStatus{Replicas: s.Int32N(9), UpdatedReplicas: s.Int32N(9), ReadyReplicas: s.Int32N(9), AvailableReplicas: s.Int32N(9), ObservedGeneration: s.Int64N(9)},
	}
	if s.yes() {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: "RollingUpdate", RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: s.share(), MaxSurge: s.share()}}
	}
	return d
}

func (s *source) share() *intstr.IntOrString {
	share := pick(s, intstr.FromInt32(s.Int32N(9)), intstr.FromString(strconv.Itoa(s.IntN(101))+"%"))
	return &share
}

func (s *source) job() *batchv1.Job {
	job := &batchv1.Job{
		TypeMeta: kind("batch/v1", "Job"), ObjectMeta: s.meta(),
		Spec:   batchv1.JobSpec{Parallelism: s.replicas(), Completions: s.replicas(), Selector: s.selector()},
		Status: batchv1.JobStatus{Active: s.Int32N(9), Succeeded: s.Int32N(9), Failed: s.Int32N(9)},
	}
	if mode := pick(s, batchv1.NonIndexedCompletion, batchv1.IndexedCompletion); s.yes() {
		job.Spec.CompletionMode = &mode
	}
	if by := s.word(); s.yes() {
		job.Spec.ManagedBy = &by
	}
	if s.yes() {
		job.Spec.SuccessPolicy = &batchv1.SuccessPolicy{}
	}
	for range s.IntN(3) {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: pick(s, batchv1.JobSuspended, batchv1.JobFailed), Status: pick(s, corev1.ConditionTrue, corev1.ConditionFalse)})
	}
	if s.yes() {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: batchv1.JobComplete, Status: pick(s, corev1.ConditionTrue, corev1.ConditionFalse)})
	}
	return job
}

func (s *source) statefulSet() *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		TypeMeta: kind("apps/v1", "StatefulSet"), ObjectMeta: s.meta(),
		Spec:   appsv1.StatefulSetSpec{Replicas: s.replicas(), Selector: s.selector()},
		Status: appsv1.StatefulSetStatus{Replicas: s.Int32N(9), CurrentReplicas: s.Int32N(9), ReadyReplicas: s.Int32N(9), UpdatedReplicas: s.Int32N(9), ObservedGeneration: s.Int64N(9)},
	}
}

func (s *source) selector() *metav1.LabelSelector {
	if s.IntN(5) == 0 {
		return nil
	}
	sel := &metav1.LabelSelector{MatchLabels: s.words()}
	for range s.IntN(3) {
		r := metav1.LabelSelectorRequirement{Key: s.word(), Operator: pick(s, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}
		if r.Operator == metav1.LabelSelectorOpIn || r.Operator == metav1.LabelSelectorOpNotIn {
			r.Values = []string{s.word(), s.word()}
		}
		sel.MatchExpressions = append(sel.MatchExpressions, r)
	}
	return sel
}

func (s *source) service() *corev1.Service {
	return &corev1.Service{
		TypeMeta: kind("v1", "Service"), ObjectMeta: s.meta(),
		Spec: corev1.ServiceSpec{Selector: s.words(), Type: pick(s, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName), PublishNotReadyAddresses: s.yes(),
			ClusterIP: pick(s, "", corev1.ClusterIPNone, "10.96.0.1")},
	}
}

func (s *source) slice() *discoveryv1.EndpointSlice {
	e := &discoveryv1.EndpointSlice{TypeMeta: kind("discovery.k8s.io/v1", "EndpointSlice"), ObjectMeta: s.meta(), AddressType: discoveryv1.AddressTypeIPv4}
	if s.yes() {
		e.Labels["kubernetes.io/service-name"] = s.word()
	}
	for range s.IntN(4) {
		one := discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}}
		if s.IntN(4) > 0 {
			one.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: s.word(), UID: types.UID(s.word())}
		}
		if ready := s.yes(); s.yes() {
			one.Conditions = discoveryv1.EndpointConditions{Ready: &ready, Serving: new(bool)}
		}
		e.Endpoints = append(e.Endpoints, one)
	}
	return e
}

func (s *source) lease() *coordinationv1.Lease {
	l := &coordinationv1.Lease{TypeMeta: kind("coordination.k8s.io/v1", "Lease"), ObjectMeta: s.meta()}
	if s.yes() {
		holder, renewed := s.word(), metav1.NewMicroTime(time.Unix(s.Int64N(1e9), 0))
		l.Spec.HolderIdentity, l.Spec.RenewTime = &holder, &renewed
	}
	if s.yes() {
		l.Namespace = pick(s, "kube-node-lease", "kube-system")
	}
	if s.yes() {
		n, seconds := s.Int32N(3), s.Int32N(20)
		acquired := metav1.NewMicroTime(time.Unix(s.Int64N(1e9), s.Int64N(1e9)))
		l.Spec.LeaseTransitions, l.Spec.LeaseDurationSeconds, l.Spec.AcquireTime = &n, &seconds, &acquired
	}
	if strategy := coordinationv1.OldestEmulationVersion; s.IntN(4) == 0 {
		l.Spec.Strategy = &strategy
	}
	return l
}

func kind(apiVersion, name string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: name}
}

// encode puts an object into its envelope with the API server's own serializer.
func encode(t testing.TB, o runtime.Object) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(o, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// key is where the store has an object.
func key(resource string, m *metav1.ObjectMeta) string {
	if m.Namespace == "" {
		return "/registry/" + resource + "/" + m.Name
	}
	return fmt.Sprintf("/registry/%s/%s/%s", resource, m.Namespace, m.Name)
}
