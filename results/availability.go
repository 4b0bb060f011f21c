package results

import (
	"slices"
	"sync"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// maxSeconds bounds what a run that never ends, or a time that makes no sense,
// can cost: a day.
const maxSeconds = 24 * 60 * 60

// Availability measures what faults do to those who use the API: how many of
// their calls are served and how fast, how long nobody leads, and which
// heartbeats are late. It counts by the second of the run in which a call was
// due, so that the calls of a standstill are not missing from it, and not by
// the one in which they returned. Its methods may be called concurrently.
type Availability struct {
	start     history.Time
	lateAfter time.Duration

	mu      sync.Mutex
	seconds []*second // of the run; nil: nothing happened, or it was let go
	faults  []*FaultWindow
	leaders map[string][]leadership
	events  []availabilityEvent // that are not in the series yet
	// uncounted calls were due before the run, after maxSeconds, or in a second
	// that was let go.
	uncounted int64
	written   int // seconds before this one are in the series
	released  int // seconds before this one were let go, unless a fault needs them
}

var _ history.Observer = (*Availability)(nil)

// FaultWindow is one fault, from its injection on.
type FaultWindow struct {
	of              *Availability
	fault, target   string
	injected        history.Time
	healed          history.Time // zero: not yet
	shown, mended   string       // how the fault, and its heal, showed from outside
	evicted         int64
	evictionsJudged bool
	bound           *PodsBound
}

// leadership says who led something from a time on.
type leadership struct {
	from history.Time
	who  string // "": nobody
}

// NewAvailability returns an Availability of a run that began at start. A
// heartbeat that is answered more than lateAfter after its time is late.
func NewAvailability(start history.Time, lateAfter time.Duration) *Availability {
	return &Availability{start: start, lateAfter: lateAfter, leaders: map[string][]leadership{}}
}

// Begin says that a fault acts on a target from now on. It is called right
// before the injection: what was counted before it is not taken back.
func (a *Availability) Begin(fault, target string, at history.Time) *FaultWindow {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &FaultWindow{of: a, fault: fault, target: target, injected: at}
	a.faults = append(a.faults, f)
	a.cut(at)
	a.event(at, "inject", f.String())
	return f
}

// Healed ends the fault. Only the first call counts, so that cleaning up may
// heal what is healed.
func (f *FaultWindow) Healed(at history.Time) {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	if f.healed != 0 {
		return
	}
	f.healed = at
	f.of.cut(at)
	f.of.event(at, "heal", f.String())
}

// Shown says how it showed from outside that the fault acted.
func (f *FaultWindow) Shown(evidence string) {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.shown = evidence
}

// ShownHealed says how it showed from outside that the fault was healed.
func (f *FaultWindow) ShownHealed(evidence string) {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.mended = evidence
}

// Evicted adds pods that were evicted wrongly: their node kept its Lease. A
// fault for which it is never called, be it with 0, was not judged by its
// evictions.
func (f *FaultWindow) Evicted(pods int64) {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.evicted += pods
	f.evictionsJudged = true
}

// Bound says how many pods were bound while the fault acted, and after it.
func (f *FaultWindow) Bound(during, after int64) {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.bound = &PodsBound{During: during, After: after}
}

// String is "etcd-leader-stop of etcd-1".
func (f *FaultWindow) String() string { return faultName(f.fault, f.target) }

func faultName(fault, target string) string {
	if target == "" {
		return fault
	}
	return fault + " of " + target
}

// Request implements history.Observer.
func (a *Availability) Request(q *history.Request) {
	kind, class, fate := kindOf(q.Verb), classIndex(q.Class), availabilityFate(q)
	due := q.Due
	if due == 0 {
		due = q.Called
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if fate == fateUnavailable || fate == fateRejected {
		due = a.caught(due, q.Returned)
	}
	s := a.second(due)
	if s == nil {
		a.uncounted++
		return
	}
	p := s.part(due)
	p.calls[kind][class].add(fate)
	if kind == kindWatch {
		return
	}
	d := q.Latency()
	if latencyCounts(fate, d, callThreshold) {
		p.latency[kind].record(d)
	}
	a.mark(&s.marks[kind], kind, fate, due, q.Returned)
}

// WatchEvent implements history.Observer. An event is no call.
func (a *Availability) WatchEvent(*history.WatchEvent) {}

// availabilityFate differs from fateOf for contract traffic, without which
// there is little to measure by: all its calls count, but for reads of a
// version that is far from reached, which are meant to wait and then to fail.
func availabilityFate(q *history.Request) fate {
	if q.Class == history.ClassContract && tooNew(q) {
		return fateMeant
	}
	return fateOf(q)
}

// caught returns where a call counts that was not served: one that was on its
// way when a fault struck was lost to the fault, not before it, unless another
// fault acted already when it was due.
func (a *Availability) caught(due, returned history.Time) history.Time {
	at := due
	for _, f := range a.faults {
		switch {
		case f.injected <= due && (f.healed == 0 || due < f.healed):
			return due
		case at == due && due < f.injected && f.injected <= returned:
			at = f.injected
		}
	}
	return at
}

// mark keeps the moments between which there was service, or none.
func (a *Availability) mark(due *marks, kind callKind, fate fate, at, returned history.Time) {
	switch fate {
	case fateServed:
		due.call(a.slot(at), returned.Sub(at))
		if s := a.second(returned); s != nil {
			s.marks[kind].served.set(a.slot(returned))
		}
	case fateUnavailable, fateRejected:
		i := a.slot(at)
		due.called.set(i)
		due.failed.set(i)
	}
}

// Lease takes one renewal of a node's heartbeat.
func (a *Availability) Lease(r history.Lease) {
	late, sentLate, lost := a.judgeLease(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	due := r.Due
	if late || lost {
		end := r.Answered
		if end == 0 {
			end = r.Deadline
		}
		due = a.caught(due, end)
	}
	s := a.second(due)
	if s == nil {
		return
	}
	beats := &s.part(due).beats
	beats.Renewals++
	switch {
	case lost:
		beats.Lost++
	case late:
		beats.Late++
		if sentLate {
			beats.SentLate++
		}
	}
}

func (a *Availability) judgeLease(r history.Lease) (late, sentLate, lost bool) {
	lost = r.Failed || r.Answered == 0 || r.Deadline != 0 && r.Answered > r.Deadline
	late = !lost && r.Answered.Sub(r.Due) > a.lateAfter
	return late, late && r.Sent.Sub(r.Due) > a.lateAfter, lost
}

// Leader says who leads something (etcd, kube-scheduler, ...) at a time; "" is
// nobody. The caller samples: a time without a leader is known as exactly as
// the samples are close. Times do not go back.
func (a *Availability) Leader(of, who string, at history.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.leaders[of]
	if n := len(known); n > 0 && (known[n-1].who == who || at < known[n-1].from) {
		return
	}
	a.leaders[of] = append(known, leadership{at, who})
	if who == "" {
		who = "nobody"
	}
	a.event(at, "leader", who+" leads "+of)
}

// cut makes a part begin at a time, so that a fault can be told from what was
// before and after it within a second.
func (a *Availability) cut(at history.Time) {
	s := a.second(at)
	if s == nil {
		return
	}
	i := len(s.parts)
	for s.parts[i-1].from > at {
		i--
	}
	if s.parts[i-1].from != at {
		s.parts = slices.Insert(s.parts, i, &secondPart{from: at})
	}
}

// index is the second of the run that holds a time.
func (a *Availability) index(at history.Time) int {
	if at < a.start {
		return -1
	}
	return int(at.Sub(a.start) / time.Second)
}

// begins is when a second of the run begins.
func (a *Availability) begins(i int) history.Time {
	return a.start.Add(time.Duration(i) * time.Second)
}

// second returns the second that holds a time, and makes it if need be; nil if
// it is out of bounds or was let go.
func (a *Availability) second(at history.Time) *second {
	i := a.index(at)
	if i < 0 || i >= maxSeconds {
		return nil
	}
	for i >= len(a.seconds) {
		a.seconds = append(a.seconds, nil)
	}
	if a.seconds[i] == nil && i >= a.released {
		a.seconds[i] = newSecond(a.begins(i))
	}
	return a.seconds[i]
}

// known is the second of that number, nil if nothing is known of it.
func (a *Availability) known(i int) *second {
	if i < 0 || i >= len(a.seconds) {
		return nil
	}
	return a.seconds[i]
}
