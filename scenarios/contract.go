package scenarios

import (
	"context"
	"fmt"
	"strings"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/workloads/contract"
)

// contractTraffic is the traffic beside the load.
type contractTraffic struct {
	workload *contract.Workload
	stop     context.CancelFunc // nil: it has not begun
	ended    chan error
	began    history.Time
}

// prepareContract makes what the traffic, if the plan has any, is about: it
// belongs into the time of no phase.
func (x *execution) prepareContract(ctx context.Context) error {
	plan := x.plan.Contract
	if plan == nil {
		return nil
	}
	var clients []*client.Client
	for _, id := range contractIdentities(plan) {
		clients = append(clients, x.cluster.layer.Client(id))
	}
	w, err := contract.New(*plan, contract.Deps{Clients: clients, Log: x.log})
	if err != nil {
		return err
	}
	if err := w.Prepare(ctx); err != nil {
		return err
	}
	x.contract = &contractTraffic{workload: w, ended: make(chan error, 1)}
	return nil
}

// startContract starts the traffic before the phase with which the plan has it
// begin.
func (x *execution) startContract(ctx context.Context, phase string) {
	c := x.contract
	if c == nil || c.stop != nil || x.plan.ContractFrom != "" && x.plan.ContractFrom != phase {
		return
	}
	var running context.Context
	running, c.stop = context.WithCancel(ctx)
	c.began = history.Now()
	go func() { c.ended <- c.workload.Run(running) }()
}

// stopContract ends the traffic and takes away what it has made, so that the
// last state of the cluster is one that nobody changes.
func (x *execution) stopContract(ctx context.Context) error {
	c := x.contract
	if c == nil || c.stop == nil {
		return nil
	}
	c.stop()
	err := <-c.ended
	x.sumUpContract()
	if err != nil {
		return err
	}
	err = c.workload.Cleanup(ctx)
	switch {
	case err == nil:
		return nil
	case len(x.plan.Breaks) > 0 && ctx.Err() == nil: // what is broken may not let go of its objects
		x.log.Warn("the contract traffic leaves objects behind", "err", err)
		return nil
	}
	return fmt.Errorf("clean up after the contract traffic: %w", err)
}

// sumUpContract takes the figures of the traffic as it stands, once. A run that is cut
// short does not wait for it.
func (x *execution) sumUpContract() {
	c := x.contract
	if c == nil || c.stop == nil || x.run.Contract != nil {
		return
	}
	s := c.workload.Stats()
	x.run.Contract = &results.Contract{
		Seconds: results.Seconds(history.Since(c.began)), Operations: s.Operations, Requests: s.Requests, Errors: s.Errors,
		Unknown: s.Unknown, Late: s.Late,
		WatchesOpened: s.Watches.Opened, WatchesResumed: s.Watches.Resumed, WatchEvents: s.Watches.Events,
		Calls: x.m.contract.calls.Figures(),
	}
}

// contractPrefix begins the name of each namespace of contract traffic, and of no other.
const contractPrefix = "contract-"

// ofContract says whether a key of the store is a pod of the contract traffic,
// which is never scheduled and no part of the load.
func ofContract(key string) bool { return strings.HasPrefix(key, "/registry/pods/"+contractPrefix) }
