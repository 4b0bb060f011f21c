package results

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

const (
	// baselineSeconds are looked at before a fault for what is normal.
	baselineSeconds = 10
	// steadySeconds is how long everything has to stay as good as before: a
	// single good second between bad ones is no recovery.
	steadySeconds = 5
	// recoveryBound is how long after the heal a recovery is waited for.
	recoveryBound = 2 * time.Minute
	// A second's p99 rests on few calls, so it varies. As good as before are
	// twice the slowest second before, and what nobody would notice.
	slowerAllowed = 2
	slowAllowed   = Seconds(100 * time.Millisecond)
)

// faultSpan is a fault with the times between which it is summed up.
type faultSpan struct {
	*FaultWindow
	before    [2]int       // the seconds from..to of the baseline, without to
	until     history.Time // the heal, or the end of the run
	end       history.Time // of the recovery, or of the waiting for it
	recovered bool
}

// spans returns the faults in the order of their injection. The caller holds
// the lock.
func (a *Availability) spans(end history.Time) []*faultSpan {
	faults := slices.Clone(a.faults)
	slices.SortStableFunc(faults, func(f, g *FaultWindow) int { return cmp.Compare(f.injected, g.injected) })
	var all []*faultSpan
	for _, f := range faults {
		s := &faultSpan{FaultWindow: f, until: end, end: end}
		s.before = a.baseline(f.injected, all)
		if f.healed != 0 && f.healed <= end {
			s.until = f.healed
			s.end, s.recovered = a.recovery(f.healed, end, a.normal(s.before))
		}
		all = append(all, s)
	}
	return all
}

// baseline returns the seconds that show what is normal before a fault. Where
// an earlier fault still shows, normal is what was so before that one.
func (a *Availability) baseline(injected history.Time, earlier []*faultSpan) [2]int {
	to := a.index(injected)
	from := max(to-baselineSeconds, 0)
	for _, s := range earlier {
		if s.end > injected {
			return s.before
		}
		from = max(from, a.index(s.end.Add(time.Second-1)))
	}
	return [2]int{min(from, to), max(to, 0)}
}

// normal is the worst that a second of a baseline was.
type normal struct {
	timed    [timedKinds]bool
	unserved [timedKinds]float64 // share of the calls
	p99      [timedKinds]Seconds
	beats    int64 // late and lost
}

func (a *Availability) normal(before [2]int) (n normal) {
	for i := before[0]; i < before[1]; i++ {
		from, to := a.begins(i), a.begins(i+1)
		for kind := range callKind(timedKinds) {
			f := a.calls(kind, from, to)
			if ratio, ok := f.Ratio(); ok {
				n.timed[kind] = true
				n.unserved[kind] = max(n.unserved[kind], 1-ratio)
				n.p99[kind] = max(n.p99[kind], f.Latency.P99)
			}
		}
		beats := a.heartbeats(from, to)
		n.beats = max(n.beats, beats.Late+beats.Lost)
	}
	return n
}

// standing is what a second says about the recovery.
type standing int

const (
	saysNothing standing = iota // nobody called
	asBefore
	worse
)

// judge compares a second, or what is left of it, with what is normal.
func (a *Availability) judge(from, to history.Time, n normal) standing {
	says := saysNothing
	for kind := range callKind(timedKinds) {
		f := a.calls(kind, from, to)
		ratio, ok := f.Ratio()
		if !ok {
			continue
		}
		says = asBefore
		allowed := max(slowerAllowed*n.p99[kind], slowAllowed)
		if 1-ratio > n.unserved[kind] || n.timed[kind] && f.Latency.P99 > allowed {
			return worse
		}
	}
	beats := a.heartbeats(from, to)
	if beats.Late+beats.Lost > n.beats {
		return worse
	}
	for _, missing := range a.leaderless(from, to) {
		if missing > 0 {
			return worse
		}
	}
	return says
}

// recovery returns when everything is as good as before for the first time and
// stays so. If that was not seen, it returns the end of the waiting.
func (a *Availability) recovery(healed, end history.Time, n normal) (at history.Time, ok bool) {
	bound := min(end, healed.Add(recoveryBound))
	candidate, seconds := history.Time(0), 0
	for i := a.index(healed); a.begins(i+1) <= end; i++ {
		from := max(healed, a.begins(i))
		if candidate == 0 && from >= bound {
			break
		}
		switch a.judge(from, a.begins(i+1), n) {
		case worse:
			candidate, seconds = 0, 0
			continue
		case asBefore:
			if candidate == 0 {
				candidate = from
			}
		}
		if candidate != 0 {
			seconds++
		}
		if seconds == steadySeconds {
			return candidate, true
		}
	}
	return bound, false
}

// incomplete says why a fault was not seen to be recovered from.
func (s *faultSpan) incomplete(end history.Time) string {
	switch {
	case s.healed == 0 || s.healed > end:
		return "the run ended before it was healed"
	case s.end < s.healed.Add(recoveryBound):
		return fmt.Sprintf("the run ended %s after the heal, before everything was seen to be as good as before", Seconds(end.Sub(s.healed)))
	default:
		return fmt.Sprintf("not everything was as good as before within %s of the heal", Seconds(recoveryBound))
	}
}

// touches reports whether both can have caused what was measured.
func (s *faultSpan) touches(other *faultSpan) bool {
	return s.injected < other.end && other.injected < s.end
}
