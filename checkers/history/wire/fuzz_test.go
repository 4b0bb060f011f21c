package wire_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// agree checks that a scanner and the generated code, where both accept the
// bytes, read the same. They need not accept the same bytes: each is lenient
// in places that the other does not look at.
func agree[T any](t *testing.T, got T, err error, generated error, want func() T) {
	t.Helper()
	if err != nil || generated != nil {
		return
	}
	if d := cmp.Diff(want(), got); d != "" {
		t.Errorf("-generated code +scanner:\n%s", d)
	}
}

func FuzzScanPod(f *testing.F) {
	f.Add(marshal(f, samplePod()))
	f.Add(marshal(f, &corev1.Pod{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p corev1.Pod
		generated := p.Unmarshal(b)
		got, err := wire.ScanPod(b)
		agree(t, got, err, generated, func() wire.Pod { return wantPod(&p) })
		meta, err := wire.ScanMeta(b)
		agree(t, meta, err, generated, func() wire.Meta { return wantMeta(&p.ObjectMeta) })
	})
}

func FuzzScanNode(f *testing.F) {
	f.Add(marshal(f, sampleNode()))
	f.Fuzz(func(t *testing.T, b []byte) {
		var n corev1.Node
		generated := n.Unmarshal(b)
		got, err := wire.ScanNode(b)
		agree(t, got, err, generated, func() wire.Node { return wantNode(&n) })
	})
}

func FuzzScanList(f *testing.F) {
	f.Add(marshal(f, &corev1.PodList{
		ListMeta: metav1.ListMeta{ResourceVersion: "1", Continue: "c"},
		Items:    []corev1.Pod{*samplePod(), {}},
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var list corev1.PodList
		generated := list.Unmarshal(b)
		items := 0
		info, err := wire.ScanList(b, func([]byte) error { items++; return nil })
		agree(t, info, err, generated, func() wire.ListInfo {
			return wire.ListInfo{ResourceVersion: list.ResourceVersion, Continue: list.Continue}
		})
		agree(t, items, err, generated, func() int { return len(list.Items) })
	})
}

func FuzzScanStatus(f *testing.F) {
	f.Add(marshal(f, &metav1.Status{Reason: "NotFound", Code: 404, Details: &metav1.StatusDetails{RetryAfterSeconds: 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s metav1.Status
		generated := s.Unmarshal(b)
		got, err := wire.ScanStatus(b)
		agree(t, got, err, generated, func() wire.Status {
			want := wire.Status{Reason: string(s.Reason), Message: s.Message, Code: s.Code}
			if s.Details != nil {
				want.RetryAfterSeconds = s.Details.RetryAfterSeconds
			}
			return want
		})
	})
}

func FuzzScanWatchEvent(f *testing.F) {
	f.Add(marshal(f, &metav1.WatchEvent{Type: "ADDED"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e metav1.WatchEvent
		generated := e.Unmarshal(b)
		typ, object, err := wire.ScanWatchEvent(b)
		agree(t, typ, err, generated, func() string { return e.Type })
		agree(t, string(object), err, generated, func() string { return string(e.Object.Raw) })
	})
}

// FuzzEnvelope wraps whatever Unwrap could read, and must read it again.
func FuzzEnvelope(f *testing.F) {
	f.Add(wire.Wrap("v1", "Pod", []byte("raw")))
	f.Add([]byte("k8s\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		apiVersion, kind, raw, err := wire.Unwrap(b)
		if err != nil {
			return
		}
		apiVersion2, kind2, raw2, err := wire.Unwrap(wire.Wrap(apiVersion, kind, raw))
		if err != nil || apiVersion2 != apiVersion || kind2 != kind || string(raw2) != string(raw) {
			t.Errorf("wrapped %q %q %q, unwrapped %q %q %q, %v", apiVersion, kind, raw, apiVersion2, kind2, raw2, err)
		}
	})
}
