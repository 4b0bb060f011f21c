package mutants

import (
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
)

// history is what the lies of these tests are told in.
type history struct{}

// The fate of a mutant is by what failed, and by what the model says first of all.
func TestJudged(t *testing.T) {
	lie := Lie[history]{Name: "a value is another", Breaks: "Reads"}
	f := func(want Fate, why string, failed ...string) {
		t.Helper()
		verdicts := []checkers.Verdict{{Guarantee: "Order", Outcome: checkers.Pass}, {Guarantee: "Replay", Outcome: checkers.Invalid}}
		for _, g := range failed {
			verdicts = append(verdicts, checkers.Verdict{Guarantee: g, Outcome: checkers.Fail})
		}
		m := Judged(lie, "h", 1, verdicts, why)
		if m.Fate != want || !slices.Equal(m.Failed, failed) || len(m.Bare) != len(failed) {
			t.Errorf("%q failed, the model says %q: %s, without tables %q; want %s", failed, why, m, m.Bare, want)
		}
	}
	f(Caught, "another value", "Reads")
	f(Caught, "another value", "Order", "Reads")
	f(ByAnother, "another value", "Order")
	f(Escaped, "another value")
	f(Acquitted, "")
	f(Acquitted, "", "Reads")
}

// What another guarantee catches is no kill, and what is known to be missed does not
// count.
func TestWeak(t *testing.T) {
	f := func(want string, another, missed int) {
		t.Helper()
		lie := Lie[history]{Name: "a value is another", Breaks: "Reads"}
		known := lie
		known.Missed = "an open finding"
		l := slices.Concat(
			slices.Repeat(List[history]{{Lie: lie, Fate: Caught}}, 100-another), slices.Repeat(List[history]{{Lie: lie, Fate: ByAnother}}, another),
			slices.Repeat(List[history]{{Lie: known, Fate: Escaped}}, missed), List[history]{{Lie: lie, Fate: Acquitted}},
		)
		if got := strings.Join(l.Weak([]string{"Order", "Reads"}), ", "); got != want {
			t.Errorf("%d of 100 by another, %d known to be missed: weak are %q, want %q", another, missed, got, want)
		}
		if got := len(l.Missed()); got != another {
			t.Errorf("%d were not caught, want %d", got, another)
		}
	}
	f("", 1, 0)
	f("Reads caught 98 of 100", 2, 0)
	f("", 1, 20)
}

// A mutant that the model accepts and a checker fails is named, and is a finding unless
// the lie says why the model knows less.
func TestDisputes(t *testing.T) {
	lie := Lie[history]{Name: "a value is another", Breaks: "Reads"}
	l := List[history]{
		{Lie: lie, Fate: Acquitted}, {Lie: lie, Fate: Acquitted, Failed: []string{"Any", "Reads"}}, {Lie: lie, Fate: Caught, Failed: []string{"Order"}},
	}
	if got := l.Disputes(); len(got) != 1 || !slices.Equal(got[0].Failed, []string{"Any", "Reads"}) {
		t.Errorf("disputed are %v", got)
	}
	p := l.Tally([]string{"Reads"}, []Lie[history]{lie}, func(string) string { return "Store" })
	if want := "Disputed: Reads, a value is another: of 2 that the model acquits failed Any and Reads (1), and nothing explains it"; !slices.Equal(p.Disputed, []string{want}) {
		t.Errorf("the tally says %q, want %q", p.Disputed, want)
	}
	if got := l.Acquitted([]Lie[history]{lie}); !slices.Equal(got, []string{"Acquitted: Reads, a value is another: 2 times"}) {
		t.Errorf("acquitted are %q", got)
	}
	l[1].Lie.Lenient = "it is blind there"
	if got := l.Disputes(); len(got) != 0 {
		t.Errorf("explained, and yet disputed: %v", got)
	}
}

// The table counts lies that counted, and the sum has all guarantees.
func TestTable(t *testing.T) {
	lie := func(breaks, name string) Lie[history] { return Lie[history]{Name: name, Breaks: breaks} }
	l := List[history]{
		{Lie: lie("Reads", "a"), Fate: Caught}, {Lie: lie("Reads", "a"), Fate: ByAnother}, {Lie: lie("Reads", "b"), Fate: Escaped},
		{Lie: lie("Reads", "c"), Fate: Acquitted}, {Lie: lie("Order", "d"), Fate: Caught},
	}
	for _, row := range []string{"| Order | 1 | 1 | 1 | 0 | 0 | 0 |", "| Reads | 2 | 3 | 1 | 1 | 1 | 1 |", "| all | 3 | 4 | 2 | 1 | 1 | 1 |"} {
		if got := l.Table([]string{"Order", "Reads"}); !strings.Contains(got, row+"\n") {
			t.Errorf("no %q in\n%s", row, got)
		}
	}
	p := l.Tally([]string{"Order", "Reads"}, []Lie[history]{lie("Reads", "a"), lie("Reads", "b")}, func(g string) string { return "area of " + g })
	if len(p.Rows) != 2 || p.Rows[1].Area != "area of Reads" || p.Rows[1].Caught != 1 || p.Rows[1].Tried != 3 || len(p.Survivors) != 2 {
		t.Errorf("the tally is %+v", p)
	}
}
