package results

import (
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Figures sums up all faults of a run that ended at end; nil: there were none.
// A call that has not returned by then is in no figure.
func (a *Availability) Figures(end history.Time) *AvailabilityFigures {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.faults) == 0 {
		return nil
	}
	figures := &AvailabilityFigures{LateAfter: Seconds(a.lateAfter), Uncounted: a.uncounted}
	spans := a.spans(end)
	for _, s := range spans {
		f := a.fault(s, end)
		for _, other := range spans {
			if other != s && s.touches(other) {
				f.With = append(f.With, other.String())
			}
		}
		figures.Faults = append(figures.Faults, f)
	}
	return figures
}

func (a *Availability) fault(s *faultSpan, end history.Time) FaultFigures {
	f := FaultFigures{
		Fault: s.fault, Target: s.target, Evidence: s.shown, Healed: s.mended,
		Injected: Seconds(s.injected.Sub(a.start)), Acted: Seconds(s.until.Sub(s.injected)),
		Reads:  a.service(kindRead, s, end),
		Writes: a.service(kindWrite, s, end),
		Watches: WatchOpenings{
			During: a.calls(kindWatch, s.injected, s.until).CallCounts, Recovery: a.calls(kindWatch, s.until, s.end).CallCounts,
		},
		Classes:    a.classes(s.injected, s.until),
		Heartbeats: a.heartbeats(s.injected, s.end),
		Leaderless: a.leaderless(s.injected, s.end),
	}
	if s.recovered {
		f.Recovered = secondsPointer(s.end.Sub(s.healed))
	} else if f.Incomplete = s.incomplete(end); s.until == s.healed && f.quiet() {
		f.Incomplete = "no calls after the heal, by which to judge the recovery"
	}
	if s.evictionsJudged {
		evicted := s.evicted
		f.Evicted = &evicted
	}
	f.Bound = s.bound
	return f
}

// quiet reports whether nobody called in the recovery.
func (f *FaultFigures) quiet() bool {
	_, reads := f.Reads.Recovery.Ratio()
	_, writes := f.Writes.Recovery.Ratio()
	return !reads && !writes
}

func (a *Availability) service(kind callKind, s *faultSpan, end history.Time) ServiceFigures {
	f := ServiceFigures{
		Before:   a.calls(kind, a.begins(s.before[0]), a.begins(s.before[1])),
		During:   a.calls(kind, s.injected, s.until),
		Recovery: a.calls(kind, s.until, s.end),
		Gap:      a.gap(kind, s.injected, s.end),
	}
	if failed, ok := a.firstFailure(kind, s.injected, s.end); ok {
		since := max(a.slotBegins(failed), s.injected)
		f.FirstFailure = secondsPointer(since.Sub(s.injected))
		if back, ok := a.firstSuccess(kind, failed+1, s.limit(end)); ok {
			f.Back = secondsPointer(back.Sub(since))
		}
	}
	if s.until == s.healed {
		if served, ok := a.firstAnswer(kind, s.healed, s.limit(end)); ok {
			f.FirstServed = secondsPointer(served.Sub(s.healed))
		}
	}
	return f
}

func secondsPointer(d time.Duration) *Seconds {
	s := Seconds(d)
	return &s
}

// limit is how far a first success is looked for: what is further away is let
// go, and no success within minutes is none.
func (s *faultSpan) limit(end history.Time) history.Time {
	if s.healed == 0 {
		return end
	}
	return min(end, s.healed.Add(recoveryBound))
}

// each visits the parts that begin in [from, to). Faults cut seconds into
// parts, so that is everything in between.
func (a *Availability) each(from, to history.Time, visit func(*secondPart)) {
	for i := a.index(from); i < len(a.seconds) && a.begins(i) < to; i++ {
		s := a.known(i)
		if s == nil {
			continue
		}
		for _, p := range s.parts {
			if p.from >= from && p.from < to {
				visit(p)
			}
		}
	}
}

func (a *Availability) calls(kind callKind, from, to history.Time) CallFates {
	var f CallFates
	var latency logHistogram
	a.each(from, to, func(p *secondPart) {
		for _, class := range p.calls[kind] {
			f.add(class)
		}
		if kind < timedKinds {
			latency.merge(&p.latency[kind])
		}
	})
	f.Latency = latency.latency()
	return f
}

func (a *Availability) classes(from, to history.Time) map[history.Class]ClassCalls {
	counts := map[history.Class]ClassCalls{}
	classes := append(callClasses[:], otherLabel)
	a.each(from, to, func(p *secondPart) {
		for i, class := range classes {
			reads, writes := p.calls[kindRead][i], p.calls[kindWrite][i]
			if reads == (fates{}) && writes == (fates{}) {
				continue
			}
			c := counts[class]
			c.Reads.add(reads)
			c.Writes.add(writes)
			counts[class] = c
		}
	})
	return counts
}

func (a *Availability) heartbeats(from, to history.Time) (beats HeartbeatFigures) {
	a.each(from, to, func(p *secondPart) { beats.add(p.beats) })
	return beats
}

// leaderless is how long nobody led between two times, of everything of which
// it is known at that time who leads.
func (a *Availability) leaderless(from, to history.Time) map[string]Seconds {
	var all map[string]Seconds
	for of, known := range a.leaders {
		if known[0].from >= to {
			continue
		}
		var missing time.Duration
		for i, l := range known {
			end := to
			if i+1 < len(known) {
				end = min(to, known[i+1].from)
			}
			if begin := max(from, l.from); l.who == "" && begin < end {
				missing += end.Sub(begin)
			}
		}
		if all == nil {
			all = map[string]Seconds{}
		}
		all[of] = Seconds(missing)
	}
	return all
}

// slotAt numbers the slots of the run.
func (a *Availability) slotAt(at history.Time) int { return int(at.Sub(a.start) / slotLength) }

func (a *Availability) slotBegins(slot int) history.Time {
	return a.start.Add(time.Duration(slot) * slotLength)
}

// marksOf returns the marks that hold a slot of the run, and its place in
// them; nil if nothing is known.
func (a *Availability) marksOf(kind callKind, slot int) (*marks, int) {
	s := a.known(slot / slotsPerSecond)
	if s == nil || slot < 0 {
		return nil, 0
	}
	return &s.marks[kind], slot % slotsPerSecond
}

// gap is the longest time in [from, to] from when a call was due until any call
// was served. Within a slot a call comes before an answer: the other way round,
// every call that was answered at once would wait for the next one.
func (a *Availability) gap(kind callKind, from, to history.Time) Seconds {
	longest, waiting := 0, -1
	last := a.slotAt(to.Add(slotLength - 1))
	for slot := a.slotAt(from); slot < last; slot++ {
		m, i := a.marksOf(kind, slot)
		if m == nil {
			continue
		}
		if m.called.has(i) && waiting < 0 {
			waiting = slot
		}
		if m.served.has(i) && waiting >= 0 {
			longest = max(longest, slot-waiting)
			waiting = -1
		}
	}
	if waiting >= 0 {
		longest = max(longest, last-waiting)
	}
	return Seconds(longest) * Seconds(slotLength)
}

// firstFailure returns the first slot in which a call was due that was not
// served.
func (a *Availability) firstFailure(kind callKind, from, to history.Time) (slot int, ok bool) {
	for slot = a.slotAt(from); a.slotBegins(slot) < to; slot++ {
		if m, i := a.marksOf(kind, slot); m != nil && m.failed.has(i) {
			return slot, true
		}
	}
	return 0, false
}

// firstSuccess returns when the first of the calls was served that were due
// from a slot on. A call of the slot before may have been answered before that
// one failed, and a later call may be answered before an earlier one.
func (a *Availability) firstSuccess(kind callKind, slot int, limit history.Time) (at history.Time, ok bool) {
	for ; a.slotBegins(slot) < limit && (!ok || a.slotBegins(slot) < at); slot++ {
		m, i := a.marksOf(kind, slot)
		if m == nil || m.fastest[i] == 0 {
			continue
		}
		served := a.slotBegins(slot).Add(time.Duration(m.fastest[i]-1) * time.Microsecond)
		if !ok || served < at {
			at, ok = served, true
		}
	}
	return at, ok
}

// firstAnswer returns when the first answer came after a time. One in the slot
// of that time may have come before it.
func (a *Availability) firstAnswer(kind callKind, after, limit history.Time) (at history.Time, ok bool) {
	for slot := a.slotAt(after.Add(slotLength - 1)); a.slotBegins(slot) < limit; slot++ {
		if m, i := a.marksOf(kind, slot); m != nil && m.served.has(i) {
			return a.slotBegins(slot), true
		}
	}
	return 0, false
}

// needed reports whether a fault is summed up with the second.
func (a *Availability) needed(i int) bool {
	return slices.ContainsFunc(a.faults, func(f *FaultWindow) bool {
		if a.begins(i+baselineSeconds+1) < f.injected {
			return false
		}
		return f.healed == 0 || a.begins(i) <= f.healed.Add(recoveryBound+steadySeconds*time.Second)
	})
}
