package controllers

import (
	"context"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/util/workqueue"
)

// workers is how many status writes a leader has under way.
const workers = 2

// term is the time in which a replica leads.
type term struct {
	replica *replica
	queue   workqueue.TypedRateLimitingInterface[string] // namespaces whose status may have changed

	// written are the ConfigMaps as they were after our last write: where
	// there is one, the next write needs no GET.
	mu      sync.Mutex
	written map[string]*corev1.ConfigMap
}

func newTerm(r *replica) *term {
	limits := workqueue.DefaultTypedControllerRateLimiter[string]()
	return &term{replica: r, queue: workqueue.NewTypedRateLimitingQueue(limits), written: map[string]*corev1.ConfigMap{}}
}

// inherit takes over what earlier leaders have written: a namespace that has
// lost its last pod between two terms is in nobody's ledger.
func (t *term) inherit(ctx context.Context) error {
	mine := fields.OneTermEqualSelector(metav1.ObjectNameField, t.replica.name)
	list, err := t.replica.api.CoreV1().ConfigMaps(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: mine.String()})
	if err != nil {
		return err
	}
	for i := range list.Items {
		t.remember(list.Items[i].Namespace, &list.Items[i])
		t.queue.Add(list.Items[i].Namespace)
	}
	return nil
}

// work writes statuses until the queue is shut down.
func (t *term) work(ctx context.Context) {
	for {
		namespace, over := t.queue.Get()
		if over {
			return
		}
		if err := t.write(ctx, namespace); err != nil {
			t.count(err)
			t.queue.AddRateLimited(namespace)
		} else {
			t.queue.Forget(namespace)
		}
		t.queue.Done(namespace)
	}
}

func (t *term) count(err error) {
	stats := &t.replica.controllers.stats
	if apierrors.IsConflict(err) {
		stats.conflicts.Add(1)
		return
	}
	stats.errors.Add(1)
	t.replica.controllers.cfg.Log.Debug("status write failed", "replica", t.replica.identity, "error", err)
}

// write brings the status of a namespace up to date.
func (t *term) write(ctx context.Context, namespace string) error {
	status := t.replica.ledger.of(namespace).status()
	objects := t.replica.api.CoreV1().ConfigMaps(namespace)
	old := t.known(namespace)
	var err error
	if old == nil {
		old, err = objects.Get(ctx, t.replica.name, metav1.GetOptions{})
	}
	var written *corev1.ConfigMap
	switch {
	case apierrors.IsNotFound(err):
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: t.replica.name}, Data: status}
		written, err = objects.Create(ctx, object, metav1.CreateOptions{})
		if gone(err) {
			return nil
		}
	case err != nil:
	case maps.Equal(old.Data, status):
		t.remember(namespace, old)
		return nil
	default:
		object := old.DeepCopy()
		object.Data = status
		written, err = objects.Update(ctx, object, metav1.UpdateOptions{})
	}
	if err != nil {
		t.remember(namespace, nil) // read it anew
		return err
	}
	t.replica.controllers.stats.writes.Add(1)
	t.remember(namespace, written)
	return nil
}

// gone says whether an object could not be created because its namespace is
// being deleted, or is no more: then there is nothing to report on.
func gone(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func (t *term) known(namespace string) *corev1.ConfigMap {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.written[namespace]
}

// remember keeps what was written; nil forgets it.
func (t *term) remember(namespace string, m *corev1.ConfigMap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m == nil {
		delete(t.written, namespace)
		return
	}
	t.written[namespace] = m
}
