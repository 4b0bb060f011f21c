package results

import (
	"strings"
	"unicode/utf8"
)

// missing is printed for what was not measured.
const missing = "-"

// table lays out rows of text in columns.
type table struct {
	// align has a letter for each column, l for left and r for right; the last
	// one counts for all columns that follow.
	align string
	rows  [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// String renders the table, indented by two blanks.
func (t *table) String() string {
	var widths []int
	for _, r := range t.rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, r := range t.rows {
		var line strings.Builder
		for i, c := range r {
			line.WriteString("  ")
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if t.align[min(i, len(t.align)-1)] == 'l' {
				line.WriteString(c + pad)
			} else {
				line.WriteString(pad + c)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
