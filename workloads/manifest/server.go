package manifest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

const (
	// fieldManager is the name under which the server keeps what we applied.
	fieldManager = "planecheck"
	// appliedLabel marks what was applied, so that all of it can be listed.
	appliedLabel = "planecheck.dev/manifest"

	// retryLimit bounds the attempts for one object. Webhooks of the manifest
	// itself may take a while until they answer.
	retryLimit = time.Minute
	retryFirst = 100 * time.Millisecond
	retryMost  = 2 * time.Second
)

// server is the API server as the workload sees it.
type server struct {
	dynamic dynamic.Interface
	mapper  meta.ResettableRESTMapper
	label   string // value of appliedLabel
}

func newServer(cfg *rest.Config, label string, log *slog.Logger) (*server, error) {
	cfg = rest.CopyConfig(cfg)
	// Without this, client-go prints the server's warnings to stderr.
	cfg.WarningHandlerWithContext = warnings{log}
	d, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("dynamic client: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("discovery client: %w", err)
	}
	return &server{dynamic: d, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco)), label: label}, nil
}

type warnings struct{ log *slog.Logger }

// HandleWarningHeaderWithContext logs a warning that came with an answer.
func (w warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.log.Warn("the API server warns", "text", text)
}

// scope returns the Scope of a manifest: what the server knows, and what the
// manifest defines itself.
func (s *server) scope(m *Manifest) Scope {
	own := map[schema.GroupVersionKind]bool{}
	for _, o := range m.Objects {
		for gvk, namespaced := range defines(o) {
			own[gvk] = namespaced
		}
	}
	return func(gvk schema.GroupVersionKind) (bool, error) {
		if namespaced, ok := own[gvk]; ok {
			return namespaced, nil
		}
		mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if meta.IsNoMatchError(err) {
			return false, refusal{fmt.Errorf("the server knows no kind %q in %q, nor does the manifest define it", gvk.Kind, gvk.GroupVersion())}
		}
		if err != nil {
			return false, fmt.Errorf("look up kind %q in %q: %w", gvk.Kind, gvk.GroupVersion(), err)
		}
		return mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
	}
}

// defines returns the kinds that a CustomResourceDefinition brings, and whether
// their objects live in namespaces.
func defines(o Object) map[schema.GroupVersionKind]bool {
	kinds := map[schema.GroupVersionKind]bool{}
	if o.GetKind() != "CustomResourceDefinition" {
		return kinds
	}
	group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
	scope, _, _ := unstructured.NestedString(o.Object, "spec", "scope")
	for _, v := range list(child(o.Object, "spec"), "versions") {
		version, _ := v["name"].(string)
		kinds[schema.GroupVersionKind{Group: group, Version: version, Kind: kind}] = scope == "Namespaced"
	}
	return kinds
}

// resource returns the way to objects like o.
func (s *server) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, schema.GroupVersionResource, error) {
	gvk := o.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, schema.GroupVersionResource{}, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return s.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), mapping.Resource, nil
	}
	return s.dynamic.Resource(mapping.Resource), mapping.Resource, nil
}

// put creates o, or applies it if there is an object of that name. ours says
// that the object would not exist without us.
func (s *server) put(ctx context.Context, o *unstructured.Unstructured) (stored *unstructured.Unstructured, ours bool, err error) {
	o = o.DeepCopy()
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[appliedLabel] = s.label
	o.SetLabels(labels)
	err = retry(ctx, func() error {
		r, _, err := s.resource(o)
		if err != nil {
			s.mapper.Reset() // a definition may have become known meanwhile
			return err
		}
		// Strict, as kubectl is: an unknown field is most likely a misspelt one.
		stored, err = r.Create(ctx, o, metav1.CreateOptions{FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict})
		ours = err == nil
		if apierrors.IsAlreadyExists(err) {
			stored, ours, err = s.adopt(ctx, r, o)
		}
		return err
	})
	return stored, ours, err
}

// adopt applies o to the object that exists. It is ours if an earlier attempt,
// whose answer was lost, has created it.
func (s *server) adopt(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) (*unstructured.Unstructured, bool, error) {
	existing, err := r.Get(ctx, o.GetName(), metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	if existing.GetLabels()[appliedLabel] == s.label {
		return existing, true, nil
	}
	stored, err := r.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return stored, false, err
}

// remove deletes o and, by garbage collection, what it owns. That it is not
// there any more is no error.
func (s *server) remove(ctx context.Context, o *unstructured.Unstructured) error {
	return retry(ctx, func() error {
		r, _, err := s.resource(o)
		if err == nil {
			background := metav1.DeletePropagationBackground
			err = r.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
		}
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			return nil
		}
		return err
	})
}

// retry calls f until it succeeds or fails for good.
func retry(ctx context.Context, f func() error) error {
	deadline := time.Now().Add(retryLimit)
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := f()
		if err == nil || !transient(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// transient says whether an error may go away by itself: an overloaded server,
// a webhook that does not answer yet, a kind that was defined a moment ago.
func transient(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	return apierrors.IsInternalError(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) ||
		(apierrors.IsNotFound(err) && !namesObject(err))
}

// namesObject says whether NotFound is about an object, and not about a path
// that the server does not serve (yet).
func namesObject(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name != ""
}
