package results

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// renderContract shows the traffic that the API guarantees were judged on. It stands
// by itself: most of its failures are meant, and so is that some of it waits.
func renderContract(r *Run) string {
	c := r.Contract
	if c == nil || c.Seconds <= 0 {
		return ""
	}
	sent := c.Sent()
	text := fmt.Sprintf("%s requests, %.1f/s", number(sent), float64(sent)/c.Seconds.Duration().Seconds())
	if h := r.History; h != nil && h.Attempts > 0 {
		text += fmt.Sprintf(", %.1f %% of what our clients sent", 100*float64(sent)/float64(h.Attempts))
	}
	text += fmt.Sprintf("; %s watches opened, %s of them resumed, with %s events; %s operations began more than 10 ms late",
		number(c.WatchesOpened), number(c.WatchesResumed), number(c.WatchEvents), number(c.Late))
	return paragraph(text) + renderContractCalls(c.Calls)
}

// maxContractRows keeps the summary readable; run.json has all kinds.
const maxContractRows = 30

// renderContractCalls shows the kinds of requests, the most frequent first, and at the
// end what became of all of them.
func renderContractCalls(calls []ContractCall) string {
	if len(calls) == 0 {
		return ""
	}
	calls = byRequests(calls)
	t := table{align: "llr"}
	t.row("", "", "", "exact", "", "", "refused", "", "", "", "", "")
	t.row("verb", "resource", "calls", "p50", "p99", "max", "illegal", "404", "409", "version", "other", "failed")
	var all ContractCounts
	for i, c := range calls {
		all.add(c.ContractCounts)
		if i < maxContractRows {
			l := latencyCells(c.Latency)
			t.row(append([]string{shorten(c.Verb, 8), targetIn(c.Call, 16), number(c.Requests), l[1], l[3], l[4]}, countCells(c.ContractCounts)...)...)
		}
	}
	if more := len(calls) - maxContractRows; more > 0 {
		t.row(fmt.Sprintf("and %d", more), "more kinds")
	}
	t.row(append([]string{"all", "", number(all.Requests), "", "", ""}, countCells(all)...)...)
	legend := "latencies: of what succeeded, from when it was due, or sent if it was not the first of its operation; " +
		"they are in no row of the load (ours) below, but in the API servers' own figures (everybody's); " +
		"illegal: refused with the error that is documented for what no server may carry out; " +
		"version: not kept any more (410), or not reached yet (504); failed: other 5xx, 429, or no answer"
	if all.Cut > 0 {
		legend += fmt.Sprintf("; cut short by their own clients: %s", number(all.Cut))
	}
	return t.String() + paragraph(legend)
}

// byRequests are the kinds in the order of how many requests there were.
func byRequests(calls []ContractCall) []ContractCall {
	return slices.SortedStableFunc(slices.Values(calls), func(a, b ContractCall) int { return cmp.Compare(b.Requests, a.Requests) })
}

// countCells are what did not succeed.
func countCells(c ContractCounts) (cells []string) {
	for _, n := range []int64{c.Illegal, c.NotFound, c.Conflict, c.Version, c.Refused, c.Failed} {
		if n == 0 {
			cells = append(cells, "")
		} else {
			cells = append(cells, number(n))
		}
	}
	return cells
}

// paragraph is a text in lines of the summary.
func paragraph(text string) string {
	const margin, width = "  ", 110
	return margin + strings.Join(wrap(text, width-len(margin)), "\n"+margin) + "\n"
}
