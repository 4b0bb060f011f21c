package manifest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// mostNamed bounds how many objects an error names.
const mostNamed = 10

// readiness follows objects until all of them are ready: "Current" in the
// words of kstatus.
type readiness struct {
	server *server
	log    *slog.Logger

	mu      sync.Mutex
	objects map[objectKey]*objectStatus
	pending int
	// moving are the resources with objects that were not ready at once: what can
	// become ready may also cease to be.
	moving  map[schema.GroupVersionResource]bool
	changed chan struct{} // closed and renewed when pending changes
}

type objectKey struct {
	kind            schema.GroupKind
	namespace, name string
}

type objectStatus struct {
	name     string // for people
	resource schema.GroupVersionResource
	status   status.Status
	message  string
}

func newReadiness(s *server, log *slog.Logger) *readiness {
	return &readiness{
		server: s, log: log, objects: map[objectKey]*objectStatus{}, moving: map[schema.GroupVersionResource]bool{},
		changed: make(chan struct{}),
	}
}

func keyOf(u *unstructured.Unstructured) objectKey {
	return objectKey{kind: u.GroupVersionKind().GroupKind(), namespace: u.GetNamespace(), name: u.GetName()}
}

// expect adds an object, in the state in which the server has stored it: many
// kinds are ready at once and need no watch.
func (r *readiness) expect(o Object) error {
	_, resource, err := r.server.resource(o.Unstructured)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &objectStatus{name: o.String(), resource: resource, status: status.InProgressStatus}
	r.objects[keyOf(o.Unstructured)] = s
	r.pending++
	r.judge(s, o.Unstructured)
	if s.status != status.CurrentStatus {
		r.moving[resource] = true
	}
	return nil
}

// judge computes the status of an object as it is now.
func (r *readiness) judge(s *objectStatus, u *unstructured.Unstructured) {
	now, message := status.UnknownStatus, ""
	if result, err := status.Compute(u); err != nil {
		message = err.Error()
	} else {
		now, message = result.Status, result.Message
	}
	r.set(s, now, message)
}

func (r *readiness) set(s *objectStatus, now status.Status, message string) {
	was, is := s.status == status.CurrentStatus, now == status.CurrentStatus
	s.status, s.message = now, message
	if was == is {
		return
	}
	if is {
		r.pending--
	} else {
		r.pending++
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// seen takes in an event of a watch.
func (r *readiness) seen(u *unstructured.Unstructured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.objects[keyOf(u)]; s != nil {
		r.judge(s, u)
	}
}

// vanished notes that an object was deleted. One that was ready has done its
// work, like a Job with a time to live.
func (r *readiness) vanished(u *unstructured.Unstructured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.objects[keyOf(u)]; s != nil && s.status != status.CurrentStatus {
		r.set(s, status.NotFoundStatus, "somebody has deleted it")
	}
}

// await watches what is not ready and returns when everything is, at the same
// time, or else with the names of those that are not.
func (r *readiness) await(ctx context.Context) error {
	_, stop := r.watch(ctx, r.unready())
	defer stop()
	return r.allReady(ctx)
}

// again is await for objects of which nobody knows how they have fared since they were
// ready. One that is gone has done its work.
func (r *readiness) again(ctx context.Context) error {
	seen, stop := r.watch(ctx, r.moving)
	defer stop()
	if !cache.WaitForCacheSync(ctx.Done(), seen...) {
		return fmt.Errorf("%w: not all objects could be listed", context.Cause(ctx))
	}
	return r.allReady(ctx)
}

func (r *readiness) allReady(ctx context.Context) error {
	for {
		r.mu.Lock()
		pending, changed := r.pending, r.changed
		r.mu.Unlock()
		if pending == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", context.Cause(ctx), r.complaint())
		}
	}
}

// unready returns the resources that have objects which are not ready.
func (r *readiness) unready() map[schema.GroupVersionResource]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	resources := map[schema.GroupVersionResource]bool{}
	for _, s := range r.objects {
		if s.status != status.CurrentStatus {
			resources[s.resource] = true
		}
	}
	return resources
}

// watch follows all of our objects of some resources until ctx ends, or stop is called.
// seen says of each resource whether its first list was taken in.
func (r *readiness) watch(ctx context.Context, resources map[schema.GroupVersionResource]bool) (seen []cache.InformerSynced, stop func()) {
	watching, end := context.WithCancel(klog.NewContext(ctx, logr.FromSlogHandler(r.log.Handler())))
	var informers sync.WaitGroup
	for resource := range resources {
		informer, listed := r.informer(resource)
		seen = append(seen, listed)
		informers.Go(func() { informer.RunWithContext(watching) })
	}
	return seen, func() { end(); informers.Wait() }
}

// informer follows all of our objects of one resource once it runs.
func (r *readiness) informer(resource schema.GroupVersionResource) (cache.SharedIndexInformer, cache.InformerSynced) {
	informer := dynamicinformer.NewFilteredDynamicInformer(r.server.dynamic, resource, metav1.NamespaceAll, 0, cache.Indexers{},
		func(o *metav1.ListOptions) { o.LabelSelector = appliedLabel + "=" + r.server.label }).Informer()
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { r.each(o, r.seen) },
		UpdateFunc: func(_, o any) { r.each(o, r.seen) },
		DeleteFunc: func(o any) { r.each(o, r.vanished) },
	})
	if err != nil {
		r.log.Error("watch of a manifest's objects", "resource", resource.String(), "error", err)
		return informer, func() bool { return false }
	}
	return informer, handler.HasSynced
}

// each calls f for an object from an informer's handler.
func (r *readiness) each(o any, f func(*unstructured.Unstructured)) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	if u, ok := o.(*unstructured.Unstructured); ok {
		f(u)
	}
}

// count returns how many objects are ready.
func (r *readiness) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.objects) - r.pending
}

// complaint names objects that are not ready, and why.
func (r *readiness) complaint() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, s := range r.objects {
		if s.status != status.CurrentStatus {
			lines = append(lines, fmt.Sprintf("%s is %s (%s)", s.name, s.status, strings.TrimSpace(s.message)))
		}
	}
	slices.Sort(lines)
	text := strings.Join(lines[:min(len(lines), mostNamed)], "; ")
	if more := len(lines) - mostNamed; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
