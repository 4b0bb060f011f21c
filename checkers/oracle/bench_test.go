package oracle

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// BenchmarkJudges lets the judges look at the same valid histories: use
// -benchtime=1x. PLANECHECK_ORACLE_BENCH=large adds 20,000 and 50,000
// operations, for which a search allocates gigabytes.
//
// There are no unknown outcomes: etcd's model doubles its states with each, and
// would not come to an end. Lists are kept short enough to be recorded key by
// key, because etcd's validation can make nothing of digests.
func BenchmarkJudges(b *testing.B) {
	sizes := []int{1000, 5000, 10_000}
	if os.Getenv("PLANECHECK_ORACLE_BENCH") == "large" {
		sizes = append(sizes, 20_000, 50_000)
	}
	for _, keys := range []int{10, 1000} {
		for _, ops := range sizes {
			benchmarkSize(b, ops, keys)
		}
	}
}

func benchmarkSize(b *testing.B, ops, keys int) {
	h := storetest.Generate(1, storetest.Config{
		Ops: ops, Keys: keys, Prefixes: max(1, keys/40), Unknown: -1, Leased: -1, Raw: -1, Streams: -1, CompactEvery: 10 * time.Second,
	})
	t := translate(h)
	if t.skipped != "" {
		b.Fatal("etcd's validation cannot judge the history: ", t.skipped)
	}
	m, calls := toPorcupine(h)
	for _, judge := range []struct {
		name string
		ask  func() judgement
		seen int
	}{
		{"revision", func() judgement { j, _ := byRevision(h); return j }, len(h.Ops)},
		{"porcupine", func() judgement { return search(m, calls, benchLimit) }, len(calls)},
		{"validate", func() judgement { j, _ := byValidate(t, benchLimit); return j }, len(t.calls)},
	} {
		b.Run(fmt.Sprintf("keys=%d/ops=%d/%s", keys, ops, judge.name), func(b *testing.B) {
			b.ReportAllocs()
			undecided := 0
			for b.Loop() {
				switch judge.ask() {
				case bad:
					b.Fatal("a valid history was judged bad")
				case good:
				default:
					undecided++
				}
			}
			b.ReportMetric(float64(judge.seen), "operations")
			b.ReportMetric(float64(undecided)/float64(b.N), "undecided")
		})
	}
}

// benchLimit is that of etcd's own robustness tests.
const benchLimit = 5 * time.Minute
