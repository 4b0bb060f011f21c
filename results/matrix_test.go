package results

import (
	"testing"

	"github.com/planecheck/planecheck/checkers"
)

func TestRenderMatrix(t *testing.T) {
	run := func(outcomes ...checkers.Outcome) *Run {
		r := &Run{}
		for i, o := range outcomes {
			area, name := checkers.AreaStore, []string{"Order", "Reads", "Fresh"}[i]
			r.Verdict.Guarantees = append(r.Verdict.Guarantees, checkers.Verdict{Area: area, Guarantee: name, Outcome: o})
		}
		return r
	}
	own := &Run{Verdict: Verdict{Guarantees: []checkers.Verdict{{Guarantee: "PlanComplete", Outcome: checkers.Pass}}}}
	got := RenderMatrix([]Column{
		{"a", []*Run{run(checkers.Pass, checkers.NotExercised, checkers.NotExercised), own}},
		{"b", []*Run{run(checkers.Fail, checkers.Invalid), run(checkers.Pass, checkers.Invalid), run(checkers.Pass, checkers.Pass)}},
		{"c", []*Run{run(checkers.Pass, checkers.Pass), run(checkers.NotExercised, checkers.Unknown)}},
		{"d", nil},
	})
	want := `| area | guarantee | a | b | c | d |
|---|---|---|---|---|---|
| store | Order | Pass | **Fail** 1/3 | Pass | · |
| store | Reads | · | Invalid 2/3 | Unknown 1/2 | · |
| run | PlanComplete | Pass | · | · | · |
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
