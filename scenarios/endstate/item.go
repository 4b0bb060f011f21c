package endstate

import (
	"encoding/json"
	"strings"
)

// item is one object on its way through the rules, which change it.
type item struct {
	resource        string // plural.group, the plural alone for core
	namespace, name string
	uid             string
	owners          []owner
	object          map[string]any // what is left of the object
	status          map[string]any // as it was
	// counts makes the item one of many alike, which are counted and not named.
	counts map[string]int64
	// byOwner says that the top of the chain of owners stands for the name.
	byOwner bool
	// generated says that the name was not chosen by a person or a controller's
	// rule; name is then what all such names have in common.
	generated bool
	dropped   bool
}

// owner is one owner reference.
type owner struct {
	apiVersion, kind, name, uid string
	controller                  bool
}

func newItem(resource string, object map[string]any) *item {
	meta := child(object, "metadata")
	it := &item{
		resource: resource, object: object, status: child(object, "status"),
		namespace: text(meta, "namespace"), name: text(meta, "name"), uid: text(meta, "uid"),
	}
	for _, ref := range children(meta, "ownerReferences") {
		controller, _ := ref["controller"].(bool)
		it.owners = append(it.owners, owner{
			apiVersion: text(ref, "apiVersion"), kind: text(ref, "kind"),
			name: text(ref, "name"), uid: text(ref, "uid"), controller: controller,
		})
	}
	// The key says all of this.
	delete(object, "apiVersion")
	delete(object, "kind")
	for _, key := range []string{"namespace", "name", "ownerReferences"} {
		delete(meta, key)
	}
	return it
}

// controller returns the owner reference with controller: true, nil: none.
func (it *item) controller() *owner {
	for i := range it.owners {
		if it.owners[i].controller {
			return &it.owners[i]
		}
	}
	return nil
}

// controlledBy says whether the controller is of a kind of an API group.
func (it *item) controlledBy(group, kind string) bool {
	c := it.controller()
	return c != nil && c.kind == kind && strings.HasPrefix(c.apiVersion, group+"/")
}

func (it *item) meta() map[string]any { return child(it.object, "metadata") }
func (it *item) spec() map[string]any { return child(it.object, "spec") }

// mask keeps that there is a value, but not which.
func mask(m map[string]any, key string) {
	if _, found := m[key]; found {
		m[key] = masked
	}
}

const masked = "(differs from run to run)"

// child returns the object at a path, nil if there is none.
func child(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		m, _ = m[key].(map[string]any)
	}
	return m
}

// children returns the objects in a list.
func children(m map[string]any, key string) []map[string]any {
	values, _ := m[key].([]any)
	var list []map[string]any
	for _, v := range values {
		if o, ok := v.(map[string]any); ok {
			list = append(list, o)
		}
	}
	return list
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// number reads a whole number as any of the decoders of JSON leaves it.
func number(m map[string]any, key string) int64 {
	switch n := m[key].(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	case json.Number:
		i, _ := n.Int64() // 0 is what an absent number counts as, too
		return i
	}
	return 0
}

// without deletes keys of the object at a path, and the object if nothing is
// left of it: an empty map and none say the same where this is used.
func without(m map[string]any, path []string, keys ...string) {
	parent := child(m, path[:len(path)-1]...)
	last := path[len(path)-1]
	inner := child(parent, last)
	if inner == nil {
		return
	}
	for _, key := range keys {
		delete(inner, key)
	}
	if len(inner) == 0 {
		delete(parent, last)
	}
}

var (
	labels      = []string{"metadata", "labels"}
	annotations = []string{"metadata", "annotations"}
)
