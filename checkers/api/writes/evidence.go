package writes

import (
	"fmt"
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

// call adds a call.
func (e *evidence) call(c *history.APICall) *evidence {
	who := fmt.Sprintf("%s %s at %s", c.Class, c.Identity, c.Server)
	e.rows = append(e.rows, row{From: c.Called, To: c.Returned, What: fmt.Sprintf("#%d", c.ID), Who: who, Text: request(c) + " -> " + answer(c)})
	return e
}

// version adds a version of an object; nil is that there was none as of rev.
func (e *evidence) version(v *history.Version, rev int64) *evidence {
	if v == nil {
		e.rows = append(e.rows, row{What: fmt.Sprintf("revision %d", rev), Who: "version table", Text: "no such object"})
		return e
	}
	e.rows = append(e.rows, row{What: fmt.Sprintf("revision %d", v.Revision), Who: "version table", Text: describe(v)})
	return e
}

// states adds what an object was at the revisions of a window.
func (e *evidence) states(t target, w span) *evidence {
	e.rows = append(e.rows, row{What: fmt.Sprintf("revisions %d to %d", w.lo, w.hi), Who: "window of the call"})
	n := 0
	for v := range t.states(w) {
		if n++; n > 4 {
			e.rows = append(e.rows, row{Who: "version table", Text: "and more versions"})
			break
		}
		e.version(v, w.lo)
	}
	return e
}

// String renders the sentence and the table.
func (e *evidence) String() string { return counterexample.Render(e.why, e.rows) }

// describe is a version in a few words.
func describe(v *history.Version) string {
	path := join(v.Resource, v.Namespace, v.Name)
	if v.Delete {
		return path + " removed"
	}
	text := fmt.Sprintf("%s uid %s generation %d created %d", path, v.UID, v.Generation, v.Created)
	if v.Deleting {
		text += " deleting"
	}
	if v.Unread {
		text += " unread"
	}
	for _, m := range v.Marks {
		text += fmt.Sprintf(" %s=%s", m.Name, m.Value)
	}
	return text
}

func join(parts ...string) string {
	kept := parts[:0:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "/")
}

// request is a call's request in a few words.
func request(c *history.APICall) string {
	var b strings.Builder
	b.WriteString(c.Verb + " " + join(c.Resource, c.Namespace, c.Name, c.Subresource))
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%s", name, value)
		}
	}
	field("uid", c.NeedUID)
	field("version", c.NeedVersion)
	field("resourceVersion", c.ResourceVersion)
	field("match", c.Match)
	field("labels", c.LabelSelector)
	field("fields", c.FieldSelector)
	field("sendInitialEvents", c.InitialEvents)
	field("manager", c.FieldManager)
	if c.Verb == "patch" {
		field("type", c.ContentType)
	}
	if c.DryRun {
		b.WriteString(" dryRun")
	}
	if c.Continue != 0 {
		b.WriteString(" continue")
	}
	for _, p := range c.Sets {
		fmt.Fprintf(&b, " sets %s=%s", p.Name, p.Value)
	}
	for _, name := range c.Removes {
		b.WriteString(" removes " + name)
	}
	return b.String()
}

// answer is a call's answer in a few words.
func answer(c *history.APICall) string {
	if c.Status == 0 {
		return "no answer " + c.Error
	}
	text := fmt.Sprintf("%d %s", c.Status, c.Reason)
	if c.Object.UID != "" {
		text += fmt.Sprintf(" version %d uid %s", c.Object.Version, c.Object.UID)
	}
	if c.DetailsKind != "" || c.DetailsName != "" {
		text += " about " + join(c.DetailsKind, c.DetailsName)
	}
	if c.Message != "" {
		text += fmt.Sprintf(" %q", c.Message)
	}
	if c.Error != "" {
		text += fmt.Sprintf(" %q", c.Error)
	}
	return text
}
