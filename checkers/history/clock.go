package history

import (
	"time"

	"golang.org/x/sys/unix"
)

// Time is a reading of the machine's CLOCK_MONOTONIC in nanoseconds. Readings
// taken by different processes of one machine are comparable, which wall-clock
// readings that NTP may step are not. Zero means "no time".
type Time int64

// Sub returns t-u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Add returns t+d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// anchor ties Go's own monotonic reading, which comes from the vDSO and costs
// some 40 ns, to the absolute CLOCK_MONOTONIC, for which x/sys makes a system
// call.
var anchor = newAnchor()

type clockAnchor struct {
	mono Time
	wall time.Time
}

func newAnchor() clockAnchor {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		// Linux has had CLOCK_MONOTONIC since 2.6; without it no figure of
		// ours means anything, so this can only be a broken sandbox.
		panic("read CLOCK_MONOTONIC: " + err.Error())
	}
	return clockAnchor{mono: Time(ts.Nano()), wall: time.Now()}
}

// Now returns the current CLOCK_MONOTONIC.
func Now() Time { return anchor.mono.Add(time.Since(anchor.wall)) }

// Wall returns the wall-clock time of t, for people; never for ordering.
func (t Time) Wall() time.Time { return anchor.wall.Add(t.Sub(anchor.mono)) }

// Since returns the time that has passed since t.
func Since(t Time) time.Duration { return Now().Sub(t) }
