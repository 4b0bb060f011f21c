// Command simulator is a process that holds nothing but simulated nodes, so
// that their CPU and memory are the operating system's own figures. It reads
// its Config from the first line of standard input, prints a line when all
// nodes are Ready, and ends with its standard input.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/sim"
)

// Config is the line on standard input.
type Config struct {
	Servers       []string
	CA            []byte
	Nodes         int
	Profile       sim.Profile
	Seed          uint64
	ObserverToken string
}

// startTimeout bounds the registration of all nodes.
const startTimeout = 10 * time.Minute

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

func run(stdin io.Reader, stdout io.Writer) error {
	input := bufio.NewReader(stdin)
	line, err := input.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	var cfg Config
	if err := json.Unmarshal(line, &cfg); err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	layer, err := client.New(client.Config{Servers: cfg.Servers, CA: cfg.CA})
	if err != nil {
		return err
	}
	defer layer.Close()
	nodes := sim.New(sim.Config{
		Nodes: cfg.Nodes, Profile: cfg.Profile, Layer: layer, Seed: cfg.Seed, ObserverToken: cfg.ObserverToken,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := nodes.Start(ctx); err != nil {
		return err
	}
	defer nodes.Stop()
	fmt.Fprintln(stdout, "ready")
	_, err = io.Copy(io.Discard, input) // until the parent closes it or ends
	return err
}
