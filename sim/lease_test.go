package sim

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

func leaseOf(t *testing.T, raw []byte) *coordinationv1.Lease {
	t.Helper()
	var l coordinationv1.Lease
	if err := l.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return &l
}

func TestNewLease(t *testing.T) {
	now := time.Unix(1_700_000_000, 123_456_789)
	got := leaseOf(t, appendLease(nil, newLeaseMeta("node-00001", "uid-1"), "node-00001", now))
	want := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: "node-00001", Namespace: "kube-node-lease",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "node-00001", UID: "uid-1"}},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new("node-00001"), LeaseDurationSeconds: new(int32(40)),
			RenewTime: &metav1.MicroTime{Time: now.Truncate(time.Microsecond)},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestLeaseGoesBackAsItCame checks that a renewal keeps all that the server
// had put in the metadata, also what we have never heard of.
func TestLeaseGoesBackAsItCame(t *testing.T) {
	answer := leaseOf(t, appendLease(nil, newLeaseMeta("n", "u"), "n", time.Unix(1_700_000_000, 0)))
	answer.ResourceVersion, answer.UID = "77", "lease-uid"
	answer.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: &metav1.FieldsV1{Raw: []byte("{}")}}}
	meta, err := leaseMeta(wire.Wrap("coordination.k8s.io/v1", "Lease", encode(t, answer)), "n", "u")
	if err != nil {
		t.Fatal(err)
	}
	later := time.Unix(1_700_000_010, 0)
	got := leaseOf(t, appendLease(nil, meta, "n", later))
	answer.Spec.RenewTime = &metav1.MicroTime{Time: later}
	if d := cmp.Diff(answer, got); d != "" {
		t.Error(d)
	}
}

func TestLeaseWithoutOwnerGetsOne(t *testing.T) {
	answer := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "n", ResourceVersion: "5"}}
	meta, err := leaseMeta(wire.Wrap("coordination.k8s.io/v1", "Lease", encode(t, answer)), "n", "u")
	if err != nil {
		t.Fatal(err)
	}
	got := leaseOf(t, appendLease(nil, meta, "n", time.Now()))
	if len(got.OwnerReferences) != 1 || got.OwnerReferences[0].UID != "u" || got.ResourceVersion != "5" {
		t.Errorf("%+v", got.ObjectMeta)
	}
	if _, err := leaseMeta([]byte("{}"), "n", "u"); err == nil {
		t.Error("JSON passed for a lease")
	}
	if _, err := leaseMeta(wire.Wrap("v1", "Lease", nil), "n", "u"); err == nil {
		t.Error("a lease without metadata passed")
	}
}

func BenchmarkLeaseBody(b *testing.B) {
	answer := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: "node-04711", Namespace: "kube-node-lease", UID: "5e3f7f5c-7c3a-4c2e-8a53-0c8f7f4b2a11", ResourceVersion: "123456789",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "node-04711", UID: "5e3f7f5c-7c3a-4c2e-8a53-0c8f7f4b2a12"}},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "planecheck", FieldsV1: &metav1.FieldsV1{Raw: bytes.Repeat([]byte("x"), 300)}}},
	}}
	body := wire.Wrap("coordination.k8s.io/v1", "Lease", encode(b, answer))
	b.ReportAllocs()
	for b.Loop() {
		meta, err := leaseMeta(body, "node-04711", "u")
		if err != nil {
			b.Fatal(err)
		}
		raw := appendLease(make([]byte, 0, len(meta)+96), meta, "node-04711", time.Now())
		wire.Wrap("coordination.k8s.io/v1", "Lease", raw)
	}
}
