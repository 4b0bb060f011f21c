package workloads

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

func TestParseRate(t *testing.T) {
	f := func(text string, want float64) {
		t.Helper()
		r, err := ParseRate(text)
		if err != nil || r.PodsPerSecond != want {
			t.Errorf("%q: %v, %v, want %g", text, r.PodsPerSecond, err, want)
		}
	}
	f("auto", 0)
	f("", 0)
	f("max", MaxPace)
	f("50", 50)
	f("0.5", 0.5)
	f("1e3", 1000)
	for _, bad := range []string{"fast", "0", "-1", "NaN", "Inf", "1e9", "50/s", " 5"} {
		if r, err := ParseRate(bad); err == nil || !strings.Contains(err.Error(), "want auto, max or") {
			t.Errorf("%q: %v, %v", bad, r, err)
		}
	}
}

func TestRateText(t *testing.T) {
	for _, text := range []string{"auto", "max", "12.5"} {
		var r, again Rate
		if err := r.Set(text); err != nil || r.String() != text {
			t.Errorf("%s became %s, %v", text, r, err)
		}
		b, err := json.Marshal(r)
		if err != nil || string(b) != `"`+text+`"` {
			t.Errorf("%s as JSON: %s, %v", text, b, err)
		}
		if err := json.Unmarshal(b, &again); err != nil || again != r {
			t.Errorf("%s from JSON: %v, %v", b, again, err)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	f.Add("auto")
	f.Add("12.5")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRate(text)
		if err == nil && (r.PodsPerSecond < 0 || r.PodsPerSecond > MaxPace || math.IsNaN(r.PodsPerSecond)) {
			t.Errorf("%q was taken as %g", text, r.PodsPerSecond)
		}
	})
}

func TestSchedule(t *testing.T) {
	const sec = history.Time(time.Second)
	var s schedule
	if _, ok := s.dueOf(0); ok {
		t.Error("something is due before there is a pace")
	}
	s.setRate(10*sec, 50) // 50 pods due by 11 s
	s.setRate(11*sec, 0)  // a freeze
	s.setRate(14*sec, 100)
	s.setRate(15*sec, 0)
	f := func(pods float64, want history.Time, ok bool) {
		t.Helper()
		if due, is := s.dueOf(pods); is != ok || (ok && due != want) {
			t.Errorf("pod %g is due at %v, %v; want %v, %v", pods, due, is, want, ok)
		}
	}
	f(0, 10*sec, true)
	f(25, 10*sec+sec/2, true)
	f(50, 11*sec, true) // reached just when the freeze began
	f(51, 14*sec+sec/100, true)
	f(150, 15*sec, true)
	f(151, 0, false) // not before the pace is raised again
	if got := s.releasedBy(20 * sec); got != 150 {
		t.Errorf("%g pods due, want 150", got)
	}
	s.setRate(20*sec, 1)
	f(151, 21*sec, true)
	f(25, 10*sec+sec/2, true) // a late sender still learns the true due time
}
