package scenarios

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// A pod that is stored as JSON is the same row of the version table, content
// included, as one that is stored as protobuf.
func TestStoredJSONReadsAsProtobuf(t *testing.T) {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", Namespace: "a", UID: "u", Generation: 1, Labels: map[string]string{"b": "2", "a": "1"},
			CreationTimestamp: metav1.Unix(1_700_000_000, 0),
		},
		Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{
			Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				"cpu": resource.MustParse("100m"), "memory": resource.MustParse("1Gi"),
			}},
		}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	asJSON, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := pod.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	const key = "/registry/pods/a/p"
	want, got := object.Stored(key, wire.Wrap("v1", "Pod", raw)), object.Stored(key, asServed(asJSON))
	if want.Name != "p" || want.Content == 0 {
		t.Fatalf("stored as protobuf: %+v", want)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored as JSON (-as protobuf +as JSON):\n%s", diff)
	}
}

func TestAsServedLeavesTheRestAlone(t *testing.T) {
	for _, value := range []string{
		"", "k8s\x00x", `{"apiVersion":"contract.planecheck.dev/v1","kind":"Widget","metadata":{"name":"w"}}`, "{", `{"kind":"Pod"}`,
	} {
		if got := asServed([]byte(value)); !bytes.Equal(got, []byte(value)) {
			t.Errorf("%q became %q", value, got)
		}
	}
}
