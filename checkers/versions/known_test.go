package versions_test

import (
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// A resource of which nothing was stored has no objects, if it is known that it would
// be in the table; what is stored later is in the Kind that was there before.
func TestKnown(t *testing.T) {
	table := versions.New()
	f := func(group, resource string, want bool) {
		t.Helper()
		k := table.Known(group, resource)
		if (k != nil) != want {
			t.Errorf("%s %q: known %v", resource, group, k != nil)
		}
		if k != nil && (k.Len() > 0 || k.At("ns", "n", 100) != nil || table.Kind(group, resource) != nil) {
			t.Errorf("%s %q: it has %d versions", resource, group, k.Len())
		}
	}
	f("", "secrets", false) // there may be no API server at all
	table.Add(&history.Version{Revision: 2, Key: "/registry/pods/ns/n", Resource: "pods", Namespace: "ns", Name: "n", UID: "1"})
	f("", "secrets", true)
	f("", "services", true)
	f("", "endpoints", true)
	f("", "nodes", true)
	f("", "componentstatuses", false)
	f("apps", "deployments", true)
	f("", "deployments", false)
	f("metrics.k8s.io", "pods", false)
	f("authentication.k8s.io", "tokenreviews", false)
	f("example.com", "widgets", false)
	table.Add(&history.Version{
		Revision: 3, Key: "/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com",
		Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions", Name: "widgets.example.com", UID: "2",
	})
	f("example.com", "widgets", true)
	f("example.com", "gadgets", false)

	before := table.Known("", "secrets")
	table.Add(&history.Version{Revision: 4, Key: "/registry/secrets/ns/s", Resource: "secrets", Namespace: "ns", Name: "s", UID: "3"})
	if k := table.Kind("", "secrets"); k != before || k != table.Known("", "secrets") || before.At("ns", "s", 4) == nil {
		t.Error("what was stored is not in the Kind that was asked for before")
	}
	if k := table.Known("", "pods"); k == nil || k.Len() != 1 {
		t.Error("what was stored is not known")
	}
}
