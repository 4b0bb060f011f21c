package storage

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// meter hands records on and measures the processor time that the checker
// costs, without that of making the records. A record is a call or an event.
type meter struct {
	c       *Checker
	records int
	flushes int
	spent   time.Duration
	peak    uint64
	ops     []*history.StoreOp
	watches []*history.StoreWatch
}

func (m *meter) StoreOp(op *history.StoreOp) {
	m.ops = append(m.ops, op)
	m.hand(1)
}

func (m *meter) StoreWatch(w *history.StoreWatch) {
	m.watches = append(m.watches, w)
	m.hand(len(w.Events))
}

func (m *meter) hand(records int) {
	m.records += records
	if len(m.ops)+len(m.watches) < 8192 {
		return
	}
	m.flush()
	if m.flushes++; m.flushes%8 == 0 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		m.peak = max(m.peak, s.HeapInuse)
	}
}

// processorTime is that of the whole process, with its garbage collector.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (m *meter) flush() {
	start := processorTime()
	for _, op := range m.ops {
		m.c.StoreOp(op)
	}
	for _, w := range m.watches {
		m.c.StoreWatch(w)
	}
	m.spent += processorTime() - start
	m.ops, m.watches = m.ops[:0], m.watches[:0]
}

// BenchmarkChecker judges valid histories of 500,000 records and, with
// PLANECHECK_BENCH_10M set, of 10 million, which takes minutes.
func BenchmarkChecker(b *testing.B) {
	sizes := []int{100_000, 500_000}
	if os.Getenv("PLANECHECK_BENCH_10M") != "" {
		sizes = append(sizes, 10_000_000)
	}
	for _, records := range sizes {
		ops := records * 6 / 7 // the others are events
		b.Run(fmt.Sprint(records), func(b *testing.B) {
			for b.Loop() {
				m := &meter{c: New(Options{Start: 1, Floors: noFloors})}
				storetest.Run(1, storetest.Config{
					Ops: ops, Clients: 64, Members: 1, Keys: 20_000, Prefixes: 400, Streams: -1,
					Think: 20 * time.Millisecond, CompactEvery: 20 * time.Second, Raw: -1,
				}, m)
				m.flush()
				start := processorTime()
				for _, v := range m.c.Finish() {
					if v.Outcome != checkers.Pass {
						b.Fatal(v)
					}
				}
				m.spent += processorTime() - start
				runtime.GC()
				var s runtime.MemStats
				runtime.ReadMemStats(&s)
				b.ReportMetric(float64(m.records), "records")
				b.ReportMetric(float64(m.spent.Nanoseconds())/float64(m.records), "cpu-ns/record")
				b.ReportMetric(float64(s.HeapAlloc)/float64(m.records), "live-B/record")
				b.ReportMetric(float64(m.peak)/(1<<20), "peak-MiB")
				runtime.KeepAlive(m)
			}
		})
	}
}
