package results

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// Column is what some runs on one backend came to.
type Column struct {
	Backend string
	Runs    []*Run
}

// matrixMarks are the outcomes in a matrix, the worst of several runs first.
var matrixMarks = []struct {
	outcome checkers.Outcome
	mark    string
}{
	{checkers.Fail, "**Fail**"}, {checkers.Invalid, "Invalid"}, {checkers.Unknown, "Unknown"},
	{checkers.Pass, "Pass"}, {checkers.NotExercised, "·"},
}

// RenderMatrix writes a table of guarantees and backends in Markdown: the worst
// outcome of the runs, and in how many it was so if there were several. A
// guarantee that no run has put to the test is left out; one that some have not is
// a dot there.
func RenderMatrix(columns []Column) string {
	var b strings.Builder
	b.WriteString("| area | guarantee |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.Backend)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, g := range matrixRows(columns) {
		fmt.Fprintf(&b, "| %s | %s |", g.area, g.name)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", matrixCell(c.Runs, g))
		}
		b.WriteString("\n")
	}
	return b.String()
}

type matrixRow struct{ area, name string }

func matrixRows(columns []Column) (rows []matrixRow) {
	areas := []string{checkers.AreaStore, checkers.AreaAPI, checkers.AreaCluster, ""}
	for _, area := range areas {
		for _, c := range columns {
			for _, r := range c.Runs {
				for _, v := range r.Verdict.Guarantees {
					row := matrixRow{v.Area, v.Guarantee}
					if v.Area == area && v.Outcome != checkers.NotExercised && !slices.Contains(rows, row) {
						rows = append(rows, row)
					}
				}
			}
		}
	}
	for i := range rows {
		if rows[i].area == "" {
			rows[i].area = "run"
		}
	}
	return rows
}

func matrixCell(runs []*Run, row matrixRow) string {
	counts, all := map[checkers.Outcome]int{}, 0
	for _, r := range runs {
		for _, v := range r.Verdict.Guarantees {
			if v.Guarantee == row.name && (v.Area == row.area || v.Area == "" && row.area == "run") {
				counts[v.Outcome]++
				all++
			}
		}
	}
	for _, m := range matrixMarks {
		switch n := counts[m.outcome]; {
		case n == 0:
		case n == all || m.outcome == checkers.Pass: // the others did not put it to the test
			return m.mark
		default:
			return fmt.Sprintf("%s %d/%d", m.mark, n, all)
		}
	}
	return "·"
}
