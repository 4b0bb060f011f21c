package results

import (
	"sync"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Leases judges the heartbeats of the simulated nodes. A late heartbeat is a
// fault of the simulation until proven otherwise, so lateness is split into
// what was sent late (ours) and what was answered late (the control plane's).
type Leases struct {
	mu       sync.Mutex
	duration time.Duration
	nodes    map[string]leaseState
	phase    leasePhase
	ended    []leasePhase
	recent   recent
	total    LeaseTotals
	misses   []LeaseMiss // the first ones
}

// leaseState is what is known of one node's lease.
type leaseState struct {
	deadline history.Time // end of the lease that is being extended
	missed   bool         // that deadline has been counted as missed
	kept     int          // where that one is in Leases.misses, counted from 1; 0: it is not
	before   history.Lease
}

type leasePhase struct {
	name                         string
	start                        history.Time
	figures                      LeaseFigures
	lateness, sendLate, answered *histogram
}

// LeaseTotals are counts since the start of the run.
type LeaseTotals struct {
	Renewals int64 `json:"renewals"` // that succeeded
	Failed   int64 `json:"failed"`
	Missed   int64 `json:"missed"` // deadlines that passed without a renewal
}

// LeaseFigures are the heartbeats of a phase.
type LeaseFigures struct {
	LeaseTotals
	PerSecond float64 `json:"per_second"` // renewals
	Lateness  Latency `json:"lateness"`   // from due to answered
	// SentLate is from due to sent, which is ours; AnsweredLate from sent to
	// answered, which is the control plane's.
	SentLate     Latency `json:"sent_late"`
	AnsweredLate Latency `json:"answered_late"`
}

// NewLeases returns a Leases in a phase of the given name. duration is that of
// the leases, 40 s for a kubelet.
func NewLeases(phase string, duration time.Duration) *Leases {
	return &Leases{duration: duration, nodes: map[string]leaseState{}, phase: newLeasePhase(phase)}
}

func newLeasePhase(name string) leasePhase {
	return leasePhase{
		name: name, start: history.Now(),
		lateness: newHistogram(), sendLate: newHistogram(), answered: newHistogram(),
	}
}

// Lease takes one renewal.
func (l *Leases) Lease(r history.Lease) {
	l.observe(r, history.Now())
}

func (l *Leases) observe(r history.Lease, now history.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	state := l.nodes[r.Node]
	answered := !r.Failed && r.Answered != 0
	end := now
	if answered {
		end = r.Answered
	}
	if r.Deadline != 0 {
		state.deadline = r.Deadline
	}
	l.miss(r.Node, &state, end)
	l.explain(state, r)
	if answered {
		l.renewed(r)
		state = leaseState{deadline: r.Sent.Add(l.duration), before: r}
	} else {
		l.total.Failed++
		l.phase.figures.Failed++
	}
	l.nodes[r.Node] = state
}

// passed says that the deadline passed before end, and has not been counted.
func (s *leaseState) passed(end history.Time) bool {
	return !s.missed && s.deadline != 0 && end > s.deadline
}

// miss counts a deadline that passed before end, once until the next renewal.
func (l *Leases) miss(node string, state *leaseState, end history.Time) {
	if !state.passed(end) {
		return
	}
	state.missed = true
	l.total.Missed++
	l.phase.figures.Missed++
	l.keep(node, state)
}

// Overdue counts the nodes of which nothing is heard and whose deadline has
// passed: a renewal that hangs is reported late or never. It returns the
// number that was not known before. Call it while the simulation still runs.
func (l *Leases) Overdue(now history.Time) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.total.Missed
	for _, node := range l.overdue(now) {
		state := l.nodes[node]
		l.miss(node, &state, now)
		l.nodes[node] = state
	}
	return l.total.Missed - before
}

// Forget drops a node that was taken away on purpose.
func (l *Leases) Forget(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.nodes, node)
}

// Totals returns the counts since the start.
func (l *Leases) Totals() LeaseTotals {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Recent is the lateness, due to answered, of the renewals that were answered
// in the last five seconds.
func (l *Leases) Recent() Latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recent.latency(history.Now())
}

// StartPhase ends the current phase and begins the next.
func (l *Leases) StartPhase(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.phase
	l.phase = newLeasePhase(name)
	old.finish(l.phase.start)
	l.ended = append(l.ended, old)
}

func (p *leasePhase) finish(at history.Time) {
	f := &p.figures
	f.Lateness, f.SentLate, f.AnsweredLate = p.lateness.latency(), p.sendLate.latency(), p.answered.latency()
	if s := at.Sub(p.start).Seconds(); s > 0 {
		f.PerSecond = float64(f.Renewals) / s
	}
	p.lateness, p.sendLate, p.answered = nil, nil, nil
}

// Phase returns the figures of the last ended phase of that name. An unknown
// name gives empty figures.
func (l *Leases) Phase(name string) LeaseFigures {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.ended) - 1; i >= 0; i-- {
		if l.ended[i].name == name {
			return l.ended[i].figures
		}
	}
	return LeaseFigures{}
}

func (l *Leases) renewed(r history.Lease) {
	l.total.Renewals++
	l.phase.figures.Renewals++
	l.phase.lateness.record(r.Answered.Sub(r.Due))
	l.phase.sendLate.record(r.Sent.Sub(r.Due))
	l.phase.answered.record(r.Answered.Sub(r.Sent))
	l.recent.record(r.Answered, r.Answered.Sub(r.Due))
}
