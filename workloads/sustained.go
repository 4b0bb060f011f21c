package workloads

import (
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// SustainedWindow is how long a pace must be kept to be called sustained.
const SustainedWindow = 30 * time.Second

// Sample is one second of a phase.
type Sample struct {
	At      history.Time `json:"at"`
	Running int64        `json:"running"` // pods that had become Running by then
	Met     bool         `json:"met"`     // the pacer saw nothing above its SLO
}

// Sustained is the fastest throughput that was kept over a whole window in which
// the pacer saw nothing wrong. It looks at start-up and at our own calls over five
// seconds, which is how it steers and not how an SLO is judged: package results
// says at what pace the SLOs held.
type Sustained struct {
	PodsPerSecond float64      `json:"podsPerSecond"` // 0: there was no such window
	From          history.Time `json:"from"`
	To            history.Time `json:"to"`
}

// BestSustained finds the fastest stretch of samples that is at least window
// long and in which every sample is Met. The samples are in order of
// time. From each sample on, the shortest stretch that is long enough counts,
// so gaps between samples lengthen a window and never shorten it.
func BestSustained(samples []Sample, window time.Duration) Sustained {
	var best Sustained
	end, missed := 0, -1 // missed: the last sample up to end that is not Met
	for start := range samples {
		for ; end < len(samples) && (end == 0 || samples[end-1].At.Sub(samples[start].At) < window); end++ {
			if !samples[end].Met {
				missed = end
			}
		}
		from, to := samples[start], samples[end-1]
		length := to.At.Sub(from.At)
		if length < window || length <= 0 {
			break // nor is any later stretch long enough
		}
		if rate := float64(to.Running-from.Running) / length.Seconds(); missed < start && rate > best.PodsPerSecond {
			best = Sustained{PodsPerSecond: rate, From: from.At, To: to.At}
		}
	}
	return best
}
