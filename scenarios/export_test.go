package scenarios

import (
	"context"

	"github.com/planecheck/planecheck/checkers"
)

// CheckVerdicts is Check for tests, which also returns what it printed: the verdicts of
// the history, and those that only the record of the run has.
func (r *Runner) CheckVerdicts(ctx context.Context, dir string) (judged, beside []checkers.Verdict, outcome checkers.Outcome, err error) {
	return r.check(ctx, dir)
}
