package scenarios

import (
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

func TestJudgeInterventions(t *testing.T) {
	f := func(want checkers.Outcome, done int, failed ...string) {
		t.Helper()
		x := &execution{plan: &Plan{Interventions: make([]Intervention, 2)}, acts: interventions{done: done, failed: failed}}
		if v := x.judgeInterventions(); v.Outcome != want {
			t.Errorf("%d done, failed %q: %s, want %s", done, failed, v, want)
		}
	}
	f(checkers.Pass, 2)
	f(checkers.Invalid, 1)
	f(checkers.Invalid, 0)
	f(checkers.Invalid, 1, "fault apiserver-freeze of kube-apiserver-0: no such process")
}

// A phase that has not begun is not past anything, and what was written before it
// does not count.
func TestPast(t *testing.T) {
	m := &measurement{began: map[string]int64{}}
	f := func(want bool, phase string, revisions int64) {
		t.Helper()
		if got := m.past(phase, revisions); got != want {
			t.Errorf("at revision %d, phases %v: %d past the beginning of %q is %v", m.revision.Load(), m.began, revisions, phase, got)
		}
	}
	m.reached(500)
	f(false, phaseHold, 0)
	f(true, "", 500)
	f(false, "", 501)
	m.begin(phaseHold)
	f(true, phaseHold, 0)
	f(false, phaseHold, 1)
	m.reached(520)
	f(true, phaseHold, 20)
	f(false, phaseHold, 21)
	f(false, phaseFill, 0)
}

func TestJudgeCaches(t *testing.T) {
	f := func(want checkers.Outcome, counts ...map[string]int64) {
		t.Helper()
		var phases []results.Phase
		for _, c := range counts {
			phases = append(phases, results.Phase{Servers: results.ServerFigures{ConsistencyChecks: c}})
		}
		if v := judgeCaches(phases); v.Outcome != want {
			t.Errorf("%v: %s, want %s", counts, v, want)
		}
	}
	f(checkers.NotExercised)
	f(checkers.NotExercised, map[string]int64{"error pods": 3})
	f(checkers.Pass, nil, map[string]int64{"success pods": 1, "error leases": 1})
	f(checkers.Fail, map[string]int64{"success pods": 9}, map[string]int64{"failure pods": 1})
}
