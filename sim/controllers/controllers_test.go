package controllers

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/planecheck/planecheck/checkers/history"
)

func newPod(namespace, name string, phase corev1.PodPhase, ready bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: "7"}}
	p.Status.Phase = phase
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.ContainersReady}, {Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return p
}

func TestStrip(t *testing.T) {
	f := func(obj any, want *summary) {
		t.Helper()
		got, err := strip(obj)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(summary{})); d != "" {
			t.Error(d)
		}
		again, err := strip(got)
		if err != nil || again != got {
			t.Errorf("stripping twice: %v, %v", again, err)
		}
		key, err := cache.MetaNamespaceKeyFunc(got)
		if err != nil || key != want.namespace+"/"+want.name {
			t.Errorf("key %q, %v", key, err)
		}
	}
	f(newPod("a", "x", "Running", true), &summary{"a", "x", "7", true, true})
	f(newPod("a", "x", "Running", false), &summary{"a", "x", "7", true, false})
	f(newPod("b", "y", "Pending", false), &summary{"b", "y", "7", false, false})
	if _, err := strip(&corev1.Node{}); err == nil {
		t.Error("a node was stripped to a pod")
	}
}

func TestLedger(t *testing.T) {
	l := newLedger(0, 1)
	waiting, running := &summary{namespace: "a"}, &summary{namespace: "a", running: true, ready: true}
	f := func(from, to *summary, changed bool, want tally) {
		t.Helper()
		if got := l.change(from, to); got != changed || l.of("a") != want {
			t.Errorf("changed %v, %+v, want %v, %+v", got, l.of("a"), changed, want)
		}
	}
	f(nil, waiting, true, tally{1, 0, 0})
	f(nil, waiting, true, tally{2, 0, 0})
	f(waiting, waiting, false, tally{2, 0, 0})
	f(waiting, running, true, tally{2, 1, 1})
	f(running, nil, true, tally{1, 0, 0})
	if d := cmp.Diff([]string{"a"}, l.namespaces()); d != "" {
		t.Error(d)
	}
	f(waiting, nil, true, tally{})
	if left := l.namespaces(); len(left) != 0 {
		t.Errorf("namespaces without pods: %q", left)
	}
	want := map[string]string{"pods": "3", "running": "2", "ready": "1"}
	if d := cmp.Diff(want, tally{3, 2, 1}.status()); d != "" {
		t.Error(d)
	}
}

// TestShares checks that each namespace has one owner, and that no operator
// has much more to do than another.
func TestShares(t *testing.T) {
	const operators, namespaces = 5, 1000
	count := make([]int, operators)
	for i := range namespaces {
		owners := 0
		for k := range operators {
			if newLedger(k, operators).owns(fmt.Sprintf("namespace-%d", i)) {
				owners++
				count[k]++
			}
		}
		if owners != 1 {
			t.Fatalf("namespace %d has %d owners", i, owners)
		}
	}
	for k, n := range count {
		if n < namespaces/operators/2 || n > namespaces/operators*2 {
			t.Errorf("operator %d owns %d of %d namespaces", k, n, namespaces)
		}
	}
}

func TestIdentities(t *testing.T) {
	a, b := Identities(2, 1), Identities(2, 1)
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	if a[0].Token == a[1].Token || a[0].User == a[1].User || a[1].Groups[0] != Group || Identities(1, 2)[0].Token == a[0].Token {
		t.Errorf("%+v", a)
	}
}

// runReplicas runs replicas of one operator against a client-go fake.
func runReplicas(t *testing.T, n int, seen func(namespace, name, version string, at history.Time), objects ...runtime.Object) (*Controllers, *fake.Clientset, []context.CancelFunc) {
	api := fake.NewClientset(objects...)
	if err := install(t.Context(), api); err != nil {
		t.Fatal(err)
	}
	c := New(Config{Operators: 1, Seen: seen})
	var stops []context.CancelFunc
	for i := range n {
		ctx, cancel := context.WithCancel(c.life)
		r := newReplica(c, 0, i, api, func() {})
		c.wg.Go(func() { r.run(ctx) })
		stops = append(stops, cancel)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c, api, stops
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func hasStatus(t *testing.T, api *fake.Clientset, namespace string, want tally) func() bool {
	return func() bool {
		m, err := api.CoreV1().ConfigMaps(namespace).Get(t.Context(), "planecheck-operator-00", metav1.GetOptions{})
		return err == nil && cmp.Equal(m.Data, want.status())
	}
}

func TestOperatorReportsItsNamespaces(t *testing.T) {
	var mu sync.Mutex
	versions := map[string]string{}
	c, api, _ := runReplicas(t, 1, func(namespace, name, version string, at history.Time) {
		mu.Lock()
		defer mu.Unlock()
		versions[namespace+"/"+name] = version
	}, newPod("a", "x", "Running", true), newPod("a", "y", "Pending", false))
	eventually(t, "the first status", hasStatus(t, api, "a", tally{2, 1, 1}))

	ctx := t.Context()
	updated := newPod("a", "y", "Running", true)
	updated.ResourceVersion = "8"
	if _, err := api.CoreV1().Pods("a").Update(ctx, updated, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the status after a change", hasStatus(t, api, "a", tally{2, 2, 2}))
	mu.Lock()
	if versions["a/y"] != "8" {
		t.Errorf("versions seen: %v", versions)
	}
	mu.Unlock()
	for _, name := range []string{"x", "y"} {
		if err := api.CoreV1().Pods("a").Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the status of an empty namespace", hasStatus(t, api, "a", tally{}))
	// A write is counted when its answer has come, just after it shows here.
	eventually(t, "three writes to be counted", func() bool { return c.Stats().Writes >= 3 })
	if s := c.Stats(); s.Leaders != 1 || s.Conflicts != 0 || s.Errors != 0 || s.Events < 5 {
		t.Errorf("%+v", s)
	}
}

func TestStatusWriteMeetsTrouble(t *testing.T) {
	stale := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "empty", Name: "planecheck-operator-00"}, Data: tally{9, 9, 9}.status()}
	configmaps := schema.GroupResource{Resource: "configmaps"}
	c, api, _ := runReplicas(t, 1, nil, stale)
	eventually(t, "an operator leads", func() bool { return c.Stats().Leaders == 1 })
	// Nobody has pods there any more, and only the object itself tells.
	eventually(t, "the status that an earlier leader left", hasStatus(t, api, "empty", tally{}))

	var once sync.Once
	api.PrependReactor("create", "configmaps", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetNamespace() != "going" {
			return false, nil, nil
		}
		return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "going")
	})
	api.PrependReactor("update", "configmaps", func(clienttesting.Action) (refuse bool, _ runtime.Object, err error) {
		once.Do(func() { refuse, err = true, apierrors.NewConflict(configmaps, "x", nil) })
		return refuse, nil, err
	})
	for _, p := range []*corev1.Pod{newPod("going", "x", "Running", true), newPod("empty", "x", "Running", true)} {
		if _, err := api.CoreV1().Pods(p.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the status after a conflict", hasStatus(t, api, "empty", tally{1, 1, 1}))
	if s := c.Stats(); s.Conflicts != 1 || s.Errors != 0 {
		t.Errorf("%+v", s)
	}
}

func TestOneReplicaLeadsAndAnotherTakesOver(t *testing.T) {
	c, api, stops := runReplicas(t, 2, nil, newPod("a", "x", "Running", true))
	eventually(t, "a status", hasStatus(t, api, "a", tally{1, 1, 1}))
	if n := c.Stats().Leaders; n != 1 {
		t.Errorf("%d leaders", n)
	}
	lease, err := api.CoordinationV1().Leases(lockNamespace).Get(t.Context(), "planecheck-operator-00", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first := *lease.Spec.HolderIdentity
	if strings.HasSuffix(first, "-0") {
		stops[0]()
	} else {
		stops[1]()
	}
	eventually(t, "another leader", func() bool {
		lease, err := api.CoordinationV1().Leases(lockNamespace).Get(t.Context(), "planecheck-operator-00", metav1.GetOptions{})
		holder := lease.Spec.HolderIdentity
		return err == nil && holder != nil && *holder != "" && *holder != first && c.Stats().Leaders == 1
	})
	if _, err := api.CoreV1().Pods("b").Create(t.Context(), newPod("b", "x", "Pending", false), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a status by the new leader", hasStatus(t, api, "b", tally{1, 0, 0}))
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{{}, {Operators: 1}, {Operators: 1, Replicas: -1}} {
		if err := New(cfg).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "start simulated controllers") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func BenchmarkNote(b *testing.B) {
	c := New(Config{Operators: 4})
	r := newReplica(c, 0, 0, nil, nil)
	pod := newPod("a", "x", "Running", true)
	was, _ := strip(newPod("a", "x", "Pending", false))
	b.ReportAllocs()
	for b.Loop() {
		is, err := strip(pod)
		if err != nil {
			b.Fatal(err)
		}
		r.note(was, is)
		r.note(is, was)
	}
}
