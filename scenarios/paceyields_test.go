package scenarios_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/workloads"
)

// paceThatYielded finds the change by which the pace gave way to a fault that keeps
// pods from starting: a lower one between its injection and its end, whose reason is
// that nothing starts or that a backlog grew. The pace also falls as it probes what is
// carried; that is no answer to a fault.
func paceThatYielded(rows []results.Row, fault string) (results.Row, error) {
	const pace = "pace_pods_per_second"
	var inject, heal results.Seconds
	for _, r := range rows {
		switch r.Event {
		case "inject " + fault: // that it acts is told once /proc shows it, a moment after
			inject = r.Time
		case "heal " + fault:
			heal = r.Time
		}
	}
	if inject == 0 || heal == 0 {
		return results.Row{}, fmt.Errorf("%s was not injected, or not healed", fault)
	}
	var seen []string
	last := 0.0
	for _, r := range rows {
		if r.Event != "pace" {
			continue
		}
		if r.Time >= inject && r.Time <= heal {
			seen = append(seen, r.Reason)
			if r.Values[pace] < last && (because(r, workloads.RuleFrozen) || because(r, workloads.RuleBacklog)) {
				return r, nil
			}
		}
		last = r.Values[pace]
	}
	return results.Row{}, fmt.Errorf("in the %v of %s the pace changed %d times, and never gave way to it: %s",
		(heal - inject).Duration(), fault, len(seen), strings.Join(seen, "; "))
}

func because(r results.Row, rule workloads.Rule) bool {
	return strings.HasPrefix(r.Reason, string(rule)+":")
}

// readSeries reads the time series of a run.
func readSeries(dir string) (rows []results.Row) {
	GinkgoHelper()
	b, err := os.ReadFile(filepath.Join(dir, "series.jsonl"))
	Expect(err).NotTo(HaveOccurred())
	for line := range bytes.Lines(b) {
		var r results.Row
		Expect(json.Unmarshal(line, &r)).To(Succeed())
		rows = append(rows, r)
	}
	return rows
}

func TestPaceThatYielded(t *testing.T) {
	const fault = "scheduler-freeze"
	at := func(second int, event, reason string, pace float64) results.Row {
		return results.Row{
			Time: results.Seconds(second) * results.Seconds(time.Second), Event: event, Reason: reason,
			Values: map[string]float64{"pace_pods_per_second": pace},
		}
	}
	raise, inject, heal := at(1, "pace", "raise: slow start", 80), at(3, "inject "+fault, "", 0), at(13, "heal "+fault, "", 0)
	f := func(what string, want bool, rows ...results.Row) {
		t.Helper()
		if _, err := paceThatYielded(rows, fault); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("it stops", true, raise, inject, at(5, "pace", "frozen: no pod has become Running for 2.0 s", 0), heal)
	f("it drains", true, raise, inject, at(4, "pace", "backlog: 2.0 s of pods wait", 40), heal)
	f("it only probes", false, raise, inject, at(5, "pace", "match: a queue begins", 72), at(6, "pace", "startup: p99 is above 3 s", 60), heal)
	f("it stops before the fault", false, raise, at(2, "pace", "frozen: no pod", 0), inject, heal)
	f("it stops after the fault", false, raise, inject, heal, at(14, "pace", "backlog: 2.0 s of pods wait", 40))
	f("it says so and goes on", false, raise, inject, at(5, "pace", "backlog: 2.0 s of pods wait", 90), heal)
	f("nothing happens", false, raise, inject, heal)
	f("there was no fault", false, raise, at(5, "pace", "frozen: no pod", 0))
}
