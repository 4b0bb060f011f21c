package results

import (
	"cmp"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// APIFigures are the exact figures of what sim and workloads sent in a phase.
type APIFigures struct {
	Requests []RequestFigures `json:"requests,omitempty"`
	Calls    []CallFigures    `json:"calls,omitempty"`
	Errors   []ErrorFigures   `json:"errors,omitempty"`
	Watches  []WatchFigures   `json:"watches,omitempty"`
	// Reads and Writes are all that was answered with success, whoever sent it and
	// whatever it was about, contract traffic with its versions of the past too.
	// Watches are neither. They count from when they were due, those of contract
	// traffic from when they were sent.
	Reads  Latency `json:"reads,omitzero"`
	Writes Latency `json:"writes,omitzero"`
}

// RequestFigures are the requests of one kind and one identity class.
type RequestFigures struct {
	Class history.Class `json:"class"`
	Call
	Requests      int64 `json:"requests"`
	Failed        int64 `json:"failed"`      // status 400 and above, or no answer
	Unavailable   int64 `json:"unavailable"` // 5xx, or no answer that the sender waited for
	Rejected      int64 `json:"rejected"`    // 429
	BytesSent     int64 `json:"bytes_sent"`
	BytesReceived int64 `json:"bytes_received"`
	// Latency counts from when the request was due, without rejected ones.
	Latency Latency `json:"latency"`
}

// CallFigures are the requests of one kind over all classes, with the worst
// window that an SLO judges.
type CallFigures struct {
	Call
	Latency    Latency `json:"latency"`
	Threshold  Seconds `json:"threshold_seconds,omitempty"` // 0: no SLO
	Windows    int     `json:"windows,omitempty"`           // judged
	Violations int     `json:"violations,omitempty"`        // windows above the threshold
	Worst      Window  `json:"worst_window,omitzero"`
}

// ErrorFigures counts the failures of one kind and one identity class.
type ErrorFigures struct {
	Class    history.Class `json:"class,omitempty"` // records from before 24 November 2026 may have none
	Verb     string        `json:"verb"`
	Resource string        `json:"resource"`
	Status   int           `json:"status"` // 0: no answer
	Reason   string        `json:"reason"`
	Count    int64         `json:"count"`
}

// WatchFigures counts the events that arrived on watches.
type WatchFigures struct {
	Class    history.Class `json:"class"`
	Resource string        `json:"resource"`
	Type     string        `json:"type"` // ADDED, ...; "" for the end of a watch
	Count    int64         `json:"count"`
	Bytes    int64         `json:"bytes"`
}

// Phase returns the figures of the last phase of that name, final once the
// next phase has begun. An unknown name gives empty figures.
func (r *Recorder) Phase(name string) APIFigures {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.phases) - 1; i >= 0; i-- {
		if r.phases[i].name == name {
			return r.phases[i].figures()
		}
	}
	return APIFigures{}
}

// missed returns the windows of the last phase of that name in which calls of ours
// were too slow, by the SLO; final once the next phase has begun.
func (r *Recorder) missed(name string) map[string][]steps {
	r.mu.Lock()
	defer r.mu.Unlock()
	missed := map[string][]steps{}
	for _, p := range slices.Backward(r.phases) {
		if p.name != name {
			continue
		}
		p.mu.RLock()
		defer p.mu.RUnlock()
		for call, s := range p.slis {
			s.mu.Lock()
			if len(s.windows.missed) > 0 {
				slo := sloOf(call).title(SourceOurs)
				missed[slo] = append(missed[slo], s.windows.missed...)
			}
			s.mu.Unlock()
		}
		break
	}
	return missed
}

// Total returns the latency of each kind of request over all phases.
func (r *Recorder) Total() []CallFigures {
	r.mu.Lock()
	defer r.mu.Unlock()
	merged := map[Call]*histogram{}
	for _, p := range r.phases {
		p.mu.RLock()
		for _, s := range p.slis {
			s.mergeInto(merged)
		}
		p.mu.RUnlock()
	}
	var all []CallFigures
	for _, call := range sorted(merged, compareCalls) {
		threshold, _ := Threshold(call)
		all = append(all, CallFigures{Call: call, Latency: merged[call].latency(), Threshold: Seconds(threshold)})
	}
	return all
}

func (s *sliSeries) mergeInto(merged map[Call]*histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if merged[s.call] == nil {
		merged[s.call] = newHistogram()
	}
	merged[s.call].merge(s.hist)
}

func (p *apiPhase) figures() APIFigures {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f := APIFigures{Reads: p.reads.latency(), Writes: p.writes.latency()}
	for _, k := range sorted(p.series, compareSeries) {
		f.Requests = append(f.Requests, p.series[k].figures(k))
	}
	for _, call := range sorted(p.slis, compareCalls) {
		f.Calls = append(f.Calls, p.slis[call].figures())
	}
	for _, k := range sorted(p.watch, compareWatches) {
		w := p.watch[k]
		f.Watches = append(f.Watches, WatchFigures{k.class, k.resource, k.kind, w.events.Load(), w.bytes.Load()})
	}
	p.errMu.Lock()
	defer p.errMu.Unlock()
	for _, k := range sorted(p.errors, compareErrors) {
		f.Errors = append(f.Errors, ErrorFigures{k.class, k.verb, k.resource, k.status, k.reason, p.errors[k]})
	}
	return f
}

func (s *apiSeries) figures(k seriesKey) RequestFigures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return RequestFigures{
		Class: k.class, Call: k.call,
		Requests: s.requests, Failed: s.failed, Unavailable: s.unavailable, Rejected: s.rejected,
		BytesSent: s.sent, BytesReceived: s.received,
		Latency: s.hist.latency(),
	}
}

func (s *sliSeries) figures() CallFigures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return CallFigures{
		Call: s.call, Latency: s.hist.latency(), Threshold: Seconds(s.windows.threshold),
		Windows: s.windows.judged, Violations: len(s.windows.missed), Worst: s.windows.worst,
	}
}

func compareSeries(a, b seriesKey) int {
	return cmp.Or(compareCalls(a.call, b.call), cmp.Compare(a.class, b.class))
}

func compareWatches(a, b watchKey) int {
	return cmp.Or(strings.Compare(a.resource, b.resource), strings.Compare(a.kind, b.kind), cmp.Compare(a.class, b.class))
}

func compareErrors(a, b errorKey) int {
	return cmp.Or(strings.Compare(a.resource, b.resource), strings.Compare(a.verb, b.verb),
		cmp.Compare(a.status, b.status), strings.Compare(a.reason, b.reason), cmp.Compare(a.class, b.class))
}
