package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/planecheck/planecheck/results"
)

// Matrix prints what the runs in some directories came to, guarantee by guarantee
// and backend by backend, the backends in the order in which they come first. A
// run that nobody has judged is an error: it would be missing in silence.
func (r *Runner) Matrix(dirs []string) error {
	var columns []results.Column
	for _, dir := range dirs {
		run, err := results.Load(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return Usagef("%s is no run directory: %v", dir, err)
		}
		if err != nil {
			return err
		}
		if run.Verdict.Outcome == "" {
			return Usagef("the run in %s has no verdict: it was cut short", dir)
		}
		var plan struct{ World World }
		if err := json.Unmarshal(run.Plan, &plan); err != nil {
			return fmt.Errorf("read the plan in %s: %w", dir, err)
		}
		columns = addTo(columns, plan.World.Backend, run)
	}
	fmt.Fprint(r.Out, results.RenderMatrix(columns))
	return nil
}

func addTo(columns []results.Column, backend string, run *results.Run) []results.Column {
	for i := range columns {
		if columns[i].Backend == backend {
			columns[i].Runs = append(columns[i].Runs, run)
			return columns
		}
	}
	return append(columns, results.Column{Backend: backend, Runs: []*results.Run{run}})
}
