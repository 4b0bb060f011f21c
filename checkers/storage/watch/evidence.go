package watch

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// finding collects the violations of one guarantee and keeps the smallest.
type finding struct {
	count int64
	note  string
	rows  []row
}

// row is one line of a counter-example. Empty fields are not shown.
type row struct {
	at     history.Time
	stream uint64
	watch  string
	member string
	what   string
	rev    int64
	key    string
}

// fail notes a violation. The smallest counter-example has the fewest rows; of
// equals the first one found stays.
func (c *Checker) fail(g Guarantee, note string, rows ...row) {
	f := c.found[g]
	if f == nil {
		f = &finding{}
		c.found[g] = f
	}
	f.count++
	if f.rows == nil || len(rows) < len(f.rows) {
		f.note, f.rows = note, rows
	}
}

// detail renders a finding as text: a sentence and a table.
func (c *Checker) detail(f *finding) string {
	var b strings.Builder
	if f.count > 1 {
		fmt.Fprintf(&b, "%d violations, of which the smallest: ", f.count)
	}
	fmt.Fprintf(&b, "%s\n", f.note)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "TIME\tSTREAM\tWATCH\tMEMBER\tWHAT\tREVISION\tKEY") // a strings.Builder never fails
	for _, r := range f.rows {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			c.since(r.at), dash(strconv.FormatUint(r.stream, 10), r.stream == 0), dash(r.watch, r.watch == ""),
			dash(r.member, r.member == ""), r.what, dash(number(r.rev), r.rev == 0), dash(fmt.Sprintf("%q", r.key), r.key == ""))
	}
	_ = t.Flush()
	return strings.TrimRight(b.String(), "\n")
}

// since renders a time relative to the first record.
func (c *Checker) since(t history.Time) string {
	if t == 0 {
		return "-"
	}
	return fmt.Sprintf("%+.6fs", t.Sub(c.began).Seconds())
}

func dash(text string, empty bool) string {
	if empty {
		return "-"
	}
	return text
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// kind names the type of an event.
func kind(e *history.StoreEvent) string {
	if e.Delete {
		return "delete event"
	}
	return "put event"
}

// version renders what tells one version of a key from another.
func version(kv history.StoreKV) string {
	if kv.Version == timeline.Uncounted {
		return fmt.Sprintf("create=%d mod=%d lease=%x value=%x", kv.Create, kv.Mod, kv.Lease, kv.Value)
	}
	return fmt.Sprintf("create=%d mod=%d version=%d lease=%x value=%x", kv.Create, kv.Mod, kv.Version, kv.Lease, kv.Value)
}

// String renders a range as etcdctl would have it.
func (s *span) String() string {
	switch s.end {
	case "":
		return fmt.Sprintf("%q", s.key)
	case "\x00":
		return fmt.Sprintf("[%q, end)", s.key)
	}
	return fmt.Sprintf("[%q, %q)", s.key, s.end)
}
