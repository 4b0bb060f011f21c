// Package wire reads the few fields that planecheck needs out of Kubernetes
// objects in protobuf, without decoding the rest. With thousands of simulated
// kubelets in one process, decoding every pod of every watch would cost more
// than everything else that the simulation does.
//
// Field numbers are those of generated.proto in k8s.io/api/core/v1,
// k8s.io/apimachinery/pkg/apis/meta/v1 and k8s.io/apimachinery/pkg/runtime;
// Kubernetes never reuses them. Where a message has a field twice, the scanners
// do what the generated code does: the last scalar counts, messages are merged.
//
// Strings in results are copies: nothing that is returned holds on to the
// input, save where a function says so. The strings of one object share one
// allocation, so whoever keeps one of them for long keeps them all (some 150
// bytes for a pod).
package wire

import "fmt"

// Meta is what we read of metav1.ObjectMeta.
type Meta struct {
	Namespace       string
	Name            string
	UID             string
	ResourceVersion string
	Deleting        bool  // metadata.deletionTimestamp is set
	GraceSeconds    int64 // metadata.deletionGracePeriodSeconds; 0 if unset
	// Owner is the name of the owner reference that has controller: true.
	Owner      string
	Generation int64
}

// ScanMeta reads the metadata of any object: it is field 1 of all of them. raw
// is the object without its envelope.
func ScanMeta(raw []byte) (Meta, error) {
	var m meta
	f := walk(raw)
	for f.next() {
		if f.num == 1 {
			f.nest(m.scan(f.bytes()))
		}
	}
	if f.err != nil {
		return Meta{}, fmt.Errorf("scan metadata: %w", f.err)
	}
	result, _ := m.detach(nil)
	return result, nil
}

// meta collects the strings of a Meta as parts of the input, until detach
// puts them into one allocation.
type meta struct {
	namespace, name, uid, version, owner []byte

	plain Meta // all but the strings
}

func (m *meta) scan(b []byte) error {
	f := walk(b)
	for f.next() {
		switch f.num {
		case 1:
			m.name = f.bytes()
		case 3:
			m.namespace = f.bytes()
		case 5:
			m.uid = f.bytes()
		case 6:
			m.version = f.bytes()
		case 7:
			m.plain.Generation = int64(f.integer())
		case 9:
			f.bytes()
			m.plain.Deleting = true
		case 10:
			m.plain.GraceSeconds = int64(f.integer())
		case 13:
			f.nest(m.scanOwner(f.bytes()))
		}
	}
	return f.err
}

func (m *meta) scanOwner(b []byte) error {
	var name []byte
	var controller bool
	f := walk(b)
	for f.next() {
		switch f.num {
		case 3:
			name = f.bytes()
		case 6:
			controller = f.integer() != 0
		}
	}
	if controller && f.err == nil {
		m.owner = name
	}
	return f.err
}

// detach copies all strings, and one more of the same object, at once.
func (m *meta) detach(more []byte) (Meta, string) {
	var stack [256]byte
	b := append(stack[:0], m.namespace...)
	b = append(b, m.name...)
	b = append(b, m.uid...)
	b = append(b, m.version...)
	b = append(b, m.owner...)
	b = append(b, more...)
	all := string(b)
	take := func(part []byte) string {
		s := all[:len(part)]
		all = all[len(part):]
		return s
	}
	result := m.plain
	result.Namespace = take(m.namespace)
	result.Name = take(m.name)
	result.UID = take(m.uid)
	result.ResourceVersion = take(m.version)
	result.Owner = take(m.owner)
	return result, take(more)
}
