package wire_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// Each benchmark scans an object, and beside it decodes it with the generated
// code.

func BenchmarkPod(b *testing.B) {
	raw := marshal(b, samplePod())
	run(b, raw, func() error { _, err := wire.ScanPod(raw); return err }, func() error { return new(corev1.Pod).Unmarshal(raw) })
}

func BenchmarkNode(b *testing.B) {
	raw := marshal(b, sampleNode())
	run(b, raw, func() error { _, err := wire.ScanNode(raw); return err }, func() error { return new(corev1.Node).Unmarshal(raw) })
}

func BenchmarkPodList(b *testing.B) {
	list := &corev1.PodList{}
	for range 100 {
		list.Items = append(list.Items, *samplePod())
	}
	raw := marshal(b, list)
	scan := func() error {
		_, err := wire.ScanList(raw, func(raw []byte) error { _, err := wire.ScanPod(raw); return err })
		return err
	}
	run(b, raw, scan, func() error { return new(corev1.PodList).Unmarshal(raw) })
}

func run(b *testing.B, raw []byte, scan, unmarshal func() error) {
	bench := func(f func() error) func(*testing.B) {
		return func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("scan", bench(scan))
	b.Run("unmarshal", bench(unmarshal))
}
