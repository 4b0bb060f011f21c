package watches

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Delivery is how long the changes of one resource took from their commit at
// the store until a client had read their event. A commit is known to lie
// between the call of its transaction and the answer; the time counts from the
// answer, so an event that overtakes it took no time at all.
type Delivery struct {
	Resource string        `json:"resource"` // as in requests, with the API group: deployments.apps
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

// observe takes note of a delivery. A change that was called for before its
// watch was open waited for the watch, and not for the server.
func (c *Checker) observe(w *watch, a arrival) {
	called, returned, ok := c.opt.Window.Commit(a.rev)
	if !ok || called <= w.opened {
		return
	}
	name := w.call.Resource
	if w.call.Group != "" {
		name += "." + w.call.Group
	}
	took := min(max(a.at.Sub(returned), 0), deliveryMost)
	record(c.latencies, name, took)
	if c.opt.Phase != nil {
		if phase := c.opt.Phase(returned); phase != "" {
			record(c.phases, phase, took)
		}
	}
}

func record(histograms map[string]*hdrhistogram.Histogram, name string, took time.Duration) {
	h := histograms[name]
	if h == nil {
		h = hdrhistogram.New(1, int64(deliveryMost/deliveryUnit), 2)
		histograms[name] = h
	}
	_ = h.RecordValue(int64(took / deliveryUnit)) // took is in its range
}

// Deliveries returns how long deliveries took, by resource, the busiest first.
func (c *Checker) Deliveries() []Delivery {
	var all []Delivery
	for resource, h := range c.latencies {
		all = append(all, deliveryOf(resource, h))
	}
	slices.SortFunc(all, func(a, b Delivery) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Resource, b.Resource))
	})
	return all
}

// PhaseDeliveries returns how long the deliveries of all resources took, by the
// phase in which the change was made.
func (c *Checker) PhaseDeliveries() map[string]Delivery {
	all := map[string]Delivery{}
	for phase, h := range c.phases {
		all[phase] = deliveryOf("", h)
	}
	return all
}

func deliveryOf(resource string, h *hdrhistogram.Histogram) Delivery {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * deliveryUnit }
	return Delivery{
		Resource: resource, Count: h.TotalCount(),
		P50: at(50), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max()) * deliveryUnit,
	}
}
