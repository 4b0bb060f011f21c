package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/judge"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/results"
)

// Check judges the history of a finished run again, from its run directory
// alone, and prints the verdicts, with those of run.json that no history gives; the
// outcome is that of all of them. It changes nothing in the directory.
func (r *Runner) Check(ctx context.Context, dir string) (checkers.Outcome, error) {
	_, _, outcome, err := r.check(ctx, dir)
	return outcome, err
}

// check is Check that also returns what it printed: the verdicts of the history, and
// those beside them.
func (r *Runner) check(ctx context.Context, dir string) (judged, beside []checkers.Verdict, outcome checkers.Outcome, err error) {
	run, options, err := recorded(dir)
	if err != nil {
		return nil, nil, "", err
	}
	j, err := judgeAgain(ctx, dir, run, *options)
	if err != nil {
		return nil, nil, "", err
	}
	beside = run.Beside(j.Verdicts)
	outcome, err = r.tellVerdicts(dir, run, j, beside)
	return j.Verdicts, beside, outcome, err
}

// judgeAgain judges the history in a run directory with what the record of the run
// says of it.
func judgeAgain(ctx context.Context, dir string, run *results.Run, options judge.Options) (*judge.Judgement, error) {
	options.Settled, options.Calm, options.Restore = run.Moments(), history.Time(run.Calm), run.Restore
	options.Struck, options.Crashes, options.Requests = history.Time(run.Struck), run.Crashes, contractRequests(run)
	options.Claimed = claimedOf(run, options.Claimed)
	return judge.Directory(ctx, filepath.Join(dir, historyDir), options)
}

// claimedOf is what a run claims by its record. Durable is claimed where a fault ends
// members of the store. Where none came back the fault had no effect, which the run says
// itself, or the record is older than what it says of such ends.
func claimedOf(run *results.Run, claimed []string) []string {
	if len(run.Crashes) > 0 {
		return claimed
	}
	return slices.DeleteFunc(slices.Clone(claimed), func(g string) bool { return g == storage.Durable })
}

// contractRequests is how many requests the contract traffic of a run has sent; 0: there
// was none, or it has not ended.
func contractRequests(run *results.Run) int64 {
	if run.Contract == nil {
		return 0
	}
	return run.Contract.Sent()
}

// Follow is Check of a run that is still going on, in another process: it judges
// what has been recorded, waits for more, and ends after the run.
func (r *Runner) Follow(ctx context.Context, dir string) (checkers.Outcome, error) {
	_, options, err := recorded(dir)
	if err != nil {
		return "", err
	}
	if options.Restores {
		return "", Usagef("the run in %s restores its store from a snapshot: its history can be judged when it has ended, see `planecheck check`", dir)
	}
	process, err := judge.Follow(ctx, filepath.Join(dir, historyDir), *options, nil, func(guarantee string) {
		fmt.Fprintf(r.Out, "%s is broken; the counter-example follows at the end of the run\n", guarantee)
	})
	if err != nil {
		return "", err
	}
	fmt.Fprintf(r.Out, "following the run in %s to its end\n", dir)
	if err := process.Run(); err != nil {
		return "", err
	}
	run, err := results.Load(dir) // it says by now when the cluster was at rest
	if err != nil {
		return "", err
	}
	var j *judge.Judgement
	if run.Calm == 0 && run.Struck == 0 {
		j = process.Finish(run.Moments(), contractRequests(run))
	} else if j, err = judgeAgain(ctx, dir, run, *options); err != nil { // when there were faults was not known until now
		return "", err
	}
	if len(run.Verdict.Guarantees) == 0 {
		fmt.Fprintf(r.Out, "the run has not come to its verdicts; `planecheck check %s` will count what only it knows\n", dir)
		return r.tellVerdicts(dir, run, j, nil)
	}
	return r.tellVerdicts(dir, run, j, run.Beside(j.Verdicts))
}

// recorded reads what the record of a run says of its history.
func recorded(dir string) (*results.Run, *judge.Options, error) {
	run, err := loadRun(dir)
	if err != nil {
		return nil, nil, err
	}
	var plan struct {
		Judge *judge.Options `json:"judge"`
	}
	if err := json.Unmarshal(run.Plan, &plan); err != nil {
		return nil, nil, fmt.Errorf("read the plan in %s: %w", dir, err)
	}
	if plan.Judge == nil {
		return nil, nil, Usagef("the run in %s recorded no history", dir)
	}
	return run, plan.Judge, nil
}

func (r *Runner) tellVerdicts(dir string, run *results.Run, j *judge.Judgement, beside []checkers.Verdict) (checkers.Outcome, error) {
	figures := historyFigures(j)
	bytes, err := dirBytes(filepath.Join(dir, historyDir))
	if err != nil {
		return "", fmt.Errorf("measure the history: %w", err)
	}
	figures.Bytes = bytes
	fmt.Fprint(r.Out, results.RenderVerdicts(run, j.Verdicts, beside, figures))
	return checkers.Worst(slices.Concat(j.Verdicts, beside)), nil
}
