package faults

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
)

// What an earlier look has left says nothing of the watches, and is gone after it.
func TestFreshAfterALookThatWasCutShort(t *testing.T) {
	left := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: canary + "-a"}}
	api := fake.NewClientset(left)
	if err := FreshPods(t.Context(), api, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the look found %v, want that it had no answer", err)
	}
	if err := FreshPods(t.Context(), api, "a"); err != nil {
		t.Errorf("the next look: %v", err)
	}
}

// Only a watch that stays open and says nothing for as long as it may take is stale, and
// one that ended has no answer.
func TestComesOut(t *testing.T) {
	f := func(name string, ok, stale, unanswered bool, do func(*watch.FakeWatcher, context.CancelFunc)) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testBound)
		defer cancel()
		w := watch.NewFakeWithChanSize(1, false)
		do(w, cancel)
		began := time.Now()
		if err := comesOut(ctx, w); (err == nil) != ok || errors.Is(err, errStale) != stale || errors.Is(err, context.DeadlineExceeded) != unanswered {
			t.Errorf("%s: %v", name, err)
		} else if took := time.Since(began); stale && took < freshBound {
			t.Errorf("%s: stale after %v", name, took)
		}
	}
	f("an event", true, false, false, func(w *watch.FakeWatcher, _ context.CancelFunc) { w.Delete(&corev1.ConfigMap{}) })
	f("silence", false, true, false, func(*watch.FakeWatcher, context.CancelFunc) {})
	f("the end of the watch", false, false, true, func(w *watch.FakeWatcher, _ context.CancelFunc) { w.Stop() })
	f("an error", false, false, false, func(w *watch.FakeWatcher, _ context.CancelFunc) { w.Error(&corev1.ConfigMap{}) })
	f("the end of the run", false, false, false, func(_ *watch.FakeWatcher, end context.CancelFunc) { end() })
}
