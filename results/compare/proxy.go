package compare

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/planecheck/planecheck/results"
)

// ProxyCost is what the proxy that records a store adds to each call, measured in
// the comparison itself, before its first round: the store in memory, once reached
// directly and once through the proxy, which records nothing meanwhile. Clients,
// proxy and store share a process, so its CPU time is that of all three, and what
// both measurements have in common is theirs.
type ProxyCost struct {
	Started time.Time       `json:"started"`
	Took    results.Seconds `json:"took_seconds"`
	// Direct and Through have the same measurements, in the same order.
	Direct  results.StoreFigures `json:"direct"`
	Through results.StoreFigures `json:"through"`
}

// othersLimit is the share of the CPUs that others may have had before the table
// says so.
const othersLimit = 0.05

// render prints the cost, or, where it was not measured, how it can be.
func (p *ProxyCost) render() string {
	if p == nil {
		return "  What the proxy costs was not measured; planecheck bench-storage --backends memory,memory:proxy=on does.\n"
	}
	text := wrap(strings.Fields(fmt.Sprintf("What a proxy adds to a call where it records nothing, measured before round 1, in %s, with our store "+
		"in memory, reached directly and through a proxy, all in one process (in the trials its CPU time is in the row recording):", p.Took)))
	t := results.NewTable("llr")
	t.Row("", "", "p50", "proxy", "CPU each", "proxy", "/s", "proxy")
	others := 0.0
	for i, d := range p.Direct.Measures {
		if i >= len(p.Through.Measures) {
			break
		}
		m := p.Through.Measures[i]
		others = max(others, d.Others, m.Others)
		t.Row("  "+calls(d), clients(d.Clients), d.Latency.P50.String(), m.Latency.P50.String(),
			cpuEach(d), cpuEach(m), perSecond(d), perSecond(m))
	}
	text += t.String()
	if others > othersLimit {
		text += fmt.Sprintf("  others used up to %.0f %% of the CPUs meanwhile\n", 100*others)
	}
	return text
}

// calls says what was measured: what comes of a watch is events.
func calls(m results.StoreMeasure) string {
	if name, ok := map[string]string{"update": "write", "get": "read", "watch": "event delivered"}[m.Operation]; ok {
		return name
	}
	return m.Operation
}

func clients(n int) string {
	if n == 1 {
		return "1 client"
	}
	return strconv.Itoa(n) + " clients"
}

// cpuEach is the CPU time of one answer, or of one event.
func cpuEach(m results.StoreMeasure) string {
	if m.Answered == 0 {
		return missing
	}
	return (m.CPU / results.Seconds(m.Answered)).String()
}

func perSecond(m results.StoreMeasure) string {
	seconds := m.Window.Duration().Seconds()
	if seconds <= 0 {
		return missing
	}
	return strings.TrimSuffix(results.Digits3(float64(m.Answered)/seconds), ".00")
}
