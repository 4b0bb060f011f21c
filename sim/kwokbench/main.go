// Command kwokbench measures planecheck's simulated nodes beside KWOK: on one API
// server, in turns, each simulator in a process of its own, with the same nodes
// and the same pods, bound at creation. It prints a Markdown table.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
)

// options are the flags.
type options struct {
	nodes, pods, rounds int
	hold                time.Duration
	arms                string
	backend             string
	planecheck          string
	simulator, kwok     string
	kwokParallelism     int
	dir                 string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("kwokbench", flag.ContinueOnError)
	flags.IntVar(&o.nodes, "nodes", 1000, "simulated nodes")
	flags.IntVar(&o.pods, "pods", 10000, "pods to start in each turn")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; in each, every arm has one turn")
	flags.DurationVar(&o.hold, "hold", 30*time.Second, "how long to measure idle nodes; at least 25s, to see leases renewed twice")
	flags.StringVar(&o.arms, "arms", "lean,kubelet,kwok", "what to measure: lean, kubelet (profiles of planecheck), kwok")
	flags.StringVar(&o.backend, "backend", "etcd:members=1", "storage backend")
	flags.StringVar(&o.planecheck, "planecheck", "", "binary of planecheck, which the control plane is run from")
	flags.StringVar(&o.simulator, "simulator", "", "binary of ./simulator")
	flags.StringVar(&o.kwok, "kwok", "", "binary of sim/kwok")
	flags.IntVar(&o.kwokParallelism, "kwok-parallelism", 0, "KWOK's parallel pod, node and lease writers; 0: its default, 4 each")
	flags.StringVar(&o.dir, "dir", "", "directory for data, logs and rounds.json; default: a temporary one, removed after success")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.nodes < 1 || o.pods < 1 || o.rounds < 1:
		return o, errors.New("--nodes, --pods and --rounds must be at least 1")
	case o.hold < 25*time.Second:
		return o, errors.New("--hold must be at least 25s")
	case o.pods > o.nodes*110:
		return o, fmt.Errorf("%d pods do not fit on %d nodes of 110", o.pods, o.nodes)
	case o.planecheck == "" || o.simulator == "" || o.kwok == "":
		return o, errors.New("--planecheck, --simulator and --kwok must name binaries")
	}
	for _, name := range o.armNames() {
		if name != armKWOK && name != "lean" && name != "kubelet" {
			return o, fmt.Errorf("unknown arm %q: lean, kubelet or kwok", name)
		}
	}
	return o, nil
}

func (o options) armNames() []string { return strings.Split(o.arms, ",") }

func main() {
	etcdproc.Hook() // does not return in a child process
	// The simulators die with the thread that started them (Pdeathsig): let it
	// be this one, which lives as long as the process.
	runtime.LockOSThread()
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kwokbench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kwokbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "planecheck-kwokbench-"); err != nil {
			return fmt.Errorf("make a directory for the run: %w", err)
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(o.dir)
			} else {
				err = fmt.Errorf("%w (files kept in %s)", err, o.dir)
			}
		}()
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	p, err := startPlane(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()

	names := o.armNames()
	rounds := make([]map[string]result, o.rounds)
	for i := range rounds {
		rounds[i] = map[string]result{}
		for j := range names {
			name := names[(i+j)%len(names)] // every arm has every place in the order
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", i+1, o.rounds, name)
			r, err := p.turn(ctx, o, name)
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", i+1, name, err)
			}
			rounds[i][name] = r
			if err := save(o, rounds[:i+1]); err != nil {
				return err
			}
		}
	}
	fmt.Print(table(o, rounds))
	return nil
}

// save keeps what was measured so far.
func save(o options, rounds []map[string]result) error {
	text, err := json.MarshalIndent(rounds, "", "  ")
	if err != nil {
		return fmt.Errorf("save rounds: %w", err)
	}
	if err := os.WriteFile(o.dir+"/rounds.json", text, 0o600); err != nil {
		return fmt.Errorf("save rounds: %w", err)
	}
	return nil
}
