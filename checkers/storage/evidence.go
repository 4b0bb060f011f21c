package storage

import (
	"fmt"
	"strings"

	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// evidence is a counter-example: a sentence and a table of what happened, with
// times relative to the first row.
type evidence struct {
	why  string
	rows []row
	// What it rests on, by which it is found out whether that was a guess.
	ops     []*history.StoreOp
	changes []timeline.Change
	hole    int64 // the last revision that is missing, 0: none is
	// attributed: a revision was given to a write of unknown outcome, because
	// no other one was left.
	attributed bool
	timed      bool // it rests on headers and times alone
}

type row = counterexample.Row

func because(format string, args ...any) *evidence {
	return &evidence{why: fmt.Sprintf(format, args...)}
}

// op adds a call.
func (e *evidence) op(op *history.StoreOp) *evidence {
	if op != nil {
		e.ops = append(e.ops, op)
		e.rows = append(e.rows, CallRow(op))
	}
	return e
}

// CallRow is a call as counter-examples show it.
func CallRow(op *history.StoreOp) counterexample.Row {
	who := fmt.Sprintf("client %d at %s", op.Client, op.Member)
	return row{From: op.Called, To: op.Returned, What: fmt.Sprintf("#%d", op.ID), Who: who, Text: request(op) + " -> " + answer(op)}
}

// held adds the keys that hold a lease at the end, as they are there.
func (e *evidence) held(c *Checker, lease int64) *evidence {
	_, last := c.t.Bounds()
	keys := c.builder.Keys(lease)
	for i, key := range keys {
		if i == 4 {
			return e.note("", fmt.Sprintf("and %d more keys", len(keys)-i))
		}
		if kv, known := c.t.Get(key, last); known {
			e.note(fmt.Sprintf("revision %d", last), Describe(kv))
		}
	}
	return e
}

// state adds what a revision did to keys.
func (e *evidence) state(rev int64, changes []timeline.Change) *evidence {
	e.changes = append(e.changes, changes...)
	for i, c := range changes {
		if i == 4 {
			e.rows = append(e.rows, row{What: "", Text: fmt.Sprintf("and %d more keys", len(changes)-i)})
			break
		}
		text := "put " + Describe(c.KV)
		if c.Delete {
			text = "delete " + show(c.Key)
		}
		e.rows = append(e.rows, row{What: fmt.Sprintf("revision %d", rev), Text: text + ", before: " + Describe(c.Prev)})
	}
	return e
}

// event adds what a watch of a member showed.
func (e *evidence) event(member string, at history.Time, rev int64, changes []timeline.Change) *evidence {
	e.changes = append(e.changes, changes...)
	if len(changes) == 0 {
		e.rows = append(e.rows, row{From: at, What: fmt.Sprintf("revision %d", rev), Who: "watch at " + member, Text: "no event"})
	}
	for _, c := range changes[:min(len(changes), 4)] {
		text := "PUT " + Describe(c.KV)
		if c.Delete {
			text = "DELETE " + show(c.Key)
		}
		e.rows = append(e.rows, row{From: at, What: fmt.Sprintf("revision %d", rev), Who: "watch at " + member, Text: text})
	}
	return e
}

func (e *evidence) note(what, text string) *evidence {
	e.rows = append(e.rows, row{What: what, Text: text})
	return e
}

// String renders the sentence and the table.
func (e *evidence) String() string { return counterexample.Render(e.why, e.rows) }

func show(key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Sprintf("%q", key)
	}
	return key
}

// Describe is a key in a few words.
func Describe(kv history.StoreKV) string {
	if kv.Version == 0 {
		return "nothing"
	}
	if kv.Version == timeline.Uncounted {
		kv.Version = 0
	}
	text := fmt.Sprintf("%s mod %d create %d version %d value %08x", show(kv.Key), kv.Mod, kv.Create, kv.Version, kv.Value>>32)
	if kv.Lease != 0 {
		text += fmt.Sprintf(" lease %x", kv.Lease)
	}
	return text
}

func span(key, end string) string {
	switch end {
	case "":
		return show(key)
	case "\x00":
		return "[" + show(key) + ", ...)"
	}
	return "[" + show(key) + ", " + show(end) + ")"
}

// request is a call's request in a few words.
func request(op *history.StoreOp) string {
	var b strings.Builder
	b.WriteString(string(op.Method))
	for i, c := range op.Compares {
		b.WriteString([]string{" if ", " and "}[min(i, 1)])
		fmt.Fprintf(&b, "%s(%s) %s %d", c.Target, span(c.Key, c.End), c.Op, c.Number)
	}
	actions(&b, op.Then, " then", len(op.Compares) > 0)
	actions(&b, op.Else, " else", true)
	if op.Revision != 0 {
		fmt.Fprintf(&b, " revision %d", op.Revision)
	}
	if op.Lease != 0 {
		fmt.Fprintf(&b, " lease %x", op.Lease)
	}
	if op.TTL != 0 {
		fmt.Fprintf(&b, " ttl %ds", op.TTL)
	}
	return b.String()
}

func actions(b *strings.Builder, list []history.StoreAction, word string, named bool) {
	if len(list) > 0 && named {
		b.WriteString(word)
	}
	for _, a := range list {
		fmt.Fprintf(b, " %s %s", a.Kind, span(a.Key, a.End))
		if a.Kind == history.ActionPut {
			fmt.Fprintf(b, "=%08x", a.Value>>32)
		}
		if a.Lease != 0 {
			fmt.Fprintf(b, " lease %x", a.Lease)
		}
		if a.Revision != 0 {
			fmt.Fprintf(b, " at %d", a.Revision)
		}
		if a.Limit != 0 {
			fmt.Fprintf(b, " limit %d", a.Limit)
		}
		flag(b, a.Serializable, " serializable")
		flag(b, a.CountOnly, " count")
		flag(b, a.KeysOnly, " keys")
		flag(b, a.Sorted, " sorted")
	}
}

func flag(b *strings.Builder, set bool, text string) {
	if set {
		b.WriteString(text)
	}
}

// answer is a call's answer in a few words.
func answer(op *history.StoreOp) string {
	switch {
	case op.Error.Kind != history.ErrorNone:
		return "error " + string(op.Error.Kind)
	case op.Returned == 0:
		return "no answer"
	}
	text := fmt.Sprintf("revision %d", op.Header)
	if op.Method == history.MethodTxn {
		text += map[bool]string{true: " yes", false: " no"}[op.Succeeded]
	}
	for i, r := range op.Results {
		if i == 3 {
			return text + " ..."
		}
		text += result(r)
	}
	if op.GrantedLease != 0 {
		text += fmt.Sprintf(" lease %x ttl %ds", op.GrantedLease, op.GrantedTTL)
	}
	if op.Method == history.MethodHashKV {
		text += fmt.Sprintf(" hash %08x compacted %d", op.Hash, op.CompactRevision)
	}
	return text
}

func result(r history.StoreResult) string {
	var b strings.Builder
	b.WriteString("; ")
	if r.Deleted > 0 {
		fmt.Fprintf(&b, "deleted %d ", r.Deleted)
	}
	for i, kv := range r.KVs {
		if i == 3 {
			b.WriteString("... ")
			break
		}
		b.WriteString(Describe(kv) + ", ")
	}
	if len(r.Chunks) > 0 {
		fmt.Fprintf(&b, "%d chunks ", len(r.Chunks))
	}
	if r.Count > 0 {
		fmt.Fprintf(&b, "count %d", r.Count)
	}
	if r.More {
		b.WriteString(" more")
	}
	return strings.TrimRight(b.String(), ", ;")
}
