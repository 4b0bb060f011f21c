package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/scenarios/bench"
)

func newBenchStorageCommand() *cobra.Command {
	o := bench.DefaultOptions()
	o.Planecheck = version
	show := ""
	cmd := &cobra.Command{
		Use:   "bench-storage",
		Short: "Stores without an API server: throughput and latency, beside the floors of this machine",
		Long: `bench-storage starts one backend after another, fills it with pods and Leases, and
measures each operation at each number of clients: the transactions, reads, lists and
watches that kube-apiserver sends, with keys and values of its shape. Each client sends
its next request when it has its last answer (a closed loop): a stall counts once for each
client, not for all that a load of a fixed rate would have sent meanwhile.

  create, update, renew   a Txn that creates or updates a pod, that updates a Lease
  get                     a linearizable Range of one pod
  list                    a Range of a page of a namespace, each page a request
  stream                  a RangeStream of a namespace
  watch                   8 writers update; every client watches, on a stream of its own; an
                          update's latency is from its send to the event at one client, and
                          a writer goes on when all clients have it

Beside it the floors: one fdatasync of 2 KiB in the same directory, and a round trip of an
empty gRPC call at the same numbers of clients. Nothing is recorded. Clients, and stores
without processes of their own, share this process.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if show != "" {
				return bench.Show(show, cmd.OutOrStdout())
			}
			return bench.Run(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.Backends, "backends", o.Backends, "stores, one after the other, of "+strings.Join(storage.Known(), ", "))
	externalFlags(fs, &o.External)
	fs.IntSliceVar(&o.Clients, "clients", o.Clients, "numbers of clients")
	fs.StringSliceVar(&o.Operations, "operations", o.Operations, "what is measured, in this order")
	fs.DurationVar(&o.Window, "duration", o.Window, "how long each operation is measured at each number of clients")
	fs.DurationVar(&o.Warmup, "warmup", o.Warmup, "how long it goes on before that")
	fs.IntVar(&o.Connections, "connections", o.Connections,
		"connections to each member that the clients share; a kube-apiserver has one for each resource, so dozens")
	fs.IntVar(&o.Objects, "objects", o.Objects, "pods that the store holds, and as many Leases")
	fs.IntVar(&o.Namespaces, "namespaces", o.Namespaces, "namespaces that the pods are in; a list is of one of them")
	fs.IntVar(&o.Page, "page", o.Page, "limit of a list")
	fs.Uint64Var(&o.Seed, "seed", o.Seed, "keys, values and choices come from it")
	fs.StringVar(&o.RunsDir, "runs", o.RunsDir, "directory that receives the run directory")
	fs.BoolVar(&o.KeepData, "keep-data", false, "keep the stores' data")
	fs.StringVar(&show, "show", "", "print the figures in this run directory again, and measure nothing")
	return cmd
}
