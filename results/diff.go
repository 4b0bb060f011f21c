package results

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// Side is one of the two runs of a diff.
type Side struct {
	Dir  string
	Run  *Run
	Gaps []string // what is missing in the directory, see Gaps
}

// RenderDiff shows two runs beside one another, as text of at most 110 columns unless a
// name or a path is longer: what differs in plan, settings and verdicts, and the figures
// of both. Those that were not measured print as "-".
func RenderDiff(a, b Side) string {
	var s strings.Builder
	renderSide(&s, "A", a)
	renderSide(&s, "B", b)
	s.WriteString(onePair)
	section(&s, "Plan, settings, versions and machine, as far as they differ", renderInputs(a.Run, b.Run))
	section(&s, "Verdicts that differ", renderVerdictDiff(a.Run, b.Run))
	for _, t := range figureTables(a.Run, b.Run) {
		section(&s, t.title, t.render(a.Run, b.Run))
	}
	return s.String()
}

const onePair = `
One pair of runs says nothing about significance: two runs of the same plan differ, too. ` + "`planecheck compare`" + `
makes runs in pairs, several times, and says which differences are significant.
`

// renderSide says what one of the runs is.
func renderSide(b *strings.Builder, name string, s Side) {
	r := s.Run
	outcome := string(r.Verdict.Outcome)
	if outcome == "" {
		outcome = "no verdict"
	}
	fmt.Fprintf(b, "%s  %s\n   %s, seed %d: %s; planecheck %s, %s", name, s.Dir, r.Name, r.Seed, outcome,
		dash(r.Versions["planecheck"]), r.Started.UTC().Format("2 January 2006 15:04 UTC"))
	if !r.Ended.IsZero() {
		fmt.Fprintf(b, ", took %s", Seconds(r.Ended.Sub(r.Started)))
	}
	b.WriteString("\n")
	for _, p := range r.Phases {
		if p.Incomplete != "" {
			b.WriteString(note(fit(p.Name+" is incomplete: "+oneLine(p.Incomplete), evidenceWidth)))
		}
	}
	for _, gap := range s.Gaps {
		b.WriteString(note("note: " + gap))
	}
}

// renderVerdictDiff shows the verdicts in which the runs differ, and below them why
// one did not pass.
func renderVerdictDiff(a, b *Run) string {
	type of struct{ area, guarantee string }
	var all []of
	verdicts := [2]map[of]checkers.Verdict{{}, {}}
	for i, r := range []*Run{a, b} {
		for _, v := range r.Verdict.Guarantees {
			k := of{v.Area, v.Guarantee}
			if !slices.Contains(all, k) {
				all = append(all, k)
			}
			verdicts[i][k] = v
		}
	}
	t := table{align: "l"}
	t.row("area", "guarantee", "A", "B")
	var why strings.Builder
	for _, k := range all {
		x, y := verdicts[0][k], verdicts[1][k]
		if x.Outcome == y.Outcome {
			continue
		}
		t.row(cmp.Or(k.area, "run"), shorten(k.guarantee, 40), dash(string(x.Outcome)), dash(string(y.Outcome)))
		for i, v := range []checkers.Verdict{x, y} {
			if v.Detail != "" && v.Outcome != checkers.Pass && v.Outcome != checkers.NotExercised {
				why.WriteString(note(fit(string("AB"[i])+", "+k.guarantee+": "+oneLine(v.Detail), evidenceWidth)))
			}
		}
	}
	differ := len(t.rows) - 1
	if differ == 0 {
		return fmt.Sprintf("  none of %d\n", len(all))
	}
	return t.String() + why.String() + fmt.Sprintf("  the other %d are alike\n", len(all)-differ)
}

// cell is one figure of one run.
type cell struct {
	text  string
	value float64 // for the ratio; NaN: it has none
}

// unmeasured is a figure that nobody took, or one that has no place here.
func unmeasured() cell { return textCell(missing) }

func textCell(text string) cell { return cell{text, math.NaN()} }

// entry is what one run has for a row.
type entry struct {
	key    string // of the row; "": its labels are
	labels []string
	cells  []cell // one for each column
}

// column is a figure that both runs may have.
type column struct {
	name  string
	ratio bool // B/A is shown, too
}

// pairTable shows the same figures of two runs. Both are taken by the same function,
// so that nothing of one run can stand for the other.
type pairTable struct {
	title   string
	labels  []string
	columns []column
	of      func(*Run) []entry
	// few is the least value of the first column, in one of the runs, of a row
	// that is shown; 0: all are.
	few float64
}

// pairRow is what both runs have for a row; one that has nothing has unmeasured cells.
type pairRow struct {
	labels []string
	a, b   []cell
}

// rows are those of A in their order, and after them those that only B has.
func (t *pairTable) rows(a, b *Run) []*pairRow {
	var all []*pairRow
	byKey := map[string]*pairRow{}
	row := func(e entry) *pairRow {
		key := cmp.Or(e.key, strings.Join(e.labels, "\x00"))
		if byKey[key] == nil {
			none := slices.Repeat([]cell{unmeasured()}, len(t.columns))
			byKey[key] = &pairRow{labels: e.labels, a: none, b: none}
			all = append(all, byKey[key])
		}
		return byKey[key]
	}
	for _, e := range t.of(a) {
		row(e).a = e.cells
	}
	for _, e := range t.of(b) {
		row(e).b = e.cells
	}
	return slices.DeleteFunc(all, func(r *pairRow) bool {
		return t.few > 0 && !enough(r.a[0], t.few) && !enough(r.b[0], t.few)
	})
}

func enough(c cell, few float64) bool { return c.value >= few } // never of NaN

func (t *pairTable) render(a, b *Run) string {
	rows := t.rows(a, b)
	if len(rows) == 0 {
		return ""
	}
	out := table{align: strings.Repeat("l", len(t.labels)) + "r"}
	head := slices.Clone(t.labels)
	for _, c := range t.columns {
		head = append(head, c.name+" A", "B")
		if c.ratio {
			head = append(head, "B/A")
		}
	}
	out.row(head...)
	for _, r := range rows {
		cells := slices.Clone(r.labels)
		for i, c := range t.columns {
			cells = append(cells, r.a[i].text, r.b[i].text)
			if c.ratio {
				cells = append(cells, ratioText(r.a[i], r.b[i]))
			}
		}
		out.row(cells...)
	}
	return out.String()
}

// ratioText is "1.12×": how many times that of A that of B is.
func ratioText(a, b cell) string {
	if math.IsNaN(a.value) || math.IsNaN(b.value) || a.value <= 0 {
		return missing
	}
	return digits3(b.value/a.value) + "×"
}
