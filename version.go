package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/planecheck/planecheck/scenarios"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "The versions of planecheck and of everything that it links",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			for _, v := range scenarios.LinkedVersions(version, info) {
				fmt.Fprintf(cmd.OutOrStdout(), "%-28s %s\n", v.Name, v.Version)
			}
			return nil
		},
	}
}
