// Package versions holds the version table of a run in memory: what every
// committed revision left of every object. It answers what the state was at any
// revision, in the order in which the store lists it, and what changed between
// two. Checkers of the API and of the cluster judge against it.
//
// Versions of one object that differ in nothing but revision and content, as
// those of a Lease do, cost 24 bytes each; labels, fields and owner references
// are kept once however many versions and objects have them.
package versions

import (
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	objects "github.com/planecheck/planecheck/checkers/history/object"
)

// Table is the version table. It can be asked while it is filled: of what a
// question has sorted, what is added later is sorted in by the next one. It is
// not safe for concurrent use, questions included.
type Table struct {
	kinds map[kindName]*Kind
	empty map[kindName]*Kind // asked for by Known, and not stored yet
	order []*Kind
	pool  pool

	started     bool
	first, last int64
	dropped     int64
}

type kindName struct{ group, resource string }

// New returns an empty table.
func New() *Table {
	return &Table{kinds: map[kindName]*Kind{}, empty: map[kindName]*Kind{}, pool: newPool()}
}

// Add takes one version. Revisions must not fall; a version that comes too late
// is left out and counted by Dropped. The table copies what it keeps of v. A
// version of a key that is no object's only moves the bounds.
func (t *Table) Add(v *history.Version) {
	if t.started && v.Revision < t.last {
		t.dropped++
		return
	}
	if !t.started {
		t.started, t.first = true, v.Revision-1
	}
	t.last = v.Revision
	if v.Resource == "" {
		return
	}
	name := kindName{v.Group, v.Resource}
	k := t.kinds[name]
	if k == nil {
		name = kindName{t.pool.word(v.Group), t.pool.word(v.Resource)}
		if k = t.empty[name]; k == nil {
			k = t.newKind(name)
		}
		t.kinds[name] = k
		t.order = append(t.order, k)
	}
	k.add(v)
}

func (t *Table) newKind(name kindName) *Kind {
	return &Kind{name: name, pool: &t.pool, objects: map[string]*object{}}
}

// Sealed says that everything up to rev has been added: no version that is
// still to come is of rev or before.
func (t *Table) Sealed(rev int64) {
	if !t.started {
		t.started, t.first, t.last = true, rev, rev
	}
	t.last = max(t.last, rev)
}

// Bounds returns which revisions are known: those of (first, last].
func (t *Table) Bounds() (first, last int64) { return t.first, t.last }

// Dropped counts the versions that came with a revision below one before.
// A table that dropped any is not fit to judge by.
func (t *Table) Dropped() int64 { return t.dropped }

// Kind returns the objects of a resource, nil if none was ever stored.
func (t *Table) Kind(group, resource string) *Kind { return t.kinds[kindName{group, resource}] }

// Known is Kind, but for a resource of which the table would know if anything of it
// had been stored: of such a one it returns a Kind without objects. nil: its objects
// may be somewhere else, or there is no such resource.
func (t *Table) Known(group, resource string) *Kind {
	name := kindName{group, resource}
	k := t.kinds[name]
	if k == nil {
		k = t.empty[name]
	}
	if k == nil && t.knows(group, resource) {
		k = t.newKind(name)
		t.empty[name] = k
	}
	return k
}

// knows says that objects of a resource would be in the table: it is built in, or
// somebody has defined it as a custom one. A table without any kind is not one of
// the keys of API servers.
func (t *Table) knows(group, resource string) bool {
	if len(t.kinds) == 0 {
		return false
	}
	definitions := t.kinds[kindName{"apiextensions.k8s.io", "customresourcedefinitions"}]
	return objects.BuiltIn(group, resource) ||
		definitions != nil && definitions.Next("", resource+"."+group, 0) != nil
}

// Kinds returns all resources in the order in which they were first stored.
func (t *Table) Kinds() []*Kind { return append([]*Kind(nil), t.order...) }

// Object is what a correct answer shows of a version.
func Object(v *history.Version) history.APIObject {
	return history.APIObject{
		Namespace: v.Namespace, Name: v.Name, UID: v.UID,
		Version: v.Revision, Content: v.Content, Deleting: v.Deleting,
	}
}

// path is an object's place among those of its resource, by which the store
// sorts: namespace/name, or the name of a cluster-scoped object.
func path(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

func cutPath(p string) (namespace, name string) {
	if i := strings.IndexByte(p, '/'); i >= 0 {
		return p[:i], p[i+1:]
	}
	return "", p
}
