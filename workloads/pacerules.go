package workloads

import (
	"fmt"
)

// paceRule is one reason to choose a pace; see the constants for what each is
// about. apply returns false if the rule has nothing to say.
type paceRule struct {
	name  Rule
	apply func(*PaceState, view) (Decision, bool)
}

var paceRules = []paceRule{
	{RuleFrozen, frozenRule},
	{RuleErrors, errorsRule},
	{RuleLeases, leasesRule},
	{RuleBacklog, backlogRule},
	{RuleDrain, drainRule},
	{RuleStartup, startupRule},
	{RuleMatch, matchRule},
	{RuleRaise, raiseRule},
}

// because builds a decision whose reason is the sentence and the figures.
func because(rate float64, v view, format string, args ...any) (Decision, bool) {
	return Decision{Rate: rate, Reason: fmt.Sprintf(format, args...) + ": " + v.String()}, true
}

// frozenRule brakes hard: a scheduler that stands still takes no pods, and
// each one created meanwhile will be late.
func frozenRule(s *PaceState, v view) (Decision, bool) {
	patience := frozenAfter
	if v.sig.Running == 0 {
		patience = frozenAfterStart
	}
	if v.idle > patience-tick/2 { // decisions are not exactly a tick apart
		if s.mode != frozen {
			s.remember(frozen, v)
		}
		return because(0, v, "frozen: no pod has become Running for %.1f s", v.idle.Seconds())
	}
	if s.mode != frozen {
		return Decision{}, false
	}
	s.mode, s.changed = draining, v.now // what waits is worked off first
	return because(max(thawPace*s.before, s.least()), v, "thaw: pods become Running again")
}

func errorsRule(s *PaceState, v view) (Decision, bool) {
	if v.errors == 0 || s.mode == frozen || (s.refused != 0 && v.now.Sub(s.refused) < errorsQuiet) {
		return Decision{}, false
	}
	s.refused = v.now
	s.settleAt(v)
	return because(max(s.cut(v, 0.7), min(s.rate, s.floor())), v, "errors: %d requests were refused or failed", v.errors)
}

// leasesRule gives way to heartbeats: a node whose lease runs out loses its
// pods, and the run is then no measurement any more.
func leasesRule(s *PaceState, v view) (Decision, bool) {
	if v.sig.LeaseLatenessP99 <= leaseLate || v.now < s.quiet || s.mode == frozen {
		return Decision{}, false
	}
	s.quiet = v.now.Add(leaseQuiet)
	s.settleAt(v)
	return because(max(s.cut(v, 0.7), min(s.rate, s.floor())), v, "leases: heartbeats are %.1f s late at p99", v.sig.LeaseLatenessP99.Seconds())
}

// backlogRule goes well below the throughput, so that a long queue shrinks.
func backlogRule(s *PaceState, v view) (Decision, bool) {
	if v.wait <= s.long(v) || s.mode == frozen || s.mode == draining {
		return Decision{}, false
	}
	// There is no throughput to compare with before the pods of the first step,
	// or of the last one, have had the time to start; until then a backlog is
	// only the step itself. frozenRule watches meanwhile.
	if v.sig.Running == 0 || s.mode == seeking && v.now.Sub(s.changed) < settle {
		return Decision{}, false
	}
	s.remember(draining, v)
	return because(s.drained(v), v, "backlog: %.1f s of pods wait, %.1f s is the bound", v.wait, s.long(v))
}

// drainRule waits until the queue has gone. What was carried meanwhile, with
// pods always waiting, is the best knowledge of what can be carried; it flatters
// a little, since fewer pods than usual were created beside. A queue that
// stays moderate for long is none: the least possible backlog has grown.
func drainRule(s *PaceState, v view) (Decision, bool) {
	if s.mode != draining {
		return Decision{}, false
	}
	long := v.now.Sub(s.changed) > drainLimit && v.wait < 2*s.long(v)
	if v.wait <= s.calm(v) || long {
		s.mode, s.changed, s.stale = steady, v.now, v.now.Add(startupQuiet)
		rate := min(resumeBefore*s.before, resumeFresh*v.carried())
		return because(max(rate, s.rate), v, "resume: the queue is short")
	}
	return because(s.drained(v), v, "drain: %.1f s of pods wait, want %.1f s", v.wait, s.calm(v))
}

// drained is the pace at which a queue shrinks.
func (s *PaceState) drained(v view) float64 {
	return min(s.rate, max(drainPace*v.carried(), s.least()))
}

// remember enters a mode that ends when the queue has gone.
func (s *PaceState) remember(m paceMode, v view) {
	if s.mode != draining {
		s.before = s.rate
	}
	s.mode, s.changed = m, v.now
}

func startupRule(s *PaceState, v view) (Decision, bool) {
	if v.sig.StartupP99 <= startupTarget || v.now < max(s.quiet, s.stale) {
		return Decision{}, false
	}
	s.quiet = v.now.Add(startupQuiet)
	s.settleAt(v)
	return because(s.cut(v, 0.85), v, "startup: p99 is above %.0f s", startupTarget.Seconds())
}

// matchRule ends growth: with a queue that has begun, a pace above the
// throughput can only lengthen it. It moves by at most a tenth at a time,
// because the throughput of five seconds is noisy.
func matchRule(s *PaceState, v view) (Decision, bool) {
	if v.wait <= s.calm(v) || v.throughput == 0 {
		return Decision{}, false
	}
	if s.mode == seeking {
		if v.now.Sub(s.changed) < 2*settle {
			return Decision{}, false
		}
		s.settleAt(v)
	}
	if v.throughput >= s.rate {
		return Decision{}, false
	}
	return because(max(v.throughput, 0.9*s.rate, s.least()), v, "match: a queue begins")
}

func raiseRule(s *PaceState, v view) (Decision, bool) {
	uneasy := v.sig.LeaseLatenessP99 > leaseUneasy ||
		(v.sig.StartupP99 > startupTarget*4/5 && v.now >= s.stale) ||
		(s.refused != 0 && v.now.Sub(s.refused) < 2*errorsQuiet)
	if uneasy || v.wait > s.calm(v) || s.rate >= MaxPace {
		return Decision{}, false
	}
	if s.mode == seeking {
		if v.now.Sub(s.changed) < settle || v.fresh < startCarried*s.rate {
			return Decision{}, false
		}
		s.changed = v.now
		return because(startFactor*s.rate, v, "raise: slow start, the last step is carried")
	}
	if s.rate > mostAhead*v.carried()+s.batch/5 {
		return Decision{}, false
	}
	// The longer nothing objects the bolder, since the capacity may have grown
	// a lot; and the nearer to a queue the more timid.
	step := min(probeStep+probeGain*float64(s.raises), probeMost) * (1 - v.wait/s.calm(v))
	s.raises++
	return because((1+step)*s.rate, v, "raise: probing")
}

// floor is a pace so far below what was carried in the last ten minutes that
// what goes wrong at it does not go wrong because of it. Queues are another
// matter: they show what is carried now.
func (s *PaceState) floor() float64 { return knownFloor * s.known }

// settleAt ends the slow start.
func (s *PaceState) settleAt(v view) {
	if s.mode == seeking {
		s.mode, s.changed = steady, v.now
	}
}

// cut is the pace reduced to the factor, and to the same factor of what is
// carried if that is less.
func (s *PaceState) cut(v view, factor float64) float64 {
	return max(s.least(), factor*min(s.rate, max(v.throughput, 0.5*s.rate)))
}
