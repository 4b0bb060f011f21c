package reads

import (
	"fmt"
	"strings"

	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
)

// evidence is a counter-example: a sentence and a table of what happened, with
// times relative to the first row that has one.
type evidence struct {
	why  string
	rows []row
}

type row = counterexample.Row

func because(format string, args ...any) *evidence {
	return &evidence{why: fmt.Sprintf(format, args...)}
}

func callRow(call *history.APICall) row {
	who := string(call.Class)
	if call.Server != "" {
		who += " at " + call.Server
	}
	return row{From: call.Called, To: call.Returned, What: fmt.Sprintf("#%d", call.ID), Who: who, Text: request(call) + " -> " + answer(call)}
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
	e.rows = append(e.rows, row{From: called, To: returned, What: fmt.Sprintf("revision %d", v.Revision), Who: "store", Text: text})
	return e
}

// floor adds why a read must not be older than the revision low.
func (e *evidence) floor(c *Checker, a asked, low int64) *evidence {
	if a.g == MostRecent {
		called, returned, _ := c.opt.Window.Commit(low)
		e.rows = append(e.rows, row{From: called, To: returned, What: fmt.Sprintf("revision %d", low), Who: "store", Text: "the store's revision before the call"})
	}
	return e
}

// newest adds the last revision that the store can have reached.
func (e *evidence) newest(c *Checker, hi int64) *evidence {
	called, returned, _ := c.opt.Window.Commit(hi)
	e.rows = append(e.rows, row{From: called, To: returned, What: fmt.Sprintf("revision %d", hi), Who: "store", Text: "the last one that may have been there"})
	return e
}

func (e *evidence) note(what, text string) *evidence {
	e.rows = append(e.rows, row{What: what, Text: text})
	return e
}

// String renders the sentence and the table.
func (e *evidence) String() string { return counterexample.Render(e.why, e.rows) }

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
