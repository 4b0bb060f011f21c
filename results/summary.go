package results

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// Render writes the closing summary of a run as text of at most 110 columns.
// Figures that were not measured print as "-".
func Render(r *Run) string {
	var b strings.Builder
	b.WriteString(renderHead(r))
	renderAreas(&b, r)
	if h := r.History; h != nil {
		section(&b, "Delivery of events (from the commit until the store hands it to a watch)", renderDeliveries(h.Deliveries))
		section(&b, "Delivery of events (from the commit until a client has read it)", renderDeliveries(h.APIDeliveries))
	}
	section(&b, "Pods by phase", renderPhases(r))
	for i := range r.Phases {
		p := &r.Phases[i]
		section(&b, "Life of a pod: "+p.Name, renderLife(p))
	}
	section(&b, "API latency", renderCalls(r))
	section(&b, "SLOs (p99 of the worst window: the phase, or 5 minutes if it is longer)", renderSLOs(r))
	section(&b, "Availability through each fault (of what sim and workloads asked)", renderAvailability(r))
	section(&b, "Requests by identity class (sim and workloads)", renderRequests(r))
	section(&b, "Failed requests (sim and workloads)", renderErrors(r))
	section(&b, "Committed writes at the store", renderWrites(r))
	section(&b, "Leases", renderLeases(r))
	section(&b, "Simulated controllers (lag: from a pod's commit to the operator's note of it)", renderOperators(r))
	section(&b, "CPU seconds and peak memory", renderUsage(r))
	return b.String()
}

func section(b *strings.Builder, title, body string) {
	if body != "" {
		fmt.Fprintf(b, "\n%s\n%s", title, body)
	}
}

func renderHead(r *Run) string {
	var b strings.Builder
	outcome := string(r.Verdict.Outcome)
	if outcome == "" {
		outcome = "no verdict"
	}
	fmt.Fprintf(&b, "%s: %s", r.Name, outcome)
	if r.Verdict.Reason != "" {
		fmt.Fprintf(&b, " (%s)", r.Verdict.Reason)
	}
	b.WriteString("\n")
	b.WriteString(renderGuarantees(r))
	b.WriteString(renderThroughput(r))
	fmt.Fprintf(&b, "  seed %d", r.Seed)
	if r.Nodes > 0 {
		fmt.Fprintf(&b, ", %s nodes", number(int64(r.Nodes)))
	}
	if r.Profile != "" {
		fmt.Fprintf(&b, ", profile %s", r.Profile)
	}
	if r.Host.CPUs > 0 {
		fmt.Fprintf(&b, "; %d CPUs, %s, Linux %s", r.Host.CPUs, bytesText(r.Host.MemoryBytes), dash(r.Host.Kernel))
	}
	b.WriteString("\n")
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, "  %s %s\n", name, r.Versions[name])
	}
	return b.String()
}

// renderGuarantees lists the verdicts on the run itself, and those violations
// that were found in its histories.
func renderGuarantees(r *Run) string {
	return renderList(slices.DeleteFunc(slices.Clone(r.Verdict.Guarantees), func(g checkers.Verdict) bool {
		return g.Area != "" && g.Outcome != checkers.Fail // in a section of its own
	}))
}

// renderList shows verdicts one below the other, and below each violation what the
// guarantee promises, once.
func renderList(verdicts []checkers.Verdict) string {
	var b strings.Builder
	said := map[string]bool{}
	for _, g := range verdicts {
		b.WriteString(renderGuarantee(g))
		if g.Outcome == checkers.Fail && !said[g.Statement] {
			b.WriteString(renderStatement(g.Statement))
			said[g.Statement] = true
		}
	}
	return b.String()
}

func renderGuarantee(g checkers.Verdict) string {
	text := fmt.Sprintf("  %-7s  %s", dash(string(g.Outcome)), g.Guarantee)
	if g.Checked != "" {
		text += " (" + g.Checked + ")"
	}
	if g.Detail != "" {
		text += ": " + g.Detail
	}
	return text + "\n"
}

// renderStatement is what a guarantee promises, below the verdict that it was broken.
func renderStatement(statement string) string {
	if statement == "" {
		return ""
	}
	const margin, width = "           ", 110
	return margin + strings.Join(wrap("promised: "+statement, width-len(margin)), "\n"+margin) + "\n"
}

func renderThroughput(r *Run) string {
	rate, where, reason := r.Throughput()
	if reason != "" {
		figure := missing
		if r.SLOsMet() == Fail {
			figure = "none"
		}
		return "  pace with all SLOs met: " + figure + " (" + reason + ")\n"
	}
	return fmt.Sprintf("  pace with all SLOs met: %s pods/s (%s)\n", digits3(rate), where)
}

func renderPhases(r *Run) string {
	if len(r.Phases) == 0 {
		return ""
	}
	t := table{align: "lr"}
	t.row("phase", "time", "created", "/s", "bound", "/s", "Running", "/s", "deleted", "/s", "best 30s", "SLOs")
	for i := range r.Phases {
		p := &r.Phases[i]
		c := p.Pods.Counts
		cells := []string{p.Name, missing}
		if p.Duration > 0 {
			cells[1] = p.Duration.String()
		}
		for _, n := range []int64{c.Created, c.Bound, c.Running, c.Deleted} {
			if p.Duration > 0 {
				cells = append(cells, number(n), rateText(p, n))
			} else {
				cells = append(cells, missing, missing)
			}
		}
		sustained := missing
		if p.Pace != nil && p.Pace.Sustained > 0 {
			sustained = digits3(p.Pace.Sustained)
		}
		t.row(append(cells, sustained, dash(string(SLOsMet(p.SLOs))))...)
	}
	text := t.String()
	if slices.ContainsFunc(r.Phases, func(p Phase) bool { return p.Pace != nil && p.Pace.Sustained > 0 }) {
		text += "  best 30s: while the pacer saw no start-up and no call of ours above its SLO; no SLO is judged by it\n"
	}
	for _, p := range r.Phases {
		if p.Incomplete != "" {
			text += "  " + p.Name + " is incomplete: " + p.Incomplete + "\n"
		}
	}
	return text
}

// rateText is n per second of the phase; a count of zero has no rate worth a
// figure.
func rateText(p *Phase, n int64) string {
	rate, ok := p.perSecond(n)
	if !ok || n == 0 {
		return missing
	}
	return digits3(rate)
}

func renderLife(p *Phase) string {
	if len(p.Pods.Hops) == 0 {
		return ""
	}
	t := table{align: "lr"}
	t.row("hop", "pods", "p50", "p90", "p99", "max")
	for _, h := range p.Pods.Hops {
		t.row(append([]string{h.From + " → " + h.To}, latencyCells(h.Latency)...)...)
		if h.To == "bound" {
			for _, s := range p.Servers.Scheduler {
				t.row(append([]string{"    scheduler: " + s.Name + " (bucketed)"}, bucketedCells(s.Latency)...)...)
			}
		}
	}
	return t.String()
}

// latencyCells are count, p50, p90, p99 and max.
func latencyCells(l Latency) []string {
	if l.Count == 0 {
		return []string{missing, missing, missing, missing, missing}
	}
	return []string{number(l.Count), l.P50.String(), l.P90.String(), l.P99.String(), l.Max.String()}
}

// bucketedCells are count, p50, p90, p99 and, in place of the maximum that a
// histogram does not know, a dash.
func bucketedCells(l Bucketed) []string {
	if l.Count == 0 {
		return []string{missing, missing, missing, missing, missing}
	}
	return []string{number(l.Count), l.P50.String(), l.P90.String(), beyond(l), missing}
}

// beyond is the p99, marked if it lies above the last bound of the buckets.
func beyond(l Bucketed) string {
	if l.Beyond*100 > l.Count {
		return ">" + l.P99.String()
	}
	return l.P99.String()
}

// callRow joins what we know of one kind of request from both sides.
type callRow struct {
	call   Call
	ours   Latency
	server Bucketed // of the phase in which its p99 was highest
	count  int64    // in the servers' histograms, over all phases
}

func renderCalls(r *Run) string {
	rows := callRows(r)
	if len(rows) == 0 {
		return ""
	}
	t := table{align: "llr"}
	t.row("", "", "ours,", "exact", "", "", "", "everybody's,", "bucketed")
	t.row("verb", "resource", "calls", "p50", "p90", "p99", "max", "calls", "worst p99")
	for _, row := range rows {
		cells := append([]string{shorten(row.call.Verb, 11), targetText(row.call)}, latencyCells(row.ours)...)
		if row.count == 0 {
			t.row(append(cells, missing, missing)...)
		} else {
			t.row(append(cells, number(row.count), beyond(row.server))...)
		}
	}
	return t.String() + renderServers(r)
}

// targetText is the resource, with a mark if the call was for a namespace or
// for the whole cluster.
func targetText(c Call) string { return targetIn(c, 28) }

// targetIn is targetText in so many columns at most.
func targetIn(c Call, width int) string {
	mark := map[string]string{"namespace": " (ns)", "cluster": " (all)"}[c.Scope]
	return shorten(c.Target(), width-len(mark)) + mark
}

// renderServers is what the API servers had to turn away.
func renderServers(r *Run) string {
	var failed, all, rejected, closed int64
	for i := range r.Phases {
		s := &r.Phases[i].Servers
		answers := serverAvailability(&r.Phases[i])
		failed += answers.all - answers.good
		all += answers.all
		rejected += sum(s.Rejected)
		closed += sum(s.TerminatedWatchers)
	}
	if all == 0 {
		return ""
	}
	return fmt.Sprintf("  API servers: %s of %s answers 5xx; rejected by priority and fairness %s; watches closed as too slow %s\n",
		number(failed), number(all), number(rejected), number(closed))
}

func sum(counts map[string]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// fewCalls leaves out of the table what the components ask of each other a few
// times in a run; run.json has it all.
const fewCalls = 100

func callRows(r *Run) []*callRow {
	rows := allCalls(r)
	var shown []*callRow
	for _, c := range sorted(rows, compareCalls) {
		if row := rows[c]; row.ours.Count > 0 || row.count >= fewCalls || row.server.P99 > Seconds(callThreshold) {
			shown = append(shown, row)
		}
	}
	slices.SortStableFunc(shown, func(a, b *callRow) int {
		return cmp.Compare(max(b.ours.Count, b.count), max(a.ours.Count, a.count))
	})
	return shown
}

// allCalls joins all kinds of requests, also those that are too few to be shown.
func allCalls(r *Run) map[Call]*callRow {
	rows := map[Call]*callRow{}
	find := func(c Call) *callRow {
		if rows[c] == nil {
			rows[c] = &callRow{call: c}
		}
		return rows[c]
	}
	for _, c := range r.Calls {
		find(c.Call).ours = c.Latency
	}
	for _, p := range r.Phases {
		for _, c := range p.Servers.Calls {
			if c.Verb == "watch" || c.Verb == "connect" || c.Full.Count == 0 {
				continue
			}
			row := find(c.Call)
			row.count += c.Full.Count
			if row.server.Count == 0 || c.Full.P99 > row.server.P99 {
				row.server = c.Full
			}
		}
	}
	return rows
}

func shorten(s string, width int) string {
	if len(s) <= width {
		return s
	}
	return s[:width-1] + "…"
}

func dash(s string) string {
	if s == "" {
		return missing
	}
	return s
}

// number groups digits by three: 150,000.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
