// The scanners are held against the generated code of k8s.io/api: what they
// read must be what Unmarshal reads, for objects that are realistic, odd,
// truncated, and, in the fuzz tests, mutilated.
package wire_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

type message interface{ Marshal() ([]byte, error) }

func marshal(t testing.TB, m message) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func samplePod() *corev1.Pod {
	deleted := metav1.NewTime(time.Unix(1_700_000_000, 5))
	grace := int64(30)
	container := corev1.Container{
		Name: "app", Image: "registry.example/app:1",
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "token", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
	}
	status := corev1.ContainerStatus{Name: "app", Image: "registry.example/app:1", ContainerID: "containerd://0123", Ready: true}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "density-3", Name: "web-7d4b9c-x2x9q", GenerateName: "web-7d4b9c-",
			UID: "1b4e28ba-2fa1-11d2-883f-0016d3cca427", ResourceVersion: "184467", Generation: 7,
			DeletionTimestamp: &deleted, DeletionGracePeriodSeconds: &grace,
			Labels: map[string]string{"app": "web", "pod-template-hash": "7d4b9c"},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "ConfigMap", Name: "not-in-control", UID: "u1"},
				{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-7d4b9c", UID: "u2", Controller: new(true)},
			},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: "kube-controller-manager", Operation: "Update", FieldsType: "FieldsV1",
				FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 1200)},
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: "node-00042", ServiceAccountName: "default",
			Containers: []corev1.Container{container, container},
			Volumes:    []corev1.Volume{{Name: "token"}},
			Tolerations: []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
			},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: "10.0.0.42", PodIP: "10.1.42.7",
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: deleted},
				{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
			},
			ContainerStatuses: []corev1.ContainerStatus{status, status},
		},
	}
}

func sampleNode() *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-00042", UID: "u", ResourceVersion: "9", Labels: map[string]string{"zone": "a"}},
		Spec: corev1.NodeSpec{PodCIDR: "10.1.42.0/24", Taints: []corev1.Taint{
			{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule},
			{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule},
		}},
		Status: corev1.NodeStatus{
			Phase: "not the pod's", Capacity: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8")},
			Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse},
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Message: "kubelet is posting ready status"},
			},
		},
	}
}

// wantMeta is the reading of the generated code.
func wantMeta(m *metav1.ObjectMeta) wire.Meta {
	want := wire.Meta{
		Namespace: m.Namespace, Name: m.Name, UID: string(m.UID), ResourceVersion: m.ResourceVersion,
		Deleting: m.DeletionTimestamp != nil, Generation: m.Generation,
	}
	if m.DeletionGracePeriodSeconds != nil {
		want.GraceSeconds = *m.DeletionGracePeriodSeconds
	}
	for _, o := range m.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			want.Owner = o.Name
		}
	}
	return want
}

func wantPod(p *corev1.Pod) wire.Pod {
	want := wire.Pod{Meta: wantMeta(&p.ObjectMeta), NodeName: p.Spec.NodeName, Phase: string(p.Status.Phase)}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			want.Ready = c.Status == corev1.ConditionTrue
		}
	}
	return want
}

func wantNode(n *corev1.Node) wire.Node {
	want := wire.Node{Meta: wantMeta(&n.ObjectMeta), Taints: len(n.Spec.Taints)}
	for _, t := range n.Spec.Taints {
		want.NotReadyTaint = want.NotReadyTaint || t.Key == corev1.TaintNodeNotReady
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			want.Ready = c.Status == corev1.ConditionTrue
		}
	}
	return want
}

func equal[T any](t *testing.T, got T, err error, want T) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestScanPod(t *testing.T) {
	f := func(name string, change func(*corev1.Pod)) {
		t.Run(name, func(t *testing.T) {
			p := samplePod()
			change(p)
			got, err := wire.ScanPod(marshal(t, p))
			equal(t, got, err, wantPod(p))
		})
	}
	f("full", func(*corev1.Pod) {})
	f("zero", func(p *corev1.Pod) { *p = corev1.Pod{} })
	f("unbound", func(p *corev1.Pod) { p.Spec.NodeName = "" })
	f("not ready", func(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionFalse })
	f("no conditions", func(p *corev1.Pod) { p.Status.Conditions = nil })
	f("not deleted", func(p *corev1.Pod) { p.DeletionTimestamp, p.DeletionGracePeriodSeconds = nil, nil })
	f("deleted at the epoch", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(0, 0)} })
	f("no controller", func(p *corev1.Pod) { p.OwnerReferences = p.OwnerReferences[:1] })
	f("owner in control: false", func(p *corev1.Pod) { p.OwnerReferences[1].Controller = new(false) })
	f("unknown phase", func(p *corev1.Pod) { p.Status.Phase = "Lost" })
	f("negative generation", func(p *corev1.Pod) { p.Generation = -1 })
	f("strings longer than the stack", func(p *corev1.Pod) {
		p.UID, p.Spec.NodeName = types.UID(make([]byte, 4000)), string(make([]byte, 300))
	})
}

func TestScanNode(t *testing.T) {
	f := func(name string, change func(*corev1.Node)) {
		t.Run(name, func(t *testing.T) {
			n := sampleNode()
			change(n)
			got, err := wire.ScanNode(marshal(t, n))
			equal(t, got, err, wantNode(n))
		})
	}
	f("full", func(*corev1.Node) {})
	f("zero", func(n *corev1.Node) { *n = corev1.Node{} })
	f("untainted", func(n *corev1.Node) { n.Spec.Taints = nil })
	f("other taint", func(n *corev1.Node) { n.Spec.Taints = n.Spec.Taints[:1] })
	f("unknown", func(n *corev1.Node) { n.Status.Conditions[1].Status = corev1.ConditionUnknown })
}

func TestScanMeta(t *testing.T) {
	l := &coordinationv1.Lease{
		ObjectMeta: samplePod().ObjectMeta,
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: new("node-00042")},
	}
	got, err := wire.ScanMeta(marshal(t, l))
	equal(t, got, err, wantMeta(&l.ObjectMeta))
}

func TestScanList(t *testing.T) {
	list := &corev1.PodList{
		ListMeta: metav1.ListMeta{ResourceVersion: "77", Continue: "token", RemainingItemCount: new(int64(3))},
		Items:    []corev1.Pod{*samplePod(), {}, *samplePod()},
	}
	list.Items[2].Name = "last"
	var want, got []wire.Pod
	for i := range list.Items {
		want = append(want, wantPod(&list.Items[i]))
	}
	info, err := wire.ScanList(marshal(t, list), func(raw []byte) error {
		p, err := wire.ScanPod(raw)
		got = append(got, p)
		return err
	})
	equal(t, info, err, wire.ListInfo{ResourceVersion: "77", Continue: "token"})
	equal(t, got, nil, want)

	stop := errors.New("stop")
	if _, err := wire.ScanList(marshal(t, list), func([]byte) error { return stop }); err != stop {
		t.Errorf("error of the callback came back as %v", err)
	}
}

func TestScanStatus(t *testing.T) {
	s := &metav1.Status{
		Status: "Failure", Code: 429, Reason: metav1.StatusReasonTooManyRequests, Message: "slow down",
		Details: &metav1.StatusDetails{Name: "web-0", RetryAfterSeconds: 3},
	}
	got, err := wire.ScanStatus(marshal(t, s))
	equal(t, got, err, wire.Status{Code: 429, Reason: "TooManyRequests", Message: "slow down", RetryAfterSeconds: 3})
}

func TestScanWatchEvent(t *testing.T) {
	e := &metav1.WatchEvent{Type: "MODIFIED", Object: runtime.RawExtension{Raw: []byte("k8s\x00object")}}
	typ, object, err := wire.ScanWatchEvent(marshal(t, e))
	equal(t, typ, err, "MODIFIED")
	equal(t, string(object), nil, "k8s\x00object")
}

// TestEnvelope exchanges objects with the serializer of Kubernetes, both ways.
func TestEnvelope(t *testing.T) {
	serializer := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	pod := samplePod()
	raw := marshal(t, pod)

	decoded, gvk, err := serializer.Decode(wire.Wrap("v1", "Pod", raw), nil, nil)
	equal(t, gvk.String(), err, "/v1, Kind=Pod")
	equal(t, wantPod(decoded.(*corev1.Pod)), nil, wantPod(pod))

	for _, kind := range []struct{ apiVersion, kind string }{{"v1", "Pod"}, {"example.com/v1beta1", "Kind"}} {
		pod.TypeMeta = metav1.TypeMeta{APIVersion: kind.apiVersion, Kind: kind.kind}
		encoded, err := runtime.Encode(serializer, pod)
		if err != nil {
			t.Fatal(err)
		}
		apiVersion, name, unwrapped, err := wire.Unwrap(encoded)
		equal(t, apiVersion+" "+name, err, kind.apiVersion+" "+kind.kind)
		equal(t, unwrapped, nil, raw)
	}
}

func TestUnwrapOtherBytes(t *testing.T) {
	for _, b := range []string{"", "k8s", `{"kind":"Pod"}`, "k8s:enc:aescbc:v1:key:"} {
		if _, _, _, err := wire.Unwrap([]byte(b)); !errors.Is(err, wire.ErrNoEnvelope) {
			t.Errorf("Unwrap(%q): %v", b, err)
		}
	}
}

// TestTruncated cuts objects at every byte. A cut between two fields of the
// object leaves a valid, shorter message; at any other place the scanner must
// say so.
func TestTruncated(t *testing.T) {
	pod, node := marshal(t, samplePod()), marshal(t, sampleNode())
	list := marshal(t, &corev1.PodList{Items: []corev1.Pod{*samplePod()}})
	status := marshal(t, &metav1.Status{Reason: "NotFound", Message: "m", Code: 404, Details: &metav1.StatusDetails{Name: "n"}})
	event := marshal(t, &metav1.WatchEvent{Type: "ADDED", Object: runtime.RawExtension{Raw: pod}})
	wrapped := wire.Wrap("v1", "Pod", pod)

	f := func(name string, whole []byte, scan func([]byte) error, boundaries int) {
		t.Run(name, func(t *testing.T) {
			valid := 0
			for n := range whole {
				if scan(whole[:n:n]) == nil {
					valid++
				}
			}
			if valid != boundaries {
				t.Errorf("%d of %d truncations passed, want %d", valid, len(whole), boundaries)
			}
			if err := scan(whole); err != nil {
				t.Error(err)
			}
		})
	}
	f("pod", pod, func(b []byte) error { _, err := wire.ScanPod(b); return err }, 3)
	f("node", node, func(b []byte) error { _, err := wire.ScanNode(b); return err }, 3)
	f("meta", pod, func(b []byte) error { _, err := wire.ScanMeta(b); return err }, 3)
	f("status", status, func(b []byte) error { _, err := wire.ScanStatus(b); return err }, 6)
	f("event", event, func(b []byte) error { _, _, err := wire.ScanWatchEvent(b); return err }, 2)
	f("envelope", wrapped, func(b []byte) error { _, _, _, err := wire.Unwrap(b); return err }, 2)
	f("list", list, func(b []byte) error {
		_, err := wire.ScanList(b, func([]byte) error { return nil })
		return err
	}, 2)
}

// TestWrongWireType gives a varint where a message belongs.
func TestWrongWireType(t *testing.T) {
	if p, err := wire.ScanPod([]byte{1 << 3, 5}); err == nil {
		t.Errorf("metadata as a varint gave %+v", p)
	}
	if s, err := wire.ScanStatus([]byte{6<<3 | 2, 1, 'x'}); err == nil {
		t.Errorf("code as a string gave %+v", s)
	}
}
