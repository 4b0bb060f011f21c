package archive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The benchmarks report what the issue bounds: bytes per record on disk (at most
// 100) and CPU time per record of the whole process, background included (at
// most 5,000 ns, which is 200,000 records a second on one core). Wall time is
// that of the loop and of a disk.

func BenchmarkWriteStoreOps(b *testing.B) { benchmarkWrite(b, StoreOps, kubernetesOps(benchRecords)) }
func BenchmarkReadStoreOps(b *testing.B)  { benchmarkRead(b, StoreOps, kubernetesOps(benchRecords)) }
func BenchmarkWriteStoreWatches(b *testing.B) {
	benchmarkWrite(b, StoreWatches, kubernetesWatches(benchRecords))
}
func BenchmarkReadStoreWatches(b *testing.B) {
	benchmarkRead(b, StoreWatches, kubernetesWatches(benchRecords))
}

const benchRecords = 50_000

func benchmarkWrite[T any](b *testing.B, kind Kind[T], records []T) {
	var bytes int64
	cpu := cpuTime(b)
	for b.Loop() {
		dir := b.TempDir()
		record(b, dir, kind, records, len(records)+1)
		bytes += sizeOnDisk(b, dir)
	}
	cpu = cpuTime(b) - cpu
	n := float64(b.N * len(records))
	b.ReportMetric(float64(bytes)/n, "bytes/record")
	b.ReportMetric(float64(cpu)/n, "cpu-ns/record")
	b.ReportMetric(float64(b.Elapsed())/n, "ns/record")
}

func benchmarkRead[T any](b *testing.B, kind Kind[T], records []T) {
	dir := b.TempDir()
	record(b, dir, kind, records, len(records)+1)
	r, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	cpu := cpuTime(b)
	for b.Loop() {
		n := 0
		for _, err := range Read(r, kind) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != len(records) {
			b.Fatalf("read %d records of %d", n, len(records))
		}
	}
	cpu = cpuTime(b) - cpu
	n := float64(b.N * len(records))
	b.ReportMetric(float64(sizeOnDisk(b, dir))/float64(len(records)), "bytes/record")
	b.ReportMetric(float64(cpu)/n, "cpu-ns/record")
	b.ReportMetric(float64(b.Elapsed())/n, "ns/record")
}

// BenchmarkAppend is what a call of the store waits for its record, with many
// appending at once. The disk does not answer, so that the writing in the
// background, measured above, is not measured again.
func BenchmarkAppend(b *testing.B) {
	release := make(chan struct{})
	w := create(b, b.TempDir(), Options{QueueBytes: 1 << 40, open: faultyOpener(func(path, op string) error {
		if strings.Contains(path, StoreOps.Name) {
			<-release
			return errDisk
		}
		return nil
	})})
	s := stream(b, w, StoreOps)
	ops := kubernetesOps(1000)
	cpu := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			s.Append(&ops[i%len(ops)])
		}
	})
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/record")
	close(release)
	if err := w.Close(); !errors.Is(err, errDisk) || s.Lost() != uint64(b.N) {
		b.Fatalf("lost %d records of %d, %v", s.Lost(), b.N, err)
	}
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func sizeOnDisk(b *testing.B, dir string) (sum int64) {
	for _, name := range files(b, dir) {
		stat, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		sum += stat.Size()
	}
	return sum
}
