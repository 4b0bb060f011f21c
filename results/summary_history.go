package results

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// RenderVerdicts shows the verdicts on the histories of a run by themselves, and
// beside them those of its record, see Run.Beside.
func RenderVerdicts(r *Run, verdicts, beside []checkers.Verdict, h *History) string {
	judged := &Run{Name: r.Name, History: h, Verdict: Verdict{Guarantees: verdicts}}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seed %d: %s\n", r.Name, r.Seed, checkers.Worst(slices.Concat(verdicts, beside)))
	b.WriteString(renderGuarantees(judged))
	section(&b, "From run.json, not judged again", renderList(beside))
	renderAreas(&b, judged)
	return b.String()
}

// Beside are the verdicts that the record of a run has and that its history, judged
// to these verdicts, does not give: only the run itself knew whether its plan came to
// its end, whether a component died, a lease was missed, or a fault took effect.
// Where the record has no verdict at all there is one that says so.
func (r *Run) Beside(judged []checkers.Verdict) []checkers.Verdict {
	if len(r.Verdict.Guarantees) == 0 {
		return []checkers.Verdict{{
			Guarantee: "PlanComplete", Statement: "every phase of the plan ended as planned", Outcome: checkers.Unknown,
			Detail: "run.json has no verdicts: the run has not ended, or was killed",
		}}
	}
	var beside []checkers.Verdict
	for _, v := range r.Verdict.Guarantees {
		again := slices.ContainsFunc(judged, func(j checkers.Verdict) bool { return j.Area == v.Area && j.Guarantee == v.Guarantee })
		if !again && v.Guarantee != StorageHistory {
			beside = append(beside, v)
		}
	}
	return beside
}

// renderAreas shows the verdicts of every area in a section of its own, and
// what they were judged by.
func renderAreas(b *strings.Builder, r *Run) {
	section(b, "Guarantees of the store", renderArea(r, checkers.AreaStore))
	section(b, "Guarantees of the API", renderArea(r, checkers.AreaAPI))
	section(b, "Guarantees of the cluster", renderArea(r, checkers.AreaCluster))
	section(b, "Histories", renderHistory(r))
	section(b, "Contract traffic", renderContract(r))
}

// renderArea shows the verdicts of one area, and what each of them rests on.
func renderArea(r *Run, area string) string {
	var b strings.Builder
	for _, v := range r.Verdict.Guarantees {
		if v.Area != area {
			continue
		}
		text := v.Checked
		if v.Outcome != checkers.Pass && v.Outcome != checkers.Fail && v.Detail != "" {
			text = v.Detail // why it was not judged is worth more than with what
		}
		const margin = 38 // of the text
		lines := wrap(text, 110-margin)
		fmt.Fprintf(&b, "  %-13s  %-20s  %s\n", v.Outcome, v.Guarantee, lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(&b, "%*s%s\n", margin, "", line)
		}
	}
	return b.String()
}

// renderHistory shows what was recorded.
func renderHistory(r *Run) string {
	h := r.History
	if h == nil {
		return ""
	}
	t := table{align: "lr"}
	t.row("recorded", "records")
	t.row("calls of the store", number(h.Operations))
	t.row("messages on its watches", number(h.Messages))
	t.row("attempts of our clients at the API", number(h.Attempts))
	t.row("messages on their watches", number(h.APIMessages))
	t.row("versions of objects", number(h.Versions))
	t.row("lost", number(int64(h.Lost)))
	return t.String() + fmt.Sprintf("  %s revisions, %s events of the store; %s on disk (%d bytes a record), judged in %s\n",
		number(h.Revisions), number(h.Events), bytesText(h.Bytes), h.Bytes/max(h.Records(), 1), h.Judged)
}

// wrap breaks a text at spaces into lines of at most width characters; a word
// that is longer stands alone. There is at least one line.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// renderDeliveries shows the delivery times of the store or of the API servers, of
// every resource that had events, the busiest first.
func renderDeliveries(deliveries []Delivery) string {
	if len(deliveries) == 0 {
		return ""
	}
	t := table{align: "lr"}
	t.row("resource", "events", "p50", "p99", "p99.9", "max")
	for _, d := range slices.SortedStableFunc(slices.Values(deliveries), func(a, b Delivery) int { return cmp.Compare(b.Count, a.Count) }) {
		t.row(d.Resource, number(d.Count), d.P50.String(), d.P99.String(), d.P999.String(), d.Max.String())
	}
	return t.String()
}
