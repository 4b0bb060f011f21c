package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/planecheck/planecheck/scenarios"
	"github.com/planecheck/planecheck/scenarios/endstate"
)

func newListCommand() *cobra.Command {
	rules := false
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios and what each proves",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rules {
				for _, r := range endstate.Rules() {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\n    %s\n", r.Name, r.Reason)
				}
				return nil
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "SCENARIO\tLABELS\tA PASS PROVES THAT")
			for _, s := range scenarios.Registry() {
				proves := s.Proves
				if len(s.Breaks) > 0 {
					proves = "nothing: a run has to fail by " + strings.Join(s.Breaks, ", ") + "; " + proves
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, strings.Join(s.Labels, ","), proves)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&rules, "rules", rules, "list what SameEnd leaves out of the end states that it compares, and why")
	return cmd
}
