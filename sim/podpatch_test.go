package sim

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sort"
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
			r.uid, r.hostIP = string(pod.UID), "10.32.0.1"
			if pod.Spec.HostNetwork {
				r.podIP = r.hostIP
			}
			want := kubeletStatus(pod, r)
			if r.unchanged { // else the init containers would end anew
				want.InitContainerStatuses = pod.Status.InitContainerStatuses
			}
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
			end.status = statusLost
		}
		for i, r := range []podReport{
			{status: statusRunning, now: 1_700_000_001},
			{status: statusRestarting, now: 1_700_000_100, restarts: 1},
			{status: statusRunning, now: 1_700_000_101, restarts: 1},
			{status: statusRunning, now: 1_700_000_200, restarts: 1}, // a repair
			{status: statusRestarting, now: 1_700_000_300, restarts: 2},
			{status: statusRestarting, now: 1_700_000_301, restarts: 2}, // a repetition
			{status: statusRunning, now: 1_700_000_302, restarts: 2},
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

func checkPatch(t *testing.T, pod *corev1.Pod, r podReport, want corev1.PodStatus) {
	t.Helper()
	before, _ := json.Marshal(corev1.Pod{Status: pod.Status})
	after, _ := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: pod.UID}, Status: want})
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	var v podView
	if err := v.scan(encode(t, pod)); err != nil {
		t.Fatal(err)
	}
	got := appendPodPatch(nil, &v, &r)
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

// kubeletStatus says with the API's own types what a kubelet would report.
func kubeletStatus(pod *corev1.Pod, r podReport) corev1.PodStatus {
	old, s := pod.Status, *pod.Status.DeepCopy()
	now := metav1.NewTime(time.Unix(r.now, 0))
	ran := old.Phase == corev1.PodRunning
	switch {
	case r.status == statusWaiting:
		s.Phase = corev1.PodPending
	case r.status == statusRunning, r.status == statusRestarting:
		s.Phase = corev1.PodRunning
	case r.status != statusLost && ran && r.exitCode == 0:
		s.Phase = corev1.PodSucceeded
	default:
		s.Phase = corev1.PodFailed
	}
	s.ObservedGeneration = pod.Generation
	s.HostIP, s.HostIPs = r.hostIP, []corev1.HostIP{{IP: r.hostIP}}
	if s.PodIP == "" && r.podIP != "" {
		s.PodIP, s.PodIPs = r.podIP, []corev1.PodIP{{IP: r.podIP}}
	}
	if s.StartTime == nil {
		s.StartTime = &now
	}
	s.Conditions = nil
	for _, c := range old.Conditions {
		if !isOwnCondition([]byte(c.Type)) {
			s.Conditions = append(s.Conditions, c)
		}
	}
	final := s.Phase
	if r.status == statusExited { // what generateAPIPodStatus makes the conditions from
		s.Phase = old.Phase
	}
	for _, c := range kubeletConditions(pod, final, r.status, ran) {
		c.ObservedGeneration, c.LastTransitionTime = pod.Generation, now
		for _, o := range old.Conditions {
			if o.Type == c.Type && o.Status == c.Status {
				c.LastTransitionTime = o.LastTransitionTime
			}
		}
		s.Conditions = append(s.Conditions, c)
	}
	s.ContainerStatuses = containerStatuses(pod, pod.Spec.Containers, *s.StartTime, now, r, ran, false)
	sort.Slice(s.ContainerStatuses, func(i, j int) bool { return s.ContainerStatuses[i].Name < s.ContainerStatuses[j].Name })
	s.InitContainerStatuses = containerStatuses(pod, pod.Spec.InitContainers, *s.StartTime, now, r, ran, true)
	return s
}

func kubeletConditions(pod *corev1.Pod, phase corev1.PodPhase, status podStatus, ran bool) []corev1.PodCondition {
	var all []string
	for _, c := range pod.Spec.Containers {
		all = append(all, c.Name)
	}
	sort.Strings(all)
	yes := func(typ corev1.PodConditionType) corev1.PodCondition {
		return corev1.PodCondition{Type: typ, Status: "True"}
	}
	no := func(typ corev1.PodConditionType, reason, message string) corev1.PodCondition {
		return corev1.PodCondition{Type: typ, Status: "False", Reason: reason, Message: message}
	}
	if status == statusRunning {
		return []corev1.PodCondition{yes("PodReadyToStartContainers"), yes("Initialized"), yes("Ready"), yes("ContainersReady"), yes("PodScheduled")}
	}
	sandbox := no("PodReadyToStartContainers", "PodSandboxNotReady", "no pod sandbox exists")
	switch {
	case status == statusExited:
		sandbox = yes("PodReadyToStartContainers")
	case ran && status == statusTerminated:
		sandbox.Message = "pod sandbox is not ready"
	}
	initialized := yes("Initialized")
	if len(pod.Spec.InitContainers) > 0 && !ran || len(pod.Spec.InitContainers) > 0 && status == statusWaiting {
		initialized = no("Initialized", "ContainersNotInitialized", "containers with incomplete status: [setup sidecar]")
	}
	reason, message := "ContainersNotReady", "containers with unready status: ["
	for i, name := range all {
		if i > 0 {
			message += " "
		}
		message += name
	}
	message += "]"
	switch {
	case phase == corev1.PodSucceeded:
		reason, message = "PodCompleted", ""
		initialized.Reason = "PodCompleted"
	case phase == corev1.PodFailed:
		reason, message = "PodFailed", ""
	}
	return []corev1.PodCondition{sandbox, initialized, no("Ready", reason, message), no("ContainersReady", reason, message), yes("PodScheduled")}
}

func containerStatuses(pod *corev1.Pod, containers []corev1.Container, start, now metav1.Time, r podReport, ran, init bool) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for _, c := range containers {
		s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, Started: new(false)}
		for _, m := range c.VolumeMounts {
			v := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
			if m.ReadOnly {
				v.RecursiveReadOnly = new(corev1.RecursiveReadOnlyDisabled)
			}
			s.VolumeMounts = append(s.VolumeMounts, v)
		}
		sidecar := c.RestartPolicy != nil
		id := containerID(string(pod.UID), []byte(c.Name), r.restarts)
		gone := r.status == statusRestarting || r.status == statusLost
		if s.RestartCount = int32(r.restarts); r.restarts > 0 {
			start = now
			for _, old := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
				if old.Name == c.Name && old.RestartCount == s.RestartCount && old.State.Running != nil {
					start = old.State.Running.StartedAt
				}
			}
		}
		if (gone || r.restarts > 0) && (!init || sidecar) {
			s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown",
				Message: "The container could not be located when the pod was deleted.  The container used to be Running"}
		}
		ended := func(code int32, reason string) {
			s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: start, FinishedAt: now, ContainerID: id}
		}
		created, final := true, r.status == statusTerminated || r.status == statusExited
		switch {
		case r.status == statusRunning && (!init || sidecar):
			s.State.Running, s.Ready, s.Started = &corev1.ContainerStateRunning{StartedAt: start}, true, new(true)
		case r.status == statusRunning, (gone || final && ran) && init && !sidecar:
			ended(0, "Completed")
			s.Ready = true
		case final && ran && r.exitCode == 0:
			ended(0, "Completed")
		case final && ran:
			ended(int32(r.exitCode), "Error")
		case r.status == statusLost, r.status == statusTerminated && len(pod.Spec.InitContainers) == 0:
			created = false
			s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown",
				Message: "The container could not be located when the pod was terminated"}
		default:
			created = false
			reason := "ContainerCreating"
			if len(pod.Spec.InitContainers) > 0 {
				reason = "PodInitializing"
			}
			s.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason}
		}
		if created {
			s.ContainerID, s.ImageID = id, string(appendImageID(nil, []byte(c.Image)))
			s.Resources, s.AllocatedResources = c.Resources.DeepCopy(), c.Resources.Requests
			s.User = &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{SupplementalGroups: []int64{0}}}
		}
		all = append(all, s)
	}
	return all
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
		for status := range statusExited + 1 {
			for _, unchanged := range []bool{false, true} {
				r := podReport{uid: "u", status: status, hostIP: "h", podIP: "p", now: 1, unchanged: unchanged, restarts: uint16(status)}
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
