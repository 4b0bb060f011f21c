package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

const prepareBound = time.Minute

var (
	namespaceResource  = client.Resource{Version: "v1", Plural: "namespaces"}
	accountResource    = client.Resource{Version: "v1", Plural: "serviceaccounts"}
	definitionResource = client.Resource{Group: "apiextensions.k8s.io", Version: "v1", Plural: "customresourcedefinitions"}
)

// definitionName is the name of the custom resource definition.
const definitionName = "widgets." + group

// Prepare makes the namespaces, the custom resource definition and the objects
// with fixed names, and waits until every client's API server serves all
// kinds. It takes a minute at most.
func (w *Workload) Prepare(ctx context.Context) error {
	ctx, cancel := bounded(ctx, "prepare", prepareBound)
	defer cancel()
	for _, step := range []func(context.Context) error{
		w.makeNamespaces, w.makeDefinition, w.awaitKinds, w.makeObjects,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("prepare contract workload: %w", err)
		}
	}
	return nil
}

// ensure creates something that all clients share, until it is there. Nothing
// that bears marks goes this way, for it sends the same request again.
func (w *Workload) ensure(ctx context.Context, r client.Request) error {
	r.Verb = "create"
	what := "create " + r.Resource.Plural + " " + r.Name
	return wait(ctx, what, func(ctx context.Context) error {
		_, err := w.actors[0].send(ctx, r)
		if client.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
}

// send sends a request that belongs to no operation.
func (a *actor) send(ctx context.Context, r client.Request) (*client.Response, error) {
	return (&turn{actor: a}).send(ctx, r)
}

// makeNamespaces also makes the service accounts without which no pod is
// admitted: a control plane without a controller-manager makes none.
func (w *Workload) makeNamespaces(ctx context.Context) error {
	for _, name := range w.plan.Namespaces {
		labels := map[string]string{partLabel: partValue}
		raw, err := (&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}).Marshal()
		if err != nil {
			return fmt.Errorf("encode namespace: %w", err)
		}
		err = w.ensure(ctx, client.Request{Resource: namespaceResource, Name: name, Body: wire.Wrap("v1", "Namespace", raw)})
		if err != nil {
			return err
		}
		raw, err = (&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "default"}}).Marshal()
		if err != nil {
			return fmt.Errorf("encode service account: %w", err)
		}
		err = w.ensure(ctx, client.Request{
			Resource: accountResource, Namespace: name, Name: "default", Body: wire.Wrap("v1", "ServiceAccount", raw),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// makeDefinition defines the custom resource. It has no status subresource and
// prunes nothing.
func (w *Workload) makeDefinition(ctx context.Context) error {
	if !w.custom() {
		return nil
	}
	schema := fields{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	body, err := json.Marshal(fields{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   fields{"name": definitionName, "labels": fields{partLabel: partValue}},
		"spec": fields{
			"group": group,
			"scope": "Namespaced",
			"names": fields{"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
			"versions": []fields{{
				"name": "v1", "served": true, "storage": true, "schema": fields{"openAPIV3Schema": schema},
			}},
		},
	})
	if err != nil {
		return fmt.Errorf("encode definition: %w", err)
	}
	return w.ensure(ctx, client.Request{
		Resource: definitionResource, Name: definitionName, Body: body, ContentType: jsonType, Accept: jsonType,
	})
}

// custom says whether custom resources take part.
func (w *Workload) custom() bool {
	for _, name := range w.plan.Kinds {
		if kindNamed(name).custom {
			return true
		}
	}
	return false
}

// awaitKinds waits until each client can list each kind: a definition is
// served by one API server sooner than by another. It gives the board its
// first versions.
func (w *Workload) awaitKinds(ctx context.Context) error {
	for _, a := range w.actors {
		for _, name := range w.plan.Kinds {
			t := &turn{actor: a, object: object{kind: kindNamed(name), namespace: w.plan.Namespaces[0]}}
			err := wait(ctx, fmt.Sprintf("wait for %s to be served to %s", name, a.mark), func(ctx context.Context) error {
				r := t.about("list")
				r.Query = url.Values{"limit": {"1"}}
				_, err := t.page(ctx, r)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// makeObjects creates the objects with fixed names, one client after the
// other. Each try writes a value of its own: the one before may have taken
// effect though its answer was lost, and then this one finds the object there.
func (w *Workload) makeObjects(ctx context.Context) error {
	for i, o := range w.plan.objects() {
		a := w.actors[i%len(w.actors)]
		try := uint64(0)
		err := wait(ctx, "create "+o.key(), func(ctx context.Context) error {
			try++
			t := &turn{actor: a, object: o, rng: rand.New(rand.NewPCG(w.plan.Seed, uint64(i)<<32|try))}
			r, marks, ok := t.newFixed()
			if !ok {
				return errors.New("cannot encode it")
			}
			_, err := t.writeAs(ctx, r, marks, false)
			if client.IsAlreadyExists(err) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
