package watches

import (
	"math"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// The fields by which changes are indexed where a watch pins them.
const (
	pinNode      = "spec.nodeName"
	pinName      = "metadata.name"
	pinNamespace = "metadata.namespace"
	pinObject    = "namespace/name" // both
)

// object is who an object is, one for all its lives.
type object struct{ namespace, name string }

// entry is one change: the versions themselves stay in the table, which may
// have to make them anew for each reader.
type entry struct {
	rev int64
	obj *object
}

// step is a change with what was before it.
type step struct {
	rev       int64
	obj       *object
	now, prev *history.Version // nil: there was no object
}

// group is the changes that may matter to a watch, in their order.
type group struct {
	entries []entry
	objects []*object // those of entries, once each
}

// resource is the index of one kind.
type resource struct {
	kind    *versions.Kind
	objects map[object]*object
	all     *group
	classes map[string]map[string]*group // by field, then by its value
}

func newResource(k *versions.Kind) *resource {
	r := &resource{kind: k, objects: map[object]*object{}, all: &group{}, classes: map[string]map[string]*group{}}
	for c := range k.Changes(0, math.MaxInt64) {
		r.all.entries = append(r.all.entries, entry{c.Now.Revision, r.object(c.Now.Namespace, c.Now.Name)})
	}
	r.all.finish()
	return r
}

// object returns the one object of that name.
func (r *resource) object(namespace, name string) *object {
	key := object{namespace, name}
	o := r.objects[key]
	if o == nil {
		o = &key
		r.objects[key] = o
	}
	return o
}

// group returns the changes for a watch that pins a field to a value; the
// field "" is none.
func (r *resource) group(field, value string) *group {
	if field == "" {
		return r.all
	}
	class := r.classes[field]
	if class == nil {
		class = r.classify(field)
		r.classes[field] = class
	}
	if g := class[value]; g != nil {
		return g
	}
	return &group{}
}

func (r *resource) classify(field string) map[string]*group {
	class := map[string]*group{}
	add := func(value string, e entry) {
		g := class[value]
		if g == nil {
			g = &group{}
			class[value] = g
		}
		g.entries = append(g.entries, e)
	}
	switch field {
	case pinNode:
		r.classifyByNode(add)
	case pinName:
		for _, e := range r.all.entries {
			add(e.obj.name, e)
		}
	case pinObject:
		for _, e := range r.all.entries {
			add(e.obj.String(), e)
		}
	case pinNamespace:
		for _, e := range r.all.entries {
			add(e.obj.namespace, e)
		}
	}
	for _, g := range class {
		g.finish()
	}
	return class
}

// classifyByNode adds a change to the node that the object was on before, too:
// there it ceases to match.
func (r *resource) classifyByNode(add func(string, entry)) {
	i := 0
	for c := range r.kind.Changes(0, math.MaxInt64) {
		e := r.all.entries[i]
		i++
		now, prev := c.Now.Field(pinNode), ""
		if c.Prev != nil {
			prev = c.Prev.Field(pinNode)
		}
		if !c.Now.Delete {
			add(now, e)
		}
		if c.Prev != nil && (c.Now.Delete || prev != now) {
			add(prev, e)
		}
	}
}

func (g *group) finish() {
	g.entries = slices.Clip(g.entries)
	known := map[*object]bool{}
	for _, e := range g.entries {
		if !known[e.obj] {
			known[e.obj] = true
			g.objects = append(g.objects, e.obj)
		}
	}
}

// after returns the index of the first change after rev.
func (g *group) after(rev int64) int {
	i, _ := slices.BinarySearchFunc(g.entries, rev, func(e entry, rev int64) int {
		if e.rev <= rev {
			return -1
		}
		return 1
	})
	return i
}

// step looks a change up.
func (r *resource) step(e entry) step {
	s := step{rev: e.rev, obj: e.obj}
	s.now = r.kind.At(e.obj.namespace, e.obj.name, e.rev)
	s.prev = r.kind.At(e.obj.namespace, e.obj.name, e.rev-1)
	return s
}

// pin finds what a watch pins, the narrowest first: one object, a name, a node,
// a namespace. Fields that it does not understand it leaves to the selector.
func pin(call *history.APICall) (field, value string) {
	pinned := map[string]string{}
	for _, term := range strings.Split(call.FieldSelector, ",") {
		name, value, found := strings.Cut(term, "=")
		value = strings.TrimPrefix(value, "=")
		if found && value != "" && !strings.HasSuffix(name, "!") && !strings.Contains(value, `\`) {
			pinned[name] = value
		}
	}
	if call.Name != "" {
		pinned[pinName] = call.Name
	}
	if call.Namespace != "" {
		pinned[pinNamespace] = call.Namespace
	}
	if o := (object{pinned[pinNamespace], pinned[pinName]}); o.namespace != "" && o.name != "" {
		return pinObject, o.String()
	}
	for _, field := range []string{pinName, pinNode, pinNamespace} {
		if value := pinned[field]; value != "" && (field != pinNode || call.Group == "" && call.Resource == "pods") {
			return field, value
		}
	}
	return "", ""
}
