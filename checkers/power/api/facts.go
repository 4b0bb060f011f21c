package apipower

import (
	"cmp"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// kind names a resource.
type kind struct{ group, resource string }

// name names an object.
type name struct {
	kind
	namespace, name string
}

// page is a token with what is listed: it holds a revision and a name, so that
// lists of two namespaces may have the same.
type page struct {
	token          uint64
	kind           kind
	namespace      string
	labels, fields string
}

func pageOf(c *history.APICall, token uint64) page {
	return page{token, kindOf(c), c.Namespace, c.LabelSelector, c.FieldSelector}
}

// prior is the call that a page continues, nil: none that is known.
func (f *facts) prior(c *history.APICall) *history.APICall { return f.before[pageOf(c, c.Continue)] }

// facts is a history as the model sees it: plain maps and lists.
type facts struct {
	objects  map[name][]*history.Version // all versions and removals of a name, in order
	names    map[kind][]name             // in the order of their keys
	byID     map[uint64]*history.APICall
	messages map[uint64][]*history.APIWatch
	before   map[page]*history.APICall // the call whose NextPage is the token
	last     int64
	// As of the Base.
	calm       history.Time
	undeclared bool
}

func learn(calls []*history.APICall, watches []*history.APIWatch, versions []*history.Version) *facts {
	f := &facts{
		objects: map[name][]*history.Version{}, names: map[kind][]name{},
		byID: map[uint64]*history.APICall{}, messages: map[uint64][]*history.APIWatch{},
		before: map[page]*history.APICall{},
	}
	for _, v := range versions {
		f.last = max(f.last, v.Revision)
		n, ok := nameOf(v)
		if !ok {
			continue
		}
		if f.objects[n] == nil {
			f.names[n.kind] = append(f.names[n.kind], n)
		}
		f.objects[n] = append(f.objects[n], v)
	}
	for _, names := range f.names {
		slices.SortFunc(names, func(a, b name) int { return cmp.Compare(a.key(), b.key()) })
	}
	for _, c := range calls {
		f.byID[c.ID] = c
		if next := pageOf(c, c.NextPage); c.NextPage != 0 && f.before[next] == nil {
			f.before[next] = c
		}
	}
	for _, m := range watches {
		f.messages[m.Call] = append(f.messages[m.Call], m)
	}
	return f
}

// nameOf reads the name from the end of the key, because a removal has nothing
// else; whether there is a namespace the number of folders below the resource
// would tell only with its prefix, so versions that have the name decide it.
func nameOf(v *history.Version) (name, bool) {
	if v.Resource == "" || v.Unread {
		return name{}, false
	}
	n := name{kind: kind{v.Group, v.Resource}, namespace: v.Namespace, name: v.Name}
	if v.Delete && v.Name == "" {
		parts := strings.Split(v.Key, "/")
		n.name = parts[len(parts)-1]
		if namespaced(n.kind) && len(parts) > 2 {
			n.namespace = parts[len(parts)-2]
		}
	}
	return n, true
}

// namespaced knows the resources that lies are told about.
func namespaced(k kind) bool {
	switch k.resource {
	case "nodes", "namespaces", "clusterroles", "clusterrolebindings", "customresourcedefinitions",
		"apiservices", "flowschemas", "prioritylevelconfigurations", "priorityclasses", "persistentvolumes",
		"certificatesigningrequests", "csinodes", "storageclasses", "servicecidrs", "ipaddresses", "clustertrustbundles":
		return false
	}
	return true
}

func (n name) key() string {
	if n.namespace == "" {
		return n.name
	}
	return n.namespace + "/" + n.name
}

func kindOf(c *history.APICall) kind { return kind{c.Group, c.Resource} }

func called(c *history.APICall) name { return name{kindOf(c), c.Namespace, c.Name} }

// at returns the version of an object at a revision, nil: there was none.
func (f *facts) at(n name, rev int64) *history.Version {
	var found *history.Version
	for _, v := range f.objects[n] {
		if v.Revision > rev {
			break
		}
		found = v
	}
	if found == nil || found.Delete {
		return nil
	}
	return found
}

// after returns the first change of an object after a revision.
func (f *facts) after(n name, rev int64) *history.Version {
	for _, v := range f.objects[n] {
		if v.Revision > rev {
			return v
		}
	}
	return nil
}

// end is the last revision at which a version still stood.
func (f *facts) end(n name, v *history.Version) int64 {
	if next := f.after(n, v.Revision); next != nil {
		return next.Revision - 1
	}
	return f.last
}

// state is what a list of a call holds at a revision, in the order of keys.
func (f *facts) state(c *history.APICall, rev int64) []history.APIObject {
	var all []history.APIObject
	for _, n := range f.names[kindOf(c)] {
		if c.Namespace != "" && n.namespace != c.Namespace {
			continue
		}
		if v := f.at(n, rev); v != nil && selects(c, v) {
			all = append(all, show(v))
		}
	}
	return all
}

// show is what a right answer shows of a version.
func show(v *history.Version) history.APIObject {
	return history.APIObject{
		Namespace: v.Namespace, Name: v.Name, UID: v.UID,
		Version: v.Revision, Content: v.Content, Deleting: v.Deleting,
	}
}

// understood says whether the model can tell what a call selects: labels with
// = and ==, and fields of pods.
func understood(c *history.APICall) bool {
	for _, term := range terms(c.LabelSelector) {
		if !strings.Contains(term, "=") || strings.ContainsAny(term, "()! ") {
			return false
		}
	}
	for _, term := range terms(c.FieldSelector) {
		field, _, _ := strings.Cut(strings.Replace(term, "!=", "=", 1), "=")
		switch field {
		case "spec.nodeName", "status.phase", "spec.restartPolicy", "spec.schedulerName":
		default:
			return false
		}
	}
	return c.FieldSelector == "" || c.Resource == "pods"
}

func terms(selector string) []string {
	if selector == "" {
		return nil
	}
	return strings.Split(selector, ",")
}

func selects(c *history.APICall, v *history.Version) bool {
	for _, term := range terms(c.LabelSelector) {
		label, want, _ := strings.Cut(term, "=")
		if got, ok := v.Label(label); !ok || got != strings.TrimPrefix(want, "=") {
			return false
		}
	}
	for _, term := range terms(c.FieldSelector) {
		field, want, _ := strings.Cut(term, "=")
		other := strings.HasSuffix(field, "!")
		if got := v.Field(strings.TrimSuffix(field, "!")); (got == strings.TrimPrefix(want, "=")) == other {
			return false
		}
	}
	return true
}
