package main

import (
	"github.com/spf13/cobra"
)

func newMatrixCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "matrix DIR...",
		Short: "Print guarantees by backends, from run directories",
		Long: `matrix reads the verdicts in run directories, those of ` + "`planecheck run contract/storage --backend X`" + `
for example, and prints a table in Markdown: the worst outcome of each guarantee on each
backend. A dot is a guarantee that was not put to the test there.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return newRunner().Matrix(args) },
	}
}
