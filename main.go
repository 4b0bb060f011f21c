// planecheck tests Kubernetes control planes: it boots a real one on this
// machine, drives it with a simulated cluster, and says whether it stayed
// correct and how fast it was.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/planecheck/planecheck/apiserver/component"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/scenarios"
)

// version is set by the Makefile.
var version = "unknown"

func main() {
	component.Hook() // does not return in a child process

	// The Kubernetes libraries put flags of theirs there, which cobra would
	// show as our own.
	pflag.CommandLine = pflag.NewFlagSet("planecheck", pflag.ContinueOnError)

	ctx, stop := interruptible(context.Background())
	defer stop()
	outcome := checkers.Pass
	root := newRootCommand(&outcome)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "planecheck:", oneLine(ctx, err))
	}
	status := scenarios.ExitStatus(outcome, err)
	stop()
	os.Exit(status)
}

// interruptible returns a context that ends with ErrInterrupted at the first
// SIGINT, SIGTERM or SIGHUP. A second one ends the process at once; its
// children follow, because they were started with a parent-death signal.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			cancel(scenarios.ErrInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// oneLine prefers the reason for which everything was cancelled to the many
// "context canceled" that follow from it.
func oneLine(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}
