package object_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	helpers "k8s.io/component-helpers/resource"
	"k8s.io/klog/v2"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/versions"
)

// accessor is any object of the API.
type accessor interface {
	runtime.Object
	metav1.Object
}

func pairs(m map[string]string) (list []history.Pair) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, history.Pair{Name: name, Value: m[name]})
	}
	return list
}

// want is a version, computed from the object itself.
func want(o accessor, group, resource string, fields map[string]string) history.Version {
	v := history.Version{
		Group: group, Resource: resource, Kind: o.GetObjectKind().GroupVersionKind().Kind,
		Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID()), Created: o.GetCreationTimestamp().Unix(),
		Generation: o.GetGeneration(), Deleting: o.GetDeletionTimestamp() != nil, Finalizers: o.GetFinalizers(), Labels: pairs(o.GetLabels()),
	}
	if o.GetDeletionGracePeriodSeconds() != nil {
		v.Grace = *o.GetDeletionGracePeriodSeconds()
	}
	marks := map[string]string{}
	for name, value := range o.GetAnnotations() {
		if mark, is := strings.CutPrefix(name, history.MarkPrefix); is {
			marks[mark] = value
		}
	}
	v.Marks = pairs(marks)
	for _, r := range o.GetOwnerReferences() {
		v.Owners = append(v.Owners, history.Owner{Kind: r.Kind, Name: r.Name, UID: string(r.UID), Controller: r.Controller != nil && *r.Controller})
	}
	maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
	v.Fields = pairs(fields)
	return v
}

func yes(is bool, word string) string {
	if is {
		return word
	}
	return ""
}

func above(n int64) string { return strings.TrimPrefix(strconv.FormatInt(n, 10), "0") }

func podFields(p *corev1.Pod) map[string]string {
	ready := false
	for _, c := range p.Status.Conditions {
		ready = ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}
	tolerates := false
	for _, toleration := range p.Spec.Tolerations {
		taint := corev1.Taint{Key: "node.kubernetes.io/unschedulable", Effect: corev1.TaintEffectNoSchedule}
		tolerates = tolerates || toleration.ToleratesTaint(klog.Background(), &taint, false)
	}
	stays := func(key string) string {
		taint := corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute}
		for _, toleration := range p.Spec.Tolerations {
			switch seconds := toleration.TolerationSeconds; {
			case !toleration.ToleratesTaint(klog.Background(), &taint, false):
			case seconds == nil:
				return "forever"
			default:
				return fmt.Sprint(max(0, *seconds))
			}
		}
		return "no"
	}
	disruption := ""
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			disruption = c.Reason
		}
	}
	// Of a copy, because it adds the overhead to the pod's own requests where these are no
	// whole numbers (applyPodLevelResources shares their inf.Dec): what is not read from text.
	need := helpers.PodRequests(p.DeepCopy(), helpers.PodResourcesOptions{})
	return map[string]string{
		"stays.notReady": stays("node.kubernetes.io/not-ready"), "stays.unreachable": stays("node.kubernetes.io/unreachable"),
		"disruption":    disruption,
		"spec.nodeName": p.Spec.NodeName, "spec.schedulerName": p.Spec.SchedulerName, "spec.restartPolicy": string(p.Spec.RestartPolicy),
		"spec.serviceAccountName": p.Spec.ServiceAccountName, "status.phase": string(p.Status.Phase),
		"status.nominatedNodeName": p.Status.NominatedNodeName, "ready": yes(ready, "True"), "hasIP": yes(p.Status.PodIP != "", "True"),
		"toleratesUnschedulable": yes(tolerates, "True"),
		"requests.cpu":           above(need.Cpu().MilliValue()), "requests.memory": above(need.Memory().Value()),
	}
}

func nodeFields(n *corev1.Node) map[string]string {
	ready := false
	for _, c := range n.Status.Conditions {
		ready = ready || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}
	var evicting []string
	for _, taint := range n.Spec.Taints {
		if taint.Effect == corev1.TaintEffectNoExecute {
			evicting = append(evicting, taint.Key)
		}
	}
	slices.Sort(evicting)
	short := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeMemoryPressure && c.Status == corev1.ConditionTrue
	})
	fields := map[string]string{
		"ready": yes(ready, "True"), "spec.unschedulable": yes(n.Spec.Unschedulable, "true"), "memoryPressure": yes(short, "True"),
		"taints.noExecute": strings.Join(evicting, ","),
	}
	if q, has := n.Status.Allocatable["cpu"]; has {
		fields["allocatable.cpu"] = strconv.FormatInt(q.MilliValue(), 10)
	}
	for _, name := range []corev1.ResourceName{"memory", "pods"} {
		if q, has := n.Status.Allocatable[name]; has {
			fields["allocatable."+string(name)] = strconv.FormatInt(q.Value(), 10)
		}
	}
	return fields
}

func workloadFields(replicas *int32, selector *metav1.LabelSelector, now, ready int32, observed int64) map[string]string {
	fields := map[string]string{
		"status.replicas": fmt.Sprint(now), "status.readyReplicas": fmt.Sprint(ready), "status.observedGeneration": fmt.Sprint(observed),
	}
	if replicas != nil {
		fields["spec.replicas"] = fmt.Sprint(*replicas)
	}
	var terms []string
	if selector != nil {
		for name, value := range selector.MatchLabels {
			terms = append(terms, name+"="+value)
		}
		for _, r := range selector.MatchExpressions {
			slices.Sort(r.Values)
			values := strings.Join(r.Values, ",")
			terms = append(terms, map[metav1.LabelSelectorOperator]string{
				"In": r.Key + " in (" + values + ")", "NotIn": r.Key + " notin (" + values + ")", "Exists": r.Key, "DoesNotExist": "!" + r.Key,
			}[r.Operator])
		}
	}
	slices.Sort(terms)
	fields["selector"] = strings.Join(terms, ",")
	return fields
}

func replicaSetFields(r *appsv1.ReplicaSet) map[string]string {
	fields := workloadFields(r.Spec.Replicas, r.Spec.Selector, r.Status.Replicas, r.Status.ReadyReplicas, r.Status.ObservedGeneration)
	fields["status.availableReplicas"] = fmt.Sprint(r.Status.AvailableReplicas)
	fields["rollout"] = r.Annotations["deployment.kubernetes.io/revision"]
	return fields
}

func deploymentFields(d *appsv1.Deployment) map[string]string {
	fields := workloadFields(d.Spec.Replicas, d.Spec.Selector, d.Status.Replicas, d.Status.ReadyReplicas, d.Status.ObservedGeneration)
	fields["spec.paused"] = yes(d.Spec.Paused, "true")
	if rolling := d.Spec.Strategy.RollingUpdate; rolling != nil {
		fields["maxUnavailable"], fields["maxSurge"] = rolling.MaxUnavailable.String(), rolling.MaxSurge.String()
	}
	return fields
}

func jobFields(j *batchv1.Job) map[string]string {
	fields := map[string]string{
		"status.succeeded": fmt.Sprint(j.Status.Succeeded), "successPolicy": yes(j.Spec.SuccessPolicy != nil, "true"),
		"indexed": yes(j.Spec.CompletionMode != nil && *j.Spec.CompletionMode == batchv1.IndexedCompletion, "true"),
	}
	if j.Spec.Completions != nil {
		fields["spec.completions"] = fmt.Sprint(*j.Spec.Completions)
	}
	if j.Spec.ManagedBy != nil {
		fields["spec.managedBy"] = *j.Spec.ManagedBy
	}
	for _, c := range j.Status.Conditions {
		if c.Type == batchv1.JobComplete {
			fields["complete"] = yes(c.Status == corev1.ConditionTrue, "True")
		}
	}
	return fields
}

func serviceFields(s *corev1.Service) map[string]string {
	return map[string]string{
		"selector": labels.Set(s.Spec.Selector).String(), "spec.type": string(s.Spec.Type),
		"spec.clusterIP":           s.Spec.ClusterIP,
		"publishNotReadyAddresses": yes(s.Spec.PublishNotReadyAddresses, "true"),
	}
}

func sliceFields(e *discoveryv1.EndpointSlice) map[string]string {
	var list []string
	for _, one := range e.Endpoints {
		uid := ""
		if one.TargetRef != nil {
			uid = string(one.TargetRef.UID)
		}
		list = append(list, fmt.Sprintf("%s:%v", uid, one.Conditions.Ready == nil || *one.Conditions.Ready))
	}
	slices.Sort(list)
	return map[string]string{"endpoints": strings.Join(list, ","), "service": e.Labels["kubernetes.io/service-name"]}
}

func leaseFields(l *coordinationv1.Lease) map[string]string {
	fields := map[string]string{}
	if l.Spec.HolderIdentity != nil {
		fields["spec.holderIdentity"] = *l.Spec.HolderIdentity
	}
	if l.Spec.LeaseTransitions == nil || l.Namespace == "kube-node-lease" {
		return fields
	}
	fields["spec.leaseTransitions"] = fmt.Sprint(*l.Spec.LeaseTransitions)
	if l.Spec.LeaseDurationSeconds != nil {
		fields["spec.leaseDurationSeconds"] = fmt.Sprint(*l.Spec.LeaseDurationSeconds)
	}
	if l.Spec.AcquireTime != nil {
		fields["spec.acquireTime"] = fmt.Sprint(l.Spec.AcquireTime.UnixMicro())
	}
	if l.Spec.RenewTime != nil {
		fields["spec.renewTime"] = fmt.Sprint(l.Spec.RenewTime.UnixMicro())
	}
	if l.Spec.Strategy != nil {
		fields["spec.strategy"] = string(*l.Spec.Strategy)
	}
	return fields
}

// sample is a random object with what must be read of it.
type sample struct {
	o               accessor
	key             string
	group, resource string
	fields          map[string]string
}

func (s *source) sample() sample {
	switch s.IntN(8) {
	case 0:
		o := s.node()
		return sample{o, key("minions", &o.ObjectMeta), "", "nodes", nodeFields(o)}
	case 1:
		o := s.replicaSet()
		return sample{o, key("replicasets", &o.ObjectMeta), "apps", "replicasets", replicaSetFields(o)}
	case 2:
		o := s.deployment()
		return sample{o, key("deployments", &o.ObjectMeta), "apps", "deployments", deploymentFields(o)}
	case 3:
		o := s.statefulSet()
		return sample{o, key("statefulsets", &o.ObjectMeta), "apps", "statefulsets",
			workloadFields(o.Spec.Replicas, o.Spec.Selector, o.Status.Replicas, o.Status.ReadyReplicas, o.Status.ObservedGeneration)}
	case 4:
		o := s.service()
		return sample{o, key("services/specs", &o.ObjectMeta), "", "services", serviceFields(o)}
	case 5:
		o := s.slice()
		return sample{o, key("endpointslices", &o.ObjectMeta), "discovery.k8s.io", "endpointslices", sliceFields(o)}
	case 6:
		o := s.lease()
		return sample{o, key("leases", &o.ObjectMeta), "coordination.k8s.io", "leases", leaseFields(o)}
	}
	o := s.pod()
	return sample{o, key("pods", &o.ObjectMeta), "", "pods", podFields(o)}
}

var likeVersions = cmp.Options{
	cmpopts.EquateEmpty(), cmpopts.IgnoreFields(history.Version{}, "Content"),
	cmpopts.SortSlices(func(a, b history.Pair) bool { return a.Name < b.Name }),
}

func TestStored(t *testing.T) {
	for seed := range uint64(4000) {
		stored(t, seed, newSource(seed).sample())
		o := newSource(seed).job()
		stored(t, seed, sample{o, key("jobs", &o.ObjectMeta), "batch", "jobs", jobFields(o)})
	}
}

// stored reads an object as the store has it.
func stored(t *testing.T, seed uint64, s sample) {
	t.Helper()
	got := object.Stored(s.key, encode(t, s.o))
	if d := cmp.Diff(want(s.o, s.group, s.resource, s.fields), got, likeVersions); d != "" {
		t.Fatalf("seed %d, %s: -want +got\n%s", seed, s.key, d)
	}
	if selector := got.Field("selector"); selector != "" {
		if _, err := versions.ParseSelector(selector, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// serve makes of a stored object what an answer shows.
func serve(o accessor, version string) accessor {
	served := o.DeepCopyObject().(accessor)
	served.SetResourceVersion(version)
	served.SetSelfLink("/api")
	served.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "m", Operation: "Update", FieldsV1: &metav1.FieldsV1{Raw: []byte("{}")}}})
	return served
}

func TestServed(t *testing.T) {
	for seed := range uint64(500) {
		s := newSource(seed).sample()
		stored := object.Stored(s.key, encode(t, s.o))
		got, err := object.Served(encode(t, serve(s.o, "77")))
		if err != nil {
			t.Fatal(err)
		}
		stored.Revision = 77
		if want := versions.Object(&stored); got != want {
			t.Fatalf("seed %d, %s: served %+v, stored %+v", seed, s.key, got, want)
		}
	}
}

// TestContentSeesChanges changes one thing at a time.
func TestContentSeesChanges(t *testing.T) {
	zero := int64(0)
	changes := map[string]func(*corev1.Pod){
		"name": func(p *corev1.Pod) { p.Name += "x" }, "uid": func(p *corev1.Pod) { p.UID += "x" },
		"generation": func(p *corev1.Pod) { p.Generation++ }, "label": func(p *corev1.Pod) { p.Labels["new"] = "" },
		"annotation": func(p *corev1.Pod) { p.Annotations["new"] = "" }, "finalizer": func(p *corev1.Pod) { p.Finalizers = append(p.Finalizers, "f") },
		"deletion":      func(p *corev1.Pod) { now := metav1.Unix(5e9, 0); p.DeletionTimestamp = &now },
		"grace":         func(p *corev1.Pod) { p.DeletionGracePeriodSeconds = &zero; p.Finalizers = append(p.Finalizers, "f") },
		"generate name": func(p *corev1.Pod) { p.GenerateName = "web-" }, "created": func(p *corev1.Pod) { p.CreationTimestamp = metav1.Unix(5e9, 0) },
		"owner": func(p *corev1.Pod) { p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{}) },
		"node":  func(p *corev1.Pod) { p.Spec.NodeName += "x" }, "image": func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Image: "i"}) },
		"phase": func(p *corev1.Pod) { p.Status.Phase += "x" }, "message": func(p *corev1.Pod) { p.Status.Message = "m" },
	}
	for name, change := range changes {
		for seed := range uint64(20) {
			p := newSource(seed).pod()
			before := object.Stored(key("pods", &p.ObjectMeta), encode(t, p)).Content
			change(p)
			after := object.Stored(key("pods", &p.ObjectMeta), encode(t, p)).Content
			if before == 0 || before == after {
				t.Errorf("%s: content %x, then %x", name, before, after)
			}
		}
	}
}

func TestServedList(t *testing.T) {
	s := newSource(5)
	list := &corev1.PodList{TypeMeta: kind("v1", "PodList"), ListMeta: metav1.ListMeta{ResourceVersion: "99", Continue: "more"}}
	var items []history.APIObject
	for i := range 30 {
		p := serve(s.pod(), strconv.Itoa(i)).(*corev1.Pod)
		o, err := object.Served(encode(t, p))
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, o)
		p.TypeMeta = metav1.TypeMeta{}
		list.Items = append(list.Items, *p)
	}
	got, version, cont, err := object.ServedList(encode(t, list))
	if err != nil || version != 99 || cont != "more" {
		t.Fatalf("version %d, continue %q, %v", version, cont, err)
	}
	if d := cmp.Diff(items, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestNotObjects(t *testing.T) {
	status := encode(t, &metav1.Status{TypeMeta: kind("v1", "Status"), ListMeta: metav1.ListMeta{SelfLink: "name"}})
	list := encode(t, &appsv1.ReplicaSetList{TypeMeta: kind("apps/v1", "ReplicaSetList")})
	for _, body := range [][]byte{status, list, []byte(`{"kind":"Status"}`), []byte(`{"kind":"PodList","items":[]}`)} {
		if o, err := object.Served(body); !errors.Is(err, object.ErrNoObject) {
			t.Errorf("%q: %+v, %v", body, o, err)
		}
	}
	pod := encode(t, newSource(1).pod())
	for _, body := range [][]byte{pod, status, nil, []byte("{}"), []byte(`{"kind":"Pod"}`), []byte("k8s\x00\xff")} {
		if _, _, _, err := object.ServedList(body); err == nil {
			t.Errorf("%q is taken for a list", body)
		}
	}
	for _, body := range [][]byte{nil, []byte("k8s\x00\xff"), []byte("null"), []byte("{} {}"), []byte("[]"), []byte("ok")} {
		if o, err := object.Served(body); err == nil {
			t.Errorf("%q is taken for an object: %+v", body, o)
		}
	}
}

func TestUnread(t *testing.T) {
	for _, value := range []string{"k8s:enc:aescbc:v1:key1:\x00\x01", "", "k8s\x00\xff\xff", "{}", "k8s\x00"} {
		got := object.Stored("/registry/secrets/ns/s", []byte(value))
		if d := cmp.Diff(history.Version{Resource: "secrets", Unread: true}, got); d != "" {
			t.Errorf("%q: -want +got\n%s", value, d)
		}
	}
	if got := object.Stored("compact_rev_key", []byte("7")); got.Unread || got.Resource != "" {
		t.Errorf("%+v", got)
	}
}
