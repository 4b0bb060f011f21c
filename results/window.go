package results

import (
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// The official SLIs are quantiles "over the last 5 minutes"
// (kubernetes/community, sig-scalability/slos). A phase that is shorter is one
// window; in a longer one every window of five minutes is judged, in steps of
// one minute.
const (
	sloWindow     = 5 * time.Minute
	sloWindowStep = time.Minute
	sloSteps      = int64(sloWindow / sloWindowStep)
	// slowCallsAllowed: fewer than 100 calls have no 99th percentile worth the
	// name, so one slow call is allowed, as the release-blocking jobs allow it
	// (clusterloader2, allowedSlowCalls: 1).
	slowCallsAllowed = 1
)

// MarkInterval is how often the servers' histograms are to be read in a phase, so
// that their windows move in the same steps as ours.
const MarkInterval = sloWindowStep

// Window is the worst window of a phase.
type Window struct {
	Start Seconds `json:"start_seconds"` // since the beginning of the phase
	Count int64   `json:"count"`
	Slow  int64   `json:"slow"` // calls above the threshold
	P99   Seconds `json:"p99_seconds"`
}

// Violates reports whether the 99th percentile of the window is above the
// threshold. It decides by counting the slow calls, which is exact where a
// quantile from buckets is not.
func (w Window) Violates() bool {
	return w.Slow > slowCallsAllowed && w.Slow*100 > w.Count
}

// worse orders windows: those that violate come first, then the higher p99.
func (w Window) worse(than Window) bool {
	if than.Count == 0 {
		return true
	}
	if w.Violates() != than.Violates() {
		return w.Violates()
	}
	return w.P99 > than.P99
}

// sloWindows follows one latency through the windows of a phase. It has no
// lock of its own.
type sloWindows struct {
	threshold time.Duration
	start     history.Time
	step      int64
	// slots are the steps of the current window and the one being filled.
	slots  [sloSteps + 1]windowSlot
	worst  Window
	judged int
	missed []steps // the windows that violate
}

// steps are those from the first up to and with the last.
type steps struct{ first, last int64 }

// windowsOf are the windows by which a phase of that length is judged.
func windowsOf(length time.Duration) (all []steps) {
	started := int64(length / sloWindowStep)
	for last := sloSteps - 1; last < started; last++ {
		all = append(all, steps{last - sloSteps + 1, last})
	}
	return append(all, lastSteps(started))
}

// lastSteps is the window that ends with the phase: the started step and, in a long
// phase, the five before it.
func lastSteps(started int64) steps { return steps{max(0, started-sloSteps), started} }

type windowSlot struct {
	hist *histogram
	slow int64
}

// record adds a latency that was known at the time at. Times that go slightly
// backwards, as they do between senders, count in the current step.
func (s *sloWindows) record(at history.Time, d time.Duration) {
	s.advance(int64(at.Sub(s.start) / sloWindowStep))
	slot := &s.slots[s.step%int64(len(s.slots))]
	if slot.hist == nil {
		slot.hist = newHistogram()
	}
	slot.hist.record(d)
	if d > s.threshold {
		slot.slow++
	}
}

// advance judges every window that ends before the step.
func (s *sloWindows) advance(step int64) {
	// After a gap longer than the ring there is nothing left to judge.
	if gap := step - s.step; gap > int64(len(s.slots)) {
		for range s.slots {
			s.turn()
		}
		s.step = step
	}
	for s.step < step {
		s.turn()
	}
}

// turn ends the current step and empties the slot of the next one.
func (s *sloWindows) turn() {
	if s.step >= sloSteps-1 {
		s.judge(steps{s.step - sloSteps + 1, s.step})
	}
	s.step++
	next := &s.slots[s.step%int64(len(s.slots))]
	next.slow = 0
	if next.hist != nil {
		next.hist.reset()
	}
}

// finish judges the last window.
func (s *sloWindows) finish(at history.Time) {
	s.advance(int64(at.Sub(s.start) / sloWindowStep))
	s.judge(lastSteps(s.step))
	s.slots = [sloSteps + 1]windowSlot{}
}

// judge takes the steps as one window.
func (s *sloWindows) judge(of steps) {
	all := newHistogram()
	w := Window{Start: Seconds(of.first) * Seconds(sloWindowStep)}
	for i := of.first; i <= of.last; i++ {
		slot := s.slots[i%int64(len(s.slots))]
		if slot.hist != nil {
			all.merge(slot.hist)
		}
		w.Slow += slot.slow
	}
	w.Count, w.P99 = all.count(), all.quantile(99)
	if w.Count == 0 {
		return
	}
	s.judged++
	if w.Violates() {
		s.missed = append(s.missed, of)
	}
	if w.worse(s.worst) {
		s.worst = w
	}
}

// recentSeconds is how far the pacer looks back: long enough for some hundred
// pods, short enough to back off before the queue has grown.
const recentSeconds = 5

// recent is the distribution of the last few seconds. It has no lock of its
// own.
type recent struct {
	slots [recentSeconds + 1]struct {
		second int64
		hist   *histogram
	}
}

func (r *recent) record(at history.Time, d time.Duration) {
	second := int64(at) / int64(time.Second)
	slot := &r.slots[second%int64(len(r.slots))]
	if slot.hist == nil {
		slot.hist = newHistogram()
	}
	if slot.second < second {
		slot.second = second
		slot.hist.reset()
	}
	if slot.second == second {
		slot.hist.record(d)
	}
}

// latency returns what was recorded in the last recentSeconds full seconds and
// the running one.
func (r *recent) latency(now history.Time) Latency {
	second := int64(now) / int64(time.Second)
	all := newHistogram()
	for _, slot := range r.slots {
		if slot.hist != nil && slot.second <= second && slot.second >= second-recentSeconds {
			all.merge(slot.hist)
		}
	}
	return all.latency()
}

// recentCalls counts the calls of the last few seconds and the slow ones among
// them. It has no lock of its own.
type recentCalls [recentSeconds + 1]struct {
	second      int64
	calls, slow int64
}

func (r *recentCalls) record(at history.Time, slow bool) {
	second := int64(at) / int64(time.Second)
	slot := &r[second%int64(len(r))]
	if slot.second < second {
		slot.second, slot.calls, slot.slow = second, 0, 0
	}
	if slot.second == second {
		slot.calls++
		if slow {
			slot.slow++
		}
	}
}

// window returns the last recentSeconds full seconds and the running one as a
// window, without its p99.
func (r *recentCalls) window(now history.Time) Window {
	second := int64(now) / int64(time.Second)
	var w Window
	for _, slot := range r {
		if slot.second <= second && slot.second >= second-recentSeconds {
			w.Count += slot.calls
			w.Slow += slot.slow
		}
	}
	return w
}
