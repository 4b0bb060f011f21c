package watches

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
)

// evidence is a counter-example: a sentence and a table of what happened, with
// times relative to the first row.
type evidence struct {
	why  string
	rows []row
}

type row = counterexample.Row

func because(format string, args ...any) *evidence {
	return &evidence{why: fmt.Sprintf(format, args...)}
}

func (e *evidence) add(r row) *evidence {
	e.rows = append(e.rows, r)
	return e
}

func (e *evidence) note(what, text string) *evidence { return e.add(row{What: what, Text: text}) }

// watch adds the call that opened a watch.
func (e *evidence) watch(w *watch) *evidence {
	return e.add(row{From: w.call.Called, To: w.opened, What: callName(w.call), Who: who(w.call), Text: request(w.call) + " -> open"})
}

// call adds an attempt to open one.
func (e *evidence) call(call *history.APICall) *evidence { return e.add(CallRow(call)) }

// CallRow is an attempt to open a watch as counter-examples show it.
func CallRow(call *history.APICall) counterexample.Row {
	text := request(call)
	if call.Status != 0 {
		text += fmt.Sprintf(" -> %d %s %s", call.Status, call.Reason, call.Cause)
	}
	return row{From: call.Called, To: call.Returned, What: callName(call), Who: who(call), Text: strings.TrimSpace(text)}
}

// message adds what came on a watch.
func (e *evidence) message(m *history.APIWatch) *evidence { return e.add(MessageRow(m)) }

// MessageRow is what came on a watch as counter-examples show it.
func MessageRow(m *history.APIWatch) counterexample.Row {
	o := &m.Object
	r := row{From: m.At, What: m.Type, Text: fmt.Sprintf("%s at %d uid %s content %08x", o.Key(), o.Version, o.UID, o.Content>>32)}
	switch m.Type {
	case "BOOKMARK":
		r.Text = "at " + number(o.Version)
		if m.InitialEnd {
			r.Text += ", end of initial events"
		}
	case "ERROR":
		r.Text = fmt.Sprintf("%d %s", m.Status, m.Reason)
	}
	return r
}

// change adds a version and the one before it.
func (e *evidence) change(s step) *evidence {
	text := s.obj.String() + " removed"
	if s.now != nil {
		text = describe(s.now)
	}
	if s.prev == nil {
		text += ", before: nothing"
	} else {
		text += ", before: " + describe(s.prev)
	}
	return e.note("revision "+number(s.rev), text)
}

// version adds a version.
func (e *evidence) version(v *history.Version) *evidence {
	return e.note("revision "+number(v.Revision), describe(v))
}

// lives adds what the table knows of an object around a revision.
func (e *evidence) lives(w *watch, o *object, rev int64) *evidence {
	if v := w.res.kind.At(o.namespace, o.name, rev); v != nil {
		e.version(v)
	} else {
		e.note("revision "+number(rev), o.String()+": nothing")
	}
	if v := w.res.kind.Next(o.namespace, o.name, rev); v != nil {
		if v.Delete {
			return e.note("revision "+number(v.Revision), o.String()+" removed")
		}
		return e.version(v)
	}
	return e
}

// commit adds when a revision was committed.
func (e *evidence) commit(c *Checker, rev int64) *evidence {
	if called, returned, ok := c.opt.Window.Commit(rev); ok {
		e.add(row{From: called, To: returned, What: "commit of " + number(rev)})
	}
	return e
}

// before is the event of the highest revision so far.
func (w *watch) before() row {
	return row{From: w.lastAt, What: "event", Text: "at " + number(w.last)}
}

// bookmarked is the highest bookmark so far.
func (w *watch) bookmarked() row {
	return row{From: w.bookmarkAt, What: "BOOKMARK", Text: "at " + number(w.bookmark)}
}

// String renders the sentence and the table.
func (e *evidence) String() string { return counterexample.Render(e.why, e.rows) }

func number(n int64) string { return strconv.FormatInt(n, 10) }

func (o *object) String() string {
	if o.namespace == "" {
		return o.name
	}
	return o.namespace + "/" + o.name
}

// describe is a version in a few words.
func describe(v *history.Version) string {
	o := object{v.Namespace, v.Name}
	text := fmt.Sprintf("%s at %d uid %s content %08x", o.String(), v.Revision, v.UID, v.Content>>32)
	if node := v.Field(pinNode); node != "" {
		text += " node " + node
	}
	for i, l := range v.Labels {
		if i == 3 {
			text += " ..."
			break
		}
		text += " " + l.Name + "=" + l.Value
	}
	return text
}

func callName(call *history.APICall) string { return fmt.Sprintf("#%d", call.ID) }

func who(call *history.APICall) string {
	return strings.TrimSpace(call.Identity + " at " + call.Server)
}

// request is what a watch asked for, in a few words.
func request(call *history.APICall) string {
	var b strings.Builder
	b.WriteString("watch " + call.Resource)
	for _, o := range []struct{ name, value string }{
		{".", call.Group}, {" in ", call.Namespace}, {" name ", call.Name}, {" resourceVersion=", call.ResourceVersion},
		{" match=", call.Match}, {" sendInitialEvents=", call.InitialEvents},
		{" labels ", call.LabelSelector}, {" fields ", call.FieldSelector},
	} {
		if o.value != "" {
			b.WriteString(o.name + o.value)
		}
	}
	if call.Bookmarks {
		b.WriteString(" with bookmarks")
	}
	return b.String()
}
