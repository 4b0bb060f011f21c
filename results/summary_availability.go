package results

import (
	"cmp"
	"fmt"
	"strings"
)

// faultColumn is the width of the first column.
const faultColumn = 20

// renderAvailability shows each fault in one row of two lines: of the reads and
// of the writes, and beside them what is known of the cluster.
func renderAvailability(r *Run) string {
	if r.Availability == nil || len(r.Availability.Faults) == 0 {
		return ""
	}
	t := table{align: "lrlr"}
	t.row("fault", "acted", "calls", "served", "shed", "p99", "gap", "back", "healed", "no leader", "late")
	t.row("  target", "well", "", "", "", "", "", "", "", "evicted", "lost")
	var notes strings.Builder
	for i := range r.Availability.Faults {
		f := &r.Availability.Faults[i]
		upper, lower := faultCells(f)
		t.row(upper...)
		t.row(lower...)
		notes.WriteString(faultNotes(f))
	}
	return t.String() + note(fmt.Sprintf(legend, r.Availability.LateAfter)) + notes.String() +
		uncountedText(r.Availability.Uncounted) + renderDistance(r.Availability.Faults)
}

const legend = "served, shed, p99: while the fault acted; gap: the longest time that calls waited and none was served; " +
	"back: from the first failure to the first success after it (-: none failed); healed: from the heal " +
	"to the first success; well: from the heal until all was as good as before; late: heartbeats later than %s; " +
	"evicted: pods, from nodes that kept their Lease"

// faultCells are the two lines of a fault.
func faultCells(f *FaultFigures) (upper, lower []string) {
	target := ""
	if f.Target != "" {
		target = "  " + shorten(strings.TrimPrefix(f.Target, "kube-"), faultColumn-2)
	}
	late, lost := missing, missing
	if b := f.Heartbeats; b.Renewals > 0 {
		late, lost = number(b.Late), number(b.Lost)
	}
	evicted := missing
	if f.Evicted != nil {
		evicted = number(*f.Evicted)
	}
	upper = append([]string{shorten(f.Fault, faultColumn), f.Acted.String(), "reads"}, serviceCells(&f.Reads)...)
	lower = append([]string{target, optional(f.Recovered), "writes"}, serviceCells(&f.Writes)...)
	return append(upper, longestLeaderless(f), late), append(lower, evicted, lost)
}

// serviceCells are the figures of one kind of calls.
func serviceCells(s *ServiceFigures) []string {
	served, shed, p99 := "no calls", missing, missing
	if ratio, ok := s.During.Ratio(); ok {
		served, shed = percent(ratio), number(s.During.Shed)
	}
	if s.During.Latency.Count > 0 {
		p99 = s.During.Latency.P99.String()
	}
	back, healed := optional(s.Back), optional(s.FirstServed)
	if s.FirstFailure != nil && s.Back == nil {
		back = "never"
	}
	if ratio, ok := s.Recovery.Ratio(); ok && ratio == 0 && s.FirstServed == nil {
		healed = "never"
	}
	return []string{served, shed, p99, gapText(s), back, healed}
}

// gapText tells a service that was never missed from one that nobody asked for.
func gapText(s *ServiceFigures) string {
	_, during := s.During.Ratio()
	_, recovery := s.Recovery.Ratio()
	switch {
	case !during && !recovery:
		return missing
	case s.Gap == 0:
		return "<" + Seconds(slotLength).String()
	default:
		return s.Gap.String()
	}
}

func optional(s *Seconds) string {
	if s == nil {
		return missing
	}
	return s.String()
}

// longestLeaderless is how long that was without a leader which was so longest.
func longestLeaderless(f *FaultFigures) string {
	if len(f.Leaderless) == 0 {
		return missing
	}
	var longest Seconds
	for _, missed := range f.Leaderless {
		longest = max(longest, missed)
	}
	return longest.String()
}

// faultNotes are what a reader of the row has to know.
func faultNotes(f *FaultFigures) string {
	name, text := faultName(f.Fault, f.Target), evidenceNote(f)
	if f.Incomplete != "" {
		text += note(name + ": " + f.Incomplete)
	}
	if len(f.With) > 0 {
		text += note(name + ": its figures hold the work of " + strings.Join(f.With, ", ") + ", too")
	}
	if b := f.Bound; b != nil && b.During+b.After > 0 {
		text += note(fmt.Sprintf("%s: %s pods were bound while it acted, %s after it", name, number(b.During), number(b.After)))
	}
	var leaders []string
	for _, of := range sorted(f.Leaderless, strings.Compare) {
		if f.Leaderless[of] > 0 {
			leaders = append(leaders, of+" "+f.Leaderless[of].String())
		}
	}
	if len(leaders) > 0 {
		text += note(name + ": nobody led " + strings.Join(leaders, ", "))
	}
	return text + note(shedText(name, f))
}

// shedText says whose calls were shed: the right ones are those that can wait.
func shedText(name string, f *FaultFigures) string {
	shed := map[string]int64{}
	for class, c := range f.Classes {
		if n := c.Reads.Shed + c.Writes.Shed; n > 0 {
			shed[string(class)] = n
		}
	}
	if len(shed) == 0 {
		return ""
	}
	classes := sorted(shed, func(a, b string) int {
		return cmp.Or(cmp.Compare(shed[b], shed[a]), strings.Compare(a, b))
	})
	for i, class := range classes {
		classes[i] = class + " " + number(shed[class])
	}
	return name + ": shed were calls of " + strings.Join(classes, ", ")
}

func uncountedText(calls int64) string {
	if calls == 0 {
		return ""
	}
	return note(number(calls) + " calls returned too late to be counted")
}

// note lays out a sentence below a table.
func note(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.Join(wrap(text, 104), "\n    ") + "\n"
}
