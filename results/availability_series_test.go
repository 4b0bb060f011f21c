package results

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// written are the rows of a time series.
type written struct{ bytes.Buffer }

func (*written) Close() error { return nil }

func (w *written) rows(t *testing.T, s *Series) (rows []Row) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(w)
	for decoder.More() {
		var r Row
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

func TestAvailabilitySeries(t *testing.T) {
	a := newAvailability()
	file := &written{}
	s := newSeries(file, phaseStart, maxSeriesBytes)
	a.Request(call("get", 200, 500*ms, 10*ms))
	a.Request(call("get", 503, 600*ms, 10*ms))
	a.Request(call("get", 429, 600*ms, 10*ms))
	a.Request(call("watch", 200, 700*ms, 10*ms))
	a.Write(s, at(900*ms)) // not over yet
	a.Begin("stop", "etcd-0", at(800*ms)).Healed(at(2500 * ms))
	a.Leader("etcd", "", at(1200*ms))
	a.Request(call("update", 200, 2100*ms, 20*ms))
	a.Request(call("update", 200, 2600*ms, 20*ms))
	a.Lease(renewal("a", 2, 0, 6))
	a.Write(s, at(2*time.Second))
	a.Write(s, at(4*time.Second))
	a.Request(call("get", 200, 4*time.Second, ms)) // in no row
	want := []Row{
		{Time: 0, Values: map[string]float64{
			"reads_served": 1, "reads_failed": 1, "reads_shed": 1, "reads_canceled": 0,
			"reads_p50_seconds": 0.01, "reads_p99_seconds": 0.01, "reads_max_seconds": 0.01,
			"watches_served": 1, "watches_failed": 0, "watches_shed": 0, "watches_canceled": 0,
		}},
		{Time: Seconds(800 * ms), Event: "inject", Reason: "stop of etcd-0"},
		{Time: Seconds(1200 * ms), Event: "leader", Reason: "nobody leads etcd"},
		{Time: Seconds(2 * time.Second), Values: map[string]float64{
			"writes_served": 2, "writes_failed": 0, "writes_shed": 0, "writes_canceled": 0,
			"writes_p50_seconds": 0.02, "writes_p99_seconds": 0.02, "writes_max_seconds": 0.02,
			"heartbeats": 1, "heartbeats_late": 1, "heartbeats_lost": 0,
		}},
		{Time: Seconds(2500 * ms), Event: "heal", Reason: "stop of etcd-0"},
	}
	if diff := cmp.Diff(want, file.rows(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAvailabilityLetsGo: what is written and no fault needs takes no memory,
// and the figures do not change by it.
func TestAvailabilityLetsGo(t *testing.T) {
	run := func(write bool) (a *Availability) {
		a = newAvailability()
		s := newSeries(&written{}, phaseStart, maxSeriesBytes)
		for i := range 60 {
			from := time.Duration(i) * time.Minute
			both(a, 200, from, from+time.Minute, 10*ms)
			if i == 10 || i == 40 {
				a.Begin("stop", "", at(from+50*time.Second)).Healed(at(from + 55*time.Second))
			}
			if i >= 2 && write {
				a.Write(s, at(from-2*time.Minute))
			}
		}
		if write {
			a.Write(s, at(time.Hour))
		}
		return a
	}
	kept, released := run(false), run(true)
	if diff := cmp.Diff(kept.Figures(at(time.Hour)), released.Figures(at(time.Hour))); diff != "" {
		t.Errorf("figures without and with letting go (-want +got):\n%s", diff)
	}
	alive := 0
	for _, s := range released.seconds {
		if s != nil {
			alive++
		}
	}
	if alive < 2*140 || alive > 2*150+20 {
		t.Errorf("%d of %d seconds are kept, want those of two faults", alive, len(released.seconds))
	}
	released.Request(call("get", 200, time.Minute, ms)) // long gone
	if n := released.Figures(at(time.Hour)).Uncounted; n != 1 {
		t.Errorf("%d calls uncounted, want 1", n)
	}
}
