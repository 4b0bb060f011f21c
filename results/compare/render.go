package compare

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

const (
	// missing is printed for what was not measured.
	missing = "-"
	// width is how many columns the table may take.
	width = 110
	// causeWidth is how much of a cause is printed; compare.json has all of it.
	causeWidth = 240
)

// Render writes the comparison, as far as it has come, as text.
func Render(c *Comparison) string {
	var b strings.Builder
	c.renderHead(&b)
	c.renderStandings(&b)
	if metrics := c.metrics(); len(metrics) > 0 {
		fmt.Fprintf(&b, "\nFigures (medians)\n%s", c.inBlocks(func(shown []int) string { return c.renderMetrics(metrics, shown) }))
		b.WriteString(c.renderRanking())
		b.WriteString(c.renderLegend())
	}
	if all := c.guarantees(); len(all) > 0 {
		fmt.Fprintf(&b, "\nVerdicts by guarantee\n%s", c.inBlocks(func(shown []int) string { return c.renderVerdicts(all, shown) }))
	}
	b.WriteString(c.renderNotes())
	return b.String()
}

func (c *Comparison) renderHead(b *strings.Builder) {
	fmt.Fprintf(b, "%s on %d variants, %d of %d trials done (%d rounds, the order turned by one in each)\n",
		c.Workload, len(c.Variants), len(c.Trials)-len(c.Lost()), c.Rounds*len(c.Variants), c.Rounds)
	fmt.Fprintf(b, "  every trial: %s\n", strings.Join(c.Flags, " "))
	fmt.Fprintf(b, "  %d CPUs, %s, Linux %s; planecheck %s; %s\n", c.Host.CPUs, results.BytesText(c.Host.MemoryBytes),
		c.Host.Kernel, c.Planecheck, c.Started.UTC().Format("2 January 2006 15:04 UTC"))
}

// renderStandings lists the variants, and under each what went wrong with it.
func (c *Comparison) renderStandings(b *strings.Builder) {
	t := results.NewTable("ll")
	for _, v := range c.Variants {
		standing := string(c.standing(v.Name))
		if standing == "" {
			standing = "not done"
		}
		done := 0
		for _, trial := range c.of(v.Name) {
			if trial.Cause == "" {
				done++
			}
		}
		t.Row(v.Name, standing, fmt.Sprintf("%d of %d", done, c.Rounds), strings.Join(v.Flags, " "))
	}
	fmt.Fprintf(b, "\n%s", t)
	for _, trial := range c.Trials {
		if trial.Cause != "" || trial.Outcome != checkers.Pass {
			fmt.Fprintf(b, "  round %d, %s: %s\n", trial.Round, trial.Variant, &trial)
		}
	}
}

// shorten leaves out the middle: an error ends with what is at the bottom of it.
func shorten(s string) string {
	all := []rune(s)
	if len(all) <= causeWidth {
		return s
	}
	const end = causeWidth / 4
	return string(all[:causeWidth-end-1]) + "…" + string(all[len(all)-end:])
}

// inBlocks renders a table for all variants, or, where that is too wide, one
// under the other, each with the first variant in front.
func (c *Comparison) inBlocks(render func(shown []int) string) string {
	others := make([]int, len(c.Variants)-1)
	for i := range others {
		others[i] = i + 1
	}
	for most := len(others); ; most-- {
		var blocks []string
		fits := true
		for some := range slices.Chunk(others, max(most, 1)) {
			block := render(append([]int{0}, some...))
			fits = fits && widest(block) <= width
			blocks = append(blocks, block)
		}
		if len(blocks) == 0 {
			return render([]int{0})
		}
		if fits || most <= 1 {
			return strings.Join(blocks, "\n")
		}
	}
}

func widest(text string) (columns int) {
	for line := range strings.Lines(text) {
		columns = max(columns, utf8.RuneCountInString(strings.TrimRight(line, "\n")))
	}
	return columns
}

func (c *Comparison) renderMetrics(metrics []Metric, shown []int) string {
	t := results.NewTable("lr")
	head := []string{""}
	for _, i := range shown {
		head = append(head, c.Variants[i].Name)
		if i > 0 {
			head = append(head, "ratio")
		}
	}
	t.Row(head...)
	for _, m := range metrics {
		row := []string{m.Name}
		for _, i := range shown {
			row = append(row, c.cellText(m, i))
			if i > 0 {
				row = append(row, ratioText(m.Cells[i].Ratio))
			}
		}
		t.Row(row...)
	}
	return t.String()
}

// cellText is "151 ±4%", and "(151 ±4%)" for a variant that is not ranked.
func (c *Comparison) cellText(m Metric, i int) string {
	cell := m.Cells[i]
	if len(cell.Values) == 0 {
		return missing
	}
	text := m.Unit.format(cell.Median)
	if cell.Interval != nil {
		text += fmt.Sprintf(" ±%.0f%%", 100*cell.Interval.spread(cell.Median))
	}
	if !c.ranked(c.Variants[i].Name) {
		return "(" + text + ")"
	}
	return text
}

// spread is how far the farther end is from the median, as a share of it.
func (n *Interval) spread(median float64) float64 {
	if median == 0 {
		return 0
	}
	return max(n.High/median-1, 1-n.Low/median)
}

// ratioText is "1.12×", with a star where the difference is significant.
func ratioText(r *Ratio) string {
	if r == nil {
		return missing
	}
	mark := " "
	if r.Significant {
		mark = "*"
	}
	return results.Digits3(r.Median) + "×" + mark
}

// renderRanking puts the ranked variants into an order by throughput; two of
// which no difference can be shown are joined by ≈.
func (c *Comparison) renderRanking() string {
	type entry struct {
		name   string
		values []float64
		median float64
	}
	var ranked []entry
	var out []string
	for _, v := range c.Variants {
		values := inOrder(c.values(v.Name, throughput))
		switch {
		case len(values) > 0 && c.ranked(v.Name):
			median, _ := medianOf(values)
			ranked = append(ranked, entry{v.Name, values, median})
		default:
			out = append(out, v.Name)
		}
	}
	var b strings.Builder
	if len(ranked) > 1 {
		slices.SortStableFunc(ranked, func(a, b entry) int { return -compareFloats(a.median, b.median) })
		words := []string{"by " + throughput + ": " + ranked[0].name}
		for i, e := range ranked[1:] {
			sign := "≈ "
			if _, significant := differ(ranked[i].values, e.values); significant {
				sign = "> "
			}
			words = append(words, sign+e.name)
		}
		b.WriteString(wrap(words))
	}
	if len(out) > 0 {
		b.WriteString(wrap(append([]string{"not ranked:"}, commas(out)...)))
	}
	return b.String()
}

// commas puts one behind every name but the last.
func commas(names []string) (list []string) {
	for i, n := range names {
		if i < len(names)-1 {
			n += ","
		}
		list = append(list, n)
	}
	return list
}

// wrap joins the words to lines that are not too wide.
func wrap(words []string) string {
	lines := []string{"  " + words[0]}
	for _, w := range words[1:] {
		if last := &lines[len(lines)-1]; utf8.RuneCountInString(*last+" "+w) <= width {
			*last += " " + w
		} else {
			lines = append(lines, "    "+w)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// renderLegend says what the figures are.
func (c *Comparison) renderLegend() string {
	first := c.Variants[0].Name
	lines := []string{
		"±: the farther end of the median's 95 % interval",
		fmt.Sprintf("ratio: to %s, the median of paired rounds; *: the difference is significant", first),
		"  (Mann-Whitney U, p < 0.05; fewer than 4 trials cannot show it; each row is tested by itself, so of equal",
		"  variants one row in twenty has a star); ≈: no difference shown",
		"(in brackets): a trial did not pass, so the variant is not ranked",
		"writes, reads: from when the request was due (of contract traffic: sent) until its successful answer, of all",
		"  clients of ours; a p99 rests on at least 100 requests",
		"contract operations begun late: by more than 10 ms, machine or store being busy; where that is far from 0,",
		"  or from that of the other variants, writes and reads are not of the same load",
		"watch delivery: from the commit until a client has read the event",
		"CPU, store: its processes, or its share of the harness by CPU profile; peak RSS has no such share",
	}
	if !c.ranked(first) {
		lines = append(lines, fmt.Sprintf("no ratios: %s did not pass", first))
	}
	if few := c.few(); len(few) > 0 {
		lines = append(lines, fmt.Sprintf("no 95 %% interval, which takes %d trials: %s", intervalTrials, strings.Join(few, ", ")))
	}
	return "  " + strings.Join(lines, "\n  ") + "\n"
}

// few names the variants whose trials are too few for an interval.
func (c *Comparison) few() (names []string) {
	for _, v := range c.Variants {
		n := 0
		for _, t := range c.of(v.Name) {
			if len(t.Figures) > 0 {
				n++
			}
		}
		if n < intervalTrials {
			names = append(names, fmt.Sprintf("%s (%d)", v.Name, n))
		}
	}
	return names
}

func (c *Comparison) renderVerdicts(all []guarantee, shown []int) string {
	t := results.NewTable("ll")
	head := []string{"area", "guarantee"}
	for _, i := range shown {
		head = append(head, c.Variants[i].Name)
	}
	t.Row(head...)
	var idle []string
	for _, g := range all {
		if !c.exercised(g) {
			idle = append(idle, g.String())
			continue
		}
		row := []string{g.where(), g.name}
		for _, i := range shown {
			row = append(row, c.verdict(g, c.Variants[i].Name))
		}
		t.Row(row...)
	}
	if len(idle) == 0 {
		return t.String()
	}
	return t.String() + wrap(append([]string{"not exercised by any:"}, commas(idle)...))
}

// renderNotes says how each store was recorded, which costs each something else.
func (c *Comparison) renderNotes() string {
	var b strings.Builder
	for _, v := range c.Variants {
		for _, t := range c.of(v.Name) {
			if t.Recorded != "" {
				fmt.Fprintf(&b, "  %s: %s\n", v.Name, t.Recorded)
				break
			}
		}
	}
	if b.Len() == 0 {
		return ""
	}
	b.WriteString("  What recording costs is in every figure; a proxy costs each call some hops more than an interceptor.\n" +
		"  What the proxy costs is measured by --backends etcd:proxy=off,etcd:proxy=on, here and with bench-storage.\n")
	return "\nHow the store was recorded\n" + b.String()
}
