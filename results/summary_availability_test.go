package results

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

func served(n, failed, shed int64, p99 time.Duration) CallFates {
	return CallFates{CallCounts{Served: n, Failed: failed, Shed: shed}, latencyOf(n+failed, p99/4, p99/2, p99, p99)}
}

// exampleAvailability has every figure, good and bad; its numbers are made up.
func exampleAvailability() *AvailabilityFigures {
	none, three := int64(0), int64(3)
	after := secondsPointer
	return &AvailabilityFigures{
		LateAfter: Seconds(10 * time.Second),
		Faults: []FaultFigures{
			{
				Fault: "etcd-leader-stop", Target: "etcd-1", Acted: Seconds(10 * time.Second), Recovered: after(2 * time.Second),
				Evidence: "etcd-1 refuses connections, etcd-2 leads", Healed: "etcd-2 leads in term 2",
				Reads:      ServiceFigures{During: served(4000, 0, 0, 41*ms), FirstServed: after(10 * ms)},
				Writes:     ServiceFigures{During: served(9000, 500, 0, 1300*ms), Gap: Seconds(1310 * ms), FirstFailure: after(0), Back: after(1320 * ms), FirstServed: after(10 * ms)},
				Heartbeats: HeartbeatFigures{Renewals: 1000}, Evicted: &none,
				Leaderless: map[string]Seconds{"etcd": Seconds(1200 * ms), "kube-scheduler": 0},
			},
			{
				Fault: "etcd-all-stop", Acted: Seconds(30 * time.Second), Recovered: after(11 * time.Second),
				Evidence: "etcd-0 refuses connections, etcd-1 refuses connections, etcd-2 refuses connections, a write is refused", Healed: "etcd-1 leads in term 3",
				Writes:     ServiceFigures{During: served(0, 1200, 0, 10*time.Second), Recovery: served(0, 9, 0, ms), Gap: Seconds(33 * time.Second), FirstFailure: after(10 * ms), Back: after(33 * time.Second), FirstServed: after(3 * time.Second)},
				Heartbeats: HeartbeatFigures{Renewals: 1500, Late: 800, Lost: 40}, Evicted: &three,
				Leaderless: map[string]Seconds{"etcd": Seconds(31 * time.Second), "kube-scheduler": Seconds(34 * time.Second), "kube-controller-manager": Seconds(33 * time.Second)},
			},
			{
				Fault: "overload", Target: "kube-apiserver-0", Acted: Seconds(20 * time.Second),
				Incomplete: "the run ended 2.00s after the heal, before everything was seen to be as good as before",
				With:       []string{"one-very-long-name-of-a-fault of kube-controller-manager-0", "another-very-long-name of kube-scheduler-1"},
				Reads:      ServiceFigures{During: served(90_000, 0, 12_345, 800*ms), Gap: Seconds(20 * ms), FirstFailure: after(ms), Back: after(20 * ms), FirstServed: after(10 * ms)},
				Writes:     ServiceFigures{During: served(20_000, 1, 655, 900*ms), Gap: Seconds(30 * ms), FirstFailure: after(ms), Back: after(20 * ms), FirstServed: after(10 * ms)},
				Classes: map[history.Class]ClassCalls{
					history.ClassWorkload: {Reads: CallCounts{Shed: 11_000}, Writes: CallCounts{Shed: 600}},
					history.ClassContract: {Reads: CallCounts{Shed: 1345}, Writes: CallCounts{Shed: 55}},
					history.ClassKubelet:  {Writes: CallCounts{Served: 20_000}},
				},
			},
		},
		Uncounted: 2,
	}
}

func TestRenderAvailability(t *testing.T) {
	r := &Run{Name: "faults/swarm", Seed: 7, Availability: exampleAvailability()}
	got := Render(r)
	golden(t, "summary-availability", got)
	checkWidth(t, got)
}

// TestServiceCells: what did not happen is not what was not measured.
func TestServiceCells(t *testing.T) {
	f := func(want string, s ServiceFigures) {
		t.Helper()
		if got := strings.Join(serviceCells(&s), "|"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	moment := secondsPointer(20 * ms)
	f("no calls|-|-|-|-|-", ServiceFigures{})
	f("no calls|-|-|<10.0ms|-|-", ServiceFigures{Recovery: served(5, 0, 0, ms)})
	f("100.00 %|0|1.00ms|<10.0ms|-|20.0ms", ServiceFigures{During: served(5, 0, 0, ms), FirstServed: moment})
	f("0.00 %|0|1.00ms|20.0ms|never|-", ServiceFigures{During: served(0, 5, 0, ms), Gap: *moment, FirstFailure: moment})
	f("0.00 %|5|-|20.0ms|never|never", ServiceFigures{
		During: CallFates{CallCounts: CallCounts{Shed: 5}}, Recovery: served(0, 5, 0, ms), Gap: *moment, FirstFailure: moment,
	})
	f(">99.99 %|0|1.00ms|20.0ms|20.0ms|20.0ms", ServiceFigures{
		During: served(99_999, 1, 0, ms), Gap: *moment, FirstFailure: moment, Back: moment, FirstServed: moment,
	})
}

func TestRenderAvailabilityIsNeverTooWide(t *testing.T) {
	many, long := int64(4_999), secondsPointer(3599*time.Second)
	wide := ServiceFigures{
		During: served(99_999_999, 1, 999_999, 999_900*time.Microsecond),
		Gap:    *long, FirstFailure: long, Back: long, FirstServed: long,
	}
	wide.During.Latency.P99 = Seconds(99_900 * time.Microsecond)
	f := FaultFigures{
		Fault: strings.Repeat("f", 40), Target: "kube-" + strings.Repeat("t", 40), Acted: *long, Recovered: long,
		Reads: wide, Writes: wide, Heartbeats: HeartbeatFigures{Renewals: 1, Late: 99_999, Lost: 99_999},
		Leaderless: map[string]Seconds{"etcd": *long, "kube-scheduler": *long, "kube-controller-manager": *long},
		Evicted:    &many, Incomplete: strings.Repeat("word ", 60), With: []string{strings.Repeat("fault ", 60)},
	}
	checkWidth(t, Render(&Run{Availability: &AvailabilityFigures{LateAfter: *long, Faults: []FaultFigures{f}}}))
}

// TestAvailabilityInRunFile: what did not happen must not come back as 0.
func TestAvailabilityInRunFile(t *testing.T) {
	d, err := Create(t.TempDir(), "faults/swarm")
	if err != nil {
		t.Fatal(err)
	}
	want := &Run{Name: "faults/swarm", Availability: exampleAvailability()}
	if err := d.Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := Load(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Availability, got.Availability); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
