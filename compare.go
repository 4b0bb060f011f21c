package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	results "github.com/planecheck/planecheck/results/compare"
	"github.com/planecheck/planecheck/scenarios"
	"github.com/planecheck/planecheck/scenarios/compare"
)

// densityWorkload is compared by default.
const densityWorkload = "scale/density"

// comparing is what the flags of `planecheck compare` say.
type comparing struct {
	backends, variants, settings []string
	workload, runsDir, render    string
	rounds                       int
	timeout                      time.Duration

	options scenarios.Options // only to describe the flags of every trial
	trial   *pflag.FlagSet    // these flags
}

func newCompareCommand(outcome *checkers.Outcome) *cobra.Command {
	c := &comparing{
		workload: densityWorkload, runsDir: "runs", rounds: 6, timeout: 10 * time.Minute,
		options: compareOptions(), trial: pflag.NewFlagSet("run", pflag.ContinueOnError),
	}
	cmd := &cobra.Command{
		Use:   "compare --backends A,B[,...] | --variant 'NAME: FLAGS' | --set NAME:FLAG=VALUE",
		Short: "The same plan on several stores or configurations, in turn, with statistics",
		Long: `compare makes the same run on several variants, --runs times each, one trial after the
other in an order that turns: a b c, b c a, c a b, ... Each trial is a process tree of its
own (planecheck run) with its own run directory. The table at the end has, for each figure
and variant, the median, its 95 % interval (from 6 rounds on), the ratio to the first variant
from paired rounds, and whether the difference is significant; and the verdicts by
guarantee. A variant of which a trial did not pass is not ranked. A trial that cannot be
done is named with its cause, and the others go on; so does the comparison without a variant
whose store there is not.

A variant is a name and flags of "planecheck run":

  --backends etcd,memory          the same as --variant 'etcd: --backend=etcd' and so on, but
                                  all recorded by a proxy, unless the workload has faults
  --variant 'json: --apiserver-arg=--storage-media-type=application/json'
  --variant 'mine: --kube-apiserver=./kube-apiserver --feature-gates=A=true'
  --variant 'gc: --gogc=kube-apiserver=100'     --variant 'upstream: --scheduler=default'
  --set json:storage-media-type=application/json     the first one of these, in short

Without --backends the first variant is the plain run. Other flags are those of "planecheck
run", for every trial. Without any the workload is scale/density: 200 nodes, 2,000 pods filled
as fast as they go, then 20 s at rest with 150 requests/s of contract traffic, which begins
only then: beside a fill of no fixed pace its latencies would be those of a queue. API servers
compact the store every 5 s and not every 5 min, so that it is asked for what is compacted. In
other workloads the traffic runs all along (--contract-from).

Where a proxy stands before a store, its cost is measured before the first round, in some five
seconds: a store in memory, reached directly and through a proxy.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			*outcome, err = c.run(cmd.Context())
			return err
		},
	}
	c.addFlags(cmd.Flags())
	return cmd
}

// compareOptions are the settings of every trial without a flag.
func compareOptions() scenarios.Options {
	o := runOptions()
	o.World.Nodes, o.Pods = 200, 2000
	o.Rate, o.Hold, o.Drain, o.Contract, o.ContractFrom = "max", scenarios.Duration(20*time.Second), false, 150, "hold"
	// A store that loses an event stops the fill for good, in each of its trials.
	o.Patience = scenarios.Duration(30 * time.Second)
	return o
}

// compareDefaults are the flags that differ from those of `planecheck run`.
var compareDefaults = []string{"nodes", "pods", "rate", "hold", "patience", "contract", "contract-from", "drain"}

func (c *comparing) addFlags(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringArrayVar(&c.backends, "backends", nil, "stores to compare, separated by commas, as --backend takes them")
	fs.StringArrayVar(&c.variants, "variant", nil, "'NAME: FLAGS': flags of planecheck run, separated by blanks; may be repeated")
	fs.StringArrayVar(&c.settings, "set", nil, "NAME:FLAG=VALUE: a flag of kube-apiserver; all of one NAME are one variant")
	fs.StringVar(&c.workload, "workload", c.workload, "name of a scenario, see planecheck list")
	fs.IntVar(&c.rounds, "runs", c.rounds, "runs of each variant")
	fs.StringVar(&c.runsDir, "runs-dir", c.runsDir, "directory that receives the comparison directory")
	fs.DurationVar(&c.timeout, "trial-timeout", c.timeout, "after how long a trial is ended and counts as not done")
	fs.StringVar(&c.render, "render", "", "a comparison directory: print its table again, and do nothing else")
	worldFlags(c.trial, &c.options)
	loadFlags(c.trial, &c.options)
	fs.AddFlagSet(c.trial)
}

func (c *comparing) run(ctx context.Context) (checkers.Outcome, error) {
	if c.render != "" {
		return compare.Show(os.Stdout, c.render)
	}
	if c.rounds < 1 {
		return "", scenarios.Usagef("--runs is %d; it must be at least 1 (the directory is --runs-dir)", c.rounds)
	}
	if c.timeout <= 0 {
		return "", scenarios.Usagef("--trial-timeout is %s; it must be above 0", c.timeout)
	}
	if len(c.backends) > 0 && c.trial.Changed("backend") {
		return "", scenarios.Usagef("--backend and --backends exclude each other")
	}
	s, err := c.scenario()
	if err != nil {
		return "", err
	}
	// Behind its proxy the etcd in this process takes no faults.
	variants, err := compare.Variants(c.backends, c.variants, c.settings, s.Interventions == nil)
	if err != nil {
		return "", err
	}
	flags := c.trialFlags()
	for i := range variants {
		c.beginTraffic(flags, &variants[i])
	}
	backends, err := c.admitAll(ctx, s, flags, variants)
	if err != nil {
		return "", err
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return compare.Run(ctx, compare.Config{
		Out: os.Stdout, Program: program, Planecheck: version, Workload: c.workload, Flags: flags,
		Variants: variants, Backends: backends, Rounds: c.rounds, RunsDir: c.runsDir, TrialTimeout: c.timeout,
	})
}

// trialFlags are the flags of every trial: what differs from `planecheck run`,
// and what the person gave.
func (c *comparing) trialFlags() (flags []string) {
	c.trial.VisitAll(func(f *pflag.Flag) {
		if !f.Changed && !c.differs(f.Name) {
			return
		}
		values := []string{f.Value.String()}
		if many, ok := f.Value.(interface{ GetSlice() []string }); ok {
			values = many.GetSlice()
		}
		for _, v := range values {
			flags = append(flags, "--"+f.Name+"="+v)
		}
	})
	if c.workload == densityWorkload { // others have what they need
		flags = append([]string{compaction}, flags...)
	}
	return flags
}

// compaction has the API servers compact the store several times in a trial, and
// not once in two or three: without it nothing asks what compaction is about. Of two
// such arguments kube-apiserver heeds the last, so a person's own wins.
const compaction = "--apiserver-arg=--etcd-compaction-interval=5s"

// differs says whether a flag that nobody gave is not that of `planecheck run`.
// Faults and the scenarios about the API have their traffic when they need it.
func (c *comparing) differs(flag string) bool {
	switch flag {
	case "contract-from": // without traffic it has no effect, and would be refused
		return c.workload == densityWorkload && c.options.Contract > 0
	case "rate": // so has this without pods
		return c.options.Pods > 0
	}
	return slices.Contains(compareDefaults, flag)
}

// beginTraffic has the contract traffic of a variant with a rate of its own begin when
// that of the others does, unless it says when: one without traffic must not be told
// when it begins, and one that alone has some must be.
func (c *comparing) beginTraffic(flags []string, v *results.Variant) {
	says := func(flag string) bool {
		return slices.ContainsFunc(v.Flags, func(given string) bool {
			name, _, _ := strings.Cut(given, "=")
			return name == "--"+flag
		})
	}
	if c.workload != densityWorkload || !says("contract") || says("contract-from") {
		return
	}
	o, err := c.trialOptions(slices.Concat(flags, v.Flags))
	switch {
	case err != nil: // for which it is refused
	case o.Contract == 0 && o.ContractFrom != "":
		v.Flags = append(v.Flags, "--contract-from=")
	case o.Contract > 0 && o.ContractFrom == "":
		v.Flags = append(v.Flags, "--contract-from="+c.options.ContractFrom)
	}
}

// admitAll refuses what a trial would refuse, and returns the stores of those that
// can be. A variant whose store cannot be opened is marked, and does not stop the
// others, unless there are none.
func (c *comparing) admitAll(ctx context.Context, s scenarios.Scenario, flags []string, variants []results.Variant) (backends []string, err error) {
	refused := 0
	for i := range variants {
		v := &variants[i]
		backend, err := c.admit(ctx, s, slices.Concat(flags, v.Flags))
		var unknown *unknownStore
		switch {
		case errors.As(err, &unknown):
			v.Refused = unknown.Error()
			refused++
		case errors.Is(err, scenarios.ErrInterrupted):
			return nil, err
		case err != nil:
			return nil, scenarios.Usagef("%s: %v", v.Name, err)
		case !slices.Contains(backends, backend):
			backends = append(backends, backend)
		}
	}
	if refused == len(variants) {
		return nil, scenarios.Usagef("%s: %s", variants[0].Name, variants[0].Refused)
	}
	return backends, nil
}

// unknownStore says that there is no store as --backend names it.
type unknownStore struct{ error }

// trialOptions are the settings of a trial with these flags.
func (c *comparing) trialOptions(flags []string) (scenarios.Options, error) {
	o := runOptions()
	o.RunsDir = c.runsDir
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	worldFlags(fs, &o)
	loadFlags(fs, &o)
	if err := fs.Parse(flags); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag of `planecheck run`", fs.Arg(0))
	}
	o.Given = given(fs)
	return o, nil
}

// admit refuses what a trial with these flags would refuse, and returns its store.
func (c *comparing) admit(ctx context.Context, s scenarios.Scenario, flags []string) (backend string, err error) {
	o, err := c.trialOptions(flags)
	if err != nil {
		return "", err
	}
	if _, err := storage.Open(o.World.Backend, storage.Options{Dir: c.runsDir, External: o.World.External}); err != nil {
		return "", &unknownStore{err}
	}
	return o.World.Backend, scenarios.Admit(ctx, s, o)
}

func (c *comparing) scenario() (scenarios.Scenario, error) {
	i := slices.IndexFunc(scenarios.Registry(), func(s scenarios.Scenario) bool { return s.Name == c.workload })
	if i < 0 {
		return scenarios.Scenario{}, scenarios.Usagef("there is no workload %q; `planecheck list` shows them", c.workload)
	}
	return scenarios.Registry()[i], nil
}
