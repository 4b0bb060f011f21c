package results

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Call names a kind of request as the official SLIs do.
type Call struct {
	Verb        string `json:"verb"` // get, list, create, ..., as in history.Request
	Group       string `json:"group,omitempty"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	Scope       string `json:"scope"` // resource, namespace or cluster
}

// String is "patch pods/status".
func (c Call) String() string { return c.Verb + " " + c.Target() }

// Target is the resource with its subresource: "pods/status".
func (c Call) Target() string {
	if c.Subresource == "" {
		return c.Resource
	}
	return c.Resource + "/" + c.Subresource
}

func callOf(q *history.Request) Call {
	return Call{q.Verb, q.Group, q.Resource, q.Subresource, scopeOf(q)}
}

func compareCalls(a, b Call) int {
	return cmp.Or(
		strings.Compare(a.Resource, b.Resource), strings.Compare(a.Subresource, b.Subresource),
		strings.Compare(a.Verb, b.Verb), strings.Compare(a.Scope, b.Scope), strings.Compare(a.Group, b.Group))
}

type seriesKey struct {
	class history.Class
	call  Call
}

type errorKey struct {
	class                  history.Class
	verb, resource, reason string
	status                 int
}

type watchKey struct {
	class          history.Class
	resource, kind string
}

// apiPhase holds the figures of one phase while it runs and after.
type apiPhase struct {
	name  string
	start history.Time

	mu     sync.RWMutex // guards end and the maps, not what they point to
	end    history.Time // zero while the phase runs
	series map[seriesKey]*apiSeries
	slis   map[Call]*sliSeries
	watch  map[watchKey]*watchSeries

	errMu  sync.Mutex
	errors map[errorKey]int64

	reads, writes successes
}

// successes are the latencies of requests that were answered with success.
type successes struct {
	mu   sync.Mutex
	hist *histogram // nil: none yet
}

func (s *successes) record(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hist == nil {
		s.hist = newHistogram()
	}
	s.hist.record(d)
}

func (s *successes) latency() Latency {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hist == nil {
		return Latency{}
	}
	return s.hist.latency()
}

// apiSeries counts one kind of request of one identity class.
type apiSeries struct {
	sli *sliSeries
	mu  sync.Mutex
	apiCounts
	hist *histogram
}

type apiCounts struct {
	requests, failed, unavailable, rejected, sent, received int64
}

// sliSeries is one kind of request over all classes: the unit that the SLOs
// judge.
type sliSeries struct {
	call    Call
	mu      sync.Mutex
	ended   bool
	windows sloWindows
	recent  recentCalls
	hist    *histogram
}

type watchSeries struct{ events, bytes atomic.Int64 }

func newAPIPhase(name string, start history.Time) *apiPhase {
	return &apiPhase{
		name: name, start: start,
		series: map[seriesKey]*apiSeries{},
		slis:   map[Call]*sliSeries{},
		watch:  map[watchKey]*watchSeries{},
		errors: map[errorKey]int64{},
	}
}

// request records q and returns false if the phase is over.
func (p *apiPhase) request(q *history.Request, f fate) bool {
	s := p.find(seriesKey{q.Class, callOf(q)})
	if s == nil {
		return false
	}
	d := q.Latency()
	counts := latencyCounts(f, d, s.sli.windows.threshold)
	if !s.sli.record(q.Returned, d, counts) {
		return false
	}
	s.record(q, f, d, counts)
	if q.Status == 0 || q.Status >= 400 {
		p.failed(q)
		return true
	}
	if q.Class == history.ClassContract {
		// Its few clients fall behind a saturated server: what they owe from the phase
		// before would be the latency of this one.
		d = q.Returned.Sub(q.Called)
	}
	switch q.Verb {
	case "get", "list":
		p.reads.record(d)
	case "create", "update", "patch", "delete", "deletecollection":
		p.writes.record(d)
	}
	return true
}

// find returns the series of k, or nil if the phase is over.
func (p *apiPhase) find(k seriesKey) *apiSeries {
	p.mu.RLock()
	s := p.series[k]
	p.mu.RUnlock()
	if s != nil {
		return s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != 0 {
		return nil
	}
	if len(p.series) >= maxSeries {
		k.call.Group, k.call.Resource, k.call.Subresource = "", otherLabel, ""
	}
	if s = p.series[k]; s != nil {
		return s
	}
	sli := p.slis[k.call]
	if sli == nil {
		threshold, _ := Threshold(k.call)
		sli = &sliSeries{call: k.call, hist: newHistogram(), windows: sloWindows{threshold: threshold, start: p.start}}
		p.slis[k.call] = sli
	}
	s = &apiSeries{sli: sli, hist: newHistogram()}
	p.series[k] = s
	return s
}

func (s *sliSeries) record(at history.Time, d time.Duration, counts bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if counts {
		s.hist.record(d)
		// Calls without an SLO, such as watches, are not judged.
		if s.windows.threshold > 0 {
			s.windows.record(at, d)
			s.recent.record(at, d > s.windows.threshold)
		}
	}
	return true
}

func (s *apiSeries) record(q *history.Request, f fate, d time.Duration, counts bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.sent += int64(q.RequestBytes)
	s.received += int64(q.ResponseBytes)
	if q.Status == 0 || q.Status >= 400 {
		s.failed++
	}
	switch f {
	case fateRejected:
		s.rejected++
	case fateUnavailable:
		s.unavailable++
	}
	if counts {
		s.hist.record(d)
	}
}

func (p *apiPhase) failed(q *history.Request) {
	k := errorKey{q.Class, q.Verb, q.Resource, errorWord(q), q.Status}
	p.errMu.Lock()
	defer p.errMu.Unlock()
	if _, known := p.errors[k]; !known {
		if len(p.errors) >= maxErrors {
			k = errorKey{class: k.class, reason: otherLabel}
		}
		// The reason may be a part of a whole response body.
		k.reason = strings.Clone(k.reason)
	}
	p.errors[k]++
}

func (p *apiPhase) watchEvent(e *history.WatchEvent) {
	k := watchKey{e.Class, e.Resource, e.Type}
	p.mu.RLock()
	w := p.watch[k]
	p.mu.RUnlock()
	if w == nil {
		w = p.newWatch(k)
	}
	w.events.Add(1)
	w.bytes.Add(int64(e.Bytes))
}

func (p *apiPhase) newWatch(k watchKey) *watchSeries {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.watch) >= maxSeries {
		k.resource = otherLabel
	}
	if p.watch[k] == nil {
		k.resource, k.kind = strings.Clone(k.resource), strings.Clone(k.kind)
		p.watch[k] = &watchSeries{}
	}
	return p.watch[k]
}

// finish judges the last windows and refuses further requests.
func (p *apiPhase) finish(at history.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = at
	for _, s := range p.slis {
		s.mu.Lock()
		s.windows.finish(at)
		s.ended = true
		s.mu.Unlock()
	}
}

// sorted returns the keys of m in the order of compare.
func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}
