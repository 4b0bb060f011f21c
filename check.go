package main

import (
	"github.com/spf13/cobra"

	"github.com/planecheck/planecheck/checkers"
)

func newCheckCommand(outcome *checkers.Outcome) *cobra.Command {
	follow := false
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Judge the recorded history of a run again, without a cluster",
		Long: `check reads the history in a run directory and comes to the same verdicts on the
store, the API and the cluster as the run did. What only the run knew, whether its plan
came to its end, a component died, a lease was missed or a fault took effect, is taken
from run.json and not judged again. The exit status is that of the worst verdict of
both. With --follow the run may still be going on: its history is judged as it is
written, and each guarantee is named when it is first seen broken.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if follow {
				*outcome, err = newRunner().Follow(cmd.Context(), args[0])
			} else {
				*outcome, err = newRunner().Check(cmd.Context(), args[0])
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&follow, "follow", false, "of a run that is going on: judge its history while it is written")
	return cmd
}
