package judge

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/planecheck/planecheck/checkers/storage/watch"
)

// Delivery is how long the events of one resource took from their commit until
// the store handed them to a watch. A commit is known to lie between the call
// of its transaction and the answer; the time counts from the answer, so an
// event that overtakes it took no time at all.
type Delivery struct {
	Resource string        `json:"resource"` // the first folder of the keys below /registry
	Count    int64         `json:"count"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	P999     time.Duration `json:"p999_ns"`
	Max      time.Duration `json:"max_ns"`
}

const (
	deliveryUnit = time.Microsecond
	deliveryMost = time.Hour
)

// deliveries collects what the watch checker observes. Events of the past of a
// watch are no deliveries: they waited for the watch, not for the store.
type deliveries map[string]*hdrhistogram.Histogram

func (d deliveries) observe(e watch.Delivery) {
	if e.Replayed || e.Commit.Returned == 0 {
		return
	}
	resource := resourceOf(e.Key)
	h := d[resource]
	if h == nil {
		h = hdrhistogram.New(1, int64(deliveryMost/deliveryUnit), 2)
		d[resource] = h
	}
	took := min(max(e.Arrived.Sub(e.Commit.Returned), 0), deliveryMost)
	_ = h.RecordValue(int64(took / deliveryUnit)) // in range by the line above
}

// resourceOf is the resource that a key of an API server belongs to:
// /registry/<resource>/..., or the first folder of any other key.
func resourceOf(key string) string {
	rest := strings.TrimPrefix(key, "/")
	if below, ok := strings.CutPrefix(rest, "registry/"); ok {
		rest = below
	}
	folder, _, _ := strings.Cut(rest, "/")
	return folder
}

// list returns all resources, the busiest first.
func (d deliveries) list() []Delivery {
	var all []Delivery
	for resource, h := range d {
		at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * deliveryUnit }
		all = append(all, Delivery{
			Resource: resource, Count: h.TotalCount(),
			P50: at(50), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max()) * deliveryUnit,
		})
	}
	slices.SortFunc(all, func(a, b Delivery) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Resource, b.Resource))
	})
	return all
}
