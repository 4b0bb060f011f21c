package versions

import (
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
	objects "github.com/planecheck/planecheck/checkers/history/object"
)

// Selector is a label and a field selector, as a list or a watch has them. The
// zero value matches everything.
type Selector struct {
	labels []labelTerm
	fields []fieldTerm
}

type operator int

const (
	opIn operator = iota
	opNotIn
	opExists
	opAbsent
	opGreater
	opLess
)

type labelTerm struct {
	key    string
	op     operator
	values []string
	number int64 // of opGreater and opLess
}

type fieldTerm struct {
	field, value string
	not          bool
}

// Empty says that the selector matches everything.
func (s Selector) Empty() bool { return len(s.labels) == 0 && len(s.fields) == 0 }

// Matches says whether a version is selected. known is false where that depends
// on a field that the table does not have, or on a value that could not be read.
func (s Selector) Matches(v *history.Version) (match, known bool) {
	known = true
	for _, t := range s.fields {
		value, has := field(v, t.field)
		switch {
		case !has:
			known = false
		case (value == t.value) == t.not:
			return false, true
		}
	}
	if len(s.labels) > 0 && v.Unread {
		return false, false
	}
	for i := range s.labels {
		if !s.labels[i].matches(v) {
			return false, true
		}
	}
	return known, known
}

// matches follows labels.Requirement.Matches of k8s.io/apimachinery: a label
// that is missing satisfies notin and !=.
func (t *labelTerm) matches(v *history.Version) bool {
	value, has := v.Label(t.key)
	switch t.op {
	case opIn:
		return has && slices.Contains(t.values, value)
	case opNotIn:
		return !has || !slices.Contains(t.values, value)
	case opExists:
		return has
	case opAbsent:
		return !has
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if !has || err != nil {
		return false
	}
	return t.op == opGreater && n > t.number || t.op == opLess && n < t.number
}

// The fields that objects of every resource can be selected by.
const (
	metadataName      = "metadata.name"
	metadataNamespace = "metadata.namespace"
)

// selectable are the fields that a version always has, empty ones left out, of
// those that the API server can select by (ToSelectableFields of the resources
// in k8s.io/kubernetes/pkg/registry). The value is what an absent one reads as.
var selectable = map[kindName]map[string]string{
	{"", "pods"}: {
		"spec.nodeName": "", "spec.restartPolicy": "", "spec.schedulerName": "",
		"spec.serviceAccountName": "", "status.phase": "", "status.nominatedNodeName": "",
	},
	{"", "nodes"}:           {"spec.unschedulable": "false"},
	{"", "namespaces"}:      {"status.phase": ""},
	{"", "services"}:        {objects.FieldClusterIP: "", "spec.type": ""},
	{"", "secrets"}:         {"type": ""},
	{"apps", "replicasets"}: {"status.replicas": "0"},
}

func field(v *history.Version, name string) (value string, known bool) {
	switch name {
	case metadataName:
		return v.Name, true
	case metadataNamespace:
		return v.Namespace, true
	}
	absent, has := selectable[kindName{v.Group, v.Resource}][name]
	if !has || v.Unread {
		return "", false
	}
	if value := v.Field(name); value != "" {
		return value, true
	}
	return absent, name != objects.FieldClusterIP || outside(v)
}

// outside says that a Service is another name for something outside of the cluster.
// Any other one has a cluster IP, if only None (k8s.io/kubernetes
// pkg/registry/core/service/strategy.go needsClusterIP): one without it is of a
// history that left it out.
func outside(v *history.Version) bool { return v.Field("spec.type") == "ExternalName" }

// Unknown returns the fields that the selector reads and versions of a resource do not
// have, each once.
func (s Selector) Unknown(group, resource string) (names []string) {
	for _, t := range s.fields {
		_, has := selectable[kindName{group, resource}][t.field]
		if !has && t.field != metadataName && t.field != metadataNamespace && !slices.Contains(names, t.field) {
			names = append(names, t.field)
		}
	}
	return names
}
