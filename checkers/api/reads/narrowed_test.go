package reads

import (
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// A page that a kube-apiserver is known to get wrong is counted, and a list that
// is not narrowed to a namespace by a field selector fails for the same.
func TestKnownWrongPages(t *testing.T) {
	s := newStore()
	s.write(10, 20, pod("a/x", "ux", ""))
	s.write(30, 40, pod("a/y", "uy", ""))
	f := func(fields string, want ...Guarantee) {
		t.Helper()
		first := with(s.listAt(50, 60, "", 3), func(c *history.APICall) {
			c.FieldSelector, c.Limit, c.NextPage = fields, 1, 77
			c.Items = c.Items[:1]
		})
		second := with(s.listAt(70, 80, "", 3), func(c *history.APICall) {
			c.FieldSelector, c.Limit, c.Continue = fields, 1, 77
			c.Items = nil
		})
		s.expect(t, []*history.APICall{first, second}, want...)
		_, c := s.judged([]*history.APICall{first, second})
		known := strings.Contains(c.checked(Paged), "1 wrong in lists that a field selector narrows")
		if known != (len(want) == 0) {
			t.Errorf("%s: %s", fields, c.checked(Paged))
		}
	}
	f("metadata.namespace=a")
	wrong := func(what string, change func(c *history.APICall)) {
		t.Helper()
		first := with(s.listAt(50, 60, "", 3), func(c *history.APICall) {
			c.FieldSelector, c.Limit, c.NextPage = "metadata.namespace=a", 1, 77
			c.Items = c.Items[:1]
		})
		second := with(s.listAt(70, 80, "", 3), func(c *history.APICall) {
			c.FieldSelector, c.Limit, c.Continue = "metadata.namespace=a", 3, 77
			change(c)
		})
		if v, c := s.judged([]*history.APICall{first, second}); (v[Paged] == "") != (what == "") {
			t.Errorf("%s: %v; %s", what, v, c.checked(Paged))
		}
	}
	wrong("", func(*history.APICall) {}) // it begins anew
	wrong("other content", func(c *history.APICall) { c.Items[1].Content++ })
	wrong("one of two", func(c *history.APICall) { c.Items = c.Items[:1] })
	wrong("an older revision", func(c *history.APICall) { c.ListVersion = 2; c.Items = c.Items[:1] })
	f("metadata.name!=z,metadata.namespace=a")
	f("metadata.namespace!=b", Snapshot, Paged)
	f("", Snapshot, Paged)
}
