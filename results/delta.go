package results

import (
	"math"
	"slices"
	"sort"
)

// Delta returns what happened between two scrapes of the same servers, summed
// over them. A server that is not in before, or that started in between, counts
// from zero; one that is missing in after is left out. Gauges are those of after.
func Delta(before, after map[string]*Scrape) *Scrape {
	sum := newScrape()
	for name, b := range after {
		a := before[name]
		if a == nil || a.start != b.start {
			a = newScrape()
		}
		sum.addDifference(a, b)
	}
	return sum
}

// addDifference adds b - a to s.
func (s *Scrape) addDifference(a, b *Scrape) {
	for k, v := range b.values {
		if !gauges[k.family] {
			v -= a.values[k]
		}
		s.values[k] += v
	}
	for k, h := range b.histograms {
		d := h.minus(a.histograms[k])
		if old := s.histograms[k]; old != nil {
			old.plus(d)
		} else {
			s.histograms[k] = d
		}
	}
}

// minus returns h - other, which may be nil.
func (h *buckets) minus(other *buckets) *buckets {
	d := &buckets{bounds: slices.Clone(h.bounds), counts: slices.Clone(h.counts), sum: h.sum}
	if other == nil {
		return d
	}
	d.sum -= other.sum
	for i, bound := range d.bounds {
		if j, ok := slices.BinarySearch(other.bounds, bound); ok {
			d.counts[i] -= other.counts[j]
		}
	}
	return d
}

// plus adds the buckets of other to h. Servers of different versions may have
// different bounds; those that both have stay right.
func (h *buckets) plus(other *buckets) {
	if slices.Equal(h.bounds, other.bounds) {
		for i := range h.counts {
			h.counts[i] += other.counts[i]
		}
		h.sum += other.sum
		return
	}
	merged := &buckets{sum: h.sum + other.sum}
	for i, bound := range h.bounds {
		if j, ok := slices.BinarySearch(other.bounds, bound); ok {
			merged.bounds = append(merged.bounds, bound)
			merged.counts = append(merged.counts, h.counts[i]+other.counts[j])
		}
	}
	*h = *merged
}

// quantile computes the q-quantile, 0 < q < 1, as histogram_quantile of
// Prometheus does: linear within a bucket, the highest finite bound if it lies
// beyond that, NaN if nothing was observed.
func (h *buckets) quantile(q float64) float64 {
	n := len(h.bounds)
	total := h.count()
	if total <= 0 || n < 2 {
		return math.NaN()
	}
	rank := q * total
	i := sort.Search(n-1, func(i int) bool { return h.counts[i] >= rank })
	if i == n-1 {
		return h.bounds[n-2]
	}
	if i == 0 {
		if h.bounds[0] <= 0 {
			return h.bounds[0]
		}
		return h.bounds[0] * rank / h.counts[0]
	}
	low, high := h.bounds[i-1], h.bounds[i]
	below, upTo := h.counts[i-1], h.counts[i]
	return low + (high-low)*(rank-below)/(upTo-below)
}

// above returns how many observations were above the bound. It is exact if the
// bound is one of the buckets'; otherwise the next lower one is taken, which
// counts too many rather than too few.
func (h *buckets) above(bound float64) int64 {
	i := sort.Search(len(h.bounds), func(i int) bool { return h.bounds[i] > bound })
	if i == 0 {
		return int64(h.count())
	}
	return int64(h.count() - h.counts[i-1])
}

// latency gives the figures of the histogram. Its maximum is not known.
func (h *buckets) latency() Bucketed {
	l := Bucketed{Count: int64(math.Round(h.count()))}
	if l.Count <= 0 {
		return Bucketed{}
	}
	l.Mean = secondsOf(h.sum / h.count())
	if len(h.bounds) < 2 {
		return l // one bucket for everything: no quantiles
	}
	l.P50, l.P90, l.P99 = secondsOf(h.quantile(0.5)), secondsOf(h.quantile(0.9)), secondsOf(h.quantile(0.99))
	// A quantile in the last bucket is only known to be above its lower bound.
	l.Beyond = h.above(h.bounds[len(h.bounds)-2])
	return l
}

func secondsOf(f float64) Seconds {
	if math.IsNaN(f) {
		return 0
	}
	return Seconds(math.Round(f * 1e9))
}

// Bucketed is a latency from a server's histogram: its quantiles are
// interpolated within buckets, as Prometheus does it. A Count of zero means
// that nothing was measured.
type Bucketed struct {
	Count  int64   `json:"count"`
	Mean   Seconds `json:"mean_seconds"`
	P50    Seconds `json:"p50_seconds"`
	P90    Seconds `json:"p90_seconds"`
	P99    Seconds `json:"p99_seconds"`
	Beyond int64   `json:"beyond_buckets,omitempty"` // observations above the last bound
}
