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
		case reads > 2:
			last = strings.Join(cells[:reads-2], " ")
			rows[last] = cells[reads-2:]
		case len(cells) > 0 && cells[0] == "writes":
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
	want("etcd-leader-stop etcd-1", "3 20.0s reads 100.00 % 41.0ms <10.0ms 10.0ms 1.20s 7 0 0 writes 97.37 % 1.30s 1.31s 10.0ms")
	want("etcd-all-stop", "2 30.0s reads - - <10.0ms - 34.0s 1,600 80 6 writes 0.00 % 10.0s 33.0s 3.00s")
	want("overload", "2* 20.0s reads 87.94 % 800ms 20.0ms 10.0ms - 0 0 0 writes 96.82 % 900ms 30.0ms 10.0ms")
	if len(rows) != 3 {
		t.Errorf("%d faults", len(rows))
	}
	if text := FaultsOf([]*Run{nil, {}}); text != "" {
		t.Errorf("without faults: %q", text)
	}
}
