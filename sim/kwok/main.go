// Command kwok is the KWOK v0.8.0 controller, unchanged and with the
// dependency versions of its own release, so that the simulation can be
// measured beside it. "kwok stages" prints the stages to run it with; every
// other command line goes to KWOK itself.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodelease "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "stages" {
		fmt.Print(stages())
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		os.Exit(1)
	}
}

// stages returns the stages that KWOK itself publishes as "fast": a node is
// Ready and a pod Running with one status patch each, and a lease per node.
func stages() string {
	return strings.Join([]string{
		nodefast.DefaultNodeInit,
		nodelease.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady,
		podfast.DefaultPodComplete,
		podfast.DefaultPodDelete,
	}, "\n---\n")
}

// run hands the command line to KWOK. Its flags come in two sets: the logging
// and configuration flags must be read before its root command can be built.
func run() error {
	early := pflag.NewFlagSet("early", pflag.ContinueOnError)
	early.ParseErrorsAllowlist.UnknownFlags = true
	early.Usage = func() {} // the root command prints the help of both sets

	ctx, _ := log.InitFlags(signals.SetupSignalContext(), early)
	ctx, err := config.InitFlags(ctx, early)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	root := cmd.NewCommand(ctx)
	root.PersistentFlags().AddFlagSet(early)
	return root.ExecuteContext(ctx)
}
