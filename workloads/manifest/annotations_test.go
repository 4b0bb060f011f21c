package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What a caller finds wrong with annotations is said in one line, with file and line and
// the place in the object.
func TestCheckAnnotations(t *testing.T) {
	f := func(what, data, want string) {
		t.Helper()
		m, err := Parse("app.yaml", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		err = m.CheckAnnotations(func(a Annotated) error {
			if value, ok := a.Annotations["wrong"]; ok {
				return fmt.Errorf("%s is wrong, pod %v %s", value, a.Pod, a.RestartPolicy)
			}
			return nil
		})
		var input *InputError
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case want != "" && (!errors.As(err, &input) || err.Error() != want):
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, want)
		}
	}
	const marked = "metadata: {labels: {app: web}}"
	f("nothing", goodWeb, "")
	f("a template", strings.Replace(goodWeb, marked, "metadata: {labels: {app: web}, annotations: {wrong: a}}", 1),
		"app.yaml:1: Deployment web: spec.template: a is wrong, pod true ")
	f("a Deployment", strings.Replace(goodWeb, "metadata: {name: web}", "metadata: {name: web, annotations: {wrong: a}}", 1),
		"app.yaml:1: Deployment web: a is wrong, pod false ")
	f("a pod, the second document", "# a comment\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n"+
		"apiVersion: v1\nkind: Pod\nmetadata: {name: web, annotations: {wrong: a}}\nspec: {restartPolicy: Never, containers: [{name: app, image: web}]}\n",
		"app.yaml:6: Pod web: a is wrong, pod true Never")
	f("the template of a template", `apiVersion: batch/v1
kind: CronJob
metadata: {name: tidy}
spec:
  schedule: "* * * * *"
  jobTemplate:
    metadata: {annotations: {wrong: not ours}}
    spec:
      template:
        metadata: {annotations: {wrong: a}}
        spec: {restartPolicy: OnFailure, containers: [{name: app, image: tidy}]}
`, "app.yaml:1: CronJob tidy: spec.jobTemplate.spec.template: a is wrong, pod true OnFailure")
	f("a kind of its own", `apiVersion: example.com/v1
kind: Fleet
metadata: {name: f}
spec:
  ships:
  - {name: none}
  - template: {metadata: {annotations: {wrong: a}}, spec: {containers: [{name: app}]}}
`, "app.yaml:1: Fleet f: spec.ships[1].template: a is wrong, pod true ")
	f("two of them", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {wrong: a}}\n---\n"+
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, annotations: {wrong: b}}\n",
		"app.yaml:1: ConfigMap a: a is wrong, pod false ; app.yaml:5: ConfigMap b: b is wrong, pod false ")
	f("a value that is no text", "apiVersion: v1\nkind: Pod\nmetadata: {name: web, annotations: {wrong: 7}}\nspec: {containers: [{name: app, image: web}]}\n", "")
}
