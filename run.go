package main

import (
	"github.com/spf13/cobra"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/scenarios"
)

func newRunCommand(outcome *checkers.Outcome) *cobra.Command {
	o := runOptions()
	count := 1
	cmd := &cobra.Command{
		Use:   "run REGEXP",
		Short: "Run the scenarios whose whole name matches, see `planecheck list`",
		Long: `run plans and runs each scenario whose whole name matches the regular expression,
--count times with the seeds SEED, SEED+1, ..., goes on after one that did not pass, and
ends with a table and the worst outcome as exit status.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := scenarios.Find(args[0])
			if err != nil {
				return err
			}
			if count < 1 {
				return scenarios.Usagef("--count is %d; it must be at least 1", count)
			}
			o.Given = given(cmd.Flags())
			*outcome, err = newRunner().RunAll(cmd.Context(), found, o, count)
			return err
		},
	}
	cmd.Flags().IntVar(&count, "count", count, "runs of each scenario, each with the next seed")
	worldFlags(cmd.Flags(), &o)
	runsFlag(cmd.Flags(), &o)
	loadFlags(cmd.Flags(), &o)
	return cmd
}

// runOptions are the settings of `planecheck run` without a flag.
func runOptions() scenarios.Options {
	o := scenarios.DefaultOptions()
	o.Small = true
	return o
}
