package versions_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// fill makes the history of a cluster: four versions of every pod on its way to
// a node, and leases that are renewed.
func fill(t *versions.Table, pods, leases int) (added int) {
	rev := int64(1)
	add := func(v *history.Version) {
		rev++
		v.Revision, v.Content = rev, uint64(rev)*0x9e3779b97f4a7c15
		t.Add(v)
		added++
	}
	for i := range pods {
		for step := range 4 {
			add(podVersion(i, step))
		}
	}
	for i := range leases {
		add(leaseVersion(i % 5000))
	}
	return added
}

func podVersion(i, step int) *history.Version {
	name, ns := fmt.Sprintf("web-%d-%05x-%05x", i/30, i/30, i), fmt.Sprintf("density-%d", i%100)
	fields := []history.Pair{
		{Name: "spec.restartPolicy", Value: "Always"}, {Name: "spec.schedulerName", Value: "default-scheduler"},
		{Name: "spec.serviceAccountName", Value: "default"}, {Name: "requests.cpu", Value: "100"},
		{Name: "requests.memory", Value: "104857600"}, {Name: "status.phase", Value: "Pending"},
	}
	if step > 0 {
		fields = append(fields, history.Pair{Name: "spec.nodeName", Value: fmt.Sprintf("node-%05d", i%5000)})
	}
	if step > 1 {
		fields[5].Value = "Running"
		fields = append(fields, history.Pair{Name: "ready", Value: "True"})
	}
	return loose(&history.Version{
		Key: "/registry/pods/" + ns + "/" + name, Resource: "pods", Kind: "Pod", Namespace: ns, Name: name,
		UID: fmt.Sprintf("%08x-0000-4000-8000-%012x", i, i), Created: 1700000000 + int64(i), Generation: 1,
		Deleting: step == 3, Grace: int64(step/3) * 30, Fields: fields,
		Owners: []history.Owner{{Kind: "ReplicaSet", Name: name[:9], UID: fmt.Sprintf("%036d", i/30), Controller: true}},
		Labels: []history.Pair{{Name: "app", Value: fmt.Sprintf("web-%d", i/30)}, {Name: "pod-template-hash", Value: fmt.Sprintf("%05x", i/30)}},
	})
}

// loose makes every string of a version a part of a longer one, as those of a
// decoder may be: whoever keeps one keeps it all.
func loose(v *history.Version) *history.Version {
	part := func(s *string) { *s = (*s + padding)[:len(*s)] }
	for _, s := range []*string{&v.Key, &v.Resource, &v.Kind, &v.Namespace, &v.Name, &v.UID} {
		part(s)
	}
	for _, list := range [][]history.Pair{v.Labels, v.Fields} {
		for i := range list {
			part(&list[i].Name)
			part(&list[i].Value)
		}
	}
	for i := range v.Owners {
		part(&v.Owners[i].Name)
		part(&v.Owners[i].UID)
	}
	return v
}

var padding = strings.Repeat("-", 500)

func leaseVersion(i int) *history.Version {
	name := fmt.Sprintf("node-%05d", i)
	return &history.Version{
		Key: "/registry/leases/kube-node-lease/" + name, Group: "coordination.k8s.io", Resource: "leases", Kind: "Lease",
		Namespace: "kube-node-lease", Name: name, UID: fmt.Sprintf("%036d", i),
		Owners: []history.Owner{{Kind: "Node", Name: name, UID: fmt.Sprintf("%036d", i)}},
		Fields: []history.Pair{{Name: "spec.holderIdentity", Value: name}},
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemory checks a twentieth of the largest run against a twentieth of the
// 500 MiB that it is to stay below.
func TestMemory(t *testing.T) {
	before := heap()
	tab := versions.New()
	added := fill(tab, 7_500, 25_000)
	used := heap() - before
	runtime.KeepAlive(tab)
	t.Logf("%d versions in %d MiB", added, used>>20)
	if used > 25<<20 {
		t.Errorf("%d versions take %d MiB", added, used>>20)
	}
}

// BenchmarkAdd fills the table of the largest run: 150,000 pods, 5,000 nodes.
func BenchmarkAdd(b *testing.B) {
	for b.Loop() {
		before := heap()
		tab := versions.New()
		added := fill(tab, 150_000, 500_000)
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N+1)/float64(added), "ns/version")
		runtime.KeepAlive(tab)
	}
}

func BenchmarkAt(b *testing.B) {
	tab := versions.New()
	fill(tab, 15_000, 50_000)
	_, last := tab.Bounds()
	pods := tab.Kind("", "pods")
	ns, name := podVersion(77, 0).Namespace, podVersion(77, 0).Name
	b.ReportAllocs()
	for b.Loop() {
		if pods.At(ns, name, last) == nil {
			b.Fatal("no pod")
		}
	}
}

func BenchmarkList(b *testing.B) {
	tab := versions.New()
	fill(tab, 15_000, 0)
	_, last := tab.Bounds()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for range tab.Kind("", "pods").List("", versions.Selector{}, last) {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/object")
}
