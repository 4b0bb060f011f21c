package reads

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// evidence is a counter-example: a sentence and a table of what happened, with
// times relative to the first row that has one.
type evidence struct {
	why  string
	rows []row
}

// row is one call or one version. Times are 0 where there was none.
type row struct {
	from, to  history.Time
	what, who string
	text      string
}

func because(format string, args ...any) *evidence {
	return &evidence{why: fmt.Sprintf(format, args...)}
}

func callRow(call *history.APICall) row {
	who := string(call.Class)
	if call.Server != "" {
		who += " at " + call.Server
	}
	return row{call.Called, call.Returned, fmt.Sprintf("#%d", call.ID), who, request(call) + " -> " + answer(call)}
}

// call adds an attempt.
func (e *evidence) call(call *history.APICall) *evidence {
	e.rows = append(e.rows, callRow(call))
	return e
}

// version adds what a revision left of an object, with the time within which
// it was committed.
func (e *evidence) version(c *Checker, v *history.Version) *evidence {
	if v == nil {
		return e
	}
	text := keyOf(v) + " removed"
	if !v.Delete {
		text = fmt.Sprintf("%s uid %s content %08x", keyOf(v), v.UID, v.Content>>32)
		if v.Deleting {
			text += " being deleted"
		}
	}
	called, returned, _ := c.opt.Window.Commit(v.Revision)
	e.rows = append(e.rows, row{called, returned, fmt.Sprintf("revision %d", v.Revision), "store", text})
	return e
}

// floor adds why a read must not be older than the revision low.
func (e *evidence) floor(c *Checker, a asked, low int64) *evidence {
	if a.g == MostRecent {
		called, returned, _ := c.opt.Window.Commit(low)
		e.rows = append(e.rows, row{called, returned, fmt.Sprintf("revision %d", low), "store", "the store's revision before the call"})
	}
	return e
}

// newest adds the last revision that the store can have reached.
func (e *evidence) newest(c *Checker, hi int64) *evidence {
	called, returned, _ := c.opt.Window.Commit(hi)
	e.rows = append(e.rows, row{called, returned, fmt.Sprintf("revision %d", hi), "store", "the last one that may have been there"})
	return e
}

func (e *evidence) note(what, text string) *evidence {
	e.rows = append(e.rows, row{what: what, text: text})
	return e
}

// String renders the sentence and the table.
func (e *evidence) String() string {
	var first history.Time
	for _, r := range e.rows {
		if r.from != 0 && (first == 0 || r.from < first) {
			first = r.from
		}
	}
	var b strings.Builder
	b.WriteString(e.why)
	if len(e.rows) == 0 {
		return b.String()
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range e.rows {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", relative(r.from, first), relative(r.to, first), r.what, r.who, r.text)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return strings.TrimRight(b.String(), "\n")
}

func relative(t, first history.Time) string {
	if t == 0 {
		return ""
	}
	return "+" + t.Sub(first).Round(time.Microsecond).String()
}

// since says from when on a read must show the state.
func since(a asked, low int64) string {
	if a.g == MostRecent {
		return fmt.Sprintf("before the call (revision %d)", low)
	}
	return fmt.Sprintf("at revision %d, which was asked for", low)
}

// request is a call's request in a few words.
func request(call *history.APICall) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", strings.ToUpper(call.Verb), call.Resource)
	if call.Group != "" {
		b.WriteString("." + call.Group)
	}
	if call.Namespace != "" || call.Name != "" {
		o := history.APIObject{Namespace: call.Namespace, Name: call.Name}
		b.WriteString(" " + o.Key())
	}
	for _, p := range []struct{ name, value string }{
		{"resourceVersion", call.ResourceVersion}, {"resourceVersionMatch", call.Match},
		{"labelSelector", call.LabelSelector}, {"fieldSelector", call.FieldSelector},
	} {
		if p.value != "" {
			fmt.Fprintf(&b, " %s=%s", p.name, p.value)
		}
	}
	if call.Limit != 0 {
		fmt.Fprintf(&b, " limit=%d", call.Limit)
	}
	if call.Continue != 0 {
		fmt.Fprintf(&b, " continue=%08x", call.Continue>>32)
	}
	return b.String()
}

// answer is a call's answer in a few words.
func answer(call *history.APICall) string {
	text := fmt.Sprintf("%d", call.Status)
	for _, s := range []string{call.Reason, call.Cause} {
		if s != "" {
			text += " " + s
		}
	}
	switch {
	case call.Object.UID != "":
		text += " " + show(&call.Object)
	case call.ListVersion != 0:
		text += fmt.Sprintf(" revision %d, %d items", call.ListVersion, size(call))
	}
	if call.NextPage != 0 {
		text += fmt.Sprintf(", next %08x", call.NextPage>>32)
	}
	return text
}

// show is an object in a few words.
func show(o *history.APIObject) string {
	text := fmt.Sprintf("%s version %d uid %s content %08x", o.Key(), o.Version, o.UID, o.Content>>32)
	if o.Deleting {
		text += " being deleted"
	}
	return text
}
