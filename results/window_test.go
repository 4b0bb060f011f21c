package results

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

func TestWindowViolates(t *testing.T) {
	f := func(slow, count int64, want bool) {
		t.Helper()
		if got := (Window{Count: count, Slow: slow}).Violates(); got != want {
			t.Errorf("%d slow of %d: violates %v, want %v", slow, count, got, want)
		}
	}
	f(0, 0, false)
	f(0, 1000, false)
	f(10, 1000, false) // the 99th percentile is the slowest good one
	f(11, 1000, true)
	f(1, 5, false) // one slow call is allowed
	f(2, 5, true)
	f(5, 5, true)
}

// at is a time in the phase that starts at phaseStart.
const phaseStart = history.Time(1000 * time.Second)

func at(d time.Duration) history.Time { return phaseStart.Add(d) }

func newWindows() *sloWindows {
	return &sloWindows{threshold: time.Second, start: phaseStart}
}

func TestShortPhaseIsOneWindow(t *testing.T) {
	s := newWindows()
	for i := range 100 {
		s.record(at(time.Duration(i)*time.Second), 100*time.Millisecond)
	}
	s.record(at(101*time.Second), 3*time.Second)
	s.record(at(102*time.Second), 3*time.Second)
	s.finish(at(110 * time.Second))
	want := Window{Count: 102, Slow: 2, P99: Seconds(3 * time.Second)}
	if diff := cmp.Diff(want, s.worst); diff != "" || s.judged != 1 || len(s.missed) != 1 {
		t.Errorf("judged %d, missed %v, worst (-want +got):\n%s", s.judged, s.missed, diff)
	}
}

func TestLongPhaseIsJudgedByItsWindows(t *testing.T) {
	s := newWindows()
	// Ten a second for twenty minutes, with a bad minute in the middle that a
	// single window over the phase would hide: 12 of 12,000 calls.
	for i := range 20 * 60 {
		for range 10 {
			s.record(at(time.Duration(i)*time.Second), 50*time.Millisecond)
		}
	}
	s.finish(at(20 * time.Minute))
	if len(s.missed) != 0 || s.judged != 17 {
		t.Fatalf("judged %d, missed %v, want 17 and none", s.judged, s.missed)
	}

	s = newWindows()
	for i := range 20 * 60 {
		d := 50 * time.Millisecond
		if i >= 600 && i < 610 {
			d = 2 * time.Second
		}
		for range 4 {
			s.record(at(time.Duration(i)*time.Second), d)
		}
	}
	s.finish(at(20 * time.Minute))
	// 40 slow calls are 3.3 % of each of the five windows of 1,200 calls, but
	// only 0.8 % of the phase.
	if want := []steps{{6, 10}, {7, 11}, {8, 12}, {9, 13}, {10, 14}}; !slices.Equal(s.missed, want) {
		t.Errorf("missed the windows %v, want %v", s.missed, want)
	}
	want := Window{Start: Seconds(6 * time.Minute), Count: 1200, Slow: 40, P99: Seconds(2 * time.Second)}
	if diff := cmp.Diff(want, s.worst); diff != "" {
		t.Errorf("worst window (-want +got):\n%s", diff)
	}
}

func TestWindowsSurviveSilence(t *testing.T) {
	s := newWindows()
	s.record(at(0), 2*time.Second)
	s.record(at(time.Second), 2*time.Second)
	s.record(at(3*time.Hour), time.Millisecond)
	s.record(at(2*time.Hour), time.Millisecond) // a late report counts where we are
	s.finish(at(3*time.Hour + time.Minute))
	if len(s.missed) != 1 || s.worst.Start != 0 || s.worst.Slow != 2 {
		t.Errorf("missed %v, worst %+v: want the first window alone", s.missed, s.worst)
	}
	if w := newWindows(); true {
		w.finish(at(time.Hour))
		if w.judged != 0 {
			t.Errorf("judged %d windows without a call", w.judged)
		}
	}
}

func TestRecent(t *testing.T) {
	var r recent
	for i := range 20 {
		r.record(at(time.Duration(i)*time.Second), time.Duration(i)*time.Second)
	}
	r.record(at(2*time.Second), time.Hour) // too late to be recent
	got := r.latency(at(19 * time.Second))
	if got.Count != recentSeconds+1 || got.Max != Seconds(19*time.Second) {
		t.Errorf("recent = %+v, want the last six", got)
	}
	if got := r.latency(at(time.Minute)); got.Count != 0 {
		t.Errorf("a minute later there are still %d", got.Count)
	}
}

func TestHistogramClampsToItsRange(t *testing.T) {
	h := newHistogram()
	h.record(-time.Second)
	h.record(10 * time.Hour)
	if got := h.latency(); got.Count != 2 || got.P50 != 0 || got.Max != Seconds(10*time.Hour) {
		t.Errorf("latency = %+v", got)
	}
}
