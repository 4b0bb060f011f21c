package manifest

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
)

// InputError is what is wrong with a manifest itself: a kind that nobody knows, a
// field that a kind does not have, a value that is not valid. It is one line that
// begins with file and line.
type InputError struct{ err error }

func (e *InputError) Error() string { return strings.ReplaceAll(e.err.Error(), "\n", "; ") }

// Unwrap returns the errors of the single objects.
func (e *InputError) Unwrap() error { return e.err }

// refusal marks what the manifest is to blame for.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// refused marks the answers of a server by which the object is to blame: it could
// not be read (400, which field validation answers, too) or is not valid (422).
func refused(err error) error {
	if apierrors.IsBadRequest(err) || apierrors.IsInvalid(err) {
		return refusal{err}
	}
	return err
}

// blame makes an InputError of an error that holds a refusal.
func blame(err error) error {
	var r refusal
	if errors.As(err, &r) {
		return &InputError{err}
	}
	return err
}

// aggregated are the groups that a kube-apiserver serves and client-go does not know.
var aggregated = map[string]bool{"apiextensions.k8s.io": true, "apiregistration.k8s.io": true}

// Check finds, without a server, what a kube-apiserver of the linked version refuses:
// kinds that are neither Kubernetes' nor defined by the manifest, and fields that a
// kind of Kubernetes does not have. Fields of definitions, and of what they define, are
// left to the server, as is which of its own kinds it has switched off. The error is
// an InputError.
func (m *Manifest) Check() error {
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Strict: true})
	own := m.defined()
	var errs []error
	for _, o := range m.Objects {
		if err := checkObject(decoder, o, own); err != nil {
			errs = append(errs, m.at(o.Line, refusal{err}))
		}
	}
	return blame(errors.Join(errs...))
}

func checkObject(decoder runtime.Decoder, o Object, own map[schema.GroupKind]bool) error {
	gvk := o.GroupVersionKind()
	switch {
	case aggregated[gvk.Group], own[gvk.GroupKind()], own[schema.GroupKind{Group: gvk.Group}]:
		return nil
	case !scheme.Scheme.Recognizes(gvk):
		return fmt.Errorf("kind %q in %q is none of Kubernetes, nor does the manifest define it", gvk.Kind, gvk.GroupVersion())
	}
	text, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	if _, _, err := decoder.Decode(text, nil, nil); err != nil {
		return fmt.Errorf("%s: %w", o, err)
	}
	return nil
}

// defined are the kinds that the manifest brings along, and the groups, without a
// kind, that it has somebody else serve.
func (m *Manifest) defined() map[schema.GroupKind]bool {
	own := map[schema.GroupKind]bool{}
	for _, o := range m.Objects {
		for gvk := range defines(o) {
			own[gvk.GroupKind()] = true
		}
		if o.GetKind() == "APIService" {
			group, _ := child(o.Object, "spec")["group"].(string)
			own[schema.GroupKind{Group: group}] = true
		}
	}
	return own
}
