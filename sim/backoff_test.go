package sim

import (
	"testing"
	"time"

	"k8s.io/client-go/util/flowcontrol"
	clock "k8s.io/utils/clock/testing"
)

// TestBackOffIsTheKubelets holds the back-off against upstream's, for containers that run
// for so long each, one time after the other.
func TestBackOffIsTheKubelets(t *testing.T) {
	for _, runs := range [][]time.Duration{
		{0, 0, 0, 0, 0, 0, 0, 0, 0},
		{time.Minute, 9 * time.Minute, 10 * time.Minute, time.Second, time.Second},
		{5 * time.Second, 5 * time.Second, 11 * time.Minute, 0, 0, 10*time.Minute + 1, 0},
	} {
		now := clock.NewFakeClock(time.Unix(1_700_000_000, 0))
		upstream := flowcontrol.NewFakeBackOff(crashWaitFirst, crashWaitMost, now)
		upstream.HasExpiredFunc = func(at, last time.Time, _ time.Duration) bool { return at.Sub(last) > 600*time.Second }
		var ours backoff
		for i, run := range runs {
			now.Step(run)
			exited := now.Now()
			for upstream.IsInBackOffSince("a", exited) {
				left := ours.left(exited, now.Now())
				if left <= 0 || ours.wait != upstream.Get("a") {
					t.Fatalf("runs %v, end %d: %v are left of %v, upstream waits %v", runs, i, left, ours.wait, upstream.Get("a"))
				}
				now.Step(max(left/2, time.Millisecond))
			}
			if left := ours.left(exited, now.Now()); left != 0 {
				t.Fatalf("runs %v, end %d: %v are left and upstream starts", runs, i, left)
			}
			upstream.Next("a", exited)
			ours.next(exited, now.Now())
			if ours.wait != upstream.Get("a") {
				t.Fatalf("runs %v, end %d: next is %v, upstream's %v", runs, i, ours.wait, upstream.Get("a"))
			}
		}
	}
}

func TestRequeued(t *testing.T) {
	f := func(left time.Duration, random float64, want time.Duration) {
		t.Helper()
		if got := requeued(left, random); got != want {
			t.Errorf("with %v left: looked at in %v, want %v", left, got, want)
		}
	}
	f(10*time.Second, 0, 10*time.Second)
	f(10*time.Second, 0.5, 12500*time.Millisecond)
	f(5*time.Minute, 0, time.Minute)
	f(5*time.Minute, 0.5, 75*time.Second)
}
