package watches

import (
	"slices"
	"sort"
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
	res     *resource
	places  []uint32  // of the changes in res.entries; a change is in several groups
	objects []*object // those of the changes, once each
}

// len is the number of changes.
func (g *group) len() int { return len(g.places) }

func (g *group) entry(i int) entry { return g.res.entries[g.places[i]] }

// class is the groups of one field, by its values.
type class struct {
	res    *resource
	groups map[string]*group
}

// resource is the index of one kind. It grows with the kind.
type resource struct {
	kind    *versions.Kind
	known   int // versions of the kind that are in the index
	objects map[object]*object
	unknown map[object]*object // that a watch showed and the kind did not have
	entries []entry            // all changes
	all     *group
	classes map[string]class // by field
}

func newResource(k *versions.Kind) *resource {
	r := &resource{
		kind: k, objects: make(map[object]*object), unknown: map[object]*object{},
		entries: make([]entry, 0, k.Len()), classes: map[string]class{},
	}
	r.all = &group{res: r, places: make([]uint32, 0, k.Len())}
	return r
}

// extend takes in the changes that have come since it did so last.
func (r *resource) extend() {
	if r.known == r.kind.Len() {
		return
	}
	for rev, c := range r.kind.Bodies(r.known) {
		key := object{c.Now.Namespace, c.Now.Name}
		o := r.objects[key]
		born := o == nil
		if born {
			o = &key
			r.objects[key] = o
		}
		at := uint32(len(r.entries))
		r.entries = append(r.entries, entry{rev, o})
		r.all.add(at, born)
		for field, class := range r.classes {
			class.place(field, c, at, born)
		}
	}
	r.known = r.kind.Len()
}

// object returns the one object of that name.
func (r *resource) object(namespace, name string) *object {
	key := object{namespace, name}
	if o := r.objects[key]; o != nil {
		return o
	}
	o := r.unknown[key]
	if o == nil {
		o = &key
		r.unknown[key] = o
	}
	return o
}

// group returns the changes for a watch that pins a field to a value; the
// field "" is none.
func (r *resource) group(field, value string) *group {
	if field == "" {
		return r.all
	}
	c, ok := r.classes[field]
	if !ok {
		c = r.classify(field)
		r.classes[field] = c
	}
	return c.group(value)
}

func (r *resource) classify(field string) class {
	c, known := class{res: r, groups: map[string]*group{}}, map[*object]bool{}
	place := func(change versions.Change, at uint32) {
		o := r.entries[at].obj
		c.place(field, change, at, !known[o])
		known[o] = true
	}
	if field == pinNode {
		at := uint32(0)
		for _, change := range r.kind.Bodies(0) {
			place(change, at)
			at++
		}
	} else {
		for at := range r.entries {
			place(versions.Change{}, uint32(at))
		}
	}
	return c
}

// group returns the group of a value, which may be to come.
func (c class) group(value string) *group {
	g := c.groups[value]
	if g == nil {
		g = &group{res: c.res}
		c.groups[value] = g
	}
	return g
}

// place adds a change to the groups that it belongs to. No watch pins a field to
// nothing. born says that it is the first one of its object.
func (c class) place(field string, change versions.Change, at uint32, born bool) {
	o := c.res.entries[at].obj
	switch field {
	case pinNode:
		c.placeByNode(change, at)
	case pinName:
		c.group(o.name).add(at, born)
	case pinObject:
		c.group(o.String()).add(at, born)
	case pinNamespace:
		if o.namespace != "" {
			c.group(o.namespace).add(at, born)
		}
	}
}

// placeByNode adds a change to the node that the object was on before, too:
// there it ceases to match.
func (c class) placeByNode(change versions.Change, at uint32) {
	now, prev := change.Now.Field(pinNode), ""
	if change.Prev != nil {
		prev = change.Prev.Field(pinNode)
	}
	if now != "" {
		g := c.group(now)
		// A name may come back to its node. Those of one node are few.
		g.add(at, now != prev && !slices.Contains(g.objects, c.res.entries[at].obj))
	}
	if prev != "" && prev != now {
		c.group(prev).add(at, false)
	}
}

// add adds a change; first says that it is the first one of its object here.
func (g *group) add(at uint32, first bool) {
	g.places = append(g.places, at)
	if first {
		g.objects = append(g.objects, g.res.entries[at].obj)
	}
}

// after returns the index of the first change after rev.
func (g *group) after(rev int64) int {
	return sort.Search(len(g.places), func(i int) bool { return g.entry(i).rev > rev })
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
