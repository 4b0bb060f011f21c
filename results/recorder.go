package results

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Limits of what a run with an unforeseen mass of resources or error texts can
// cost; beyond them figures are added up under otherLabel.
const (
	maxSeries  = 2000
	maxErrors  = 1000
	otherLabel = "(other)"
)

// Recorder keeps the latency and the number of all requests and watch events
// of sim and workloads, by phase. It is the history.Observer of a run; its
// methods may be called concurrently.
type Recorder struct {
	current atomic.Pointer[apiPhase]
	mu      sync.Mutex
	phases  []*apiPhase

	requests    atomic.Int64
	failures    atomic.Int64
	watchEvents atomic.Int64
}

var _ history.Observer = (*Recorder)(nil)

// NewRecorder returns a recorder that is in a phase of the given name.
func NewRecorder(phase string) *Recorder {
	r := &Recorder{}
	r.StartPhase(phase)
	return r
}

// StartPhase ends the current phase and begins the next. Requests count in the
// phase in which they return.
func (r *Recorder) StartPhase(name string) { r.startPhase(name, history.Now()) }

func (r *Recorder) startPhase(name string, now history.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := newAPIPhase(name, now)
	r.phases = append(r.phases, next)
	if old := r.current.Swap(next); old != nil {
		old.finish(now)
	}
}

// Totals returns the number of requests, of failed requests (no answer, or a
// 5xx or 429 one) and of watch events since the start.
func (r *Recorder) Totals() (requests, failures, watchEvents int64) {
	return r.requests.Load(), r.failures.Load(), r.watchEvents.Load()
}

// SlowNow returns a call whose 99th percentile over the last five seconds is
// above what its SLO allows, and whether there is one.
func (r *Recorder) SlowNow() (Call, bool) {
	p := r.current.Load()
	now := history.Now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	for call, s := range p.slis {
		s.mu.Lock()
		w := s.recent.window(now)
		s.mu.Unlock()
		if w.Violates() {
			return call, true
		}
	}
	return Call{}, false
}

// Request implements history.Observer.
func (r *Recorder) Request(q *history.Request) {
	r.requests.Add(1)
	fate := fateOf(q)
	if q.Class == history.ClassContract {
		fate = fateMeant
	}
	if fate == fateUnavailable || fate == fateRejected {
		r.failures.Add(1)
	}
	// A phase that ended between the load and the record refuses it.
	for !r.current.Load().request(q, fate) {
	}
}

// WatchEvent implements history.Observer.
func (r *Recorder) WatchEvent(e *history.WatchEvent) {
	r.watchEvents.Add(1)
	r.current.Load().watchEvent(e)
}

// fate is what became of a request, as far as latency and availability care.
type fate int

const (
	// fateServed: the server did the work and said how it ended; a 404 or a
	// 409 is an answer too.
	fateServed fate = iota
	// fateRejected: priority and fairness, or a disruption budget, turned it
	// away (429). That is quick, so it must not flatter the latency.
	fateRejected
	// fateUnavailable: 5xx, or no answer.
	fateUnavailable
	// fateCanceled: the sender gave up itself, as at the end of a run.
	fateCanceled
	// fateMeant: what contract traffic gets, which asks for errors and for
	// versions of the future, is neither latency nor availability.
	fateMeant
)

func fateOf(q *history.Request) fate {
	switch {
	case q.Status == 0 && strings.Contains(q.Err, "context canceled"):
		return fateCanceled
	case q.Status == 0 || q.Status >= 500:
		return fateUnavailable
	case q.Status == 429:
		return fateRejected
	default:
		return fateServed
	}
}

// scopeOf names the scope of a request as the API server's own metrics do
// (CleanScope in k8s.io/apiserver/pkg/endpoints/metrics).
func scopeOf(q *history.Request) string {
	switch {
	case q.Name != "" || q.Verb == "create":
		return "resource"
	case q.Namespace != "":
		return "namespace"
	default:
		return "cluster"
	}
}

// errorWord makes a reason that can be counted from an error text that names
// addresses and ports.
func errorWord(q *history.Request) string {
	if q.Status != 0 {
		return q.Reason
	}
	for _, w := range []struct{ part, word string }{
		{"context canceled", "canceled"},
		{"deadline exceeded", "timeout"},
		{"timeout", "timeout"},
		{"connection refused", "connection refused"},
		{"connection reset", "connection reset"},
		{"GOAWAY", "GOAWAY"},
		{"EOF", "EOF"},
	} {
		if strings.Contains(q.Err, w.part) {
			return w.word
		}
	}
	return "no answer"
}

// latencyCounts reports whether the time of q is a latency. Rejections are
// quick and do not count; a request without an answer counts once it took
// longer than the SLO allows, or time-outs would vanish from the tail.
func latencyCounts(f fate, d, threshold time.Duration) bool {
	switch f {
	case fateServed:
		return true
	case fateUnavailable:
		return threshold > 0 && d > threshold
	default:
		return false
	}
}
