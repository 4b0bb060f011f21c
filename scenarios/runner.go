package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"k8s.io/klog/v2"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/results/live"
)

// Runner runs scenarios and tells a person about it.
type Runner struct {
	Out        io.Writer
	Terminal   bool   // Out is one: bars are drawn
	Planecheck string // version of this program

	brief bool // neither plan nor summary are printed
}

// Report is how one run ended.
type Report struct {
	Scenario string
	Seed     uint64
	// Outcome is empty if nothing was judged, because nothing was started.
	Outcome checkers.Outcome
	Dir     string // the run directory, empty if there is none
	Run     *results.Run
	// Took is how long the run took, with its judgement, and Twin how long its
	// twin did before it; 0: it had none.
	Took, Twin time.Duration
}

// Run plans a scenario, checks that it fits, runs it, and prints the summary.
// The report is never nil. A violation is an outcome, not an error; errors are
// a UsageError, ErrInterrupted, ErrSLOMissed, or a fault of the harness.
func (r *Runner) Run(ctx context.Context, s Scenario, o Options) (*Report, error) {
	report := &Report{Scenario: s.Name, Seed: o.Seed}
	var ends *twins
	if s.Twin {
		if _, err := prepare(s, o); err != nil { // the twin has no faults, and may run where they cannot
			return report, err
		}
		ends = &twins{}
		began := history.Now()
		ends.want, ends.err = r.runTwin(ctx, s, o)
		report.Twin = history.Since(began)
		var usage *UsageError
		if errors.As(ends.err, &usage) || errors.Is(ends.err, ErrInterrupted) {
			return report, ends.err
		}
	}
	began := history.Now()
	x, err := r.run(ctx, s, o, ends)
	report.Took = history.Since(began)
	if x != nil {
		report.Dir, report.Run, report.Outcome = x.dir.Path, x.run, x.run.Verdict.Outcome
	}
	return report, err
}

// run runs a scenario once. The execution is nil if nothing was started.
func (r *Runner) run(ctx context.Context, s Scenario, o Options, ends *twins) (*execution, error) {
	p, err := prepare(s, o)
	if err != nil {
		return nil, err
	}
	if !r.brief {
		fmt.Fprint(r.Out, p.plan)
		fmt.Fprintf(r.Out, "  estimate: %s\n", &p.estimate)
	}
	dir, err := p.admit(ctx, o)
	if err != nil {
		return nil, err
	}
	x, err := newExecution(p.plan, dir, r.describe(p))
	if err != nil {
		return nil, oneFullDisk(err)
	}
	fmt.Fprintf(r.Out, "  run directory: %s\n\n", dir.Path)
	x.ends = ends
	return x, r.execute(ctx, x, o)
}

// prepared is a run that has not touched anything yet.
type prepared struct {
	host     results.Host
	plan     *Plan
	estimate results.Estimate
}

func prepare(s Scenario, o Options) (*prepared, error) {
	if err := raiseFileLimit(); err != nil {
		return nil, err
	}
	host, err := results.ReadHost(o.RunsDir)
	if err != nil {
		return nil, err
	}
	plan, err := NewPlan(s, o, host)
	if err != nil {
		return nil, err
	}
	return &prepared{host: host, plan: plan, estimate: results.EstimateRun(plan.demand())}, nil
}

// admit refuses a run that does not fit, or that the control plane would
// refuse at its start, while there is nothing to undo yet. Then it makes the
// run directory.
func (p *prepared) admit(ctx context.Context, o Options) (*results.Dir, error) {
	if err := p.refusal(ctx, o); err != nil {
		return nil, err
	}
	if err := p.plan.checkStore(ctx); err != nil {
		return nil, endedOr(ctx, err)
	}
	dir, err := results.Create(o.RunsDir, p.plan.Scenario)
	if err != nil {
		return nil, Usagef("--runs: %v", err)
	}
	return dir, nil
}

// refusal is why the run cannot be made, nil if it can.
func (p *prepared) refusal(ctx context.Context, o Options) error {
	if err := p.estimate.Fits(p.host); err != nil && !o.Force {
		return Usagef("%v", err)
	}
	if err := apiserver.Check(ctx, planeConfig(p.plan.World, p.plan.Seed, nil, "", nil, nil)); err != nil {
		return endedOr(ctx, Usagef("%v", err))
	}
	return nil
}

// endedOr prefers why everything was ended to what was not found out because of it.
func endedOr(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Admit finds what Run would refuse, and starts nothing.
func Admit(ctx context.Context, s Scenario, o Options) error {
	p, err := prepare(s, o)
	if err != nil {
		return err
	}
	return p.refusal(ctx, o)
}

// execute runs the plan, with the display, and writes and prints the result.
func (r *Runner) execute(ctx context.Context, x *execution, o Options) error {
	stop := live.Start(r.Out, r.Terminal, func() live.Snapshot { return x.m.snapshot(x.plan) })
	x.say = func(cause error) {
		stop() // what follows is no progress
		fmt.Fprintf(r.Out, "\n%v\n", cause)
	}
	err := oneFullDisk(x.execute(ctx))
	stop()
	x.judge(ctx, err)
	saveErr := oneFullDisk(errors.Join(x.m.close(x.run), x.finish(o.KeepData)))
	if r.brief {
		fmt.Fprintf(r.Out, "\n%s: %s\n\n", x.plan.Scenario, x.run.Verdict.Outcome)
	} else {
		var run *results.Run
		run, saveErr = x.asSaved(saveErr)
		fmt.Fprintf(r.Out, "\n%s", results.Summary(run, x.dir.Path))
	}
	return x.ending(ctx, err, saveErr, o.SLOFail)
}

// describe begins the record of a run with all that is known before it.
func (r *Runner) describe(p *prepared) *results.Run {
	info, _ := debug.ReadBuildInfo()
	versions := map[string]string{}
	for _, v := range LinkedVersions(r.Planecheck, info) {
		versions[v.Name] = v.Version
	}
	return &results.Run{
		Name: p.plan.Scenario, Seed: p.plan.Seed, Profile: p.plan.World.Profile, Nodes: p.plan.World.Nodes,
		Started: time.Now(), Versions: versions, Host: p.host, Estimate: &p.estimate,
	}
}

// RunAll runs each scenario count times with consecutive seeds and sums up. It
// goes on after a run that did not pass, but not after an interruption or a
// usage error.
func (r *Runner) RunAll(ctx context.Context, scenarios []Scenario, o Options, count int) (checkers.Outcome, error) {
	var reports []*Report
	var faults []error
	first := o.Seed
	for _, s := range scenarios {
		for i := range count {
			o.Seed = first + uint64(i)
			report, err := r.Run(ctx, s, o)
			reports = append(reports, report)
			var usage *UsageError
			if errors.Is(err, ErrInterrupted) || errors.As(err, &usage) {
				return worst(reports), err
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("%s, seed %d: %w", s.Name, o.Seed, err))
			}
		}
	}
	if len(reports) > 1 {
		r.sumUp(reports)
	}
	return worst(reports), errors.Join(faults...)
}

func worst(reports []*Report) checkers.Outcome {
	var verdicts []checkers.Verdict
	for _, report := range reports {
		verdicts = append(verdicts, checkers.Verdict{Outcome: report.Outcome})
	}
	return checkers.Worst(verdicts)
}

func (r *Runner) sumUp(reports []*Report) {
	fmt.Fprintf(r.Out, "\n%-28s %6s  %-8s %7s %7s  %s\n", "SCENARIO", "SEED", "OUTCOME", "SECONDS", "TWIN", "RUN DIRECTORY")
	for _, report := range reports {
		twin := "-"
		if report.Twin > 0 {
			twin = fmt.Sprintf("%.0f", report.Twin.Seconds())
		}
		fmt.Fprintf(r.Out, "%-28s %6d  %-8s %7.0f %7s  %s\n", report.Scenario, report.Seed, report.Outcome, report.Took.Seconds(), twin, report.Dir)
	}
	var runs []*results.Run
	for _, report := range reports {
		runs = append(runs, report.Run)
	}
	if table := results.FaultsOf(runs); table != "" {
		fmt.Fprintf(r.Out, "\nAvailability by fault\n%s", table)
	}
}

// newLog opens the harness's own log in the run directory.
func newLog(dir *results.Dir) (*slog.Logger, io.Closer, error) {
	if err := os.MkdirAll(dir.File("logs"), 0o755); err != nil {
		return nil, nil, fmt.Errorf("create log directory: %w", err)
	}
	f, err := os.Create(dir.File("logs", "harness.log"))
	if err != nil {
		return nil, nil, fmt.Errorf("create log: %w", err)
	}
	log := slog.New(slog.NewTextHandler(f, nil))
	// Libraries of Kubernetes, and gRPC through them, log here too: to a person
	// who watches a fault their warnings say nothing that the fault does not.
	klog.SetSlogLogger(log)
	return log, klogFile{f}, nil
}

// klogFile is the log file that klog writes to until it is closed.
type klogFile struct{ *os.File }

func (f klogFile) Close() error {
	klog.ClearLogger()
	return f.File.Close()
}

// removeData deletes the store's data after a Pass. After anything else it is
// evidence.
func removeData(b storage.Backend, outcome checkers.Outcome, keep bool) error {
	if keep || outcome != checkers.Pass || b == nil {
		return nil
	}
	return storage.RemoveData(b)
}
