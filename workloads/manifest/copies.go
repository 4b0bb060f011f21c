package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Scope says whether objects of a kind live in namespaces.
type Scope func(schema.GroupVersionKind) (namespaced bool, err error)

// Plan is what will be applied, in order.
type Plan struct {
	// Definitions are applied once and first: custom resource definitions, and
	// API services, whose names are part of what they say.
	Definitions []Object
	// Copies are independent of each other. Within one, namespaces come first,
	// those that the manifest only mentions among them.
	Copies [][]Object
}

const (
	defaultNamespace = "default"
	mostNamespace    = 63  // characters of a namespace's name (RFC 1123 label)
	mostName         = 253 // characters of any other object's (RFC 1123 subdomain)
)

// Definition says whether an object is applied once, whatever the copies.
func (o Object) Definition() bool {
	switch o.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
		schema.GroupKind{Group: "apiregistration.k8s.io", Kind: "APIService"}:
		return true
	}
	return false
}

// Plan lays out n copies. One copy is the manifest as it is written. Of
// several, the i-th has "-i" appended to each namespace (objects without one
// belong to "default") and to the name of each cluster-scoped object; the
// namespaces of Kubernetes itself (kube-*) are shared, so there the objects'
// names get the suffix.
func (m *Manifest) Plan(n int, scope Scope) (*Plan, error) {
	if n < 1 {
		return nil, fmt.Errorf("%d copies, want at least 1", n)
	}
	objects, err := m.scoped(scope)
	if err != nil {
		return nil, err
	}
	plan := &Plan{}
	for i := 1; i <= n; i++ {
		c := newCopy(objects, i, n)
		made, err := c.make(m, objects)
		if err != nil {
			return nil, err
		}
		if i == 1 {
			plan.Definitions = slices.DeleteFunc(slices.Clone(made), func(o Object) bool { return !o.Definition() })
		}
		made = slices.DeleteFunc(made, Object.Definition)
		plan.Copies = append(plan.Copies, append(c.implied(made), made...))
	}
	return plan, nil
}

// scopedObject is an object and whether it lives in a namespace.
type scopedObject struct {
	Object
	namespaced bool
}

func (m *Manifest) scoped(scope Scope) ([]scopedObject, error) {
	list := make([]scopedObject, len(m.Objects))
	var errs []error
	for i, o := range m.Objects {
		namespaced, err := scope(o.GroupVersionKind())
		if err != nil {
			errs = append(errs, m.at(o.Line, err))
		}
		list[i] = scopedObject{o, namespaced}
	}
	return list, errors.Join(errs...)
}

// copyMaker makes one copy.
type copyMaker struct {
	suffix     string            // "" for the only copy
	namespaces map[string]string // of the manifest, to those of the copy
	// cluster holds the names of the manifest's cluster-scoped objects.
	cluster names
	// shared holds those of its objects in namespaces of Kubernetes.
	shared names
}

// names are the names of objects by kind.
type names map[schema.GroupKind]map[string]bool

func (n names) add(kind schema.GroupKind, name string) {
	if n[kind] == nil {
		n[kind] = map[string]bool{}
	}
	n[kind][name] = true
}

func newCopy(objects []scopedObject, i, n int) *copyMaker {
	c := &copyMaker{namespaces: map[string]string{}, cluster: names{}, shared: names{}}
	if n > 1 {
		c.suffix = fmt.Sprintf("-%d", i)
	}
	for _, o := range objects {
		gk := o.GroupVersionKind().GroupKind()
		switch {
		case o.namespaced:
			c.addNamespace(namespaceOf(o))
			if shared(namespaceOf(o)) {
				c.shared.add(gk, o.GetName())
			}
		case isNamespace(gk):
			c.addNamespace(o.GetName())
		case !o.Definition():
			c.cluster.add(gk, o.GetName())
		}
	}
	return c
}

func (c *copyMaker) addNamespace(name string) {
	if shared(name) {
		c.namespaces[name] = name
		return
	}
	c.namespaces[name] = name + c.suffix
}

// shared says whether a namespace is part of Kubernetes itself.
func shared(namespace string) bool { return strings.HasPrefix(namespace, "kube-") }

func isNamespace(gk schema.GroupKind) bool { return gk == schema.GroupKind{Kind: "Namespace"} }

func namespaceOf(o scopedObject) string {
	if ns := o.GetNamespace(); ns != "" {
		return ns
	}
	return defaultNamespace
}

// serverFields of the metadata are the server's to fill in. They are found in
// manifests that were read from a cluster, and creation fails with some of them.
var serverFields = []string{"resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "selfLink"}

// make returns the copy's objects, namespaces first.
func (c *copyMaker) make(m *Manifest, objects []scopedObject) ([]Object, error) {
	var namespaces, others []Object
	for _, o := range objects {
		made := Object{Unstructured: o.DeepCopy(), Line: o.Line}
		isNS := isNamespace(o.GroupVersionKind().GroupKind())
		switch {
		case o.Definition():
		case isNS:
			made.SetName(c.namespaces[o.GetName()])
		case !o.namespaced:
			made.SetNamespace("")
			made.SetName(o.GetName() + c.suffix)
		case shared(namespaceOf(o)):
			made.SetName(o.GetName() + c.suffix)
		default:
			made.SetNamespace(c.namespaces[namespaceOf(o)])
		}
		for _, field := range serverFields {
			unstructured.RemoveNestedField(made.Object, "metadata", field)
		}
		c.references(made)
		if err := checkLength(made, isNS); err != nil {
			return nil, m.at(o.Line, refusal{err})
		}
		if isNS {
			namespaces = append(namespaces, made)
		} else {
			others = append(others, made)
		}
	}
	return append(namespaces, others...), nil
}

func checkLength(o Object, isNamespace bool) error {
	if n := len(o.GetName()); n > mostName || (isNamespace && n > mostNamespace) {
		return fmt.Errorf("%s: the name of the copy is too long (%d characters)", o, n)
	}
	if n := len(o.GetNamespace()); n > mostNamespace {
		return fmt.Errorf("%s: the namespace of the copy is too long (%d characters)", o, n)
	}
	return nil
}

// implied returns the namespaces that the copy needs and does not bring along.
func (c *copyMaker) implied(made []Object) []Object {
	needed := map[string]int{} // to the line that first needs it
	for _, o := range made {
		if ns := o.GetNamespace(); ns != "" && ns != defaultNamespace && !shared(ns) && needed[ns] == 0 {
			needed[ns] = o.Line
		}
	}
	for _, o := range made {
		if isNamespace(o.GroupVersionKind().GroupKind()) {
			delete(needed, o.GetName())
		}
	}
	var list []Object
	for ns, line := range needed {
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns},
		}}
		list = append(list, Object{Unstructured: u, Line: line})
	}
	slices.SortFunc(list, func(a, b Object) int { return strings.Compare(a.GetName(), b.GetName()) })
	return list
}
