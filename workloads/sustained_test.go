package workloads

import (
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// series makes one sample a second from the pods per second; a negative figure
// is a second in which an SLO was missed.
func series(rates ...int64) []Sample {
	samples := []Sample{{At: history.Time(time.Second), Met: true}}
	for i, r := range rates {
		last := samples[len(samples)-1]
		samples = append(samples, Sample{
			At: history.Time(time.Duration(i+2) * time.Second), Running: last.Running + max(r, -r), Met: r >= 0,
		})
	}
	return samples
}

func repeat(rate int64, n int) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = rate
	}
	return list
}

func TestBestSustained(t *testing.T) {
	f := func(name string, samples []Sample, want float64, from, to int) {
		t.Helper()
		got := BestSustained(samples, 30*time.Second)
		wantFrom, wantTo := history.Time(time.Duration(from)*time.Second), history.Time(time.Duration(to)*time.Second)
		if got.PodsPerSecond != want || (want > 0 && (got.From != wantFrom || got.To != wantTo)) {
			t.Errorf("%s: %.1f from %v to %v, want %.1f from %v to %v", name,
				got.PodsPerSecond, time.Duration(got.From), time.Duration(got.To), want, time.Duration(wantFrom), time.Duration(wantTo))
		}
	}
	join := func(parts ...[]int64) (all []int64) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	f("nothing", nil, 0, 0, 0)
	f("too short", series(repeat(100, 29)...), 0, 0, 0)
	f("just long enough", series(repeat(100, 30)...), 100, 1, 31)
	f("the fastest stretch", series(join(repeat(50, 40), repeat(200, 30), repeat(60, 40))...), 200, 41, 71)
	f("fast, but late", series(join(repeat(50, 31), repeat(-200, 30), repeat(60, 31))...), 60, 63, 93)
	f("one late second in the middle", series(join(repeat(100, 20), []int64{-100}, repeat(100, 20))...), 0, 0, 0)
	f("always late", series(repeat(-100, 100)...), 0, 0, 0)
	gap := series(repeat(100, 10)...)
	gap = append(gap, Sample{At: history.Time(61 * time.Second), Running: 1300, Met: true})
	f("a gap lengthens the window", gap, 1300.0/60, 1, 61)
}

func BenchmarkBestSustained(b *testing.B) {
	samples := series(repeat(100, 3600)...)
	for b.Loop() {
		BestSustained(samples, SustainedWindow)
	}
}
