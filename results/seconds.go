package results

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Seconds is a duration that JSON shows as a number of seconds, so that
// run.json reads without a table of units.
type Seconds time.Duration

// Duration returns s as Go's own duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// MarshalJSON writes s as a decimal number of seconds.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads a decimal number of seconds.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.Abs(f) > math.MaxInt64/float64(time.Second) {
		return fmt.Errorf("read seconds: %q is not a number of seconds", b)
	}
	*s = Seconds(math.Round(f * float64(time.Second)))
	return nil
}

// String prints s with three significant digits, in the unit that suits it:
// 820µs, 12.3ms, 1.23s, 252s.
func (s Seconds) String() string {
	d := time.Duration(s)
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return digits3(float64(d)/float64(time.Millisecond)) + "ms"
	default:
		return digits3(d.Seconds()) + "s"
	}
}

// digits3 prints f ≥ 0 with three significant digits and no exponent.
func digits3(f float64) string {
	switch {
	case f < 9.995:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	default:
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
}

// Latency is a distribution, cut down to the figures that are reported. A
// Count of zero means that nothing was measured: the other fields then mean
// nothing.
type Latency struct {
	Count int64   `json:"count"`
	P50   Seconds `json:"p50_seconds"`
	P90   Seconds `json:"p90_seconds"`
	P99   Seconds `json:"p99_seconds"`
	Max   Seconds `json:"max_seconds"`
}
