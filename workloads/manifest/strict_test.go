package manifest

import (
	"errors"
	"os"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

const goodWeb = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: web, ports: [{containerPort: 80}]}]}
`

// What is wrong with a manifest is said in one line, with file and line, and without
// a server where Kubernetes' own types tell it.
func TestCheck(t *testing.T) {
	f := func(what, data, want string) {
		t.Helper()
		m, err := Parse("app.yaml", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		err = m.Check()
		var input *InputError
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case want != "" && (!errors.As(err, &input) || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, want)
		}
	}
	f("a Deployment", goodWeb, "")
	f("a field of its pods", strings.Replace(goodWeb, "image:", "imge:", 1),
		`app.yaml:1: Deployment web: strict decoding error: unknown field "spec.template.spec.containers[0].imge"`)
	f("a field in another case", strings.Replace(goodWeb, "replicas", "Replicas", 1),
		`app.yaml:1: Deployment web: strict decoding error: unknown field "spec.Replicas"`)
	f("a value of another type", strings.Replace(goodWeb, "replicas: 2", "replicas: two", 1), "app.yaml:1: Deployment web: ")
	f("the second document", goodWeb+"---\n# a comment\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndatta: {}\n",
		`app.yaml:12: ConfigMap a: strict decoding error: unknown field "datta"`)
	f("an unknown kind", "apiVersion: apps/v1\nkind: Deploymnt\nmetadata: {name: web}\n",
		`app.yaml:1: kind "Deploymnt" in "apps/v1" is none of Kubernetes, nor does the manifest define it`)
	f("an unknown version", "apiVersion: apps/v7\nkind: Deployment\nmetadata: {name: web}\n", `app.yaml:1: kind "Deployment" in "apps/v7" is none`)
	f("two of them", "apiVersion: x.io/v1\nkind: A\nmetadata: {name: a}\n---\napiVersion: x.io/v1\nkind: B\nmetadata: {name: b}\n",
		`app.yaml:1: kind "A" in "x.io/v1" is none of Kubernetes, nor does the manifest define it; app.yaml:5: kind "B"`)
	f("kinds that it defines, with fields of their own", fleet, "")
	f("another kind of the group that it defines", strings.Replace(fleet, "kind: Fleet\n", "kind: Ship\n", 1), `app.yaml:2: kind "Ship" in "example.com/v1"`)
	f("a group that somebody else serves", `apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.example.com}
spec: {group: metrics.example.com, version: v1beta1}
---
apiVersion: metrics.example.com/v1beta1
kind: Sample
metadata: {name: a}
`, "")
	f("what a cluster gave out", goodWeb+`---
apiVersion: v1
kind: Service
metadata: {name: web, uid: abc, resourceVersion: "5", creationTimestamp: null, managedFields: [{manager: kubectl, operation: Apply, fieldsV1: {"f:spec": {}}}]}
spec: {ports: [{port: 80, targetPort: http}], selector: {app: web}}
status: {loadBalancer: {}}
`, "")
}

// The manifest that our own suite applies is one of those that pass.
func TestCheckOfTheSuite(t *testing.T) {
	file := "../../scenarios/testdata/shop.yaml"
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	m, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
}

// Of what a server refuses, the manifest is to blame for what it cannot read or
// finds not valid, and for nothing else.
func TestWhoIsToBlame(t *testing.T) {
	f := func(refusal error, blamed bool) {
		t.Helper()
		s, c := fakeServer(t)
		c.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, refusal })
		_, err := newRun(t, s, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\n", 1).Apply(t.Context())
		var input *InputError
		if errors.As(err, &input) != blamed || !strings.HasPrefix(err.Error(), "app.yaml:1: ") {
			t.Errorf("blamed %v, want %v: %v", !blamed, blamed, err)
		}
	}
	f(apierrors.NewBadRequest(`strict decoding error: unknown field "datta"`), true)
	f(apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "notes", nil), true)
	f(apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "notes", errors.New("not today")), false)
	f(apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "notes", errors.New("again")), false)

	s, _ := fakeServer(t)
	_, err := newRun(t, s, "apiVersion: x.io/v1\nkind: Nonsense\nmetadata: {name: a}\n", 1).Apply(t.Context())
	var input *InputError
	if !errors.As(err, &input) {
		t.Errorf("a kind that the server does not know: %v", err)
	}
}
