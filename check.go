package main

import (
	"github.com/spf13/cobra"

	"github.com/planecheck/planecheck/checkers"
)

func newCheckCommand(outcome *checkers.Outcome) *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR",
		Short: "Judge the recorded history of a run again, without a cluster",
		Long: `check reads the history in a run directory and comes to the same verdicts on the
store as the run did. The exit status is that of the worst verdict.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var err error
			*outcome, err = newRunner().Check(args[0])
			return err
		},
	}
}
