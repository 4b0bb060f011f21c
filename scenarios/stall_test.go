package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/sim"
	"github.com/planecheck/planecheck/workloads"
)

// A control plane that does not carry the plan in the time it has fails the run;
// where a fault is upon it, or could not be healed, that proves nothing, and neither
// does an error of the harness.
func TestAStallFailsTheRun(t *testing.T) {
	acting := func(x *execution) { x.acts.strikes = []*strike{{name: "member-kill"}} }
	healed := func(x *execution) { x.acts.strikes = []*strike{{name: "member-kill", closed: true}} }
	broken := func(x *execution) { healed(x); x.acts.failed = []string{"heal member-kill: it had 2m0s"} }
	f := func(name, phase string, err error, faults func(*execution), want checkers.Outcome, status int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for a while whether a component has died
			x := &execution{plan: &Plan{}, run: &results.Run{}}
			faults(x)
			got := x.reason(t.Context(), phase, err)
			v := x.judgePlan(got)
			if v.Outcome != want || !strings.Contains(v.Detail, err.Error()) {
				t.Errorf("%s, want %s", v, want)
			}
			if x.interrupted {
				t.Error("interrupted, so the history would end without an audit")
			}
			told := got // as Runner.execute tells it
			if x.violation != nil {
				told = nil
			}
			if got := ExitStatus(v.Outcome, told); got != status {
				t.Errorf("%v ends with status %d, want %d", err, got, status)
			}
		})
	}
	none := func(*execution) {}
	drain := fmt.Errorf("drain: 4 of 40 operations done: %w", &workloads.StallError{Err: errors.New("no progress for 2m0s")})
	register := fmt.Errorf("start simulated cluster: %w after 1m0s: 3 of 50", sim.ErrNotReady)
	f("no progress", phaseDrain, drain, none, checkers.Fail, ExitFail)
	f("nodes not ready", phaseRegister, register, none, checkers.Fail, ExitFail)
	f("after a fault", phaseChurn, drain, healed, checkers.Fail, ExitFail)
	f("under a fault", phaseChurn, drain, acting, checkers.Invalid, ExitHarness)
	f("after one that did not heal", phaseDrain, drain, broken, checkers.Invalid, ExitHarness)
	f("an error of ours", phaseDrain, errors.New("create deployments: 403"), none, checkers.Invalid, ExitHarness)
}
