package object_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/versions"
)

const widget = `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","namespace":"ns","uid":"u","generation":3,
"creationTimestamp":"2026-11-22T01:02:03Z","deletionTimestamp":"2026-11-22T02:00:00Z","deletionGracePeriodSeconds":5,
"labels":{"b":"2","a":"1"},"annotations":{"x":"y","contract.planecheck/c1":"7"},"finalizers":["f"],
"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"o","controller":true}]},
"spec":{"size":12345678901234567890,"ratio":1.5,"text":"a<b"}}`

const widgetKey = "/registry/example.com/widgets/ns/w"

func TestStoredJSON(t *testing.T) {
	want := history.Version{
		Group: "example.com", Resource: "widgets", Kind: "Widget", Namespace: "ns", Name: "w", UID: "u", Created: 1795309323,
		Generation: 3, Deleting: true, Grace: 5, Finalizers: []string{"f"},
		Owners: []history.Owner{{Kind: "Node", Name: "n", UID: "o", Controller: true}},
		Labels: []history.Pair{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}, Marks: []history.Pair{{Name: "c1", Value: "7"}},
	}
	if d := cmp.Diff(want, object.Stored(widgetKey, []byte(widget)), likeVersions); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// served is the widget as an answer has it: more metadata, another order.
var served = strings.NewReplacer(
	`"apiVersion":"example.com/v1","kind":"Widget",`, `"kind":"Widget","apiVersion":"example.com/v1",`,
	`"uid":"u"`, `"resourceVersion":"77","selfLink":"/x","managedFields":[{"manager":"m"}],"uid":"u"`,
	`{"b":"2","a":"1"}`, `{"a":"1","b":"2"}`, "\n", " ",
).Replace(widget)

func TestServedJSON(t *testing.T) {
	stored := object.Stored(widgetKey, []byte(widget))
	stored.Revision = 77
	got, err := object.Served([]byte(served))
	if want := versions.Object(&stored); err != nil || got != want || want.Content == 0 {
		t.Errorf("served %+v, stored %+v, %v", got, want, err)
	}
	list := `{"kind":"WidgetList","metadata":{"resourceVersion":"80","continue":"c"},"items":[` + served + `,` + served + `]}`
	items, version, cont, err := object.ServedList([]byte(list))
	if err != nil || version != 80 || cont != "c" || len(items) != 2 || items[1] != got {
		t.Errorf("%+v, version %d, continue %q, %v", items, version, cont, err)
	}
}

func TestContentSeesChangesJSON(t *testing.T) {
	before := object.Stored(widgetKey, []byte(widget)).Content
	for _, change := range [][2]string{
		{`"uid":"u"`, `"uid":"v"`}, {`"generation":3`, `"generation":4`}, {"12345678901234567890", "12345678901234567891"}, {"a<b", "a>b"},
		{`"x":"y"`, `"x":"z"`}, {`"finalizers":["f"]`, `"finalizers":["g"]`}, {`"size"`, `"sizes"`}, {"1.5", "1.25"},
	} {
		changed := strings.Replace(widget, change[0], change[1], 1)
		if changed == widget {
			t.Fatalf("no %q", change[0])
		}
		if after := object.Stored(widgetKey, []byte(changed)); after.Content == before || after.Unread {
			t.Errorf("%q: content stays", change)
		}
	}
}

func TestStatus(t *testing.T) {
	want := object.StatusInfo{
		Code: 504, Status: "Failure", Reason: "Timeout", Message: "Too large resource version", Cause: "ResourceVersionTooLarge",
		DetailsKind: "pods", DetailsName: "p", DetailsUID: "u",
	}
	proto := encode(t, &metav1.Status{
		TypeMeta: kind("v1", "Status"), Status: "Failure", Reason: "Timeout", Code: 504, Message: "Too large resource version",
		Details: &metav1.StatusDetails{Name: "p", Kind: "pods", UID: "u", RetryAfterSeconds: 1,
			Causes: []metav1.StatusCause{{Type: "ResourceVersionTooLarge", Message: "m"}, {Type: "Other"}}},
	})
	text := `{"kind":"Status","status":"Failure","reason":"Timeout","code":504,"message":"Too large resource version",
		"details":{"name":"p","kind":"pods","uid":"u","causes":[{"reason":"ResourceVersionTooLarge"},{"reason":"Other"}]}}`
	for _, body := range [][]byte{proto, []byte(text)} {
		if got, ok := object.Status(body); !ok || got != want {
			t.Errorf("%+v, %v", got, ok)
		}
	}
	pod := encode(t, newSource(1).pod())
	for _, body := range [][]byte{pod, nil, []byte("{}"), []byte(widget), []byte("k8s\x00\xff"), proto[:len(proto)-1]} {
		if got, ok := object.Status(body); ok {
			t.Errorf("%q is taken for a Status: %+v", body, got)
		}
	}
}

func TestLocate(t *testing.T) {
	for key, want := range map[string][2]string{
		"/registry/pods/ns/p":                                                {"", "pods"},
		"/registry/minions/n":                                                {"", "nodes"},
		"/registry/services/specs/ns/s":                                      {"", "services"},
		"/registry/services/endpoints/ns/s":                                  {"", "endpoints"},
		"/registry/controllers/ns/c":                                         {"", "replicationcontrollers"},
		"/registry/ingress/ns/i":                                             {"networking.k8s.io", "ingresses"},
		"/registry/deployments/ns/d":                                         {"apps", "deployments"},
		"/registry/clusterroles/system:node":                                 {"rbac.authorization.k8s.io", "clusterroles"},
		"/registry/apiregistration.k8s.io/apiservices/v1.":                   {"apiregistration.k8s.io", "apiservices"},
		"/registry/apiextensions.k8s.io/customresourcedefinitions/w.example": {"apiextensions.k8s.io", "customresourcedefinitions"},
		widgetKey:                            {"example.com", "widgets"},
		"/registry/masterleases/10.0.0.1":    {},
		"/registry/ranges/serviceips":        {},
		"/registry/services/other/x":         {},
		"/registry/services/specs":           {},
		"/registry/example.com/widgets":      {},
		"/registry/pods":                     {},
		"/registry/pods/":                    {},
		"compact_rev_key":                    {},
		"":                                   {},
		"/registry/storageversionmigrations": {},
	} {
		if group, resource := object.Locate(key); [2]string{group, resource} != want {
			t.Errorf("%s: %q %q", key, group, resource)
		}
	}
}
