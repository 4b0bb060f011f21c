package main

import (
	"github.com/spf13/cobra"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/scenarios"
)

func newUpCommand(outcome *checkers.Outcome) *cobra.Command {
	o := scenarios.DefaultOptions()
	o.World.Nodes = 10
	o.World.SchedulerSetting = "default"
	cmd := &cobra.Command{
		Use:   "up",
		Short: "A cluster to play with; prints a kubeconfig, Ctrl-C tears it down",
		Long: `up starts the control plane and the simulated nodes and prints the path of an
administrator's kubeconfig. The cluster lives until Ctrl-C. Pods that are scheduled to the
simulated nodes become Running; no container runs. A component that dies, or does not
start, ends it with status 1; its logs stay then.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			o.Given = given(cmd.Flags())
			*outcome, err = newRunner().Up(cmd.Context(), o)
			return err
		},
	}
	worldFlags(cmd.Flags(), &o)
	runsFlag(cmd.Flags(), &o)
	return cmd
}
