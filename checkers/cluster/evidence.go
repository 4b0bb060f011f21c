package cluster

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// evidence is a counter-example: a sentence and a table of versions, with their
// times relative to the first.
type evidence struct {
	why  string
	rows []row
}

type row struct {
	at        history.Time
	rev       int64
	who, text string
}

func because(format string, args ...any) *evidence {
	return &evidence{why: fmt.Sprintf(format, args...)}
}

// row adds what a revision left of an object.
func (j *judge) row(e *evidence, v *history.Version, text string) *evidence {
	if v != nil {
		e.rows = append(e.rows, row{j.after(v.Revision), v.Revision, name(v), text})
	}
	return e
}

func (e *evidence) note(who, text string) *evidence {
	e.rows = append(e.rows, row{who: who, text: text})
	return e
}

// until adds up to when it was so.
func (e *evidence) until(j *judge, rev int64) *evidence {
	e.rows = append(e.rows, row{j.before(rev), rev, "all of this", "until here"})
	return e
}

// String renders the sentence and the table.
func (e *evidence) String() string {
	var first history.Time
	for _, r := range e.rows {
		if r.at != 0 && (first == 0 || r.at < first) {
			first = r.at
		}
	}
	var b strings.Builder
	b.WriteString(e.why + "\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range e.rows {
		var at, rev string
		if r.at != 0 {
			at = "+" + r.at.Sub(first).Round(time.Microsecond).String()
		}
		if r.rev != 0 {
			rev = fmt.Sprintf("revision %d", r.rev)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", at, rev, r.who, r.text)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return strings.TrimRight(b.String(), "\n")
}

// name is an object in a few words: pods/ns/name.
func name(v *history.Version) string {
	if v.Namespace == "" {
		return v.Resource + "/" + v.Name
	}
	return v.Resource + "/" + v.Namespace + "/" + v.Name
}
