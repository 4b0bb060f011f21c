package results

import (
	"fmt"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// RenderVerdicts shows the verdicts on the histories of a run by themselves.
func RenderVerdicts(r *Run, verdicts []checkers.Verdict, h *History) string {
	judged := &Run{Name: r.Name, History: h, Verdict: Verdict{Outcome: checkers.Worst(verdicts), Guarantees: verdicts}}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seed %d: %s\n", r.Name, r.Seed, judged.Verdict.Outcome)
	b.WriteString(renderGuarantees(judged))
	section(&b, "Guarantees of the store", renderStore(judged))
	return b.String()
}

// renderStore shows the verdicts on the store, and what each of them rests on.
func renderStore(r *Run) string {
	var b strings.Builder
	for _, v := range r.Verdict.Guarantees {
		if v.Area != checkers.AreaStore {
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
	if b.Len() == 0 {
		return ""
	}
	if h := r.History; h != nil {
		fmt.Fprintf(&b, "  recorded: %s calls, %s watch messages with %s events, %s revisions, %s lost; %s on disk, judged in %s\n",
			number(h.Operations), number(h.Messages), number(h.Events), number(h.Revisions), number(int64(h.Lost)),
			bytesText(h.Bytes), h.Judged)
	}
	return b.String()
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

// mostDeliveries is how many resources the summary shows; run.json has all.
const mostDeliveries = 8

func renderDeliveries(r *Run) string {
	if r.History == nil || len(r.History.Deliveries) == 0 {
		return ""
	}
	t := table{align: "lr"}
	t.row("resource", "events", "p50", "p99", "p99.9", "max")
	for i, d := range r.History.Deliveries {
		if i == mostDeliveries {
			break
		}
		t.row(d.Resource, number(d.Count), d.P50.String(), d.P99.String(), d.P999.String(), d.Max.String())
	}
	return t.String()
}
