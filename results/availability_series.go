package results

import (
	"cmp"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// AvailabilitySeries is the file of a run directory that holds a row for every
// second with calls, in the format of the other time series.
const AvailabilitySeries = "availability.jsonl"

// availabilityEvent is a fault or a change of a leader.
type availabilityEvent struct {
	at            history.Time
	event, reason string
}

func (a *Availability) event(at history.Time, event, reason string) {
	a.events = append(a.events, availabilityEvent{at, event, reason})
}

// Write appends the seconds that ended before a time to a time series, and lets
// go those that no fault needs. A call that returns after its second was
// written is missing there; one that returns after its second was let go is
// counted as uncounted. So the time is that of some minutes ago, longer than a
// call may take, and only at the end of the run the present. Write is not
// called concurrently.
func (a *Availability) Write(s *Series, before history.Time) {
	for _, r := range a.rows(before) {
		s.Write(r.at, r.Row)
	}
}

type timedRow struct {
	at history.Time
	Row
}

// rows takes what is to be written, in the order of time.
func (a *Availability) rows(before history.Time) []timedRow {
	a.mu.Lock()
	defer a.mu.Unlock()
	var rows []timedRow
	a.events = slices.DeleteFunc(a.events, func(e availabilityEvent) bool {
		if e.at >= before {
			return false
		}
		rows = append(rows, timedRow{e.at, Row{Event: e.event, Reason: e.reason}})
		return true
	})
	for ; a.written < len(a.seconds) && a.begins(a.written+1) <= before; a.written++ {
		if values := a.values(a.begins(a.written), a.begins(a.written+1)); len(values) > 0 {
			rows = append(rows, timedRow{a.begins(a.written), Row{Values: values}})
		}
	}
	// A fault that begins from now on is compared with the last seconds.
	for ; a.released < a.written-baselineSeconds-1; a.released++ {
		if !a.needed(a.released) {
			a.seconds[a.released] = nil
		}
	}
	slices.SortStableFunc(rows, func(r, other timedRow) int { return cmp.Compare(r.at, other.at) })
	return rows
}

// values are the columns of a second. What nobody asked for has none.
func (a *Availability) values(from, to history.Time) map[string]float64 {
	values := map[string]float64{}
	for kind, name := range [callKinds]string{"reads", "writes", "watches"} {
		f := a.calls(callKind(kind), from, to)
		if f.CallCounts == (CallCounts{}) {
			continue
		}
		values[name+"_served"] = float64(f.Served)
		values[name+"_failed"] = float64(f.Failed)
		values[name+"_shed"] = float64(f.Shed)
		values[name+"_canceled"] = float64(f.Canceled)
		if f.Latency.Count > 0 {
			values[name+"_p50_seconds"] = time.Duration(f.Latency.P50).Seconds()
			values[name+"_p99_seconds"] = time.Duration(f.Latency.P99).Seconds()
			values[name+"_max_seconds"] = time.Duration(f.Latency.Max).Seconds()
		}
	}
	if beats := a.heartbeats(from, to); beats.Renewals > 0 {
		values["heartbeats"] = float64(beats.Renewals)
		values["heartbeats_late"] = float64(beats.Late)
		values["heartbeats_lost"] = float64(beats.Lost)
	}
	return values
}
