package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/judge"
	"github.com/planecheck/planecheck/results"
)

// Check judges the history of a finished run again, from its run directory
// alone, and prints the verdicts. It changes nothing in the directory.
func (r *Runner) Check(dir string) (checkers.Outcome, error) {
	run, err := results.Load(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", Usagef("%s is no run directory: %v", dir, err)
	case err != nil:
		return "", err
	}
	var plan struct {
		Judge *judge.Options `json:"judge"`
	}
	if err := json.Unmarshal(run.Plan, &plan); err != nil {
		return "", fmt.Errorf("read the plan in %s: %w", dir, err)
	}
	if plan.Judge == nil {
		return "", Usagef("the run in %s recorded no history", dir)
	}
	plan.Judge.Settled = run.Settled
	j, err := judge.Directory(filepath.Join(dir, historyDir), *plan.Judge)
	if err != nil {
		return "", err
	}
	fmt.Fprint(r.Out, results.RenderVerdicts(run, j.Verdicts, historyFigures(j)))
	return checkers.Worst(j.Verdicts), nil
}
