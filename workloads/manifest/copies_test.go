package manifest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// coreScope knows the scope of the kinds in these tests.
func coreScope(gvk schema.GroupVersionKind) (bool, error) {
	switch gvk.Kind {
	case "Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "CustomResourceDefinition",
		"APIService", "ValidatingWebhookConfiguration", "Fleet":
		return false, nil
	case "Nonsense":
		return false, errors.New("no such kind")
	}
	return true, nil
}

const bindings = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects:
- {kind: ServiceAccount, name: robot, namespace: shop}
- {kind: ServiceAccount, name: other, namespace: elsewhere}
- {kind: Group, name: "system:serviceaccounts:shop"}
- {kind: User, name: "system:serviceaccount:shop:robot"}
- {kind: User, name: "system:serviceaccount:elsewhere:robot"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lister, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lists, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lister}
subjects: [{kind: ServiceAccount, name: robot, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: views, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
`

// planOf parses and plans, and returns the plan as the objects' YAML.
func planOf(t *testing.T, data string, n int) *Plan {
	t.Helper()
	m, err := Parse("app.yaml", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Plan(n, coreScope)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func namesOf(objects []Object) (list []string) {
	for _, o := range objects {
		list = append(list, o.String())
	}
	return list
}

func TestOneCopyIsTheManifest(t *testing.T) {
	p := planOf(t, bindings, 1)
	want := []string{
		"Namespace shop", "ServiceAccount shop/robot", "ClusterRole reader", "ClusterRoleBinding reads",
		"Role kube-system/lister", "RoleBinding kube-system/lists", "RoleBinding shop/views",
	}
	if diff := cmp.Diff(want, namesOf(p.Copies[0])); diff != "" {
		t.Error(diff)
	}
}

func TestCopiesAreApart(t *testing.T) {
	p := planOf(t, bindings, 2)
	want := []string{
		"Namespace shop-2", "ServiceAccount shop-2/robot", "ClusterRole reader-2", "ClusterRoleBinding reads-2",
		"Role kube-system/lister-2", "RoleBinding kube-system/lists-2", "RoleBinding shop-2/views",
	}
	if diff := cmp.Diff(want, namesOf(p.Copies[1])); diff != "" {
		t.Error(diff)
	}
	references := func(i int) string {
		o := p.Copies[1][i].Object
		text, err := yaml.Marshal([]any{o["roleRef"], o["subjects"]})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	f := func(i int, want string) {
		t.Helper()
		if diff := cmp.Diff(strings.TrimLeft(want, "\n"), references(i)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", p.Copies[1][i], diff)
		}
	}
	f(3, `
- apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: reader-2
- - kind: ServiceAccount
    name: robot
    namespace: shop-2
  - kind: ServiceAccount
    name: other
    namespace: elsewhere
  - kind: Group
    name: system:serviceaccounts:shop-2
  - kind: User
    name: system:serviceaccount:shop-2:robot
  - kind: User
    name: system:serviceaccount:elsewhere:robot
`)
	f(5, `
- apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: lister-2
- - kind: ServiceAccount
    name: robot
    namespace: shop-2
`)
	f(6, `
- apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: view
- null
`)
}

func TestImpliedNamespacesAndDefinitions(t *testing.T) {
	p := planOf(t, `
apiVersion: example.com/v1
kind: Fleet
metadata: {name: big, uid: abc, resourceVersion: "5"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {priorityClassName: high, runtimeClassName: gvisor}}}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: notes, namespace: docs}
data: {priorityClassName: high}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: fleets.example.com}
spec: {conversion: {webhook: {clientConfig: {service: {namespace: docs, name: converter}}}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard}
webhooks: [{clientConfig: {service: {namespace: docs, name: guard}}}, {clientConfig: {url: "https://x"}}]
`, 2)
	if diff := cmp.Diff([]string{"CustomResourceDefinition fleets.example.com"}, namesOf(p.Definitions)); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"Namespace default-2", "Namespace docs-2", "Fleet big-2", "Deployment default-2/web", "PriorityClass high-2",
		"ConfigMap docs-2/notes", "ValidatingWebhookConfiguration guard-2",
	}
	if diff := cmp.Diff(want, namesOf(p.Copies[1])); diff != "" {
		t.Error(diff)
	}
	text, err := yaml.Marshal([]any{
		p.Definitions[0].Object["spec"], p.Copies[1][2].Object["metadata"], p.Copies[1][3].Object["spec"],
		p.Copies[1][5].Object["data"], p.Copies[1][6].Object["webhooks"],
	})
	if err != nil {
		t.Fatal(err)
	}
	const wantText = `- conversion:
    webhook:
      clientConfig:
        service:
          name: converter
          namespace: docs-1
- name: big-2
- template:
    spec:
      priorityClassName: high-2
      runtimeClassName: gvisor
- priorityClassName: high
- - clientConfig:
      service:
        name: guard
        namespace: docs-2
  - clientConfig:
      url: https://x
`
	if diff := cmp.Diff(wantText, string(text)); diff != "" {
		t.Error(diff)
	}
}

func TestPlanErrors(t *testing.T) {
	f := func(data string, n int, want string) {
		t.Helper()
		m, err := Parse("app.yaml", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = m.Plan(n, coreScope); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
	f(secret, 0, "0 copies, want at least 1")
	f(secret+"---\napiVersion: x.io/v1\nkind: Nonsense\nmetadata: {name: a}\n", 1, "app.yaml:5: no such kind")
	long := strings.Repeat("n", 62)
	f(secret+"---\napiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: "+long+"}\n", 10, "app.yaml:5: Secret "+long+"-1/a: the namespace of the copy is too long (64 characters)")
}
