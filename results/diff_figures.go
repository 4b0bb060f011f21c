package results

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// figureTables are the tables of a diff, in their order.
func figureTables(a, b *Run) []*pairTable {
	all := []*pairTable{{
		title: "Pods by phase", labels: []string{"phase", "pods"}, of: podEntries,
		columns: []column{{"count", false}, {"time", false}, {"pods/s", true}},
	}}
	for _, phase := range phaseNames(a, b) {
		all = append(all, &pairTable{
			title: "Life of a pod: " + phase, labels: []string{"hop"}, of: hopEntries(phase),
			columns: []column{{"p50", true}, {"p90", true}, {"p99", true}},
		})
	}
	return append(all,
		&pairTable{
			title: "API latency of what sim and workloads sent (exact)", labels: []string{"call"}, of: ourCallEntries,
			columns: []column{{"calls", false}, {"p50", true}, {"p99", true}}, few: 1, // of contract traffic there are none
		},
		&pairTable{
			title: "Contract traffic (exact; latencies of what succeeded)", labels: []string{"call"}, of: contractEntries,
			columns: []column{{"calls", false}, {"p50", true}, {"p99", true}},
		},
		&pairTable{
			title: "API latency of what everybody sent (bucketed; the phase with the highest p99)", labels: []string{"call"}, of: serverCallEntries,
			columns: []column{{"calls", false}, {"p99", true}}, few: fewCalls,
		},
		&pairTable{
			title: "SLOs (p99 of the worst window, and shares of the whole phase)", labels: []string{"phase", "SLO", "of"}, of: sloEntries,
			columns: []column{{"value", true}, {"verdict", false}},
		},
		&pairTable{
			title: "Leases", labels: []string{"phase"}, of: leaseEntries,
			columns: []column{{"renewals", false}, {"late p99", true}, {"max", false}, {"failed", false}, {"missed", false}},
		},
		&pairTable{
			title: "CPU seconds and peak memory", labels: []string{"component"}, of: usageEntries,
			columns: []column{{"CPU s", true}, {"peak RSS", true}},
		})
}

// phaseNames are the phases of either run, those of A first.
func phaseNames(a, b *Run) (names []string) {
	for _, r := range []*Run{a, b} {
		for i := range r.Phases {
			if !slices.Contains(names, r.Phases[i].Name) {
				names = append(names, r.Phases[i].Name)
			}
		}
	}
	return names
}

func secondsCell(s Seconds) cell { return cell{s.String(), s.Duration().Seconds()} }
func countCell(n int64) cell     { return cell{number(n), float64(n)} }
func bytesCell(n int64) cell     { return cell{bytesText(n), float64(n)} }
func digitsCell(f float64) cell  { return cell{digits3(f), f} }

// quantileCells are some quantiles of a distribution of so many values.
func quantileCells(count int64, quantiles ...Seconds) (cells []cell) {
	for _, q := range quantiles {
		if count == 0 {
			cells = append(cells, unmeasured())
		} else {
			cells = append(cells, secondsCell(q))
		}
	}
	return cells
}

// podEntries are the pods of each phase by what became of them, and the pace with all
// SLOs met.
func podEntries(r *Run) (all []entry) {
	for i := range r.Phases {
		p := &r.Phases[i]
		took := unmeasured()
		if p.Duration > 0 {
			took = secondsCell(p.Duration)
		}
		some := false
		for _, k := range []struct {
			name string
			pods int64
		}{{"created", p.Pods.Counts.Created}, {"bound", p.Pods.Counts.Bound}, {"Running", p.Pods.Counts.Running}, {"deleted", p.Pods.Counts.Deleted}} {
			if k.pods == 0 {
				continue
			}
			some = true
			pace := unmeasured()
			if rate, ok := p.perSecond(k.pods); ok {
				pace = digitsCell(rate)
			}
			all = append(all, entry{labels: []string{p.Name, k.name}, cells: []cell{countCell(k.pods), took, pace}})
		}
		if !some {
			all = append(all, entry{labels: []string{p.Name, missing}, cells: []cell{unmeasured(), took, unmeasured()}})
		}
	}
	if rate, _, reason := r.Throughput(); reason == "" {
		all = append(all, entry{labels: []string{"pace with all", "SLOs met"}, cells: []cell{unmeasured(), unmeasured(), digitsCell(rate)}})
	}
	return all
}

// hopEntries are the hops of the pods of a phase.
func hopEntries(phase string) func(*Run) []entry {
	return func(r *Run) (all []entry) {
		for i := range r.Phases {
			if p := &r.Phases[i]; p.Name == phase {
				for _, h := range p.Pods.Hops {
					l := h.Latency
					all = append(all, entry{labels: []string{h.From + " → " + h.To}, cells: quantileCells(l.Count, l.P50, l.P90, l.P99)})
				}
			}
		}
		return all
	}
}

// callEntry is the beginning of a row for a kind of calls. Two kinds may read the same
// and differ in their API group.
func callEntry(c Call, cells ...cell) entry {
	key := strings.Join([]string{c.Verb, c.Group, c.Resource, c.Subresource, c.Scope}, "\x00")
	return entry{key: key, labels: []string{shorten(c.Verb, 9) + " " + targetText(c)}, cells: cells}
}

// ourCallEntries are the calls of sim and workloads over all phases, the most frequent
// first.
func ourCallEntries(r *Run) (all []entry) {
	calls := slices.Clone(r.Calls)
	slices.SortStableFunc(calls, func(a, b CallFigures) int { return cmp.Compare(b.Latency.Count, a.Latency.Count) })
	for _, c := range calls {
		l := c.Latency
		all = append(all, callEntry(c.Call, append([]cell{countCell(l.Count)}, quantileCells(l.Count, l.P50, l.P99)...)...))
	}
	return all
}

// contractEntries are the calls of the contract traffic, the most frequent first.
func contractEntries(r *Run) (all []entry) {
	if r.Contract == nil {
		return nil
	}
	for _, c := range byRequests(r.Contract.Calls) {
		l := c.Latency
		all = append(all, callEntry(c.Call, append([]cell{countCell(c.Requests)}, quantileCells(l.Count, l.P50, l.P99)...)...))
	}
	return all
}

// serverCallEntries are everybody's calls, the most frequent first.
func serverCallEntries(r *Run) (all []entry) {
	rows := allCalls(r)
	calls := sorted(rows, compareCalls)
	slices.SortStableFunc(calls, func(a, b Call) int { return cmp.Compare(rows[b].count, rows[a].count) })
	for _, c := range calls {
		row := rows[c]
		if row.count == 0 {
			continue
		}
		p99 := secondsCell(row.server.P99)
		if text := beyond(row.server); text != p99.text {
			p99 = textCell(text) // a ratio to it would be none
		}
		all = append(all, callEntry(c, countCell(row.count), p99))
	}
	return all
}

// sloEntries are the SLOs of each phase that were judged.
func sloEntries(r *Run) (all []entry) {
	for i := range r.Phases {
		p := &r.Phases[i]
		for _, s := range p.SLOs {
			if s.Outcome == "" {
				continue
			}
			text, limit := s.text()
			value := cell{text, s.Ratio}
			if s.Threshold > 0 {
				value.value = s.P99.Duration().Seconds()
			}
			whose, _, _ := strings.Cut(string(s.Source), ",")
			all = append(all, entry{
				labels: []string{p.Name, s.Name + " " + limit, whose},
				cells:  []cell{value, textCell(string(s.Outcome))},
			})
		}
	}
	return all
}

// leaseEntries are the heartbeats of each phase that had some.
func leaseEntries(r *Run) (all []entry) {
	for i := range r.Phases {
		l := &r.Phases[i].Leases
		if l.Renewals+l.Failed+l.Missed == 0 {
			continue
		}
		late := l.Lateness
		cells := append([]cell{countCell(l.Renewals)}, quantileCells(late.Count, late.P99, late.Max)...)
		all = append(all, entry{labels: []string{r.Phases[i].Name}, cells: append(cells, countCell(l.Failed), countCell(l.Missed))})
	}
	return all
}

// usageEntries are what each component used over the whole run, and all of them
// together.
func usageEntries(r *Run) (all []entry) {
	if r.Peak == nil || len(r.Peak.Components) == 0 {
		return nil
	}
	var cpu float64
	for _, name := range slices.Sorted(maps.Keys(r.Peak.Components)) {
		u := r.Peak.Components[name]
		cpu += u.CPUSeconds
		all = append(all, entry{labels: []string{name}, cells: []cell{digitsCell(u.CPUSeconds), bytesCell(u.PeakRSS)}})
	}
	return append(all, entry{key: "\x00", labels: []string{"all at one time"}, cells: []cell{digitsCell(cpu), bytesCell(r.Peak.RSSBytes)}})
}
