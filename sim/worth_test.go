package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helpers "k8s.io/component-helpers/resource"
	"k8s.io/klog/v2"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// TestEvictionOrder evicts all pods of a node, from the one that uses the most
// beyond its request to those that are spared.
func TestEvictionOrder(t *testing.T) {
	n := newNode(New(Config{}), 0)
	n.pods.lists = 1
	add := func(uid string, state podState, w worth) {
		p := n.pods.add(&wire.Meta{UID: uid})
		p.state, p.listed, p.worth = state, 1, w
	}
	add("within, high", podRunning, worth{over: -5, priority: 7})
	add("over, high", podRunning, worth{over: 100, priority: 7})
	add("within, more", podRunning, worth{over: 0})
	add("within", podRunning, worth{over: -9})
	add("over, a little", podRunning, worth{over: 1})
	add("over", podRunning, worth{over: 50})
	add("over, low", podRunning, worth{over: 2, priority: -3})
	add("critical", podRunning, worth{over: math.MaxInt64, priority: math.MinInt32, critical: true})
	for state := podUnknown; state <= podCrashed; state++ {
		if state != podRunning {
			add(fmt.Sprint("in state ", state), state, worth{over: 1000})
		}
	}
	add("not listed", podRunning, worth{over: 1000})
	n.pods.find("not listed").listed = 0
	var got []string
	for p := n.nextVictim(); p != nil; p = n.nextVictim() {
		got = append(got, p.uid)
		p.state = podEvicted
	}
	want := []string{"over, low", "over", "over, a little", "over, high", "within, more", "within", "within, high"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// usedMemory is what all containers use that run.
func usedMemory(t *testing.T, seed uint64, pod *corev1.Pod) (sum int64) {
	running := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil {
			running = append(running, c)
		}
	}
	for _, c := range running {
		use := memoryOf(seed, string(pod.UID), encode(t, &c)).use
		sum += use.Value()
	}
	return sum
}

// requestedMemory is GetResourceRequestQuantity of pkg/api/v1/resource/helpers.go, by
// what that is made of.
func requestedMemory(pod *corev1.Pod) int64 {
	requests := helpers.PodRequests(pod, helpers.PodResourcesOptions{
		SkipContainerLevelResources: helpers.IsPodLevelResourcesSet(pod), ExcludeOverhead: true,
	})
	sum := requests.Memory().Value()
	if sum > 0 {
		sum += pod.Spec.Overhead.Memory().Value()
	}
	return sum
}

// requestMemory has a pod request memory in all of the ways that there are.
func requestMemory(random *rand.Rand, pod *corev1.Pod) {
	some := func(names ...corev1.ResourceName) corev1.ResourceList {
		list := corev1.ResourceList{}
		for _, name := range names {
			if random.IntN(2) == 0 {
				list[name] = *resource.NewQuantity(int64(random.IntN(200))<<20, resource.BinarySI)
			}
		}
		return list
	}
	for i := range pod.Spec.InitContainers {
		pod.Spec.InitContainers[i].Resources.Requests = some("cpu", "memory")
	}
	if random.IntN(2) == 0 {
		slices.Reverse(pod.Spec.InitContainers)
	}
	if random.IntN(3) == 0 {
		pod.Spec.Overhead = some("cpu", "memory")
	}
	if random.IntN(3) == 0 {
		pod.Spec.Resources = &corev1.ResourceRequirements{
			Requests: some("cpu", "memory", "hugepages-2Mi", "other"), Limits: some("cpu", "memory", "hugepages-2Mi", "other"),
		}
	}
}

// TestWeigh holds what is read of a pod against what its own type says.
func TestWeigh(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 3))
		pod := randomPod(random)
		requestMemory(random, pod)
		pod.Status.QOSClass = []corev1.PodQOSClass{"", corev1.PodQOSBestEffort, corev1.PodQOSBurstable, corev1.PodQOSGuaranteed}[random.IntN(4)]
		if random.IntN(2) == 0 {
			pod.Spec.Priority = new([]int32{-1, 0, systemCritical - 1, systemCritical, math.MaxInt32}[random.IntN(5)])
		}
		pod.Annotations = map[string]string{}
		static := random.IntN(4)
		switch static {
		case 0:
			pod.Annotations["kubernetes.io/config.mirror"] = ""
		case 1:
			pod.Annotations["kubernetes.io/config.source"] = "file"
		case 2:
			pod.Annotations["kubernetes.io/config.source"] = "api"
		}
		taint := corev1.Taint{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoSchedule}
		tolerates := false
		for range random.IntN(3) {
			toleration := corev1.Toleration{
				Key:      []string{"", corev1.TaintNodeMemoryPressure, "other"}[random.IntN(3)],
				Operator: []corev1.TolerationOperator{"", corev1.TolerationOpEqual, corev1.TolerationOpExists}[random.IntN(3)],
				Value:    []string{"", "x"}[random.IntN(2)],
				Effect:   []corev1.TaintEffect{"", corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute}[random.IntN(3)],
			}
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, toleration)
			tolerates = tolerates || toleration.ToleratesTaint(klog.Background(), &taint, false)
		}
		want := worth{bestEffort: pod.Status.QOSClass == corev1.PodQOSBestEffort, tolerates: tolerates}
		if pod.Spec.Priority != nil {
			want.priority = *pod.Spec.Priority
		}
		want.critical = static < 2 || want.priority >= 2_000_000_000
		want.over = usedMemory(t, seed, pod) - requestedMemory(pod)
		if d := cmp.Diff(want, weigh(seed, string(pod.UID), encode(t, pod)), cmp.AllowUnexported(worth{})); d != "" {
			t.Errorf("seed %d, %+v %+v: %s", seed, pod.Annotations, pod.Spec.Tolerations, d)
		}
	}
}

func TestMemoryOf(t *testing.T) {
	f := func(request, limit string, least, most int64) {
		t.Helper()
		c := corev1.Container{Name: "app", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}}
		if request != "" {
			c.Resources.Requests["memory"] = resource.MustParse(request)
		}
		if limit != "" {
			c.Resources.Limits["memory"] = resource.MustParse(limit)
		}
		raw, beyond := encode(t, &c), 0
		for i := range 100 {
			uid := fmt.Sprint(i)
			m := memoryOf(1, uid, raw)
			use, again, other := m.use.Value(), memoryOf(1, uid, raw).use, memoryOf(2, uid, raw).use
			if use < least || use > most || use%1024 != 0 || again.Value() != use || limit == "" && other.Value() == use {
				t.Errorf("request %q, limit %q: uses %d, again %d, by another seed %d", request, limit, use, again.Value(), other.Value())
			}
			if m.over() > 0 {
				beyond++
			}
		}
		if some := beyond > 20 && beyond < 80; some != (request != "" && limit == "") {
			t.Errorf("request %q, limit %q: %d of 100 use more than that", request, limit, beyond)
		}
	}
	f("", "", 16<<20, 144<<20)
	f("64Mi", "", 32<<20-1024, 96<<20)
	f("2G", "", 1_000_000_000-1024, 3_000_000_000)
	f("64Mi", "64Mi", 32<<20-1024, 64<<20)
}

// TestEvictionMessage names the containers that use more than they have requested.
func TestEvictionMessage(t *testing.T) {
	pod := &corev1.Pod{}
	pod.Spec.Containers = []corev1.Container{{Name: "b"}, {Name: "a"}, {Name: "modest"}}
	pod.Spec.Containers[2].Resources.Requests = corev1.ResourceList{"memory": resource.MustParse("64Mi")}
	pod.Spec.Containers[2].Resources.Limits = pod.Spec.Containers[2].Resources.Requests
	pod.Spec.InitContainers = []corev1.Container{{Name: "setup"}, {Name: "sidecar", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
	var v podView
	if err := v.scan(encode(t, pod)); err != nil {
		t.Fatal(err)
	}
	use := func(name string) string {
		q := memoryOf(7, "u", encode(t, &corev1.Container{Name: name})).use
		return q.String()
	}
	available := resource.NewQuantity((20<<20+int64(share(7, "u")*(80<<20)))/1024*1024, resource.BinarySI)
	want := "The node was low on resource: memory. Threshold quantity: 100Mi, available: " + available.String() + ". "
	for _, name := range []string{"a", "b", "sidecar"} {
		want += "Container " + name + " was using " + use(name) + ", request is 0, has larger consumption of memory. "
	}
	if d := cmp.Diff(want, evictionMessage(7, "u", &v)); d != "" {
		t.Error(d)
	}
}
