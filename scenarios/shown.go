package scenarios

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
)

// missedLeases is the counter-example of deadlines that passed: of the first ones what
// was due, sent and acknowledged, and the renewal before it.
func missedLeases(count int64, first []results.LeaseMiss) string {
	var rows []counterexample.Row
	for _, m := range first {
		rows = append(rows, renewalRows(m.Node, "the renewal before", m.Before)...)
		rows = append(rows, counterexample.Row{From: m.Deadline, What: "deadline", Who: m.Node, Text: "the end of the lease"})
		rows = append(rows, renewalRows(m.Node, "the renewal", m.Late)...)
	}
	why := fmt.Sprintf("%d lease deadlines passed without a renewal", count)
	if n := len(first); int64(n) < count {
		why += fmt.Sprintf(", of which the first %d are", n)
	}
	return counterexample.Render(why, rows)
}

// renewalRows are the times of a renewal: when it was due, and from when it was sent
// until it was acknowledged.
func renewalRows(node, which string, r history.Lease) []counterexample.Row {
	if r.Node == "" {
		return []counterexample.Row{{What: "nothing heard", Who: node, Text: which}}
	}
	sent := counterexample.Row{From: r.Sent, To: r.Answered, What: "sent, acknowledged", Who: node, Text: which}
	if r.Failed || r.Answered == 0 {
		sent.To, sent.What = 0, "sent, failed"
	}
	return []counterexample.Row{{From: r.Due, What: "due", Who: node, Text: which}, sent}
}

// cacheRows are the counters of the API servers that found a cache of theirs to differ
// in a phase, with its beginning and its end.
func cacheRows(p results.Phase) (rows []counterexample.Row) {
	for _, d := range p.Servers.CacheDifferences {
		rows = append(rows, counterexample.Row{
			From: p.Begun, To: p.Begun.Add(p.Duration.Duration()), What: "phase " + p.Name, Who: d.Server, Text: d.String(),
		})
	}
	return rows
}
