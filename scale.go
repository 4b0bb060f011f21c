package main

import (
	"github.com/spf13/cobra"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/scenarios"
)

func newScaleCommand(outcome *checkers.Outcome) *cobra.Command {
	o := scenarios.DefaultOptions()
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "The main job: a cluster of N nodes, filled with M pods, judged and measured",
		Long: `scale registers N simulated nodes, fills the cluster with Deployments until M pods run,
holds it, changes it (--churn-pods), drains it, and prints verdicts, objectives, latencies
and costs. Everything measured is in the run directory. Without --nodes and --pods the
run is sized to the machine; it prints what it chose.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := scenarios.Find("scale/density")
			if err != nil {
				return err
			}
			o.Given = given(cmd.Flags())
			report, err := newRunner().Run(cmd.Context(), found[0], o)
			*outcome = report.Outcome
			return err
		},
	}
	worldFlags(cmd.Flags(), &o)
	runsFlag(cmd.Flags(), &o)
	loadFlags(cmd.Flags(), &o)
	return cmd
}
