package history

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Now must be the machine's CLOCK_MONOTONIC, not merely some clock of this
// process: records of several processes are ordered by it.
func TestNowIsClockMonotonic(t *testing.T) {
	for range 1000 {
		before := mustMonotonic(t)
		now := Now()
		after := mustMonotonic(t)
		// The anchor pairs two clock readings taken some hundred nanoseconds
		// apart; allow it, and nothing near a scheduling quantum.
		const slack = 50_000
		if now < before-slack || now > after+slack {
			t.Fatalf("Now() = %d outside [%d, %d]", now, before, after)
		}
	}
}

func TestTimeArithmetic(t *testing.T) {
	start := Time(5)
	if got := start.Add(7).Sub(start); got != 7 {
		t.Errorf("Add then Sub = %d, want 7", got)
	}
	now := Now()
	if got := now.Add(1e9).Wall().Sub(now.Wall()); got != 1e9 {
		t.Errorf("Wall moves by %v for one second", got)
	}
}

func TestLatencyCountsFromDue(t *testing.T) {
	f := func(want int64, r Request) {
		t.Helper()
		if got := r.Latency().Nanoseconds(); got != want {
			t.Errorf("Latency of %+v = %d, want %d", r, got, want)
		}
	}
	f(20, Request{Called: 10, Returned: 30})
	f(25, Request{Due: 5, Called: 10, Returned: 30})
}

func mustMonotonic(t *testing.T) Time {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return Time(ts.Nano())
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
