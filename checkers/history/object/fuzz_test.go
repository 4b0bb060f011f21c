package object_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// FuzzStored reads a pod also with the generated code. Each is lenient where
// the other does not look, so only what both read is compared.
func FuzzStored(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(encode(f, newSource(seed).pod()))
	}
	f.Add([]byte(widget))
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, key := range []string{"/registry/minions/x", "/registry/replicasets/a/b", "/registry/services/specs/a/b", "/registry/endpointslices/a/b", "/registry/leases/a/b",
			"/registry/deployments/a/b", "/registry/jobs/a/b"} {
			object.Stored(key, value)
		}
		v := object.Stored("/registry/pods/a/b", value)
		_, kind, raw, err := wire.Unwrap(value)
		var p corev1.Pod
		if v.Unread || err != nil || p.Unmarshal(raw) != nil {
			return
		}
		if v.Kind != kind || v.Name != p.Name || v.UID != string(p.UID) || v.Field("spec.nodeName") != p.Spec.NodeName || len(v.Labels) != len(p.Labels) {
			t.Errorf("read %+v of %v", v, &p)
		}
	})
}

// FuzzServed compares an answer with the store: the same bytes are the same
// object.
func FuzzServed(f *testing.F) {
	f.Add(encode(f, newSource(1).pod()))
	f.Add([]byte(served))
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := object.Served(body)
		v := object.Stored("/registry/widgets.example.com/widgets/a/b", body)
		if err == nil && !v.Unread && (o.Content != v.Content || o.UID != v.UID || o.Name != v.Name) {
			t.Errorf("served %+v, stored %+v", o, v)
		}
		object.Status(body)
	})
}

// TestContentKnowsWhereMetadataEnds has the same bytes inside the metadata and
// behind it.
func TestContentKnowsWhereMetadataEnds(t *testing.T) {
	name, namespace := []byte("\x0a\x01n"), []byte("\x1a\x01a") // fields 1 and 3
	inside := append([]byte{0x0a, 6}, append(name, namespace...)...)
	behind := append([]byte{0x0a, 3}, append(name, namespace...)...)
	var contents [2]uint64
	for i, raw := range [][]byte{inside, behind} {
		v := object.Stored("/registry/configmaps/a/n", wire.Wrap("v1", "ConfigMap", raw))
		if v.Unread || v.Name != "n" {
			t.Fatalf("%+v", v)
		}
		contents[i] = v.Content
	}
	if contents[0] == contents[1] {
		t.Errorf("both have the content %x", contents[0])
	}
}

func FuzzServedList(f *testing.F) {
	f.Add(encode(f, &corev1.PodList{TypeMeta: kind("v1", "PodList"), Items: []corev1.Pod{*newSource(1).pod(), {}}}))
	f.Add([]byte(`{"kind":"WidgetList","items":[` + served + `]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, version, cont, err := object.ServedList(body)
		if err != nil && (items != nil || version != 0 || cont != "") {
			t.Errorf("%d items, version %d, continue %q beside %v", len(items), version, cont, err)
		}
	})
}
