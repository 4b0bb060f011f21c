package workloads

import (
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// MaxPace stands for "as fast as the requests can be sent", in pods/s. It is
// finite because paces are written to JSON, which has no infinity.
const MaxPace = 1e6

// Rate says how fast a phase asks for pods. The zero value is "auto": the
// Pacer looks for the fastest pace at which pods still start in time.
type Rate struct {
	// PodsPerSecond is a fixed pace; 0 means auto, MaxPace means max.
	PodsPerSecond float64
}

// ParseRate reads "auto", "max" or a number of pods per second.
func ParseRate(s string) (Rate, error) {
	switch s {
	case "", "auto":
		return Rate{}, nil
	case "max":
		return Rate{PodsPerSecond: MaxPace}, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n > 0 && n <= MaxPace) { // the negation also catches NaN
		return Rate{}, fmt.Errorf("rate %q: want auto, max or a number of pods per second above 0 and up to %d", s, int(MaxPace))
	}
	return Rate{PodsPerSecond: n}, nil
}

// Auto says whether the pace is left to the Pacer.
func (r Rate) Auto() bool { return r.PodsPerSecond == 0 }

// String returns what ParseRate reads.
func (r Rate) String() string {
	switch r.PodsPerSecond {
	case 0:
		return "auto"
	case MaxPace:
		return "max"
	}
	return strconv.FormatFloat(r.PodsPerSecond, 'g', -1, 64)
}

// Set and Type make a *Rate a pflag.Value.
func (r *Rate) Set(s string) error {
	parsed, err := ParseRate(s)
	if err == nil {
		*r = parsed
	}
	return err
}

// Type is the word for the value in a help text.
func (r *Rate) Type() string { return "pods/s" }

// MarshalText writes the rate as String does.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Rate) UnmarshalText(b []byte) error { return r.Set(string(b)) }

// schedule is the integral of a pace that changes: how many pods are due by
// when. It keeps every change, because a sender that is late must still learn
// when its operation was due under the pace of that moment.
type schedule struct{ segments []segment }

type segment struct {
	from     history.Time
	released float64 // pods due by from
	rate     float64 // pods/s from then on
}

func (s *schedule) setRate(now history.Time, rate float64) {
	s.segments = append(s.segments, segment{from: now, released: s.releasedBy(now), rate: rate})
}

func (s *schedule) rate() float64 {
	if len(s.segments) == 0 {
		return 0
	}
	return s.segments[len(s.segments)-1].rate
}

// releasedBy returns the pods that are due by now, which is not before the
// last change.
func (s *schedule) releasedBy(now history.Time) float64 {
	if len(s.segments) == 0 {
		return 0
	}
	last := s.segments[len(s.segments)-1]
	return last.released + last.rate*now.Sub(last.from).Seconds()
}

// dueOf returns when the pods-th pod is or becomes due, counted from 0; false
// while the pace is 0 and it has not become due before.
func (s *schedule) dueOf(pods float64) (history.Time, bool) {
	i := sort.Search(len(s.segments), func(i int) bool { return s.segments[i].released >= pods })
	if i < len(s.segments) && s.segments[i].released == pods {
		return s.segments[i].from, true
	}
	if i == 0 || s.segments[i-1].rate == 0 {
		return 0, false
	}
	seg := s.segments[i-1]
	return seg.from.Add(time.Duration((pods - seg.released) / seg.rate * float64(time.Second))), true
}
