package main

import (
	"github.com/spf13/cobra"
)

func newMatrixCommand() *cobra.Command {
	absent := ""
	cmd := &cobra.Command{
		Use:   "matrix DIR...",
		Short: "Print guarantees by backends, from run directories",
		Long: `matrix reads the verdicts in run directories, those of ` + "`planecheck run contract/storage --backend X`" + `
for example, and prints a table in Markdown: the worst outcome of each guarantee on each
backend. A dot is a guarantee that was not put to the test there. Below it is what the
runs were, and why one did not come to its end.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error { return newRunner().Matrix(args, absent) },
	}
	cmd.Flags().StringVar(&absent, "absent", absent, "a `file` with lines BACKEND CAUSE, of backends that could not be run: columns that say so")
	return cmd
}
