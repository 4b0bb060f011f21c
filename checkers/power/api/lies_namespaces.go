package apipower

import (
	"fmt"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// eviction is a namespace that is deleted with a few objects in it. The zero value is
// one that is empty when it is removed.
type eviction struct {
	left     int           // objects that are left
	unmarked bool          // it is removed at once, with all of them
	made     time.Duration // so long after its deletion one more is made
	stays    bool          // and it is not removed
}

func namespaceLies() []Lie {
	const late = patience + 2*time.Second
	return []Lie{
		{Name: "a namespace is removed with an object in it", Breaks: "NamespaceEmpties", Tell: inMaterial(empties(eviction{left: 1}))},
		{Name: "a namespace is removed with all that is in it", Breaks: "NamespaceEmpties", Tell: inMaterial(empties(eviction{left: inside}))},
		{Name: "a namespace is removed at once", Breaks: "NamespaceEmpties", Tell: inMaterial(empties(eviction{left: inside, unmarked: true}))},
		{Name: "an object is made long after its namespace was deleted", Breaks: "NamespaceEmpties", Tell: inMaterial(empties(eviction{made: late}))},
		{Name: "an object is made in a namespace that was deleted long ago, and stays", Breaks: "NamespaceEmpties", Tell: inMaterial(empties(eviction{made: late, stays: true}))},
	}
}

func empties(e eviction) func(*teller, *material) { return func(_ *teller, m *material) { m.empty(e) } }

const (
	// emptied is the namespace.
	emptied = "told-emptied"
	inside  = 3 // objects
)

// empty adds a namespace, deletes it, and removes what is in it.
func (m *material) empty(e eviction) {
	ns := m.put(&history.Version{Key: "/registry/namespaces/" + emptied, Resource: "namespaces", Kind: "Namespace", Name: emptied, UID: "told-namespace",
		Created: 1, Fields: []history.Pair{{Name: "status.phase", Value: "Active"}}, Content: uint64(m.next)})
	var objects []*history.Version
	for i := range inside {
		resource, kind := "configmaps", "ConfigMap"
		if i == 0 {
			resource, kind = "secrets", "Secret"
		}
		objects = append(objects, m.elsewhere(emptied, resource, fmt.Sprint("thing-", i), nil, "", kind))
	}
	if !e.unmarked {
		ns = ns.Clone()
		ns.Deleting = true
		ns = m.again(ns, history.Pair{Name: "status.phase", Value: "Terminating"})
	}
	if e.made > 0 {
		m.pass(e.made)
		objects = append(objects, m.elsewhere(emptied, "configmaps", "thing-late", nil, "", "ConfigMap"))
	}
	if e.stays {
		return
	}
	for _, o := range objects[e.left:] {
		m.remove(o)
	}
	m.remove(ns)
}

// namespacesWrong follows the namespace, by the model.
func (t *teller) namespacesWrong() string {
	there := map[string]bool{}
	var deleted history.Time
	for _, v := range t.versions {
		called, returned, _ := t.commit(v.Revision)
		switch {
		case v.Key == "/registry/namespaces/"+emptied && v.Delete:
			if len(there) > 0 {
				return fmt.Sprintf("it was removed with %d objects in it", len(there))
			}
		case v.Key == "/registry/namespaces/"+emptied && v.Deleting:
			deleted = returned
		case !strings.Contains(v.Key, "/"+emptied+"/"):
		case v.Delete:
			delete(there, v.Key)
		default:
			if deleted != 0 && t.b.Calm != 0 && !there[v.Key] && called.Sub(max(deleted, t.b.Calm)) > patience {
				return v.Name + " was made long after"
			}
			there[v.Key] = true
		}
	}
	return ""
}
