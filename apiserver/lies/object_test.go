package lies

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// TestSurgery changes one field of an object and wants all others back, also
// one that nobody knows.
func TestSurgery(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "a", Namespace: "n", UID: "u", ResourceVersion: "7", Generation: 3, Labels: map[string]string{"l": "1"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
	}, Spec: corev1.PodSpec{NodeName: "node"}}
	raw, err := pod.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	raw = append(raw, appendField(nil, 9999, []byte("unknown"))...)
	o, ok := readObject(wire.Wrap("v1", "Pod", raw))
	if !ok {
		t.Fatal("not read")
	}
	changed, ok := o.at(12345)
	if !ok || changed.version() != 12345 || o.version() != 7 {
		t.Fatalf("version %d of %d", changed.version(), o.version())
	}
	if o.content() != changed.content() {
		t.Error("another version is another content")
	}
	if other, _ := o.with(uidField, "v"); other.content() == o.content() {
		t.Error("another uid is the same content")
	}
	if back, _ := changed.at(7); !bytes.Equal(back.raw, o.raw) {
		t.Errorf("changed back it is %x, was %x", back.raw, o.raw)
	}
	read, _, err := scheme.Codecs.UniversalDeserializer().Decode(changed.body(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	pod.ResourceVersion = "12345"
	if got := read.(*corev1.Pod); got.ResourceVersion != "12345" || got.Generation != 3 || got.Spec.NodeName != "node" || len(got.ManagedFields) != 1 {
		t.Errorf("read %+v", got)
	}
	if last, _ := fields(changed.raw); string(last[len(last)-1].content) != "unknown" {
		t.Error("the unknown field is lost")
	}
}

func TestSurgeryJSON(t *testing.T) {
	o := object{json: true, raw: []byte(`{"kind":"Widget","metadata":{"name":"a","resourceVersion":"7","managedFields":[{}]},"spec":{"big":12345678901234567890}}`)}
	changed, ok := o.at(12)
	if !ok || changed.version() != 12 || changed.content() != o.content() {
		t.Fatalf("%s", changed.raw)
	}
	if !bytes.Contains(changed.raw, []byte("12345678901234567890")) {
		t.Error("a number has changed")
	}
	if _, ok := (object{json: true, raw: []byte(`{"metadata":3}`)}).at(1); ok {
		t.Error("metadata that are a number were changed")
	}
}

// TestLists wants a list back as it was that nobody has changed.
func TestLists(t *testing.T) {
	items := []thing{{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "3"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}}}
	for _, plural := range []string{"configmaps", "widgets"} {
		body := encodeList(plural, metav1.ListMeta{ResourceVersion: "9", Continue: "next"}, items)
		l, ok := readList(body)
		if !ok || l.version() != 9 || l.meta.Continue != "next" || len(l.items) != 2 || l.items[0].version() != 3 {
			t.Fatalf("%s: read %+v", plural, l)
		}
		again, ok := l.body()
		if !ok || plural == "configmaps" && !bytes.Equal(again, body) {
			t.Errorf("%s: came back as %q, was %q", plural, again, body)
		}
		var a, b any
		if plural == "widgets" && (json.Unmarshal(again, &a) != nil || json.Unmarshal(body, &b) != nil || !equalJSON(a, b)) {
			t.Errorf("came back as %s, was %s", again, body)
		}
	}
	if _, ok := readList(encode("configmaps", &items[0])); ok {
		t.Error("an object was read as a list")
	}
}

func equalJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func TestPaths(t *testing.T) {
	f := func(method, target, verb, group, resource, namespace, name, sub, collection string) {
		t.Helper()
		q := newCall(httptest.NewRequest(method, target, nil))
		got := [...]string{q.verb, q.group, q.resource, q.namespace, q.name, q.sub, q.collection}
		want := [...]string{verb, group, resource, namespace, name, sub, collection}
		if verb == "" {
			got, want = [7]string{q.verb}, [7]string{}
		}
		if got != want {
			t.Errorf("%s %s: %q, want %q", method, target, got, want)
		}
	}
	f("GET", "/api/v1/namespaces/n/pods/p", "get", "", "pods", "n", "p", "", "/api/v1/namespaces/n/pods")
	f("GET", "/api/v1/pods?watch=true", "watch", "", "pods", "", "", "", "/api/v1/pods")
	f("GET", "/api/v1/nodes", "list", "", "nodes", "", "", "", "/api/v1/nodes")
	f("PUT", "/api/v1/nodes/x/status", "update", "", "nodes", "", "x", "status", "/api/v1/nodes")
	f("POST", "/api/v1/namespaces/n/pods/p/binding", "create", "", "pods", "n", "p", "binding", "/api/v1/namespaces/n/pods")
	f("DELETE", "/apis/g/v1/namespaces/n/widgets", "deletecollection", "g", "widgets", "n", "", "", "/apis/g/v1/namespaces/n/widgets")
	f("PATCH", "/apis/g/v1/widgets/w", "patch", "g", "widgets", "", "w", "", "/apis/g/v1/widgets")
	f("GET", "/api/v1/namespaces/n", "get", "", "namespaces", "", "n", "", "/api/v1/namespaces")
	f("PUT", "/api/v1/namespaces/n/finalize", "update", "", "namespaces", "", "n", "finalize", "/api/v1/namespaces")
	f("GET", "/healthz", "", "", "", "", "", "", "")
	f("GET", "/", "", "", "", "", "", "", "")
	f("GET", "/apis/g/v1", "", "", "", "", "", "", "")
	f("GET", "/api/v1/watch/pods", "", "", "", "", "", "", "")
	f("GET", "/api/v1/pods?watch=%zz", "", "", "", "", "", "", "")
}

// What is confined to the namespaces of somebody is not lied about elsewhere, nor to who
// asks for all namespaces.
func TestConcernsConfined(t *testing.T) {
	l := newLiar(getLies()[0], 1, []string{"pods", "configmaps"})
	l.confined = map[string]string{"pods": "contract-"}
	for path, want := range map[string]bool{
		"/api/v1/namespaces/contract-0/pods/a":                                       true,
		"/api/v1/namespaces/contract-1/pods":                                         true,
		"/api/v1/namespaces/load-0/pods/a":                                           false,
		"/api/v1/namespaces/load-0/pods":                                             false,
		"/api/v1/pods":                                                               false,
		"/api/v1/namespaces/load-0/configmaps/a":                                     true,
		"/api/v1/configmaps":                                                         true,
		"/apis/coordination.k8s.io/v1/namespaces/contract-0/leases/a":                false,
		"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-000001": false,
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if got := l.concerns(newCall(r)); got != want {
			t.Errorf("%s may be lied about: %v, want %v", path, got, want)
		}
	}
}

// TestConcerns says about what nobody lies.
func TestConcerns(t *testing.T) {
	f := func(target, accept string, resources []string, want bool) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("Accept", accept)
		if got := newLiar(getLies()[0], 1, resources).concerns(newCall(r)); got != want {
			t.Errorf("%s, %q, of %q: %v", target, accept, resources, got)
		}
	}
	f("/api/v1/namespaces/n/pods/p", protobufType, nil, true)
	f("/api/v1/namespaces/n/pods/p", protobufType, []string{"pods"}, true)
	f("/api/v1/namespaces/n/pods/p", protobufType, []string{"leases"}, false)
	f("/api/v1/namespaces/n/pods/p/status", protobufType, nil, false)
	f("/api/v1/namespaces/n/pods/p", "application/json;as=Table;v=v1;g=meta.k8s.io", nil, false)
	f("/api/v1/namespaces/n/events/e", protobufType, nil, false)
	f("/api/v1/namespaces/n", protobufType, nil, false)
	f("/api/v1/pods?watch=1", protobufType, nil, false) // the lie is not about watches
}

// TestMemory says when a version counts as long replaced.
func TestMemory(t *testing.T) {
	m := newMemory()
	q := newCall(httptest.NewRequest(http.MethodGet, "/api/v1/namespaces/n/configmaps/a", nil))
	see := func(version string) object {
		body := encode("configmaps", &thing{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "u", ResourceVersion: version}})
		a := &answer{status: 200, header: http.Header{"Content-Type": {protobufType}}, body: body}
		m.observe(q, a)
		o, _ := a.object()
		return o
	}
	see("3")
	o := see("5")
	for i := range settled {
		if old, ok := m.replaced(q, o); ok {
			t.Fatalf("after %d answers version %d was replaced long ago", i, old.version())
		}
		if i < settled-1 && m.revision() > 3 {
			t.Fatalf("after %d answers revision %d was reached long ago", i, m.revision())
		}
		see("5")
	}
	if old, ok := m.replaced(q, o); !ok || old.version() != 3 {
		t.Errorf("version %d was replaced long ago (%v), want 3", old.version(), ok)
	}
	if m.revision() != 5 || m.latest() != 5 {
		t.Errorf("revisions %d and %d, want 5", m.revision(), m.latest())
	}
	if old, ok := m.replacedBy(q, o, 4); ok {
		t.Errorf("at revision 4 version %d was replaced", old.version())
	}
	if _, ok := m.replacedBy(q, o, 5); !ok {
		t.Error("at revision 5 nothing was replaced")
	}
	if !m.fresh(3) || m.fresh(0) {
		t.Error("fresh")
	}
	for range recent {
		see("5")
	}
	if m.fresh(4) || !m.fresh(5) {
		t.Error("not fresh")
	}
	dry := newCall(httptest.NewRequest(http.MethodPut, "/api/v1/namespaces/n/configmaps/a?dryRun=All", nil))
	body := encode("configmaps", &thing{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "u", ResourceVersion: "900"}})
	m.observe(dry, &answer{status: 200, header: http.Header{"Content-Type": {protobufType}}, body: body})
	if m.latest() != 5 {
		t.Errorf("a dry run counts as revision %d", m.latest())
	}
}

// FuzzRead reads what is no object.
func FuzzRead(f *testing.F) {
	f.Add(encode("configmaps", &thing{ObjectMeta: metav1.ObjectMeta{Name: "a"}}))
	f.Add(encode("widgets", &thing{ObjectMeta: metav1.ObjectMeta{Name: "a"}}))
	f.Add(encodeList("configmaps", metav1.ListMeta{Continue: "c"}, make([]thing, 2)))
	f.Add([]byte("k8s\x00\x0a\x02\x0a\x00\x12\x03\x0a\x01\xff"))
	f.Add([]byte(`{"metadata":[]}`))
	f.Add([]byte("k8s\x00\x12\x13\n\x111000000002\x002\x002\x002\x00")) // a field three times
	f.Add(protowire.AppendTag(nil, 1, protowire.StartGroupType))
	f.Fuzz(func(t *testing.T, body []byte) {
		if l, ok := readList(body); ok {
			l.body()
		}
		readToken(string(body))
		q := &call{verb: "delete", body: body}
		q.need()
		o, ok := readObject(body)
		if !ok {
			return
		}
		o.content()
		if changed, ok := o.at(12); ok && changed.version() != 12 {
			if _, readable := changed.meta(); readable {
				t.Errorf("version %d of %q", changed.version(), body)
			}
		}
	})
}
