package sim

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// TestPodPatchIsTheKubelets holds the patches against those that upstream's
// two-way merge makes of the same statuses, for pods of every shape that the
// simulation knows and in every order of reports.
func TestPodPatchIsTheKubelets(t *testing.T) {
	for seed := range uint64(80) {
		random := rand.New(rand.NewPCG(seed, 0))
		pod := randomPod(random)
		for _, r := range []podReport{
			{status: statusWaiting, now: 1_700_000_000},
			{status: statusRunning, now: 1_700_000_001, podIP: "10.128.0.7"},
			{status: statusRunning, now: 1_700_000_002, podIP: "10.128.0.7"},
			{status: statusRunning, now: 1_700_000_003, podIP: "10.128.0.7", unchanged: true},
			{status: statusTerminated, now: 1_700_000_033, exitCode: 137 * random.IntN(2)},
		} {
			if r.status != statusTerminated && random.IntN(4) == 0 {
				continue // such as lean, which reports no waiting containers
			}
			if r.unchanged {
				if pod.Status.Phase != corev1.PodRunning {
					continue // see podWriter.observe
				}
				pod.Generation++ // by the deletion
			}
			r.uid, r.hostIP, r.spare = string(pod.UID), "10.32.0.1", seed%2 == 0
			if pod.Spec.HostNetwork {
				r.podIP = r.hostIP
			}
			want := kubeletStatus(pod, r)
			checkPatch(t, pod, r, want)
			pod.Status = want
			if random.IntN(3) == 0 {
				pod.Generation++
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestRestartPatchIsTheKubelets does the same for pods whose node has crashed,
// once or twice.
func TestRestartPatchIsTheKubelets(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		pod := randomPod(random)
		end := podReport{status: statusTerminated, now: 1_700_000_999, restarts: 2, exitCode: 137 * random.IntN(2)}
		if random.IntN(2) == 0 {
			end.status, end.lost = statusLost, true
		}
		for i, r := range []podReport{
			{status: statusRunning, now: 1_700_000_001},
			{status: statusRestarting, now: 1_700_000_100, restarts: 1, lost: true},
			{status: statusRunning, now: 1_700_000_101, restarts: 1, lost: true},
			{status: statusRunning, now: 1_700_000_200, restarts: 1}, // a repair
			{status: statusRestarting, now: 1_700_000_300, restarts: 2, lost: true},
			{status: statusRestarting, now: 1_700_000_301, restarts: 2, lost: true}, // a repetition
			{status: statusRunning, now: 1_700_000_302, restarts: 2, lost: true},
			end,
		} {
			if r.status == statusRestarting && random.IntN(3) == 0 {
				continue // such as lean
			}
			r.uid, r.hostIP, r.podIP = string(pod.UID), "10.32.0.1", "10.128.0.7"
			if pod.Spec.HostNetwork {
				r.podIP = r.hostIP
			}
			want := kubeletStatus(pod, r)
			checkPatch(t, pod, r, want)
			if t.Failed() {
				t.Fatalf("seed %d, report %d", seed, i)
			}
			pod.Status = want
		}
	}
}

// TestEndPatchIsTheKubelets does the same for pods whose containers end of
// themselves, reported in one step or in two.
func TestEndPatchIsTheKubelets(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 2))
		pod := randomPod(random)
		exit, steps := []int{0, 1, 42, 137}[random.IntN(4)], random.IntN(2) == 0
		for _, r := range []podReport{
			{status: statusRunning, now: 1_700_000_001},
			{status: statusExited, now: 1_700_000_010, exitCode: exit},
			{status: statusTerminated, now: 1_700_000_012, exitCode: exit, unchanged: steps},
		} {
			if r.status == statusExited && !steps {
				continue
			}
			r.uid, r.hostIP, r.podIP = string(pod.UID), "10.32.0.1", "10.128.0.7"
			if pod.Spec.HostNetwork {
				r.podIP = r.hostIP
			}
			want := kubeletStatus(pod, r)
			if r.unchanged {
				want.ContainerStatuses, want.InitContainerStatuses = pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses
			}
			checkPatch(t, pod, r, want)
			pod.Status = want
			var v podView
			if err := v.scan(encode(t, pod)); err != nil {
				t.Fatal(err)
			}
			if well, ok := v.exited(); ok != (r.status == statusExited) || ok && well != (exit == 0) {
				t.Errorf("after status %d with exit code %d: exited is %v, well %v", r.status, exit, ok, well)
			}
			if t.Failed() {
				t.Fatalf("seed %d, status %d", seed, r.status)
			}
		}
	}
}

// TestCrashPatchIsTheKubelets does the same for pods whose containers end of themselves
// and are started again, and are not ready in between, and whose machine crashes at any
// of these moments. What a profile leaves out is left out at random.
func TestCrashPatchIsTheKubelets(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 3))
		pod := randomPod(random)
		exit := []int{0, 1, 42}[random.IntN(3)]
		reports := []podReport{
			{status: statusRunning},
			{status: statusCrashed},
			{status: statusRunning, restarts: 1},
			{status: statusRunning, restarts: 1, unready: true},
			{status: statusRunning, restarts: 1}, // ready again
			{status: statusCrashed, restarts: 1},
			{status: statusBackOff, restarts: 1, backoff: 80 * time.Second},
			{status: statusBackOff, restarts: 1, backoff: 80 * time.Second}, // a repetition
			{status: statusCrashed, restarts: 1},                            // by a new kubelet
			{status: statusRunning, restarts: 2},
			{status: statusCrashed, restarts: 2},
		}
		reports = append(reports[:1], slices.DeleteFunc(reports[1:], func(podReport) bool { return random.IntN(3) == 0 })...)
		reports = reports[:1+random.IntN(len(reports))]
		last := &reports[len(reports)-1]
		end := podReport{status: statusTerminated, restarts: last.restarts}
		if random.IntN(2) == 0 {
			again := last.restarts + 1
			reports = append(reports, podReport{status: statusRestarting, restarts: again, lost: true}, podReport{status: statusRunning, restarts: again, lost: true})
			end.restarts = again
			if random.IntN(2) == 0 {
				end.status, end.lost, reports = statusLost, true, reports[:len(reports)-2]
			}
		}
		for i, r := range append(reports, end) {
			r.uid, r.name, r.namespace, r.hostIP, r.podIP = string(pod.UID), pod.Name, pod.Namespace, "10.32.0.1", "10.128.0.7"
			r.now, r.exitCode, r.spare = 1_700_000_001+int64(10*i), exit, seed%2 == 0
			if pod.Spec.HostNetwork {
				r.podIP = r.hostIP
			}
			want := kubeletStatus(pod, r)
			checkPatch(t, pod, r, want)
			pod.Status = want
			checkCrashed(t, pod, &r)
			if t.Failed() {
				t.Fatalf("seed %d, report %d: %+v of %+v", seed, i, r, reports)
			}
		}
	}
}

// checkCrashed has a pod read back as it was reported.
func checkCrashed(t *testing.T, pod *corev1.Pod, r *podReport) {
	t.Helper()
	var v podView
	if err := v.scan(encode(t, pod)); err != nil {
		t.Fatal(err)
	}
	was, ok := v.crashed()
	ended := r.status == statusCrashed || r.status == statusRestarting && pod.Status.ContainerStatuses[0].State.Terminated != nil
	if want := ended || r.status == statusBackOff; ok != want || was.waits != (r.status == statusBackOff) || ok && was.lastEnd().code != int64(r.exitCode) {
		t.Errorf("after status %d with exit code %d: crashed is %v, %+v", r.status, r.exitCode, ok, was)
	}
	if r.status == statusRunning && (v.settled(true) == r.unready || v.settled(false) != r.unready) {
		t.Errorf("unready %v: settled as ready %v, as unready %v", r.unready, v.settled(true), v.settled(false))
	}
}

// upstreamPatch is the patch by which upstream's merge makes want of a pod's status, and
// the pod as a kubelet of ours sees it.
func upstreamPatch(t *testing.T, pod *corev1.Pod, want corev1.PodStatus) ([]byte, *podView) {
	t.Helper()
	before, _ := json.Marshal(corev1.Pod{Status: pod.Status})
	after, _ := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: pod.UID}, Status: want})
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	v := new(podView)
	if err := v.scan(encode(t, pod)); err != nil {
		t.Fatal(err)
	}
	return patch, v
}

func checkPatch(t *testing.T, pod *corev1.Pod, r podReport, want corev1.PodStatus) {
	t.Helper()
	patch, v := upstreamPatch(t, pod, want)
	got := appendPodPatch(nil, v, &r)
	if !json.Valid(got) {
		t.Fatalf("not JSON: %s", got)
	}
	// The merge leaves out container statuses that do not change, which happens
	// to a kubelet only when it reports that it has seen a deletion: else
	// repeat them.
	upstream := patch
	if !r.unchanged {
		upstream = withStatuses(t, patch, want)
	}
	if d := cmp.Diff(decode(t, upstream), decode(t, got)); d != "" {
		t.Errorf("report %d of %s, -upstream +ours:\n%s\n%s\n%s", r.status, pod.Status.Phase, d, patch, got)
	}
	if string(upstream) != string(got) {
		t.Errorf("order of members differs:\n%s\n%s", patch, got)
	}
}

func withStatuses(t *testing.T, patch []byte, want corev1.PodStatus) []byte {
	m := decode(t, patch)
	if m["status"] == nil {
		m["status"] = map[string]any{}
	}
	s := m["status"].(map[string]any)
	add := func(key string, list []corev1.ContainerStatus, always bool) {
		b, _ := json.Marshal(list)
		var v []any
		_ = json.Unmarshal(b, &v)
		if len(v) > 0 || always {
			s[key] = v
		}
	}
	add("containerStatuses", want.ContainerStatuses, true)
	add("initContainerStatuses", want.InitContainerStatuses, false)
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return m
}

func encode(t testing.TB, o interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	b, err := o.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// randomPod is a pod as the API server hands it to a kubelet: scheduled, or
// with a node from the start, and with or without conditions of others.
func randomPod(r *rand.Rand) *corev1.Pod {
	scheduled := metav1.NewTime(time.Unix(1_699_999_990, 0))
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-0", Namespace: "default", UID: "5e3f7f5c-7c3a-4c2e-8a53-0c8f7f4b2a11", Generation: 1},
		Status:     corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBurstable},
	}
	pod.Spec.HostNetwork = r.IntN(5) == 0
	for i := range 1 + r.IntN(3) {
		c := corev1.Container{Name: string(rune('c'-i)) + "<&>", Image: "registry.example:5000/a/b:1.2"}
		if r.IntN(2) == 0 {
			c.Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse("64Mi")}
		}
		if r.IntN(3) == 0 {
			c.Resources.Limits = corev1.ResourceList{"memory": resource.MustParse("128Mi")}
		}
		if r.IntN(2) == 0 {
			c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"},
				{Name: "token", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}}
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	if r.IntN(3) == 0 {
		pod.Spec.InitContainers = []corev1.Container{{Name: "setup", Image: "a@sha256:12"}, {Name: "sidecar", Image: "s", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
	}
	if r.IntN(2) == 0 {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "True", LastTransitionTime: scheduled, ObservedGeneration: 1}}
	}
	if r.IntN(4) == 0 {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "example.com/Gate", Status: "True", LastTransitionTime: scheduled})
	}
	return pod
}

// TestPodPatchGolden is one patch in full, for the reader.
func TestPodPatchGolden(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID("u"), Generation: 1}}
	pod.Spec.Containers = []corev1.Container{{Name: "app", Image: "pause:3.10"}}
	pod.Status.Phase = corev1.PodPending
	var v podView
	if err := v.scan(encode(t, pod)); err != nil {
		t.Fatal(err)
	}
	got := string(appendPodPatch(nil, &v, &podReport{uid: "u", status: statusWaiting, hostIP: "10.32.0.1", now: 0}))
	const want = `{"metadata":{"uid":"u"},"status":{` +
		`"conditions":[` +
		`{"lastProbeTime":null,"lastTransitionTime":"1970-01-01T00:00:00Z","message":"no pod sandbox exists","observedGeneration":1,"reason":"PodSandboxNotReady","status":"False","type":"PodReadyToStartContainers"},` +
		`{"lastProbeTime":null,"lastTransitionTime":"1970-01-01T00:00:00Z","observedGeneration":1,"status":"True","type":"Initialized"},` +
		`{"lastProbeTime":null,"lastTransitionTime":"1970-01-01T00:00:00Z","message":"containers with unready status: [app]","observedGeneration":1,"reason":"ContainersNotReady","status":"False","type":"Ready"},` +
		`{"lastProbeTime":null,"lastTransitionTime":"1970-01-01T00:00:00Z","message":"containers with unready status: [app]","observedGeneration":1,"reason":"ContainersNotReady","status":"False","type":"ContainersReady"},` +
		`{"lastProbeTime":null,"lastTransitionTime":"1970-01-01T00:00:00Z","observedGeneration":1,"status":"True","type":"PodScheduled"}],` +
		`"containerStatuses":[{"image":"pause:3.10","imageID":"","lastState":{},"name":"app","ready":false,"restartCount":0,"started":false,"state":{"waiting":{"reason":"ContainerCreating"}}}],` +
		`"hostIP":"10.32.0.1","hostIPs":[{"ip":"10.32.0.1"}],"observedGeneration":1,"startTime":"1970-01-01T00:00:00Z"}}`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzPodView(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(encode(f, randomPod(rand.New(rand.NewPCG(seed, 0)))))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v podView
		if v.scan(raw) != nil {
			return
		}
		for status := range statusBackOff + 1 {
			for _, unchanged := range []bool{false, true} {
				r := podReport{uid: "u", status: status, hostIP: "h", podIP: "p", now: 1, unchanged: unchanged, restarts: uint16(status),
					lost: unchanged, unready: unchanged}
				for _, r.evicted = range []string{"", "\"<e>"} {
					if got := appendPodPatch(nil, &v, &r); !json.Valid(got) {
						t.Fatalf("not JSON: %s", got)
					}
					if got := appendRejection(nil, &v, &r); !json.Valid(got) {
						t.Fatalf("not JSON: %s", got)
					}
				}
			}
		}
	})
}

func BenchmarkPodPatch(b *testing.B) {
	pod := randomPod(rand.New(rand.NewPCG(4, 0)))
	pod.Spec.Containers = append(pod.Spec.Containers[:1], pod.Spec.Containers[0])
	pod.Spec.Containers[1].Name = "z"
	raw := encode(b, pod)
	var v podView
	var buf []byte
	r := podReport{uid: string(pod.UID), status: statusRunning, hostIP: "10.32.0.1", podIP: "10.128.0.2", now: 1_700_000_000}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.scan(raw); err != nil {
			b.Fatal(err)
		}
		buf = appendPodPatch(buf[:0], &v, &r)
	}
	b.SetBytes(int64(len(buf)))
}
