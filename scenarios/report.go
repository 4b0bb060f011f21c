package scenarios

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/planecheck/planecheck/results"
)

// Report prints again what the run in a directory printed at its end, from the
// directory alone, and after it what is missing there. The last line names the directory
// as dir does, which may be from elsewhere than the run did. It judges nothing: whatever
// the verdict of the run was, it is no error. Errors are UsageErrors.
func (r *Runner) Report(dir string) error {
	run, err := loadRun(dir)
	if err != nil {
		return err
	}
	fmt.Fprint(r.Out, results.Summary(run, filepath.Clean(dir)))
	for _, gap := range results.Gaps(run, dir) {
		fmt.Fprintf(r.Out, "  note: %s\n", gap)
	}
	return nil
}

// Diff prints two runs beside one another, from their directories alone. That they
// differ is no error. Errors are UsageErrors.
func (r *Runner) Diff(a, b string) error {
	var sides []results.Side
	for _, dir := range []string{a, b} {
		run, err := loadRun(dir)
		if err != nil {
			return err
		}
		sides = append(sides, results.Side{Dir: filepath.Clean(dir), Run: run, Gaps: results.Gaps(run, dir)})
	}
	fmt.Fprint(r.Out, results.RenderDiff(sides[0], sides[1]))
	return nil
}

// loadRun reads the record of a run in the directory that a person has named. If there
// is none, or none that can be read, that is a UsageError.
func loadRun(dir string) (*results.Run, error) {
	run, err := results.Load(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, Usagef("%s is no run directory: %v", dir, err)
	case err != nil:
		return nil, Usagef("%v", err)
	case run.Name == "":
		return nil, Usagef("%s is no run directory: its run.json does not say what was run", dir)
	}
	return run, nil
}
