package checkers

import "testing"

func TestWorst(t *testing.T) {
	f := func(want Outcome, outcomes ...Outcome) {
		t.Helper()
		var verdicts []Verdict
		for _, o := range outcomes {
			verdicts = append(verdicts, Verdict{Guarantee: "g", Outcome: o})
		}
		if got := Worst(verdicts); got != want {
			t.Errorf("Worst(%v) = %s, want %s", outcomes, got, want)
		}
	}
	f(Invalid) // nothing judged is not a pass
	f(Pass, Pass, Pass)
	f(Unknown, Pass, Unknown)
	f(Invalid, Unknown, Invalid, Pass)
	f(Fail, Pass, Fail, Invalid)
	f(Pass, NotExercised, Pass)
	f(Invalid, NotExercised)
	f(Fail, NotExercised, Fail)
}
