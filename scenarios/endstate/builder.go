package endstate

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// longestChain bounds the way up from owner to owner.
const longestChain = 16

// builder gathers objects. What it keeps grows with the number of names and
// templates, not with that of pods.
type builder struct {
	rules    []rule
	excluded map[string]bool // namespaces
	found    map[key]*gathered
	contents map[digest]json.RawMessage
	// links are the objects, other than Pods, that have a controller or a
	// generated name, by uid: the steps from a Pod to the top.
	links map[string]link
}

type digest [sha256.Size]byte

// key says which objects are alike.
type key struct {
	resource, namespace, name string
	owner                     string // the controller, instead of a name
	content                   digest
}

type gathered struct {
	owners []owner
	counts map[string]int64
}

type link struct {
	name       string
	controller *owner
}

func newBuilder(rules []rule, excluded []string) *builder {
	b := &builder{
		rules: rules, excluded: map[string]bool{},
		found: map[key]*gathered{}, contents: map[digest]json.RawMessage{}, links: map[string]link{},
	}
	for _, namespace := range excluded {
		if namespace != "" { // that would be all objects outside of namespaces
			b.excluded[namespace] = true
		}
	}
	return b
}

// part returns an empty builder for a list that may have to be started over.
func (b *builder) part() *builder {
	return newBuilder(b.rules, slices.Collect(maps.Keys(b.excluded)))
}

// absorb takes over what another builder has gathered of other resources.
func (b *builder) absorb(part *builder) {
	maps.Copy(b.found, part.found)
	maps.Copy(b.contents, part.contents)
	maps.Copy(b.links, part.links)
}

// add takes in an object, which it changes.
func (b *builder) add(resource string, object map[string]any) error {
	if object == nil {
		object = map[string]any{}
	}
	it := newItem(resource, object)
	if b.excluded[it.namespace] {
		return nil
	}
	for _, r := range b.rules {
		if r.of != nil && !slices.Contains(r.of, resource) {
			continue
		}
		if r.apply(it); it.dropped {
			break
		}
	}
	b.link(it)
	if it.dropped {
		return nil
	}
	raw, err := it.encode()
	if err != nil {
		return err
	}
	k := key{resource: resource, namespace: it.namespace, name: it.name, content: sha256.Sum256(raw)}
	if it.byOwner {
		k.name, k.owner = "", it.controller().String()+" "+it.controller().uid
	}
	b.gather(k, it, raw)
	return nil
}

// link remembers the way up from an object that Pods may be below of.
func (b *builder) link(it *item) {
	c := it.controller()
	if it.uid == "" || it.resource == "pods" || it.resource == "endpointslices.discovery.k8s.io" || c == nil && !it.generated {
		return
	}
	b.links[it.uid] = link{name: it.name, controller: c}
}

func (b *builder) gather(k key, it *item, raw []byte) {
	if b.contents[k.content] == nil {
		b.contents[k.content] = raw
	}
	g := b.found[k]
	if g == nil {
		g = &gathered{owners: it.shownOwners()}
		b.found[k] = g
	}
	for what, n := range it.counts {
		if g.counts == nil {
			g.counts = map[string]int64{}
		}
		g.counts[what] += n
	}
}

// shownOwners are all owners of an object with a name. Of what is counted only
// the controller matters, where it stands for the name: any other owners are as
// many as the objects.
func (it *item) shownOwners() []owner {
	switch {
	case it.byOwner:
		return []owner{*it.controller()}
	case it.counts != nil:
		return nil
	}
	return it.owners
}

// top climbs from an owner to the one that nobody controls. It is of another
// name in each run if it is a Pod.
func (b *builder) top(o owner) owner {
	for range longestChain {
		l, found := b.links[o.uid]
		if !found || l.controller == nil {
			if found {
				o.name = l.name
			}
			break
		}
		o = *l.controller
	}
	if o.kind == "Pod" {
		o.name = "*"
	}
	return o
}

func (o owner) String() string { return o.kind + "/" + o.name }

// state returns all that was gathered, with the owners' names.
func (b *builder) state() *State {
	entries := map[string]*Entry{}
	for k, g := range b.found {
		e := &Entry{Resource: k.resource, Namespace: k.namespace, Name: k.name, Content: b.contents[k.content]}
		if k.owner != "" {
			top := b.top(g.owners[0])
			if top.kind == "CronJob" && strings.HasPrefix(top.apiVersion, "batch/") {
				continue // see the rule on the Jobs of CronJobs
			}
			e.Name = top.String()
		} else {
			e.Owners = b.owners(g.owners)
		}
		// Two ReplicaSets of one Deployment may have the same template, and
		// then their pods are the same.
		id := strings.Join([]string{e.Resource, e.Namespace, e.Name, string(k.content[:]), strings.Join(e.Owners, ",")}, "\x00")
		if same := entries[id]; same != nil {
			e = same
		}
		entries[id] = e
		for what, n := range g.counts {
			if e.Counts == nil {
				e.Counts = map[string]int64{}
			}
			e.Counts[what] += n
		}
	}
	s := &State{Excluded: slices.Sorted(maps.Keys(b.excluded))}
	for _, e := range entries {
		s.Entries = append(s.Entries, *e)
	}
	slices.SortFunc(s.Entries, compareEntries)
	return s
}

func (b *builder) owners(list []owner) []string {
	var names []string
	for _, o := range list {
		name := b.top(o).String()
		if o.controller {
			name += " (controller)"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func compareEntries(a, b Entry) int {
	return cmp.Or(identityOf(&a).compare(identityOf(&b)), bytes.Compare(a.Content, b.Content), slices.Compare(a.Owners, b.Owners))
}
