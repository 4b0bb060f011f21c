package writes

import (
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// TestContent has answers of success that hold what was asked for, and others.
func TestContent(t *testing.T) {
	f := func(want bool, verb string, change ...func(*history.APICall)) {
		t.Helper()
		whole := []func(*history.APICall){answered(200, 2, "u"), func(c *history.APICall) {
			if verb == "list" {
				c.Object, c.ListVersion = history.APIObject{}, 2
			}
		}}
		wantHonest(t, want, hand(vs{cm(2, "u"), definitionOf(3, "widgets.example.com")}, ask(verb, 34, 36, append(whole, change...)...)))
	}
	unread := func(c *history.APICall) {
		c.Object, c.ListVersion, c.Error = history.APIObject{}, 0, "unexpected end of JSON input"
	}
	bare := func(c *history.APICall) { c.Object, c.ListVersion = history.APIObject{}, 0 }
	noUID := func(c *history.APICall) { c.Object.UID = "" }
	noVersion := func(c *history.APICall) { c.Object.Version = 0 }
	of := func(group, resource string) func(*history.APICall) {
		return func(c *history.APICall) { c.Group, c.Resource = group, resource }
	}
	sub := func(name string) func(*history.APICall) {
		return func(c *history.APICall) { c.Subresource = name }
	}
	for _, verb := range []string{"get", "create", "update", "patch"} {
		f(true, verb)
		f(false, verb, bare)
		f(false, verb, noUID)
		f(false, verb, noVersion)
		f(true, verb, noVersion, dry)
		f(false, verb, noUID, dry)
		f(false, verb, bare, widget)
		f(false, verb, bare, sub("status"))
		f(true, verb, bare, sub("scale"))
		f(true, verb, bare, of("authorization.k8s.io", "subjectaccessreviews")) // never stored
	}
	f(true, "list")
	f(false, "list", bare)
	f(true, "list", bare, of("metrics.k8s.io", "pods"))
	for _, verb := range []string{"get", "list", "create", "update", "patch", "delete", "deletecollection"} {
		f(false, verb, unread)
		f(true, verb, unread, sub("log"))
		f(true, verb, unread, of("", ""))
	}
	f(true, "delete", bare) // a Status
	f(true, "deletecollection", bare)
	f(true, "watch", bare)
	f(false, "watch", unread) // it is no stream
}

// What client-go reads is not judged, and said.
func TestOpaque(t *testing.T) {
	s := hand(vs{cm(2, "u")}, ask("get", 34, 36, failing(200, ""), func(c *history.APICall) { c.Opaque = true }))
	wantHonest(t, true, s)
	if v := s.judge(noFloors)[ErrorHonest]; !strings.Contains(v.Checked, "1 calls whose answers client-go read, not judged") || !strings.Contains(v.Checked, "0 calls") {
		t.Errorf("checked %s", v.Checked)
	}
}
