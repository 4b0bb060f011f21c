// Package compare makes the trials of a comparison: the same scenario on
// several variants in rounds, each trial a process tree and a run directory of
// its own, and what there is so far saved after each. What the figures say is
// for package results/compare.
package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/results/compare"
	"github.com/planecheck/planecheck/scenarios"
	"github.com/planecheck/planecheck/scenarios/bench"
)

// Config is what is compared, and how.
type Config struct {
	Out        io.Writer
	Program    string // planecheck, which each trial executes
	Planecheck string // its version
	Workload   string // name of a scenario
	Flags      []string
	Variants   []compare.Variant
	// Backends are the stores of these, as --backend takes them.
	Backends []string
	Rounds   int
	RunsDir  string // receives the comparison directory
	// TrialTimeout is after how long a trial is told to end.
	TrialTimeout time.Duration
}

// comparison is one on its way.
type comparison struct {
	Config
	dir    *results.Dir
	record *compare.Comparison
	saved  []error
}

// Run makes all trials, prints a line for each and the table at the end, and
// returns the worst outcome. Everything that a trial would refuse should have
// been refused before. A trial that cannot be done does not stop the others; an
// interruption does. Errors are ErrInterrupted, ErrSLOMissed, a UsageError before
// anything was started, or say how many trials could not be done.
func Run(ctx context.Context, cfg Config) (checkers.Outcome, error) {
	host, err := results.ReadHost(cfg.RunsDir)
	if err != nil {
		return "", err
	}
	dir, err := results.Create(cfg.RunsDir, "compare")
	if err != nil {
		return "", scenarios.Usagef("--runs-dir: %v", err)
	}
	c := &comparison{Config: cfg, dir: dir, record: &compare.Comparison{
		Workload: cfg.Workload, Flags: cfg.Flags, Rounds: cfg.Rounds, Started: time.Now(),
		Planecheck: cfg.Planecheck, Host: host, Variants: cfg.Variants,
	}}
	fmt.Fprintf(c.Out, "%s, %d variants, %d rounds; at most %s a trial\n  comparison directory: %s\n\n",
		cfg.Workload, len(cfg.Variants), cfg.Rounds, cfg.TrialTimeout, dir.Path)
	c.prepare(ctx)
	c.measureProxy(ctx)
	possible := slices.DeleteFunc(slices.Clone(cfg.Variants), func(v compare.Variant) bool { return v.Refused != "" })
	for round := 1; round <= cfg.Rounds; round++ {
		for turn, v := range order(possible, round) {
			if ctx.Err() == nil {
				c.done(c.trial(ctx, round, turn, v))
			}
		}
	}
	fmt.Fprintf(c.Out, "\n%s\nEverything measured: %s\n", compare.Render(c.record), dir.Path)
	return c.end(ctx)
}

// prepare builds what stores need that is built on demand, so that no trial is
// longer than the others by that. What cannot be built is the cause of the trials
// that need it.
func (c *comparison) prepare(ctx context.Context) {
	for _, spec := range c.Backends {
		b, err := storage.Open(spec, storage.Options{Dir: c.dir.Path})
		if err != nil {
			continue // as of the backend external, which has nothing to build
		}
		p, ok := b.(storage.Preparer)
		if !ok {
			continue
		}
		began := time.Now()
		fmt.Fprintf(c.Out, "before round 1: building %s, unless this machine has it already\n", spec)
		if err := p.Prepare(ctx); err != nil {
			fmt.Fprintf(c.Out, "before round 1: %s: %v\n", spec, err)
			continue
		}
		fmt.Fprintf(c.Out, "before round 1: %s is there, after %s, which count for no trial\n", spec, results.Seconds(time.Since(began)))
	}
}

// measureProxy measures what the proxy costs that stands before stores of this
// comparison, on this machine and now. Where that cannot be told, the table says so.
func (c *comparison) measureProxy(ctx context.Context) {
	if ctx.Err() != nil || !slices.ContainsFunc(c.Backends, bench.BehindProxy) {
		return
	}
	fmt.Fprintf(c.Out, "before round 1: measuring what a proxy before a store costs, for %s at most\n", bench.ProxyCostBound)
	cost := compare.ProxyCost{Started: time.Now()}
	var err error
	if cost.Direct, cost.Through, err = bench.ProxyCost(ctx, c.dir.Path); err != nil {
		fmt.Fprintf(c.Out, "before round 1: %v\n", err)
		return
	}
	cost.Took = results.Seconds(time.Since(cost.Started))
	c.record.Proxy = &cost
}

// done tells of a trial and saves what there is. A comparison that cannot be
// saved goes on, since its table is still printed.
func (c *comparison) done(t compare.Trial) {
	c.record.Trials = append(c.record.Trials, t)
	longest := 0
	for _, v := range c.Variants {
		longest = max(longest, len(v.Name))
	}
	fmt.Fprintf(c.Out, "round %d/%d  %-*s  %6s  %s\n", t.Round, c.Rounds, longest, t.Variant, t.Took, &t)
	if err := c.record.Save(c.dir); err != nil {
		c.saved = append(c.saved, err)
		fmt.Fprintf(c.Out, "%v\n", err)
	}
}

// end is how the comparison ended.
func (c *comparison) end(ctx context.Context) (checkers.Outcome, error) {
	if ctx.Err() != nil {
		return c.record.Outcome(), scenarios.ErrInterrupted
	}
	errs := c.saved
	errs = append(errs, shortfalls(c.record)...)
	missed := slices.ContainsFunc(c.record.Trials, func(t compare.Trial) bool { return t.Status == scenarios.ExitSLOMissed })
	if len(errs) == 0 && missed {
		return c.record.Outcome(), scenarios.ErrSLOMissed
	}
	return c.record.Outcome(), errors.Join(errs...)
}

// shortfalls are what of a comparison could not be made.
func shortfalls(record *compare.Comparison) (errs []error) {
	if n := len(record.Refused()); n > 0 {
		errs = append(errs, fmt.Errorf("%d of %d variants were refused; the table names the causes", n, len(record.Variants)))
	}
	if n := len(record.Lost()); n > 0 {
		errs = append(errs, fmt.Errorf("%d of %d trials could not be done; the table names the causes", n, len(record.Trials)))
	}
	return errs
}

// Show prints the comparison in a directory again, and returns its outcome.
func Show(out io.Writer, dir string) (checkers.Outcome, error) {
	record, err := compare.Load(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", scenarios.Usagef("%s is no comparison directory: %v", dir, err)
	case err != nil:
		return "", err
	}
	fmt.Fprint(out, compare.Render(record))
	return record.Outcome(), errors.Join(shortfalls(record)...)
}
