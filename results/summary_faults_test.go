package results

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Of what faults did while they met only that counts which is known of no other
// run; everything else is added up, or the longest.
func TestFaultsOf(t *testing.T) {
	again := exampleAvailability()
	stop := &again.Faults[0]
	stop.Writes.During.Served, stop.Writes.During.Failed, stop.Writes.Gap = 9_500, 0, Seconds(20*ms)
	stop.Heartbeats.Late, stop.Acted = 7, Seconds(20*time.Second)
	again.Faults = again.Faults[:1]
	met := exampleAvailability()
	met.Faults[0].With, met.Faults[0].Heartbeats.Lost = []string{"another"}, 1_000
	text := FaultsOf([]*Run{nil, {}, {Availability: exampleAvailability()}, {Availability: again}, {Availability: met}})
	rows := map[string][]string{}
	last := ""
	for _, line := range strings.Split(text, "\n") {
		cells := strings.Fields(line)
		reads := slices.Index(cells, "reads")
		switch {
		case reads > 1:
			last = strings.Join(cells[:reads-1], " ")
			rows[last] = cells[reads-1:]
		case slices.Contains(cells, "writes"):
			rows[last] = append(rows[last], cells...)
		}
	}
	want := func(fault string, cells string) {
		t.Helper()
		if got := strings.Join(rows[fault], " "); got != cells {
			t.Errorf("%s: %s\nwant %s\nin\n%s", fault, got, cells, text)
		}
	}
	// Served 9,000 and 9,500 of 19,000 writes.
	want("etcd-leader-stop", "3 reads 100.00 % 41.0ms <10.0ms - 10.0ms 1.20s 7 0 etcd-1 20.0s writes 97.37 % 1.30s 1.31s 1.32s 10.0ms 0/- 0")
	want("etcd-all-stop", "2 reads - - <10.0ms - - 31.0s 1,600 6 30.0s writes 0.00 % 10.0s 33.0s 33.0s 3.00s 34.0s/33.0s 80")
	want("overload", "2* reads 87.94 % 800ms 20.0ms 20.0ms 10.0ms - 0 0 20.0s writes 96.82 % 900ms 30.0ms 20.0ms 10.0ms -/- 0")
	never := exampleAvailability()
	never.Faults[0].Writes.Back = nil
	if text := FaultsOf([]*Run{{Availability: exampleAvailability()}, {Availability: never}}); !strings.Contains(text, "1.31s   never  10.0ms") {
		t.Errorf("a service that never came back in one of two runs:\n%s", text)
	}
	checkWidth(t, text)
	if len(rows) != 3 {
		t.Errorf("%d faults", len(rows))
	}
	if text := FaultsOf([]*Run{nil, {}}); text != "" {
		t.Errorf("without faults: %q", text)
	}
}
