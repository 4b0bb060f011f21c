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
		c.Workload, len(c.Variants), len(c.Trials)-len(c.Lost()), c.Rounds*(len(c.Variants)-len(c.Refused())), c.Rounds)
	fmt.Fprintf(b, "  every trial: %s\n", strings.Join(c.Flags, " "))
	fmt.Fprintf(b, "  %d CPUs, %s, Linux %s; planecheck %s; %s\n", c.Host.CPUs, results.BytesText(c.Host.MemoryBytes),
		c.Host.Kernel, c.Planecheck, c.Started.UTC().Format("2 January 2006 15:04 UTC"))
}

// renderStandings lists the variants, and under each what went wrong with it.
func (c *Comparison) renderStandings(b *strings.Builder) {
	t := results.NewTable("ll")
	for _, v := range c.Variants {
		standing := string(c.standing(v.Name))
		switch {
		case v.Refused != "":
			standing = "refused"
		case standing == "":
			standing = "not done"
		}
		t.Row(v.Name, standing, c.doneText(v.Name), strings.Join(v.Flags, " "))
	}
	fmt.Fprintf(b, "\n%s", t)
	for _, v := range c.Refused() {
		fmt.Fprintf(b, "  %s: refused: %s\n", v.Name, shorten(v.Refused))
	}
	for _, trial := range c.Trials {
		if trial.Cause != "" || trial.Outcome != checkers.Pass {
			fmt.Fprintf(b, "  round %d, %s: %s\n", trial.Round, trial.Variant, &trial)
		}
	}
}

// doneText is "5 of 6": how many trials of a variant were done.
func (c *Comparison) doneText(variant string) string {
	done := 0
	for _, t := range c.of(variant) {
		if t.Cause == "" {
			done++
		}
	}
	return fmt.Sprintf("%d of %d", done, c.Rounds)
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

// inBlocks renders a table for all variants of which there can be trials, or,
// where that is too wide, one under the other, each with the first variant in front.
func (c *Comparison) inBlocks(render func(shown []int) string) string {
	var others []int
	for i, v := range c.Variants {
		if i > 0 && v.Refused == "" {
			others = append(others, i)
		}
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

// inHarness is printed for the memory of a store that lives in the harness.
const inHarness = "in the harness"

// cellText is "151 ±4%", and "(151 ±4%)" for a variant that is not ranked.
func (c *Comparison) cellText(m Metric, i int) string {
	cell := m.Cells[i]
	variant := c.Variants[i].Name
	text := missing
	switch {
	case len(cell.Values) > 0:
		text = m.Unit.format(cell.Median) + m.Unit.spread(cell)
	case strings.HasPrefix(m.Name, memoryOf+storeName) && c.storeInHarness(variant):
		text = inHarness
	default:
		return missing
	}
	if !c.ranked(variant) {
		return "(" + text + ")"
	}
	return text
}

// spread is " ±4%", how far the farther end of the interval is from the median; or
// the interval itself, where a share of the median says nothing: that is shown as 0,
// or an end is farther away from it than 0 is.
func (u Unit) spread(cell Cell) string {
	n, median := cell.Interval, cell.Median
	if n == nil {
		return ""
	}
	if !u.nothing(median) {
		if s := max(n.High/median-1, 1-n.Low/median); s <= 1 {
			return fmt.Sprintf(" ±%.0f%%", 100*s)
		}
	}
	return fmt.Sprintf(" [%s, %s]", u.format(n.Low), u.format(n.High))
}

// ratioText is "1.12×", with a star where the difference is significant, and of how
// many pairs it is where it is not of all: "1.12×* of 5".
func ratioText(r *Ratio) string {
	if r == nil {
		return missing
	}
	mark := " "
	if r.Significant {
		mark = "*"
	}
	if r.Pairs == 0 {
		return missing + mark
	}
	text := results.Digits3(r.Median) + "×" + mark
	if r.Pairs < r.Rounds {
		text = fmt.Sprintf("%s of %d", strings.TrimSpace(text), r.Pairs)
	}
	return text
}

// commas puts one behind every name but the last.
func commas(names []string) []string { return separated(names, ",") }

// separated puts a mark behind every part but the last.
func separated(parts []string, mark string) (list []string) {
	for i, p := range parts {
		if i < len(parts)-1 {
			p += mark
		}
		list = append(list, p)
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
