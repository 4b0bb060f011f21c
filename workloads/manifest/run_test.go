package manifest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// The workload runs here against client-go's fake dynamic client. What a real
// server adds (defaulting, webhooks, discovery) is for the scenarios' suite.

// fixedMapper is a RESTMapper that needs no server.
type fixedMapper struct{ *meta.DefaultRESTMapper }

func (fixedMapper) Reset() {}

var kinds = []struct {
	gvk        schema.GroupVersionKind
	plural     string
	namespaced bool
}{
	{schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, "namespaces", false},
	{schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}, "serviceaccounts", true},
	{schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, "configmaps", true},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, "deployments", true},
	{schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, "customresourcedefinitions", false},
	{schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Fleet"}, "fleets", false},
}

// fakeServer returns a server of the kinds above which makes a service account
// for each namespace.
func fakeServer(t *testing.T, existing ...runtime.Object) (*server, *fake.FakeDynamicClient) {
	t.Helper()
	mapper := meta.NewDefaultRESTMapper(nil)
	lists := map[schema.GroupVersionResource]string{}
	for _, k := range kinds {
		scope := meta.RESTScopeRoot
		if k.namespaced {
			scope = meta.RESTScopeNamespace
		}
		gvr := k.gvk.GroupVersion().WithResource(k.plural)
		mapper.AddSpecific(k.gvk, gvr, gvr, scope)
		lists[gvr] = k.gvk.Kind + "List"
	}
	c := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, existing...)
	c.PrependReactor("get", "serviceaccounts", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &unstructured.Unstructured{Object: map[string]any{}}, nil
	})
	return &server{dynamic: c, mapper: fixedMapper{mapper}, label: "applied"}, c
}

func newRun(t *testing.T, s *server, data string, copies int) *Workload {
	t.Helper()
	m, err := Parse("app.yaml", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return &Workload{server: s, cfg: Config{Manifest: m, Copies: copies, AtOnce: 4, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)}}
}

const fleet = `
apiVersion: example.com/v1
kind: Fleet
metadata: {name: big}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: fleets.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Fleet}, versions: [{name: v1}]}
`

// controllers establish definitions and run Deployments, a moment after they
// were created.
func controllers(ctx context.Context, c *fake.FakeDynamicClient) {
	crds := c.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	for ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		if crd, err := crds.Get(ctx, "fleets.example.com", metav1.GetOptions{}); err == nil {
			crd.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}}
			_, _ = crds.Update(ctx, crd, metav1.UpdateOptions{})
		}
		all, err := c.Resource(deployments).List(ctx, metav1.ListOptions{})
		if err != nil {
			continue
		}
		for _, d := range all.Items {
			d.Object["status"] = map[string]any{
				"replicas": int64(2), "updatedReplicas": int64(2), "readyReplicas": int64(2), "availableReplicas": int64(2),
				"conditions": []any{map[string]any{"type": "Available", "status": "True"}},
			}
			_, _ = c.Resource(deployments).Namespace(d.GetNamespace()).Update(ctx, &d, metav1.UpdateOptions{})
		}
	}
}

// did lists the actions of one verb.
func did(c *fake.FakeDynamicClient, verb string) (list []string) {
	for _, a := range c.Actions() {
		if a.GetVerb() != verb {
			continue
		}
		name := ""
		switch a := a.(type) {
		case clienttesting.CreateAction:
			name = a.GetObject().(*unstructured.Unstructured).GetName()
		case clienttesting.DeleteAction:
			name = a.GetName()
		}
		list = append(list, strings.TrimPrefix(fmt.Sprintf("%s/%s %s", a.GetNamespace(), a.GetResource().Resource, name), "/"))
	}
	return list
}

func TestApplyAndCleanup(t *testing.T) {
	s, c := fakeServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go controllers(ctx, c)
	w := newRun(t, s, fleet, 2)
	w.cfg.AtOnce = 1 // for an order that can be compared
	result, err := w.Apply(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := [4]int{result.Objects, result.Created, result.Existing, result.Ready}
	if want := [4]int{9, 9, 0, 9}; got != want {
		t.Errorf("objects, created, existing, ready: %v, want %v", got, want)
	}
	created := []string{
		"customresourcedefinitions fleets.example.com",
		"namespaces default-1", "fleets big-1", "default-1/deployments web", "default-1/configmaps notes",
		"namespaces default-2", "fleets big-2", "default-2/deployments web", "default-2/configmaps notes",
	}
	if diff := cmp.Diff(created, did(c, "create")); diff != "" {
		t.Errorf("created (-want +got)\n%s", diff)
	}
	if err := w.Cleanup(ctx); err != nil {
		t.Fatal(err)
	}
	deleted := []string{
		"default-2/configmaps notes", "default-2/deployments web", "fleets big-2", "namespaces default-2",
		"default-1/configmaps notes", "default-1/deployments web", "fleets big-1", "namespaces default-1",
		"customresourcedefinitions fleets.example.com",
	}
	if diff := cmp.Diff(deleted, did(c, "delete")); diff != "" {
		t.Errorf("deleted (-want +got)\n%s", diff)
	}
}

func TestNotReadyIsNamed(t *testing.T) {
	s, _ := fakeServer(t)
	w := newRun(t, s, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n", 1)
	w.cfg.Timeout = time.Second // in which it is looked at once
	result, err := w.Apply(t.Context())
	const want = "manifest app.yaml: objects not ready within 1s: Deployment default/web is InProgress (Replicas: 0/2)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if result.Created != 1 || result.Ready != 0 {
		t.Errorf("created %d, ready %d", result.Created, result.Ready)
	}
}

func TestUnknownKindAppliesNothing(t *testing.T) {
	s, c := fakeServer(t)
	w := newRun(t, s, fleet+"---\napiVersion: x.io/v1\nkind: Nonsense\nmetadata: {name: a}\n", 1)
	_, err := w.Apply(t.Context())
	const want = `app.yaml:20: the server knows no kind "Nonsense" in "x.io/v1", nor does the manifest define it`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if got := did(c, "create"); got != nil {
		t.Errorf("created %v all the same", got)
	}
}

// What was there before the run stays after it.
func TestExistingIsKept(t *testing.T) {
	notes := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "notes", "namespace": "default"},
	}}
	s, c := fakeServer(t, notes)
	applied := false
	c.PrependReactor("patch", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		applied = true
		return true, notes, nil
	})
	w := newRun(t, s, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\n", 1)
	result, err := w.Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if result.Created != 0 || result.Existing != 1 || !applied {
		t.Errorf("created %d, existing %d, applied %v", result.Created, result.Existing, applied)
	}
	if err := w.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := did(c, "delete"); got != nil {
		t.Errorf("deleted %v", got)
	}
}

func TestRefusalNamesTheLine(t *testing.T) {
	s, c := fakeServer(t)
	attempts := 0
	c.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		if attempts++; attempts == 1 { // is tried again
			return true, nil, apierrors.NewInternalError(fmt.Errorf("webhook does not answer"))
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "notes", fmt.Errorf("not today"))
	})
	w := newRun(t, s, "# one\n# two\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\n", 1)
	_, err := w.Apply(t.Context())
	const want = `app.yaml:3: apply ConfigMap default/notes: configmaps "notes" is forbidden: not today`
	if err == nil || err.Error() != want || attempts != 2 {
		t.Errorf("after %d attempts\ngot  %v\nwant %s", attempts, err, want)
	}
}

func TestReadiness(t *testing.T) {
	s, _ := fakeServer(t)
	r := newReadiness(s, slog.New(slog.DiscardHandler))
	object := func(kind, name string, status map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": kind, "metadata": map[string]any{"name": name}, "status": status,
		}}
	}
	ready := func(value string) map[string]any {
		return map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": value, "message": "warming up"}}}
	}
	for i := range 12 {
		if err := r.expect(Object{Unstructured: object("Fleet", fmt.Sprintf("f%02d", i), ready("False"))}); err != nil {
			t.Fatal(err)
		}
	}
	f := func(what string, u *unstructured.Unstructured, event func(*unstructured.Unstructured), want int) {
		t.Helper()
		event(u)
		if got := r.count(); got != want {
			t.Errorf("%s: %d ready, want %d", what, got, want)
		}
	}
	f("becomes ready", object("Fleet", "f00", ready("True")), r.seen, 1)
	f("says so twice", object("Fleet", "f00", ready("True")), r.seen, 1)
	f("falls back", object("Fleet", "f00", ready("False")), r.seen, 0)
	f("is ready again", object("Fleet", "f00", ready("True")), r.seen, 1)
	f("ready, then deleted", object("Fleet", "f00", nil), r.vanished, 1)
	f("deleted before it was ready", object("Fleet", "f01", nil), r.vanished, 1)
	f("not ours", object("Fleet", "other", ready("True")), r.seen, 1)
	text := r.complaint()
	if !strings.HasPrefix(text, "Fleet f01 is NotFound (somebody has deleted it); Fleet f02 is InProgress (warming up); ") ||
		!strings.HasSuffix(text, "; and 1 more") {
		t.Error(text)
	}
}

// Objects that were ready may have ceased to be: they are looked at again. Whether one
// that is gone would be is no question.
func TestReadyAgain(t *testing.T) {
	s, c := fakeServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	established, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); controllers(established, c) }()
	w := newRun(t, s, fleet, 1)
	if _, err := w.Apply(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	<-done
	definitions := c.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	if err := definitions.Delete(ctx, "fleets.example.com", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.ReadyAgain(ctx); err != nil {
		t.Errorf("one that was ready is gone: %v", err)
	}
	deployments := c.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace("default")
	d, err := deployments.Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(d.Object, int64(1), "status", "readyReplicas"); err != nil {
		t.Fatal(err)
	}
	if _, err := deployments.Update(ctx, d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.cfg.Timeout = time.Second
	const want = "manifest app.yaml: objects again not ready within 1s: Deployment default/web is InProgress (Ready: 1/2)"
	if err := w.ReadyAgain(ctx); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
