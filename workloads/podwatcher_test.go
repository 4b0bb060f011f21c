package workloads

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// testPatience bounds every wait of the tests.
const testPatience = time.Minute

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// waitCounts waits for counts that satisfy ok.
func waitCounts(t *testing.T, w *PodWatcher, ok func(Counts) bool) Counts {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	if err := w.await(ctx, testPatience, func(Counts) int64 { return 0 }, ok); err != nil {
		t.Fatalf("%v: %+v", err, w.Counts())
	}
	return w.Counts()
}

// eventLog is a hook that remembers.
type eventLog struct {
	mu   sync.Mutex
	list []string
}

func (l *eventLog) hook(e PodEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := fmt.Sprintf("%s %s %s", e.Type, e.Pod.Name, e.Pod.Phase)
	if e.Relisted {
		text += " relisted"
	}
	if e.Arrived == 0 {
		text += " without a time"
	}
	l.list = append(l.list, strings.Join(strings.Fields(text), " "))
}

// await takes so many events, or what there is after a while. The hook is told of
// an event behind the counts, so that those who wait for counts may be early.
func (l *eventLog) await(t *testing.T, n int) []string {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < testPatience; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		have := len(l.list)
		l.mu.Unlock()
		if have >= n {
			break
		}
	}
	return l.take()
}

func (l *eventLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

func TestPodWatcherFollows(t *testing.T) {
	a := newFakeAPI(t)
	a.locked(func() { a.put("pods", "ADDED", a.pod("x", "old", "", "Running")) })
	var events eventLog
	w := a.watcher(t, PodWatcherConfig{Hook: events.hook})
	a.locked(func() {
		a.put("pods", "ADDED", a.pod("x", "new", "", ""))
		a.put("pods", "MODIFIED", a.pod("x", "new", "", "Pending"))
		a.put("pods", "MODIFIED", a.pod("x", "new", "", "Running"))
		a.removePods("x", "")
	})
	got := waitCounts(t, w, func(c Counts) bool { return c.Deleted == 2 })
	want := Counts{Created: 2, EverBound: 2, EverRunning: 2, EverDeleted: 2, Deleted: 2}
	if got != want {
		t.Errorf("(-want +got)\n%s", gocmp.Diff(want, got))
	}
	list := events.take()
	if diff := gocmp.Diff([]string{"ADDED old Running relisted", "ADDED new", "MODIFIED new Pending", "MODIFIED new Running"}, list[:4]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A watch that the server ends is resumed from its last version: no event is
// lost, none comes twice.
func TestPodWatcherResumes(t *testing.T) {
	a := newFakeAPI(t)
	var events eventLog
	w := a.watcher(t, PodWatcherConfig{Hook: events.hook})
	for i := range 20 {
		a.locked(func() { a.put("pods", "ADDED", a.pod("x", fmt.Sprint(i), "", "Running")) })
		if i%5 == 3 {
			waitCounts(t, w, func(c Counts) bool { return c.Running == int64(i+1) })
			a.hangUp()
		}
	}
	got := waitCounts(t, w, func(c Counts) bool { return c.Running == 20 })
	if got.Resumes == 0 || got.Relists != 0 || got.Created != 20 || len(events.await(t, 20)) != 20 {
		t.Errorf("%+v", got)
	}
}

// When its version is gone, the watcher lists again. What happened in between
// must show in the counts as if it had been watched.
func TestPodWatcherReconciles(t *testing.T) {
	a := newFakeAPI(t)
	a.locked(func() {
		for _, name := range []string{"stays", "starts", "goes", "returns"} {
			a.put("pods", "ADDED", a.pod("x", name, name, map[string]string{"stays": "Running"}[name]))
		}
	})
	var events eventLog
	w := a.watcher(t, PodWatcherConfig{Hook: events.hook})
	before := w.Counts()
	events.take()
	a.locked(func() {
		a.put("pods", "MODIFIED", a.pod("x", "starts", "starts", "Running"))
		a.removePods("x", "goes")
		a.removePods("x", "returns")
		again := a.pod("x", "returns", "returns", "Pending") // the same name, another pod
		again.UID = "another"
		a.put("pods", "ADDED", again)
		a.log, a.kept = nil, a.rev // compacted
		close(a.cut)
		a.cut = make(chan struct{})
	})
	waitCounts(t, w, func(c Counts) bool { return c.Relists > 0 && c.Deleted == 2 })
	want := Counts{
		Pods: 3, Bound: 3, Running: 2,
		Created: 5, EverBound: 3, EverRunning: 2, EverDeleted: 2, EverLost: 2, Deleted: 2,
		Relists: 1,
	}
	got := w.Counts()
	got.Resumes = 0 // one, if the watch was open already
	if got != want {
		t.Errorf("from %+v (-want +got)\n%s", before, gocmp.Diff(want, got))
	}
	list := events.await(t, 5)
	slices.Sort(list)
	if diff := gocmp.Diff([]string{
		"ADDED returns Pending relisted", "DELETED goes relisted", "DELETED returns relisted",
		"MODIFIED starts Running relisted", "MODIFIED stays Running relisted",
	}, list); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPodWatcherPages(t *testing.T) {
	a := newFakeAPI(t)
	a.locked(func() {
		for i := range 2*listPage + 7 {
			a.put("pods", "ADDED", a.pod("x", fmt.Sprint(i), "", ""))
		}
	})
	w := a.watcher(t, PodWatcherConfig{Counted: func(ns string) bool { return ns == "x" }})
	if got := w.Counts().Pods; got != 2*listPage+7 {
		t.Errorf("%d pods", got)
	}
	a.locked(func() {
		if a.served["list pods"] != 3 {
			t.Errorf("%d pages", a.served["list pods"])
		}
		a.put("pods", "ADDED", a.pod("elsewhere", "a", "", ""))
		a.put("pods", "ADDED", a.pod("x", "last", "", ""))
	})
	if got := waitCounts(t, w, func(c Counts) bool { return c.Pods > 2*listPage+7 }); got.Pods != 2*listPage+8 {
		t.Errorf("a pod elsewhere counts: %+v", got)
	}
}

func TestCounts(t *testing.T) {
	w := NewPodWatcher(PodWatcherConfig{})
	pod := func(node, phase string, ready, deleting bool) wire.Pod {
		return wire.Pod{Meta: wire.Meta{Namespace: "x", Name: "a", UID: "1", Deleting: deleting}, NodeName: node, Phase: phase, Ready: ready}
	}
	f := func(what, typ string, p wire.Pod, want Counts) {
		t.Helper()
		w.handle(PodEvent{Type: typ, Pod: p})
		if got := w.Counts(); got != want {
			t.Errorf("%s (-want +got)\n%s", what, gocmp.Diff(want, got))
		}
	}
	f("created", "ADDED", pod("", "Pending", false, false), Counts{Pods: 1, Created: 1})
	f("bound", "MODIFIED", pod("n", "Pending", false, false), Counts{Pods: 1, Bound: 1, Created: 1, EverBound: 1})
	f("not ready yet", "MODIFIED", pod("n", "Running", false, false), Counts{Pods: 1, Bound: 1, Created: 1, EverBound: 1})
	f("ready", "MODIFIED", pod("n", "Running", true, false), Counts{Pods: 1, Bound: 1, Running: 1, Created: 1, EverBound: 1, EverRunning: 1})
	f("not ready", "MODIFIED", pod("n", "Running", false, false), Counts{Pods: 1, Bound: 1, Created: 1, EverBound: 1, EverRunning: 1})
	f("ready again", "MODIFIED", pod("n", "Running", true, false), Counts{Pods: 1, Bound: 1, Running: 1, Created: 1, EverBound: 1, EverRunning: 1})
	f("ended", "MODIFIED", pod("n", "Failed", false, false), Counts{Pods: 1, Bound: 1, Ended: 1, Created: 1, EverBound: 1, EverRunning: 1})
	f("ended, and terminating", "MODIFIED", pod("n", "Failed", false, true), Counts{Pods: 1, Bound: 1, Ended: 1, Terminating: 1, Created: 1, EverBound: 1, EverRunning: 1, EverDeleted: 1})
	f("terminating", "MODIFIED", pod("n", "Running", true, true), Counts{Pods: 1, Bound: 1, Terminating: 1, Created: 1, EverBound: 1, EverRunning: 1, EverDeleted: 1})
	f("gone", "DELETED", pod("n", "Running", true, true), Counts{Created: 1, EverBound: 1, EverRunning: 1, EverDeleted: 1, Deleted: 1})
	f("gone twice", "DELETED", pod("n", "Running", true, true), Counts{Created: 1, EverBound: 1, EverRunning: 1, EverDeleted: 1, Deleted: 1})
}

// A pod that vanishes before it runs must not stay in the pacer's backlog.
func TestLostPods(t *testing.T) {
	w := NewPodWatcher(PodWatcherConfig{})
	p := wire.Pod{Meta: wire.Meta{UID: "1"}}
	w.handle(PodEvent{Type: "ADDED", Pod: p})
	w.handle(PodEvent{Type: "DELETED", Pod: p})
	if got, want := w.Counts(), (Counts{Created: 1, EverDeleted: 1, EverLost: 1, Deleted: 1}); got != want {
		t.Errorf("(-want +got)\n%s", gocmp.Diff(want, got))
	}
}

func TestAwaitGivesUp(t *testing.T) {
	w := NewPodWatcher(PodWatcherConfig{})
	never := func(Counts) bool { return false }
	var stall *StallError
	err := w.await(t.Context(), time.Millisecond, func(Counts) int64 { return 7 }, never)
	if !errors.As(err, &stall) || err.Error() != "no progress for 1ms" {
		t.Errorf("%v", err)
	}
	ctx, cancel := bounded(t.Context(), "the test", time.Millisecond)
	defer cancel()
	err = w.await(ctx, time.Hour, func(Counts) int64 { return 7 }, never)
	if !errors.As(err, &stall) || err.Error() != "the test has not ended within its bound of 1ms" {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.await(ended, time.Hour, func(Counts) int64 { return 7 }, never); errors.As(err, &stall) {
		t.Errorf("ended by its caller: %v", err)
	}
}

// A server that never answers the first list is given up.
func TestFirstListHasABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewPodWatcher(PodWatcherConfig{}) // nobody lists
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := w.WaitSynced(ctx)
		var stall *StallError
		if !errors.As(err, &stall) || !strings.Contains(err.Error(), "the first list of pods has not ended within its bound of 2m0s") {
			t.Errorf("it ends with %v", err)
		}
		cancel()
		if err := w.WaitSynced(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("given up by its caller it ends with %v", err)
		}
	})
}

func BenchmarkPodWatcherEvent(b *testing.B) {
	w := NewPodWatcher(PodWatcherConfig{Counted: PlanDensity(DensityConfig{Pods: 150_000}, 1).Owns})
	raw := make([][]byte, 1000)
	for i := range raw {
		p := (&fakeAPI{}).pod("density-001", fmt.Sprintf("web-00001-5d4f8c7b9-%05d", i), "web-00001", "Running")
		p.Spec.Containers = containers(DensityConfig{Pods: 1}.withDefaults())
		p.Status.ContainerStatuses = make([]corev1.ContainerStatus, 2)
		var err error
		if raw[i], err = p.Marshal(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := w.event("MODIFIED", raw[i%len(raw)], history.Time(1)); err != nil {
			b.Fatal(err)
		}
	}
}
