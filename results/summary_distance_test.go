package results

import (
	"strings"
	"testing"
	"time"
)

// What distance costs is what calls took with it beside what they took before.
func TestRenderDistance(t *testing.T) {
	latency := func(p50, p99 time.Duration) CallFates {
		return CallFates{Latency: Latency{Count: 9, P50: Seconds(p50), P99: Seconds(p99)}}
	}
	far := FaultFigures{
		Fault: farFault, Target: "10ms",
		Reads:  ServiceFigures{Before: latency(2*time.Millisecond, 9*time.Millisecond), During: latency(3*time.Millisecond, 40*time.Millisecond)},
		Writes: ServiceFigures{During: latency(25*time.Millisecond, 60*time.Millisecond)},
	}
	other := FaultFigures{Fault: "etcd-kill", Target: "leader"}
	got := strings.Join(strings.Fields(renderDistance([]FaultFigures{other, far})), " ")
	const want = "The price of distance between members of the store one way calls p50 before during p99 before during " +
		"10ms reads 2.00ms 3.00ms 9.00ms 40.0ms writes - 25.0ms - 60.0ms"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := renderDistance([]FaultFigures{other}); got != "" {
		t.Errorf("without it: %q", got)
	}
	if text := renderAvailability(&Run{Availability: &AvailabilityFigures{Faults: []FaultFigures{far}}}); !strings.Contains(text, "The price of distance") {
		t.Error("it is not part of the summary")
	}
}
