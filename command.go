package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/scenarios"
)

// newRootCommand wires the commands. The outcome of a command that judges a
// run is left in outcome, because a failed run is not a failed command.
func newRootCommand(outcome *checkers.Outcome) *cobra.Command {
	root := &cobra.Command{
		Use:   "planecheck",
		Short: "Scale and correctness tests of real Kubernetes control planes on one machine",
		Long: `planecheck boots a real kube-apiserver, kube-scheduler and kube-controller-manager on
a real etcd cluster, drives them with simulated nodes and a paced load, and ends with
verdicts, latencies and throughput. Everything stays on loopback.

Exit status: 0 pass · 1 fail · 2 usage, or cannot fit · 3 unknown or invalid ·
4 fault of the harness · 5 objective missed with --slo-fail, by a run that passes ·
130 interrupted.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return scenarios.Usagef("%s: %v (see `%s --help`)", cmd.Name(), err, cmd.CommandPath())
	})
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		newScaleCommand(outcome),
		newRunCommand(outcome),
		newCompareCommand(outcome),
		newCheckCommand(outcome),
		newReportCommand(),
		newDiffCommand(),
		newMatrixCommand(),
		newListCommand(),
		newUpCommand(outcome),
		newBenchStorageCommand(),
		newVersionCommand(),
	)
	for _, cmd := range append(root.Commands(), root) {
		cmd.Args = usageArgs(cmd.Args)
		if startsComponents[cmd.Name()] {
			cmd.PreRunE = func(*cobra.Command, []string) error { return scenarios.RefuseUnversioned() }
		}
	}
	return root
}

// startsComponents are the commands that start what is linked into this binary.
var startsComponents = map[string]bool{"scale": true, "run": true, "compare": true, "up": true}

// usageArgs makes a wrong number of arguments a usage error like any other.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return scenarios.Usagef("%s: %v (see `%s --help`)", cmd.Name(), err, cmd.CommandPath())
		}
		return nil
	}
}

// newRunner prints to standard output, with bars if that is a terminal.
func newRunner() *scenarios.Runner {
	return &scenarios.Runner{
		Out:        os.Stdout,
		Terminal:   term.IsTerminal(int(os.Stdout.Fd())),
		Planecheck: version,
	}
}
