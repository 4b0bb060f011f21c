package results

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Two significant digits keep every quantile within 1 % of the true value in
// 27 KB; a third digit would cost 190 KB a series, and a run has hundreds.
const (
	histogramUnit   = time.Microsecond
	histogramMax    = time.Hour
	histogramDigits = 2
)

// histogram holds every duration that was recorded, within 1 %, and the exact
// maximum. It has no lock of its own.
type histogram struct {
	hdr *hdrhistogram.Histogram
	max time.Duration
}

func newHistogram() *histogram {
	return &histogram{hdr: hdrhistogram.New(1, int64(histogramMax/histogramUnit), histogramDigits)}
}

// record adds d. Negative values, which two readings of a clock around one
// event can give, count as zero; values above an hour count as an hour.
func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	h.max = max(h.max, d)
	// In range by the two bounds, so there is no error to report.
	_ = h.hdr.RecordValue(int64(min(d, histogramMax) / histogramUnit))
}

func (h *histogram) count() int64 { return h.hdr.TotalCount() }

func (h *histogram) merge(other *histogram) {
	h.hdr.Merge(other.hdr) // same range on both sides: nothing is dropped
	h.max = max(h.max, other.max)
}

func (h *histogram) reset() {
	h.hdr.Reset()
	h.max = 0
}

// quantile returns the value at q in 0..100. The bucket's upper edge is cut at
// the maximum, which is known exactly.
func (h *histogram) quantile(q float64) Seconds {
	return Seconds(min(time.Duration(h.hdr.ValueAtQuantile(q))*histogramUnit, h.max))
}

func (h *histogram) latency() Latency {
	return Latency{
		Count: h.count(),
		P50:   h.quantile(50),
		P90:   h.quantile(90),
		P99:   h.quantile(99),
		Max:   Seconds(h.max),
	}
}
