// Package counterexample renders counter-examples: a sentence that says what is wrong,
// and a table of the few calls, events and versions that show it.
package counterexample

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Row is one call, event or version of a counter-example.
type Row struct {
	// From and To are when it began and ended; 0: it has no such time.
	From, To history.Time
	What     string // e.g. "#17", "revision 42", "BOOKMARK"
	Who      string // e.g. "client 3 at etcd-1"
	Text     string
}

// Render returns the sentence and, if there are rows, the table below it, with
// times relative to the earliest beginning.
func Render(why string, rows []Row) string {
	if len(rows) == 0 {
		return why
	}
	var first history.Time
	for _, r := range rows {
		if r.From != 0 && (first == 0 || r.From < first) {
			first = r.From
		}
	}
	var b strings.Builder
	b.WriteString(why + "\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", relative(r.From, first), relative(r.To, first), r.What, r.Who, r.Text)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return strings.TrimRight(b.String(), "\n")
}

// Tabled says that a counter-example, as this package and those of the checkers
// render it, has rows below its sentence.
func Tabled(detail string) bool {
	headed := false
	for i, line := range strings.Split(detail, "\n") {
		if i > 0 && (headed || strings.HasPrefix(line, "  ")) {
			return true
		}
		headed = i > 0 && strings.HasPrefix(line, "TIME ")
	}
	return false
}

func relative(t, first history.Time) string {
	if t == 0 {
		return ""
	}
	return "+" + t.Sub(first).Round(time.Microsecond).String()
}
