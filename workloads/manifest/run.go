package manifest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/planecheck/planecheck/checkers/history"
)

const (
	// readyGrace and readyPerObject make up the default bound of the wait for
	// readiness.
	readyGrace     = 5 * time.Minute
	readyPerObject = 200 * time.Millisecond
	definedBound   = time.Minute     // until a definition is established
	accountBound   = time.Minute     // until a new namespace has its service account
	goneBound      = 5 * time.Minute // until what was deleted is gone
	poll           = 250 * time.Millisecond
	defaultAtOnce  = 8
)

// Config describes a manifest workload.
type Config struct {
	REST     *rest.Config
	Manifest *Manifest
	Copies   int           // default 1
	AtOnce   int           // copies that are applied at once; default 8
	Timeout  time.Duration // of the wait for readiness; default 5 min + 0.2 s an object
	Log      *slog.Logger
}

// Result is what Apply has done.
type Result struct {
	Objects  int `json:"objects"`
	Created  int `json:"created"`
	Existing int `json:"existing"` // were there already and were applied to
	Ready    int `json:"ready"`

	Started history.Time `json:"started"`
	Applied history.Time `json:"applied"` // when the last object was accepted
	Ended   history.Time `json:"ended"`   // when all were ready, or when Apply gave up
}

// Workload is a manifest on its way to a server.
type Workload struct {
	cfg    Config
	server *server

	mu      sync.Mutex
	result  Result
	ready   *readiness // of what Apply has applied; nil: it was not called
	created [][]Object // by group (the definitions, then each copy): what is ours
}

// New returns a Workload; nothing is sent yet.
func New(cfg Config) (*Workload, error) {
	if cfg.Copies == 0 {
		cfg.Copies = 1
	}
	if cfg.AtOnce == 0 {
		cfg.AtOnce = defaultAtOnce
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s, err := newServer(cfg.REST, "applied", cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", cfg.Manifest.File, err)
	}
	return &Workload{cfg: cfg, server: s}, nil
}

// Apply applies the definitions and all copies, and returns when every object
// is ready by the rules of kstatus. Kinds that the server does not know are an
// error before anything is applied. What is wrong with the manifest itself is an
// InputError.
func (w *Workload) Apply(ctx context.Context) (Result, error) {
	w.result = Result{Started: history.Now()}
	err := blame(w.apply(ctx))
	w.result.Ended = history.Now()
	return w.result, err
}

func (w *Workload) apply(ctx context.Context) error {
	plan, err := w.cfg.Manifest.Plan(w.cfg.Copies, w.server.scope(w.cfg.Manifest))
	if err != nil {
		return err
	}
	objects := len(plan.Definitions)
	for _, c := range plan.Copies {
		objects += len(c)
	}
	w.result.Objects = objects
	w.created = make([][]Object, 1+len(plan.Copies))
	ready := newReadiness(w.server, w.cfg.Log)
	w.ready = ready

	if err := w.applyGroup(ctx, 0, plan.Definitions, ready); err != nil {
		return err
	}
	if err := w.await(ctx, ready.await, "definitions", definedBound); err != nil {
		return err
	}
	w.server.mapper.Reset()

	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(w.cfg.AtOnce)
	for i, objects := range plan.Copies {
		g.Go(func() error { return w.applyGroup(gctx, i+1, objects, ready) })
	}
	err = g.Wait()
	w.result.Applied = history.Now()
	if err != nil {
		return err
	}
	return w.await(ctx, ready.await, "objects", w.readyBound())
}

// ReadyAgain returns when all objects that Apply has found ready are so at the same
// time, by the rules of kstatus. They have as long for it as Apply gives them.
func (w *Workload) ReadyAgain(ctx context.Context) error {
	return w.await(ctx, w.ready.again, "objects again", w.readyBound())
}

func (w *Workload) readyBound() time.Duration {
	if w.cfg.Timeout != 0 {
		return w.cfg.Timeout
	}
	return readyGrace + time.Duration(w.result.Objects)*readyPerObject
}

func (w *Workload) await(ctx context.Context, ready func(context.Context) error, what string, bound time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("%s not ready within %v", what, bound.Round(time.Millisecond)))
	defer cancel()
	err := ready(ctx)
	w.result.Ready = w.ready.count()
	if err != nil {
		return fmt.Errorf("manifest %s: %w", w.cfg.Manifest.File, err)
	}
	return nil
}

// applyGroup applies objects one after the other, so that each finds what the
// manifest has put before it.
func (w *Workload) applyGroup(ctx context.Context, group int, objects []Object, ready *readiness) error {
	for _, o := range objects {
		stored, ours, err := w.server.put(ctx, o.Unstructured)
		if err != nil {
			return w.cfg.Manifest.at(o.Line, refused(fmt.Errorf("apply %s: %w", o, err)))
		}
		w.note(group, o, ours)
		if err := ready.expect(Object{Unstructured: stored, Line: o.Line}); err != nil {
			return w.cfg.Manifest.at(o.Line, fmt.Errorf("apply %s: %w", o, err))
		}
		if ours && isNamespace(o.GroupVersionKind().GroupKind()) {
			if err := w.awaitAccount(ctx, o.GetName()); err != nil {
				return w.cfg.Manifest.at(o.Line, err)
			}
		}
	}
	return nil
}

func (w *Workload) note(group int, o Object, ours bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ours {
		w.result.Created++
		w.created[group] = append(w.created[group], o)
	} else {
		w.result.Existing++
	}
}

// awaitAccount waits for the default service account of a new namespace:
// before it exists, a pod would be refused.
func (w *Workload) awaitAccount(ctx context.Context, namespace string) error {
	accounts := w.server.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).Namespace(namespace)
	return until(ctx, accountBound, "the service account of namespace "+namespace, func(ctx context.Context) (bool, error) {
		_, err := accounts.Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	})
}

// Cleanup deletes what Apply has created, in reverse order, and waits until it
// is gone. Objects that were there before stay as they are.
func (w *Workload) Cleanup(ctx context.Context) error {
	g := errgroup.Group{}
	g.SetLimit(w.cfg.AtOnce)
	var mu sync.Mutex
	var errs []error
	remove := func(objects []Object) {
		for _, o := range slices.Backward(objects) {
			if err := w.server.remove(ctx, o.Unstructured); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("delete %s: %w", o, err))
				mu.Unlock()
			}
		}
	}
	if len(w.created) == 0 {
		return nil
	}
	for _, objects := range slices.Backward(w.created[1:]) {
		g.Go(func() error { remove(objects); return nil })
	}
	if err := g.Wait(); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, w.awaitGone(ctx, slices.Concat(w.created[1:]...)))
	remove(w.created[0])
	errs = append(errs, w.awaitGone(ctx, w.created[0]))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean up manifest %s: %w", w.cfg.Manifest.File, err)
	}
	return nil
}

// awaitGone waits until none of the objects exists any more. One list by label
// for each kind says so.
func (w *Workload) awaitGone(ctx context.Context, objects []Object) error {
	kinds := map[schema.GroupVersionKind]Object{}
	names := map[objectKey]string{}
	for _, o := range objects {
		kinds[o.GroupVersionKind()] = o
		names[keyOf(o.Unstructured)] = o.String()
	}
	for gvk, example := range kinds {
		_, resource, err := w.server.resource(example.Unstructured)
		if err != nil {
			continue // the kind itself is gone
		}
		left := ""
		err = until(ctx, goneBound, "objects of kind "+gvk.Kind+" to be gone", func(ctx context.Context) (bool, error) {
			found, err := w.server.dynamic.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: appliedLabel + "=" + w.server.label, Limit: 500})
			if apierrors.IsNotFound(err) {
				return true, nil
			}
			if err != nil {
				return false, err
			}
			left = ""
			for i := range found.Items {
				left = max(left, names[keyOf(&found.Items[i])])
			}
			return left == "", nil
		})
		if err != nil {
			return fmt.Errorf("%w; among those left: %s", err, left)
		}
	}
	return nil
}

// until polls a condition. Its error says what was waited for, and the last
// error of the condition.
func until(ctx context.Context, bound time.Duration, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return fmt.Errorf("wait up to %v for %s: %w", bound, what, errors.Join(context.Cause(ctx), err))
		}
	}
}
