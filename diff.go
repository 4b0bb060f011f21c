package main

import (
	"github.com/spf13/cobra"
)

func newDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Two runs beside one another, from their run directories",
		Long: `diff reads run.json in two run directories and prints what differs in plan, settings,
versions, machines and verdicts, and the figures of both runs with their ratio B/A: pods/s by
phase, the hops of a pod's life, latencies by verb and resource, SLOs, Leases, CPU and memory
by component. What a run did not measure is "-". It starts nothing and judges nothing.

One pair of runs says nothing about significance: two runs of the same plan differ, too.
` + "`planecheck compare`" + ` makes runs in pairs, several times, and says which differences are
significant.

The exit status is 0 whatever the two runs came to, and 2 if a directory holds no run, one of
another schema, or one that cannot be read.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return newRunner().Diff(args[0], args[1]) },
	}
}
