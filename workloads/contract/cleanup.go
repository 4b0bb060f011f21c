package contract

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

const cleanupBound = time.Minute

// Cleanup deletes all objects of the workload, the definition and the
// namespaces, and waits for the objects and the definition to be gone. The
// namespaces are left to the namespace controller, if there is one. It takes a
// minute at most.
func (w *Workload) Cleanup(ctx context.Context) error {
	ctx, cancel := bounded(ctx, "cleanup", cleanupBound)
	defer cancel()
	for _, name := range w.plan.Kinds {
		for _, namespace := range w.plan.Namespaces {
			t := &turn{actor: w.actors[0], object: object{kind: kindNamed(name), namespace: namespace}}
			if err := wait(ctx, fmt.Sprintf("clean up %s in %s", name, namespace), t.empty); err != nil {
				return fmt.Errorf("contract workload: %w", err)
			}
		}
	}
	if err := w.removeDefinition(ctx); err != nil {
		return fmt.Errorf("contract workload: %w", err)
	}
	for _, name := range w.plan.Namespaces {
		_, err := w.actors[0].send(ctx, client.Request{Verb: "delete", Resource: namespaceResource, Name: name})
		if err != nil && !client.IsNotFound(err) && !client.IsConflict(err) {
			return fmt.Errorf("contract workload: delete namespace %s: %w", name, err)
		}
	}
	return nil
}

// empty deletes what there is of one kind in one namespace. It fails as long as
// there is anything, for the caller to call it again.
func (t *turn) empty(ctx context.Context) error {
	r := t.about("list")
	r.Query = url.Values{"labelSelector": {partLabel + "=" + partValue}}
	resp, err := t.send(ctx, r)
	if client.IsNotFound(err) {
		return nil // the kind or the namespace is gone
	}
	if err != nil {
		return err
	}
	_, _, items, err := t.object.kind.listMeta(resp.Body)
	if err != nil {
		return fmt.Errorf("read list: %w", err)
	}
	for _, m := range items {
		t.object.name = m.name
		if err := t.end(ctx); err != nil {
			return err
		}
	}
	if len(items) > 0 {
		return fmt.Errorf("%d objects were there still", len(items))
	}
	return nil
}

// end deletes one object for good: the finalizers go before, so that the
// deletion takes effect, and after, if one was set in between.
func (t *turn) end(ctx context.Context) error {
	release := t.patch(mergePatch, fields{"metadata": fields{"finalizers": nil}})
	remove := t.about("delete")
	remove.Query = url.Values{"gracePeriodSeconds": {"0"}}
	for _, r := range []client.Request{release, remove} {
		r.Marks = &history.Marks{}
		if _, err := t.send(ctx, r); client.IsNotFound(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// removeDefinition deletes the definition and waits until it is gone.
func (w *Workload) removeDefinition(ctx context.Context) error {
	if !w.custom() {
		return nil
	}
	return wait(ctx, "delete definition "+definitionName, func(ctx context.Context) error {
		_, err := w.actors[0].send(ctx, client.Request{
			Verb: "delete", Resource: definitionResource, Name: definitionName, Accept: jsonType,
		})
		switch {
		case client.IsNotFound(err):
			return nil
		case err != nil:
			return err
		}
		return errors.New("it is there still")
	})
}
