package main

import (
	"github.com/spf13/cobra"
)

func newReportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR",
		Short: "Print again what a run printed at its end, from its run directory",
		Long: `report reads run.json in a run directory and prints the summary that the run printed at
its end, to the byte if this planecheck is the one that made the run and DIR is the path
that the run had printed: the last line repeats it. It starts nothing and judges nothing; ` + "`planecheck check`" + ` judges the history again. A run that has not ended,
or was killed, is shown as far as it has come, and a note says so.

The exit status is 0 whatever the verdict of the run was, and 2 if the directory holds no
run, one of another schema, or one that cannot be read.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return newRunner().Report(args[0]) },
	}
}
