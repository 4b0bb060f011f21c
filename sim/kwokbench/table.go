package main

import (
	"fmt"
	"slices"
	"strings"
)

// row is one figure of the table.
type row struct {
	name   string
	format string
	value  func(o options, r result) float64
}

const megabyte = 1 << 20

func rows() []row {
	renewal := func(q float64) func(options, result) float64 {
		return func(_ options, r result) float64 {
			var all []float64
			for _, d := range append(slices.Clone(r.Hold.Writes.Renewals), r.Fill.Writes.Renewals...) {
				all = append(all, d.Seconds())
			}
			slices.Sort(all)
			return quantile(all, q)
		}
	}
	perPod := func(f func(result) float64) func(options, result) float64 {
		return func(o options, r result) float64 { return f(r) / float64(o.pods) }
	}
	return []row{
		{"simulator CPU per write, while pods start (ms)", "%.3f", func(_ options, r result) float64 { return perWrite(r.Fill) }},
		{"simulator CPU per write, idle nodes (ms)", "%.3f", func(_ options, r result) float64 { return perWrite(r.Hold) }},
		{"simulator CPU per pod started (ms)", "%.2f", perPod(func(r result) float64 { return 1000 * r.Fill.CPU })},
		{"writes sent per pod started, heartbeats included", "%.2f", perPod(func(r result) float64 { return float64(r.Fill.Writes.Total) })},
		{"writes refused or failed", "%.0f", func(_ options, r result) float64 { return float64(r.Hold.Writes.Failed + r.Fill.Writes.Failed) }},
		{"RSS, idle nodes (MiB)", "%.0f", func(_ options, r result) float64 { return float64(r.IdleRSS) / megabyte }},
		{"RSS per node, idle (KiB)", "%.0f", func(o options, r result) float64 { return float64(r.IdleRSS) / 1024 / float64(o.nodes) }},
		{"RSS, peak (MiB)", "%.0f", func(_ options, r result) float64 { return float64(r.PeakRSS) / megabyte }},
		{"watches held on the API server", "%.0f", func(_ options, r result) float64 { return float64(r.Watches) }},
		{"pods/s, first create to last Running", "%.0f", func(_ options, r result) float64 { return r.Life.PodsPerSecond }},
		{"pod start p50 (s)", "%.2f", func(_ options, r result) float64 { return r.Life.P50 }},
		{"pod start p99 (s)", "%.2f", func(_ options, r result) float64 { return r.Life.P99 }},
		{"API server CPU per pod started (ms)", "%.2f", perPod(func(r result) float64 { return 1000 * r.Fill.ServerCPU })},
		{"time between renewals of a lease, p50 (s)", "%.2f", renewal(0.50)},
		{"time between renewals of a lease, p99 (s)", "%.2f", renewal(0.99)},
		{"time between renewals of a lease, max (s)", "%.2f", renewal(1)},
	}
}

func perWrite(w window) float64 {
	if w.Writes.Total == 0 {
		return 0
	}
	return 1000 * w.CPU / float64(w.Writes.Total)
}

// table renders the rounds: of each arm the median, and of each arm beside KWOK
// the median of the ratios within a round, with the smallest and the largest.
func table(o options, rounds []map[string]result) string {
	var b strings.Builder
	names := o.armNames()
	b.WriteString("| |")
	for _, name := range names {
		fmt.Fprintf(&b, " %s |", title(name))
	}
	ours := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == armKWOK })
	if !slices.Contains(names, armKWOK) {
		ours = nil
	}
	for _, name := range ours {
		fmt.Fprintf(&b, " %s ÷ KWOK |", name)
	}
	fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("--:|", len(names)+len(ours)))
	for _, row := range rows() {
		fmt.Fprintf(&b, "| %s |", row.name)
		for _, name := range names {
			values := collect(rounds, func(round map[string]result) float64 { return row.value(o, round[name]) })
			fmt.Fprintf(&b, " "+row.format+" |", quantile(values, 0.5))
		}
		for _, name := range ours {
			fmt.Fprintf(&b, " %s |", ratios(collect(rounds, func(round map[string]result) float64 {
				return row.value(o, round[name]) / row.value(o, round[armKWOK])
			})))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func title(name string) string {
	if name == armKWOK {
		return "KWOK v0.8.0"
	}
	return "planecheck `" + name + "`"
}

// collect returns one value per round, sorted.
func collect(rounds []map[string]result, value func(map[string]result) float64) []float64 {
	var values []float64
	for _, round := range rounds {
		values = append(values, value(round))
	}
	slices.Sort(values)
	return values
}

// ratios renders sorted ratios; those by nothing, e.g. of failures that did not
// happen, are left out.
func ratios(sorted []float64) string {
	sorted = slices.DeleteFunc(sorted, func(v float64) bool { return v != v || v > 1e9 })
	if len(sorted) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g (%.3g–%.3g)", quantile(sorted, 0.5), sorted[0], sorted[len(sorted)-1])
}
