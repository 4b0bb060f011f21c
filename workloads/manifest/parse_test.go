package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const app = `# An application.
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  text: |
    not a separator:
     ---
    on: yes
---
# only a comment
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 3
--- # the last
{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Secret, metadata: {name: a}}, {apiVersion: v1, kind: Secret, metadata: {name: b}}]}
`

func summary(m *Manifest) (list []string) {
	for _, o := range m.Objects {
		list = append(list, fmt.Sprintf("%d %s", o.Line, o))
	}
	return list
}

func TestParse(t *testing.T) {
	f := func(name, data string, want ...string) {
		t.Helper()
		m, err := Parse("app.yaml", []byte(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if diff := cmp.Diff(want, summary(m)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	f("documents, comments, a list", app, "2 ConfigMap settings", "13 Deployment shop/web", "21 Secret a", "21 Secret b")
	f("CRLF and a byte order mark", "\ufeffapiVersion: v1\r\nkind: Secret\r\nmetadata:\r\n  name: a\r\n---\r\napiVersion: v1\r\nkind: Secret\r\nmetadata:\r\n  name: b\r\n",
		"1 Secret a", "6 Secret b")
	f("a directive and an end", "%YAML 1.2\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n...\n", "3 Secret a")
	f("JSON objects in a row", "\n{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\"}}\n\n{\"apiVersion\":\"v1\",\n\"kind\":\"Secret\",\"metadata\":{\"name\":\"b\"}}",
		"2 Secret a", "4 Secret b")
	f("a typed list", `{"apiVersion":"v1","kind":"SecretList","items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}]}`, "1 Secret a")
	f("a kind that ends like a list", "apiVersion: x.io/v1\nkind: AllowList\nmetadata: {name: a}\n", "1 AllowList a")
	f("a name that looks like a number needs quotes", "apiVersion: v1\nkind: Secret\nmetadata: {name: '17'}\n", "1 Secret 17")
}

func TestParseErrors(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		_, err := Parse("app.yaml", []byte(data))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	good := "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n"
	f("", "app.yaml:1: no objects")
	f("# nothing\n---\n", "app.yaml:1: no objects")
	f("just text", "app.yaml:1: want an object with apiVersion and kind, not the value just text")
	f("- a\n- b\n", "app.yaml:1: want an object with apiVersion and kind, not a sequence")
	f(good+"---\nkind: Secret\nmetadata: {name: b}\n", "app.yaml:6: apiVersion is missing")
	f(good+"---\n\n# here\napiVersion: v1\nmetadata: {name: b}\n", "app.yaml:8: kind is missing")
	f("apiVersion: a/b/c\nkind: X\nmetadata: {name: a}\n", "app.yaml:1: unexpected GroupVersion string: a/b/c")
	f("apiVersion: v1\nkind: Secret\n", "app.yaml:1: Secret: metadata is missing")
	f("apiVersion: v1\nkind: Secret\nmetadata: {generateName: a-}\n", "app.yaml:1: Secret: metadata.name is missing")
	f("apiVersion: v1\nkind: Secret\nmetadata: {name: 17}\n", "app.yaml:1: metadata.name is not a text")
	f("apiVersion: v1\nkind: [Secret]\nmetadata: {name: a}\n", "app.yaml:1: kind is not a text")
	f("apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {a: 1}}\n", "app.yaml:1: metadata.labels is not a map of texts")
	f("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: a}}, {kind: X}]\n", "app.yaml:1: apiVersion is missing (item 2 of the list)")
	// Errors of syntax name the line in the file, not in the document.
	f(good+"---\napiVersion: v1\nkind: Secret\nmetadata:\n\tname: b\n", "app.yaml:9: found character that cannot start any token")
	f(good+"---\napiVersion: v1\nkind: Secret: more\nmetadata: {name: b}\n", "app.yaml:7: mapping values are not allowed in this context")
	f(good+"---\napiVersion: v1\nkind: Secret\nkind: Secret\nmetadata: {name: b}\n", "app.yaml:8: key \"kind\" already set in map")
	f("{\"apiVersion\": \"v1\",\n\"kind\": \"Secret\"\n\"metadata\": {}}", "app.yaml:")
}

func TestReadMissingFile(t *testing.T) {
	if _, err := Read(t.TempDir() + "/none.yaml"); err == nil {
		t.Error("no error for a missing file")
	}
}

// FuzzParse feeds anything to the parser and lays out copies of what it takes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(app), 2)
	f.Add([]byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}`), 1)
	f.Add([]byte(bindings), 3)
	f.Add([]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"replicas":4000000000,"paused":[]}}`), 2)
	f.Add([]byte("%YAML 1.2\n--- \n...\n---\nkind: &a [*a]\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, copies int) {
		m, err := Parse("f", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("error without file and line: %v", err)
			}
			return
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, o := range m.Objects {
			if o.Line < 1 || o.Line > lines {
				t.Errorf("line %d of a file of %d lines", o.Line, lines)
			}
			if o.GetKind() == "" || o.GetAPIVersion() == "" || o.GetName() == "" {
				t.Errorf("accepted an object without kind, version or name: %v", o.Object)
			}
		}
		before := summary(m)
		n := 1 + max(copies, -copies)%3
		plan, err := m.Plan(n, coreScope)
		if err != nil {
			return
		}
		if len(plan.Copies) != n {
			t.Errorf("%d copies, want %d", len(plan.Copies), n)
		}
		if diff := cmp.Diff(before, summary(m)); diff != "" {
			t.Errorf("the manifest was changed:\n%s", diff)
		}
		applied := len(plan.Definitions)
		for _, c := range plan.Copies {
			applied += len(c)
		}
		size := m.Size(n, func(a Annotated) bool { return a.RestartPolicy == "Never" })
		if size.Objects < applied || size.Staying.Fixed < 0 || size.Pods.On(7) < size.Staying.On(7) {
			t.Errorf("%d objects are applied, and counted is %+v", applied, size)
		}
	})
}
