package workloads

import (
	"fmt"
	"math"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Signals is what the Pacer knows about the control plane at one moment. The
// counters only grow and count from the start of the phase.
type Signals struct {
	At  history.Time `json:"at"`  // set by the Pacer
	Due int64        `json:"due"` // pods that should have been asked for by now; set by the Pacer

	Created int64 `json:"created"` // pods that exist or existed
	Bound   int64 `json:"bound"`   // of these, those that were given a node
	Running int64 `json:"running"` // of these, those that have started

	// StartupP99 is the start-up time (created → Running) of the pods that
	// became Running in the last few seconds; 0: none did.
	StartupP99 time.Duration `json:"startupP99"`
	// LeaseLatenessP99 says how late the latest heartbeats were.
	LeaseLatenessP99 time.Duration `json:"leaseLatenessP99"`
	// Errors counts answers 429 and 5xx, and requests without an answer.
	Errors int64 `json:"errors"`
	// SLOMissed says that an SLO other than pod start-up is missed just now.
	// The Pacer does not steer by it; such a second counts for no Sustained.
	SLOMissed bool `json:"sloMissed,omitempty"`
}

// asked is the number of pods that the control plane owes. A Deployment's pods
// are created in one go, so Created may run ahead of Due.
func (s Signals) asked() int64 { return max(s.Due, s.Created) }

// backlog is the pods that wait, as far as they weigh. A pod that waits for its
// creation has no start-up time yet, and on a machine that shares its CPU fairly
// it takes nothing from those that have: it counts in part.
func (s Signals) backlog() float64 {
	toCreate := s.asked() - s.Created
	return max(0, float64(s.Created-s.Running)+uncreatedWeight*float64(toCreate))
}

// stage names the part of the control plane where most of the backlog waits.
func (s Signals) stage() string {
	toCreate, toBind, toStart := s.asked()-s.Created, s.Created-s.Bound, s.Bound-s.Running
	switch {
	case toCreate > toBind && toCreate > toStart:
		return "controller-manager"
	case toBind > toStart:
		return "scheduler"
	}
	return "kubelets"
}

// The bounds that the rules of Decide keep. Times of backlog are the backlog
// divided by the pods that become Running per second: how long the youngest
// pod will wait.
const (
	// StartupSLO is the official bound of the p99 of pod start-up, for
	// stateless pods, without image pulls (community/sig-scalability/slos/
	// pod_startup_latency.md).
	StartupSLO = 5 * time.Second
	// startupTarget leaves a margin below the SLO, because what the pace does
	// to the start-up time shows only seconds later.
	startupTarget = 3 * time.Second

	// A healthy pipeline holds some pods, too. Above the least that was seen,
	// the pacer wants between none and calmBacklog of queue and cuts at
	// longBacklog.
	uncreatedWeight = 0.5

	calmBacklog  = 0.75 // s
	longBacklog  = 1.75 // s
	leastBase    = 0.5  // s
	mostBase     = 1.5  // s
	baseDrift    = 0.01 // s per decision: the least that was seen is forgotten slowly
	mostBatch    = 2.5  // s of allowance for the pods of one operation
	drainPace    = 0.6  // of the throughput, while a queue is worked off
	drainLimit   = 15 * time.Second
	resumeBefore = 0.95 // of the pace that built the queue, when it has gone
	resumeFresh  = 0.85 // of the throughput that worked it off, if that is less
	thawPace     = 0.3  // of the pace before a freeze
	startPace    = 50.0 // pods/s
	startFactor  = 1.6
	startCarried = 0.7  // of the pace must become Running before the next step
	probeStep    = 0.02 // of the pace, by which probing raises it at first
	probeGain    = 0.01 // more with each step that nothing objects to
	probeMost    = 0.12
	knownDecay   = 0.999           // a second: half of it is forgotten in 700
	knownFloor   = 0.35            // of it: what is late at such a pace is not late because of it
	mostAhead    = 1.3             // of the throughput: more was not carried yet
	settle       = 3 * time.Second // a step shows in the throughput only after the start-up time

	// Lateness of heartbeats: leases end after 40 s, but a renewal is a mutating
	// call as well, whose p99 may be 1 s by its SLO. From half of that on the
	// pace grows no more; somewhat above it, it gives way. The figures are of
	// a few seconds, so they are noisier than those that the SLO is about.
	leaseUneasy = 500 * time.Millisecond
	leaseLate   = 1200 * time.Millisecond

	frozenAfter      = 2 * time.Second
	frozenAfterStart = 5 * time.Second // the very first pods find every cache cold

	// A cut shows in the start-up times and leases only when what was already
	// on its way is through; until then the same complaint is not heard again.
	startupQuiet = 10 * time.Second
	leaseQuiet   = 12 * time.Second
	errorsQuiet  = 5 * time.Second
)

// Rule names what made a decision.
type Rule string

// The rules, in the order in which they are asked; the first that objects to
// the pace decides.
const (
	RuleFrozen  Rule = "frozen"  // nothing becomes Running although pods wait: stop
	RuleErrors  Rule = "errors"  // the API server refuses requests: cut
	RuleLeases  Rule = "leases"  // heartbeats are at risk: cut
	RuleBacklog Rule = "backlog" // the queue is long: cut below the throughput
	RuleDrain   Rule = "drain"   // wait till it is short, then resume near the capacity
	RuleStartup Rule = "startup" // pods start late although the queue is short: cut
	RuleMatch   Rule = "match"   // a queue begins: go no faster than the throughput
	RuleRaise   Rule = "raise"   // all is well: go faster
	RuleHold    Rule = "hold"    // wait for what the last change does
	RuleFixed   Rule = "fixed"   // the person has set the pace
)

// Decision is a pace and why it was chosen.
type Decision struct {
	Rate   float64 `json:"rate"` // pods/s
	Rule   Rule    `json:"rule"`
	Reason string  `json:"reason"`
}

type paceMode int

const (
	seeking  paceMode = iota // slow start: the capacity is not known yet
	steady                   // near the capacity, probing upwards
	draining                 // working off a queue
	frozen                   // the control plane stands still
)

// memory is how many signals a PaceState remembers: one a second, so a little
// more than the longest window that a rule looks at.
const memory = 24

// PaceState is what Decide remembers from one call to the next. It is a plain
// value: a copy is a checkpoint.
type PaceState struct {
	rate    float64
	batch   float64 // pods of one operation: the grain of all counters
	before  float64 // the pace before the last cut that a queue has caused
	known   float64 // pods/s: the most that was carried lately, slowly forgotten
	base    float64 // s of backlog when all is well
	smooth  float64 // s of backlog, smoothed over a few seconds
	mode    paceMode
	changed history.Time // last step or change of mode
	moved   history.Time // when Running last grew, or the backlog began to stand
	quiet   history.Time // until then start-up and leases cause no further cut
	stale   history.Time // until then start-up times tell of a queue that is gone
	refused history.Time // last cut because of errors
	raises  int          // raises in a row

	recent [memory]Signals // the latest at (calls-1) % memory
	calls  int
}

// NewPaceState returns the state at the start of a phase whose operations ask
// for batch pods each.
func NewPaceState(batch int) PaceState {
	return PaceState{rate: startPace, batch: float64(max(batch, 1)), base: mostBase}
}

// Rate is the pace that the state stands at, in pods/s.
func (s PaceState) Rate() float64 { return s.rate }

// Decide chooses the pace for the next second. It has no clock and no
// randomness: the same signals give the same pace.
//
// Load that is not paced fills a queue, and what is then measured is the
// queue: with all Deployments created at once, the ReplicaSet controller
// creates pods at full speed and starves the scheduler of CPU. The pods that
// become Running per second, seen while a queue stands, are what the control
// plane can do. So the pace first grows in steps of 60 %, as long as each step
// is carried (slow start). Then it stays near the most that is carried and
// probes upwards by a few percent a second. It matches the throughput when a
// queue begins, goes well below it until the queue is worked off when that is
// long, and stops when nothing becomes Running at all.
func Decide(s PaceState, sig Signals) (Decision, PaceState) {
	return decide(s, sig, paceRules)
}

func decide(s PaceState, sig Signals, rules []paceRule) (Decision, PaceState) {
	v := s.observe(sig)
	for _, r := range rules {
		d, ok := r.apply(&s, v)
		if !ok {
			continue
		}
		if r.name != RuleRaise {
			s.raises = 0
		}
		d.Rule = r.name
		s.rate = d.Rate
		return d, s
	}
	return Decision{Rate: s.rate, Rule: RuleHold, Reason: "hold: " + v.String()}, s
}

// view is what the rules look at.
type view struct {
	now        history.Time
	sig        Signals
	throughput float64       // pods/s that became Running over the last 5 s or more
	fresh      float64       // the same over the last 3 s
	backlog    float64       // pods
	wait       float64       // backlog in seconds of the throughput
	idle       time.Duration // since a pod became Running, while a backlog stands
	errors     int64         // new ones
}

// carried is the throughput, or what it has lately risen to.
func (v view) carried() float64 { return max(v.throughput, v.fresh) }

func (v view) String() string {
	return fmt.Sprintf("backlog %.1f s (%.0f pods, most at %s), throughput %.0f/s, start-up p99 %.1f s",
		v.wait, v.backlog, v.sig.stage(), v.throughput, v.sig.StartupP99.Seconds())
}

// observe remembers sig and returns the view of it.
func (s *PaceState) observe(sig Signals) view {
	last := sig
	if s.calls > 0 {
		last = s.recent[(s.calls-1)%memory]
	} else {
		s.changed, s.moved = sig.At, sig.At
	}
	s.recent[s.calls%memory] = sig
	s.calls++
	v := view{
		now: sig.At, sig: sig,
		throughput: s.throughput(s.window()),
		fresh:      s.throughput(3 * time.Second),
		backlog:    sig.backlog(),
		errors:     sig.Errors - last.Errors,
	}
	if sig.Running > last.Running || v.backlog < s.few() {
		s.moved = sig.At
	}
	v.idle = sig.At.Sub(s.moved)
	v.wait = s.waitOf(v)
	s.known = max(knownDecay*s.known, v.throughput)
	if v.throughput > 0 {
		s.smooth += 0.3 * (v.wait - s.smooth)
		s.base = min(max(min(s.smooth, s.base+baseDrift), leastBase), mostBase)
	}
	return v
}

// window is how long the throughput is averaged over: five seconds, or four
// operations if the pace is so slow that they take longer.
func (s *PaceState) window() time.Duration {
	return min(max(5*time.Second, seconds(4*s.batch/max(s.rate, 1))), (memory-2)*tick)
}

// throughput is the mean of pods that became Running per second over the last
// window, or over what there is of it.
func (s *PaceState) throughput(window time.Duration) float64 {
	now := s.recent[(s.calls-1)%memory]
	then := now
	for i := 2; i <= min(s.calls, memory); i++ {
		then = s.recent[(s.calls-i)%memory]
		if now.At.Sub(then.At) >= window-tick/2 {
			break
		}
	}
	if now.At <= then.At {
		return 0
	}
	return float64(now.Running-then.Running) / now.At.Sub(then.At).Seconds()
}

// waitOf is the backlog in seconds of throughput. The short window counts when
// it is faster, so that a queue is not overrated while the pace grows or just
// after a freeze.
func (s *PaceState) waitOf(v view) float64 {
	switch {
	case v.backlog == 0:
		return 0
	case v.carried() > 0:
		return v.backlog / v.carried()
	case s.rate > 0:
		return v.backlog / s.rate
	}
	return math.Min(v.backlog, v.idle.Seconds())
}

// calm and long are the bounds of the backlog in seconds. One operation's
// batch arrives at once, which is no queue.
func (s *PaceState) calm(v view) float64 {
	return s.base + calmBacklog + min(s.batch/max(v.carried(), 1), mostBatch)
}

func (s *PaceState) long(v view) float64 { return s.calm(v) + longBacklog - calmBacklog }

// least is the slowest pace short of none: ten seconds from one operation to
// the next still tell something of the control plane.
func (s *PaceState) least() float64 { return max(1, s.batch/10) }

// few is a backlog that is no reason to stop: a few pods may never start, for
// lack of room say, and must not hold up the rest.
func (s *PaceState) few() float64 { return min(max(s.batch/2, 10), 50) }
