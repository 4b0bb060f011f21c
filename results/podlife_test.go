package results

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// storedPod is a pod as etcd holds it, with what PodLife reads of it and some
// bytes that it does not.
func storedPod(node, phase string) []byte {
	field := func(b []byte, n protowire.Number, v string) []byte {
		b = protowire.AppendTag(b, n, protowire.BytesType)
		return protowire.AppendString(b, v)
	}
	spec := field(nil, 2, strings.Repeat("c", 1500)) // containers
	if node != "" {
		spec = field(spec, 10, node)
	}
	status := field(nil, 1, phase)
	pod := field(nil, 1, string(field(nil, 1, "web")))
	pod = field(pod, 2, string(spec))
	pod = field(pod, 3, string(status))
	return wire.Wrap("v1", "Pod", pod)
}

var (
	podPending = storedPod("", "Pending")
	podBound   = storedPod("node-1", "Pending")
	podRunning = storedPod("node-1", "Running")
	podFailed  = storedPod("node-1", "Failed")
)

// podTimes reports the steps of one pod in seconds after phaseStart.
type podTimes struct {
	*PodLife
	ns, name string
}

func (p podTimes) commit(seconds int, value []byte, create, remove bool) {
	t := at(time.Duration(seconds) * time.Second)
	p.Commit(history.Commit{
		Called: t.Add(-time.Millisecond), Returned: t, Key: podPrefix + p.ns + "/" + p.name,
		Create: create, Delete: remove, Value: value,
	})
}

func (p podTimes) created(s int) { p.commit(s, podPending, true, false) }
func (p podTimes) bound(s int)   { p.commit(s, podBound, false, false) }
func (p podTimes) running(s int) { p.commit(s, podRunning, false, false) }
func (p podTimes) deleted(s int) { p.commit(s, nil, false, true) }
func (p podTimes) saw(s int)     { p.Saw(p.ns, p.name, at(time.Duration(s)*time.Second)) }
func (p podTimes) seen(kind, phase string, s int) {
	p.Watched(kind, p.ns, p.name, phase, at(time.Duration(s)*time.Second))
}

// hopsOf ends the phase and returns the maximum of each hop, by its ends.
func hopsOf(p *PodLife, phase string) map[string]string {
	p.StartPhase("")
	got := map[string]string{}
	for _, h := range p.Phase(phase).Hops {
		got[h.From+" → "+h.To] = fmt.Sprintf("%d× %v", h.Latency.Count, h.Latency.Max)
	}
	return got
}

var allHops = map[string]string{
	"due → created":                       "1× 1.00s",
	"created → bound":                     "1× 2.00s",
	"bound → kubelet saw":                 "1× 1.00s",
	"kubelet saw → Running written":       "1× 1.00s",
	"Running written → seen by a watcher": "1× 2.00s",
	"created → seen by a watcher":         "1× 6.00s",
	"due → seen by a watcher":             "1× 7.00s",
}

func TestPodLifeInOrder(t *testing.T) {
	p := NewPodLife("fill")
	pod := podTimes{p, "ns-1", "web-5d4f8b6c7-abcde"}
	p.Scheduled("ns-1", "web", 1, at(9*time.Second))
	pod.created(10)
	pod.seen("ADDED", "Pending", 10)
	pod.bound(12)
	pod.saw(13)
	pod.saw(14) // again, after a reconnect: the first counts
	pod.running(14)
	pod.running(15) // another status write
	pod.seen("MODIFIED", "Running", 16)
	pod.seen("MODIFIED", "Running", 18)
	if diff := cmp.Diff(PodCounts{Created: 1, Bound: 1, Running: 1, Seen: 1, Live: 1, LiveRun: 1}, p.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	pod.deleted(20)
	pod.seen("DELETED", "Running", 21)
	if diff := cmp.Diff(PodCounts{Created: 1, Bound: 1, Running: 1, Seen: 1, Deleted: 1}, p.Counts()); diff != "" {
		t.Errorf("counts after deletion (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(allHops, hopsOf(p, "fill")); diff != "" {
		t.Errorf("hops (-want +got):\n%s", diff)
	}
	if n := livePods(p); n != 0 {
		t.Errorf("%d pods are still remembered", n)
	}
}

func livePods(p *PodLife) (n int) {
	for i := range p.shards {
		n += len(p.shards[i].pods)
	}
	return n
}

func TestPodLifeInAnyOrder(t *testing.T) {
	steps := []func(podTimes){
		func(x podTimes) { x.created(10) },
		func(x podTimes) { x.bound(12) },
		func(x podTimes) { x.saw(13) },
		func(x podTimes) { x.running(14) },
		func(x podTimes) { x.seen("MODIFIED", "Running", 16) },
	}
	// Reports of commits can be overtaken by the watch events that they cause,
	// in every order; the deletion is reported last or first but one.
	for rotate := range steps {
		for _, reverse := range []bool{false, true} {
			p := NewPodLife("fill")
			pod := podTimes{p, "ns-1", "web-5d4f8b6c7-abcde"}
			p.Scheduled("ns-1", "web", 0, at(9*time.Second))
			for i := range steps {
				j := (i + rotate) % len(steps)
				if reverse {
					j = len(steps) - 1 - j
				}
				steps[j](pod)
			}
			pod.deleted(17)
			if diff := cmp.Diff(allHops, hopsOf(p, "fill")); diff != "" {
				t.Errorf("rotate %d, reverse %v: hops (-want +got):\n%s", rotate, reverse, diff)
			}
			if c := p.Counts(); c.LiveRun != 0 || c.Live != 0 {
				t.Errorf("rotate %d, reverse %v: counts %+v", rotate, reverse, c)
			}
		}
	}
}

func TestPodSeenAfterItsDeletionCounts(t *testing.T) {
	p := NewPodLife("churn")
	pod := podTimes{p, "ns-1", "web-5d4f8b6c7-abcde"}
	pod.created(10)
	pod.bound(11)
	pod.running(12)
	pod.deleted(15)
	pod.seen("MODIFIED", "Running", 19)
	pod.seen("DELETED", "Running", 19)
	if got := hopsOf(p, "churn")["created → seen by a watcher"]; got != "1× 9.00s" {
		t.Errorf("start-up of a pod that was seen late = %q, want 1× 9.00s", got)
	}
}

// A commit is not reported when the client that asked for it is gone before the
// answer.
func TestPodWhoseCommitsAreNotReported(t *testing.T) {
	p := NewPodLife("fill")
	live := func(want int64, when string) {
		t.Helper()
		if c := p.Counts(); c.LiveRun != want {
			t.Errorf("%d pods run %s, want %d", c.LiveRun, when, want)
		}
	}
	pod := podTimes{p, "ns-1", "web-5d4f8b6c7-abcde"}
	pod.created(10)
	pod.bound(11)
	live(0, "before")
	pod.seen("MODIFIED", "Running", 13)
	live(1, "once it was seen")
	pod.running(14)
	live(1, "when the report comes late")
	pod.seen("DELETED", "Running", 15)
	live(0, "once it was seen to go")
	pod.seen("ADDED", "Running", 16)
	live(1, "when one of the same name is seen")
	pod.seen("DELETED", "Running", 17)
	pod.deleted(18)
	live(0, "when the report of the deletion comes late")
	podTimes{p, "ns-1", "other"}.created(20)
	key := p.hash(pod.ns, pod.name)
	later := podTimes{p, "ns-2", "later"}
	for p.hash(later.ns, later.name)%podShards != key%podShards { // its shard forgets when it hears of another pod
		later.name += "-"
	}
	later.created(18 + 2*int(podLinger.Seconds()))
	if _, known := p.shards[key%podShards].pods[key]; known {
		t.Error("it is remembered for good")
	}
}

// A pod that was evicted stays in the store and runs no more, whatever is told late.
func TestPodThatEnds(t *testing.T) {
	p := NewPodLife("fill")
	live := func(want int64, when string) {
		t.Helper()
		if c := p.Counts(); c.LiveRun != want || c.Running != 1 || c.Live != 1 {
			t.Errorf("%s: %+v, want %d that run", when, c, want)
		}
	}
	pod := podTimes{p, "ns-1", "web-5d4f8b6c7-abcde"}
	pod.created(10)
	pod.bound(11)
	pod.running(12)
	live(1, "when it runs")
	pod.commit(15, podFailed, false, false)
	live(0, "when it has failed")
	pod.seen("MODIFIED", "Running", 16)
	live(0, "when it is seen to have run")
	pod.seen("DELETED", "Failed", 17)
	live(0, "when it is seen to go")
	pod.seen("ADDED", "Running", 18)
	live(1, "when one of the same name is seen")
	pod.seen("MODIFIED", "Succeeded", 19)
	live(0, "when that is seen to have ended")
}

func TestPodUnderAnOldName(t *testing.T) {
	p := NewPodLife("churn")
	pod := podTimes{p, "ns-1", "web-0"}
	pod.created(10)
	pod.running(12)
	pod.deleted(15)
	pod.created(16)
	pod.running(20)
	if c := p.Counts(); c.Created != 2 || c.Running != 2 || c.Deleted != 1 || c.LiveRun != 1 {
		t.Errorf("counts = %+v", c)
	}
}

func TestPodsAreForgotten(t *testing.T) {
	p := NewPodLife("churn")
	for i := range 1000 {
		pod := podTimes{p, "ns-1", fmt.Sprintf("web-5d4f8b6c7-%05d", i)}
		pod.created(10)
		pod.deleted(15) // and its DELETED is never seen
		podTimes{p, "ns-1", fmt.Sprintf("unknown-%05d", i)}.saw(15)
	}
	keep := podTimes{p, "ns-1", "kept"}
	keep.saw(15) // before its creation is reported
	keep.created(14)
	if n := livePods(p); n != 2001 {
		t.Fatalf("%d pods are remembered, want 2001", n)
	}
	for i := range 1000 { // something later in every shard
		podTimes{p, "ns-2", fmt.Sprintf("web-5d4f8b6c7-%05d", i)}.created(60)
	}
	if n := livePods(p); n != 1001 {
		t.Errorf("%d pods are remembered, want the 1000 new ones and 1", n)
	}
}

func TestPodHopsCountWhereTheyEnd(t *testing.T) {
	p := NewPodLife("fill")
	pod := podTimes{p, "ns-1", "web-0"}
	pod.created(10)
	pod.bound(12)
	p.StartPhase("hold")
	pod.running(14)
	pod.seen("MODIFIED", "Running", 16)
	p.StartPhase("")
	fill, hold := p.Phase("fill"), p.Phase("hold")
	if len(fill.Hops) != 1 || fill.Counts.Created != 1 || fill.Counts.Running != 0 || fill.Startup.Windows != 0 {
		t.Errorf("fill = %+v", fill)
	}
	if len(hold.Hops) != 2 || hold.Counts.Created != 0 || hold.Counts.Running != 1 || hold.Startup.Latency.Count != 1 {
		t.Errorf("hold = %+v", hold)
	}
}

func TestRecentStartup(t *testing.T) {
	p := NewPodLife("fill")
	if got := p.RecentStartup(); got.Count != 0 {
		t.Errorf("before any pod: %+v", got)
	}
	now := history.Now()
	p.Commit(history.Commit{Called: now, Returned: now.Add(-3 * time.Second), Key: podPrefix + "a/p", Create: true, Value: podPending})
	p.Watched("MODIFIED", "a", "p", "Running", now)
	if got := p.RecentStartup(); got.Count != 1 || got.P99 != Seconds(3*time.Second) {
		t.Errorf("recent = %+v, want one pod of 3s", got)
	}
}

func TestUnreadablePodsAreCounted(t *testing.T) {
	p := NewPodLife("fill")
	pod := podTimes{p, "ns-1", "web-0"}
	pod.commit(1, []byte("k8s:enc:aescbc:v1:"), true, false)
	pod.commit(2, wire.Wrap("v1", "Pod", []byte{0xff}), false, false)
	if c := p.Counts(); c.Created != 1 || c.Unreadable != 2 {
		t.Errorf("counts = %+v, want one pod created and two unreadable values", c)
	}
}

func TestDueTimes(t *testing.T) {
	var d dueTimes
	if got := d.take("a/web-1-2", 100); got != 0 {
		t.Errorf("nothing was due, got %d", got)
	}
	d.add("a/web", 2, 10)
	d.add("a/web", 1, 20)
	d.add("a/web", 1, 1000)
	d.add("a/bare-pod", 1, 15)
	f := func(pod string, want history.Time) {
		t.Helper()
		if got := d.take(pod, 100); got != want {
			t.Errorf("%s was due at %d, want %d", pod, got, want)
		}
	}
	f("a/web-x-1", 10)
	f("a/web-x-2", 10)
	f("a/web-y-3", 20)
	f("a/web-y-4", 0) // its batch is due later
	f("b/web-x-1", 0) // another namespace
	f("a/bare-pod", 15)
	f("a/bare-pod", 0)
	d.add("a/all", 0, 30)
	f("a/all-x-1", 30)
	f("a/all-x-2", 30)
	d.add("a/all", 0, 40)
	f("a/all-x-3", 40)
	for i := range 2 * maxDueBatches {
		d.add("a/endless", 1, history.Time(i))
	}
	if n := len(d.queues["a/endless"]); n != maxDueBatches {
		t.Errorf("%d batches are kept", n)
	}
}

func TestKeyResource(t *testing.T) {
	f := func(key, want string) {
		t.Helper()
		if got := keyResource(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	f("/registry/pods/a/b", "pods")
	f("/registry/minions/node-1", "nodes")
	f("/registry/leases/kube-node-lease/node-1", "leases")
	f("/registry/services/specs/a/b", "services")
	f("/registry/services/endpoints/a/b", "endpoints")
	f("/registry/apiregistration.k8s.io/apiservices/v1.", "apiservices")
	f("/registry/example.com/widgets/a/b", "widgets")
	f("compact_rev_key", otherLabel)
}

func TestWritesByResource(t *testing.T) {
	p := NewPodLife("fill")
	commit := func(key string, create, remove bool) {
		p.Commit(history.Commit{Called: 1_000_000, Returned: 3_000_000, Key: key, Create: create, Delete: remove})
	}
	commit("/registry/leases/kube-node-lease/n", true, false)
	commit("/registry/leases/kube-node-lease/n", false, false)
	commit("/registry/leases/kube-node-lease/n", false, false)
	commit("/registry/deployments/a/d", false, true)
	p.StartPhase("hold")
	ms := Seconds(2 * time.Millisecond)
	txn := func(n int64) Latency { return Latency{n, ms, ms, ms, ms} }
	want := []WriteFigures{
		{"deployments", 0, 0, 1, txn(1)},
		{"leases", 1, 2, 0, txn(3)},
	}
	if diff := cmp.Diff(want, p.Phase("fill").Writes); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	p.StartPhase("")
	if got := p.Phase("hold").Writes; len(got) != 0 {
		t.Errorf("hold has writes: %+v", got)
	}
}

func TestPodLifeIsSafeForConcurrentUse(t *testing.T) {
	p := NewPodLife("fill")
	var wg sync.WaitGroup
	const workers, pods = 4, 500
	for w := range workers {
		wg.Go(func() {
			for i := range pods {
				pod := podTimes{p, fmt.Sprint("ns-", w), fmt.Sprintf("web-abc-%d", i)}
				p.Scheduled(pod.ns, "web", 1, at(0))
				pod.created(10)
				pod.bound(11)
				pod.saw(12)
				pod.running(13)
				pod.seen("MODIFIED", "Running", 14)
				p.RecentStartup()
			}
		})
	}
	p.StartPhase("hold")
	wg.Wait()
	p.StartPhase("")
	var seen int64
	for _, phase := range []string{"fill", "hold"} {
		seen += p.Phase(phase).Startup.Latency.Count
	}
	if seen != workers*pods || p.Counts().LiveRun != workers*pods {
		t.Errorf("%d start-ups, counts %+v, want %d", seen, p.Counts(), workers*pods)
	}
}

func TestPodsThatAreStoredAsJSON(t *testing.T) {
	f := func(value string, want PodCounts) {
		t.Helper()
		p, now := NewPodLife(""), history.Now()
		p.Commit(history.Commit{Called: now, Returned: now + 1, Key: podPrefix + "a/p", Create: true, Value: []byte(`{"kind":"Pod"}`)})
		p.Commit(history.Commit{Called: now, Returned: now + 2, Key: podPrefix + "a/p", Value: []byte(`{"kind":"Pod","spec":{"nodeName":"n"},"status":{"phase":"Pending"}}`)})
		p.Commit(history.Commit{Called: now, Returned: now + 2, Key: podPrefix + "a/p", Value: []byte(value)})
		got := p.Counts()
		got.Live, got.LiveRun = 0, 0
		if got != want {
			t.Errorf("%s: %+v, want %+v", value, got, want)
		}
	}
	f(`{"kind":"Pod","spec":{"nodeName":"n"},"status":{"phase":"Running"}}`, PodCounts{Created: 1, Bound: 1, Running: 1})
	f(`{"kind":"Pod","spec":{"nodeName":"n"},"status":{"phase":"Pending"}}`, PodCounts{Created: 1, Bound: 1})
	f(`{"kind":"Pod","spec":{"nodeName":"n"},"status":{"phase":"Failed"}}`, PodCounts{Created: 1, Bound: 1})
	f(`{"kind":`, PodCounts{Created: 1, Bound: 1, Unreadable: 1})
}

func BenchmarkPodLifeCommit(b *testing.B) {
	p := NewPodLife("fill")
	keys := make([]string, 150_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("%sdensity-%d/density-%d-5d4f8b6c7-%05d", podPrefix, i/3000, i/100, i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		key := keys[i%len(keys)]
		now := history.Now()
		switch i / len(keys) % 4 {
		case 0:
			p.Commit(history.Commit{Called: now, Returned: now, Key: key, Create: true, Value: podPending})
		case 1:
			p.Commit(history.Commit{Called: now, Returned: now, Key: key, Value: podBound})
		case 2:
			p.Commit(history.Commit{Called: now, Returned: now, Key: key, Value: podRunning})
		case 3:
			p.Commit(history.Commit{Called: now, Returned: now, Key: key, Delete: true})
		}
		i++
	}
}

func BenchmarkPodLifeCommitOther(b *testing.B) {
	p := NewPodLife("fill")
	now := history.Now()
	c := history.Commit{Called: now, Returned: now, Key: "/registry/leases/kube-node-lease/node-00042", Value: podBound}
	b.ReportAllocs()
	for b.Loop() {
		p.Commit(c)
	}
}

// BenchmarkPodLifeMemory reports the heap per live pod at 150,000 pods.
func BenchmarkPodLifeMemory(b *testing.B) {
	const pods = 150_000
	for b.Loop() {
		b.StopTimer()
		before := heap()
		p := NewPodLife("fill")
		b.StartTimer()
		for i := range pods {
			podTimes{p, fmt.Sprint("density-", i/3000), fmt.Sprintf("density-%d-5d4f8b6c7-%05d", i/100, i)}.created(10)
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/pods, "B/pod")
		runtime.KeepAlive(p)
		b.StartTimer()
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
