package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// tally counts outcomes.
type tally struct {
	byLie         map[string]map[string]int
	outcomes      map[string]int
	skipped       map[string]int
	classes       map[string]int
	bad, judged   int
	calls, unseen int
}

func (t *tally) add(s sample, o outcome, class string, dropped int) {
	t.classes[class]++
	if t.byLie[s.lie] == nil {
		t.byLie[s.lie] = map[string]int{}
	}
	row := t.byLie[s.lie]
	row["told"]++
	row["ours "+string(o.ours)]++
	row["porcupine "+string(o.porcupine)]++
	row["validate "+string(o.validate)]++
	t.outcomes[o.category()]++
	if o.porcupine == bad {
		t.bad++
	}
	if o.skipped != "" {
		t.skipped[o.skipped]++
		return
	}
	t.judged++
	t.calls += len(s.h.Ops)
	t.unseen += dropped
}

// category is the row of the table that an outcome counts in.
func (o outcome) category() string {
	asked := map[string]judgement{"porcupine": o.porcupine, "validate": o.validate, "ours": o.ours}
	if o.skipped != "" {
		delete(asked, "validate")
	}
	says := map[judgement][]string{}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		says[asked[name]] = append(says[asked[name]], name)
	}
	suffix := ""
	if o.skipped != "" {
		suffix = ", validate not asked"
	}
	if len(says) == 1 {
		return fmt.Sprintf("agree %s%s", o.porcupine, suffix)
	}
	text := "nobody says bad"
	if len(says[bad]) > 0 {
		text = "bad only by " + strings.Join(says[bad], " and ")
	}
	if len(says[undecided]) > 0 {
		text += ", undecided by " + strings.Join(says[undecided], " and ")
	}
	return text + suffix
}

func (t *tally) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "lie\thistories\tbad: revision\tbad: porcupine\tbad: validate\tof those asked")
	for _, name := range slices.Sorted(maps.Keys(t.byLie)) {
		row := t.byLie[name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", name, row["told"], row["ours bad"], row["porcupine bad"],
			row["validate bad"], row["told"]-row["validate "])
	}
	for _, part := range []struct {
		title  string
		counts map[string]int
	}{{"outcome", t.outcomes}, {"class", t.classes}, {"validate not asked because", t.skipped}} {
		fmt.Fprintf(w, "\n%s\thistories\n", part.title)
		for _, name := range slices.Sorted(maps.Keys(part.counts)) {
			fmt.Fprintf(w, "%s\t%d\n", name, part.counts[name])
		}
	}
	_ = w.Flush() // a strings.Builder takes everything
	fmt.Fprintf(&b, "\nvalidate was asked about %d histories with %d calls, of which it does not know %d; %d histories are bad\n",
		t.judged, t.calls, t.unseen, t.bad)
	return b.String()
}

func verdicts(broken []checkers.Verdict) string {
	var b strings.Builder
	for _, v := range broken {
		fmt.Fprintf(&b, "%s\n", v)
	}
	return b.String()
}

// show prints a history, one call a line, with times relative to the first.
func show(h storetest.History) string {
	var b strings.Builder
	first := h.Ops[0].Called
	for _, op := range h.Ops {
		ret := "never"
		if op.Returned != 0 {
			ret = op.Returned.Sub(first).String()
		}
		fmt.Fprintf(&b, "#%d [%s, %s] %s if %v then %v else %v lease %d revision %d ttl %d -> %s header %d ok %v %v\n",
			op.ID, op.Called.Sub(first), ret, op.Method, op.Compares, actions(op.Then), actions(op.Else), op.Lease, op.Revision, op.TTL,
			op.Error.Kind, op.Header, op.Succeeded, op.Results)
	}
	log := events(h.Watches)
	for _, rev := range slices.Sorted(maps.Keys(log)) {
		fmt.Fprintf(&b, "revision %d:", rev)
		for _, c := range log[rev] {
			if c.kv == nil {
				fmt.Fprintf(&b, " delete %s", c.key)
			} else {
				fmt.Fprintf(&b, " put %v", *c.kv)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// actions prints only what is set.
func actions(list []history.StoreAction) []string {
	var texts []string
	for _, a := range list {
		text := fmt.Sprintf("%s[%q,%q)", a.Kind, a.Key, a.End)
		for _, f := range []struct {
			set  bool
			text string
		}{
			{a.Kind == history.ActionPut, fmt.Sprintf("=%d", a.Value)}, {a.Lease != 0, fmt.Sprintf(" lease %d", a.Lease)},
			{a.Revision != 0, fmt.Sprintf(" at %d", a.Revision)}, {a.Limit != 0, fmt.Sprintf(" limit %d", a.Limit)},
			{a.Serializable, " serializable"}, {a.CountOnly, " count"}, {a.KeysOnly, " keys"}, {a.PrevKV, " prev"},
			{a.IgnoreValue, " same value"}, {a.IgnoreLease, " same lease"},
		} {
			if f.set {
				text += f.text
			}
		}
		texts = append(texts, text)
	}
	return texts
}
