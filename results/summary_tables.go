package results

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

func renderSLOs(r *Run) string {
	t := table{align: "llrrlrll"}
	t.row("", "", "", "ours,", "", "everybody's,", "", "")
	t.row("phase", "SLO", "limit", "exact", "", "bucketed", "", "worst")
	var notes strings.Builder
	for i := range r.Phases {
		p := &r.Phases[i]
		for _, pair := range pairs(p.SLOs) {
			t.row(sloCells(p.Name, pair)...)
			for _, s := range pair {
				if s.Note != "" {
					fmt.Fprintf(&notes, "  %s, %s (%s): %s\n", p.Name, s.Name, s.Source, s.Note)
				}
			}
		}
		if len(p.SLOs) > 0 && p.OutsidePrecondition() {
			fmt.Fprintf(&notes, "  %s is outside the SLO's precondition: churn %s/s, at most %.0f/s\n",
				p.Name, digits3(p.ChurnPerSecond), maxChurn)
		}
	}
	if len(t.rows) == 2 {
		return ""
	}
	return t.String() + notes.String()
}

// pairs groups the SLOs of one name, which were judged on several sources.
func pairs(slos []SLO) [][]SLO {
	var all [][]SLO
	for _, s := range slos {
		if n := len(all); n > 0 && all[n-1][0].Name == s.Name {
			all[n-1] = append(all[n-1], s)
		} else {
			all = append(all, []SLO{s})
		}
	}
	return all
}

// sloCells is a row of the table: what both sources say, and the worst call of
// the one that says worse.
func sloCells(phase string, pair []SLO) []string {
	_, limit := pair[0].text()
	cells := []string{phase, pair[0].Name, limit, missing, "", missing, "", missing}
	var worst SLO
	for _, s := range pair {
		value, _ := s.text()
		at := 3
		if s.Source == SourceServers {
			at = 5
		}
		cells[at], cells[at+1] = value, string(s.Outcome)
		if s.Worst != "" && (worst.Worst == "" || s.P99 > worst.P99) {
			worst = s
		}
	}
	cells[7] = shorten(dash(worst.Worst), 29)
	return cells
}

// text returns what was measured and what is allowed.
func (s *SLO) text() (value, limit string) {
	if s.Threshold > 0 {
		value, limit = s.P99.String(), "≤ "+s.Threshold.String()
	} else {
		value, limit = percent(s.Ratio), "≥ "+percent(s.MinRatio)
	}
	if s.Outcome == "" {
		value = missing
	}
	return value, limit
}

// percent never rounds something short of everything up to 100 %.
func percent(ratio float64) string {
	if ratio < 1 && ratio > 0.9999 {
		return ">99.99 %"
	}
	return fmt.Sprintf("%.2f %%", ratio*100)
}

// requestTypes are the columns of the request table, in this order. Contract
// traffic has a section of its own.
var requestTypes = []history.Class{
	history.ClassKubelet, history.ClassKubeProxy, history.ClassWorkload, history.ClassController, history.ClassObserver,
}

type requestKey struct{ verb, target string }

func renderRequests(r *Run) string {
	counts := map[requestKey]map[history.Class]int64{}
	var columns []history.Class
	for _, p := range r.Phases {
		for _, q := range p.API.Requests {
			if q.Class == history.ClassContract {
				continue
			}
			k := requestKey{q.Verb, q.Target()}
			if counts[k] == nil {
				counts[k] = map[history.Class]int64{}
			}
			counts[k][q.Class] += q.Requests
			if !slices.Contains(columns, q.Class) {
				columns = append(columns, q.Class)
			}
		}
	}
	if len(counts) == 0 {
		return ""
	}
	slices.SortFunc(columns, func(a, b history.Class) int {
		return slices.Index(requestTypes, a) - slices.Index(requestTypes, b)
	})
	t := table{align: "llr"}
	head := []string{"verb", "resource"}
	for _, c := range columns {
		head = append(head, string(c))
	}
	t.row(head...)
	keys := sorted(counts, func(a, b requestKey) int {
		return cmp.Or(strings.Compare(a.target, b.target), strings.Compare(a.verb, b.verb))
	})
	for _, k := range keys {
		cells := []string{k.verb, shorten(k.target, 30)}
		for _, c := range columns {
			if n := counts[k][c]; n > 0 {
				cells = append(cells, number(n))
			} else {
				cells = append(cells, "")
			}
		}
		t.row(cells...)
	}
	return t.String() + renderWatchEvents(r)
}

// renderWatchEvents is what arrived on the watches of sim and workloads, but for those
// of contract traffic.
func renderWatchEvents(r *Run) string {
	counts := map[string]int64{}
	for _, p := range r.Phases {
		for _, w := range p.API.Watches {
			if w.Type != "" && w.Class != history.ClassContract {
				counts[w.Resource] += w.Count
			}
		}
	}
	var parts []string
	for _, resource := range sorted(counts, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	}) {
		parts = append(parts, resource+" "+number(counts[resource]))
	}
	if len(parts) == 0 {
		return ""
	}
	const shown = 5
	if len(parts) > shown {
		parts = append(parts[:shown], "...")
	}
	return "  watch events: " + strings.Join(parts, ", ") + "\n"
}

// maxErrorRows keeps the summary readable; run.json has all of them.
const maxErrorRows = 12

// renderErrors leaves out contract traffic, of which most failures are meant, but
// for records that do not tell it apart.
func renderErrors(r *Run) string {
	counts := map[errorKey]int64{}
	for _, p := range r.Phases {
		for _, e := range p.API.Errors {
			if e.Class != history.ClassContract {
				counts[errorKey{"", e.Verb, e.Resource, e.Reason, e.Status}] += e.Count
			}
		}
	}
	if len(counts) == 0 {
		return ""
	}
	keys := sorted(counts, compareErrors)
	slices.SortStableFunc(keys, func(a, b errorKey) int { return int(counts[b] - counts[a]) })
	t := table{align: "llllr"}
	t.row("verb", "resource", "status", "reason", "count")
	for _, k := range keys[:min(len(keys), maxErrorRows)] {
		status := missing
		if k.status > 0 {
			status = fmt.Sprint(k.status)
		}
		t.row(dash(k.verb), shorten(dash(k.resource), 36), status, shorten(dash(k.reason), 30), number(counts[k]))
	}
	text := t.String()
	if len(keys) > maxErrorRows {
		text += fmt.Sprintf("  and %d more kinds\n", len(keys)-maxErrorRows)
	}
	return text
}

// maxWriteRows are the resources shown of each phase, the busiest first.
const maxWriteRows = 6

func renderWrites(r *Run) string {
	t := table{align: "llr"}
	t.row("phase", "resource", "creates", "updates", "deletes", "/s", "Txn p50", "p99", "max")
	for i := range r.Phases {
		p := &r.Phases[i]
		writes := slices.Clone(p.Pods.Writes)
		slices.SortStableFunc(writes, func(a, b WriteFigures) int { return int(b.Txn.Count - a.Txn.Count) })
		for _, w := range writes[:min(len(writes), maxWriteRows)] {
			t.row(p.Name, shorten(w.Resource, 30), number(w.Creates), number(w.Updates), number(w.Deletes),
				rateText(p, w.Creates+w.Updates+w.Deletes), w.Txn.P50.String(), w.Txn.P99.String(), w.Txn.Max.String())
		}
	}
	if len(t.rows) == 1 {
		return ""
	}
	return t.String()
}

func renderLeases(r *Run) string {
	t := table{align: "lr"}
	t.row("phase", "renewals", "/s", "late p50", "p99", "max", "sent p99", "max", "answered p99", "max", "failed", "missed")
	for _, p := range r.Phases {
		l := p.Leases
		if l.Renewals+l.Failed+l.Missed == 0 {
			continue
		}
		cells := []string{p.Name, number(l.Renewals), rateText(&p, l.Renewals)}
		late := latencyCells(l.Lateness)
		sent, answered := latencyCells(l.SentLate), latencyCells(l.AnsweredLate)
		cells = append(cells, late[1], late[3], late[4], sent[3], sent[4], answered[3], answered[4])
		t.row(append(cells, number(l.Failed), number(l.Missed))...)
	}
	if len(t.rows) == 1 {
		return ""
	}
	return t.String()
}

func renderOperators(r *Run) string {
	t := table{align: "lr"}
	t.row("phase", "changes seen", "lag p50", "p90", "p99", "max", "unpaired", "status writes", "conflicts", "errors")
	for _, p := range r.Phases {
		o := p.Operators
		if o == nil {
			continue
		}
		cells := append([]string{p.Name, number(o.Lag.Count)}, latencyCells(o.Lag)[1:]...)
		t.row(append(cells, number(o.Unpaired), number(o.Writes), number(o.Conflicts), number(o.Errors))...)
	}
	if len(t.rows) == 1 {
		return ""
	}
	return t.String()
}

func renderUsage(r *Run) string {
	if r.Peak == nil || len(r.Peak.Components) == 0 {
		return ""
	}
	t := table{align: "lr"}
	t.row("component", "CPU s", "share", "peak RSS", "without files", "mapped files", "estimated", "peak fds")
	var cpu float64
	for _, u := range r.Peak.Components {
		cpu += u.CPUSeconds
	}
	for _, name := range slices.Sorted(maps.Keys(r.Peak.Components)) {
		u := r.Peak.Components[name]
		estimated := missing
		if r.Estimate != nil && r.Estimate.MemoryBytes[name] > 0 {
			estimated = bytesText(r.Estimate.MemoryBytes[name])
		}
		t.row(name, digits3(u.CPUSeconds), share(u.CPUSeconds, cpu), bytesText(u.PeakRSS), bytesText(u.PeakOwn),
			bytesText(u.PeakMapped), estimated, number(u.PeakFDs))
	}
	estimated := missing
	if r.Estimate != nil {
		estimated = bytesText(r.Estimate.Memory())
	}
	t.row("all at one time", digits3(cpu), share(cpu, cpu), bytesText(r.Peak.RSSBytes),
		bytesText(r.Peak.MemoryBytes), bytesText(r.Peak.MappedBytes), estimated, number(r.Peak.MaxFDs))
	return t.String() + renderTrees(r) + renderSplit(r, cpu)
}

// renderTrees says which rows are those of several processes, and how their memory
// was added up.
func renderTrees(r *Run) string {
	var s strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Peak.Components)) {
		switch r.Peak.Components[name].Memory {
		case SharedOnce:
			fmt.Fprintf(&s, "  %s with all processes below it: what they share is counted once (Pss)\n", name)
		case SharedForEach:
			fmt.Fprintf(&s, "  %s with all processes below it: what they share is counted for each (RSS)\n", name)
		}
	}
	return s.String()
}

// renderSplit tells etcd's share of the harness process from ours, by the
// labels in its CPU profiles.
func renderSplit(r *Run, allCPU float64) string {
	var sum ProfileSplit
	for _, p := range r.Phases {
		if p.Profile != nil {
			sum.Etcd += p.Profile.Etcd
			sum.Ours += p.Profile.Ours
			sum.GC += p.Profile.GC
			sum.Runtime += p.Profile.Runtime
		}
	}
	if sum.Total() == 0 {
		return ""
	}
	harness := sum.OursShare() * r.Peak.Components[HarnessName].CPUSeconds
	return fmt.Sprintf("  harness by profile: etcd %s s, ours %s s, collector %s s, Go scheduler %s s\n"+
		"  ours with its part of the last two: %s of the harness, %s of all CPU\n",
		digits3(sum.Etcd), digits3(sum.Ours), digits3(sum.GC), digits3(sum.Runtime),
		share(sum.OursShare(), 1), share(harness, allCPU))
}

func share(part, all float64) string {
	if all <= 0 {
		return missing
	}
	return fmt.Sprintf("%.1f %%", part/all*100)
}
