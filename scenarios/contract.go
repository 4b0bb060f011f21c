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

// contractTraffic is the traffic beside the load, while it runs.
type contractTraffic struct {
	workload *contract.Workload
	stop     context.CancelFunc
	ended    chan error
	began    history.Time
}

// startContract starts the traffic, if the plan has any.
func (x *execution) startContract(ctx context.Context) error {
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
	running, stop := context.WithCancel(ctx)
	x.contract = &contractTraffic{workload: w, stop: stop, ended: make(chan error, 1), began: history.Now()}
	go func() { x.contract.ended <- w.Run(running) }()
	return nil
}

// stopContract ends the traffic and takes away what it has made, so that the
// last state of the cluster is one that nobody changes.
func (x *execution) stopContract(ctx context.Context) error {
	c := x.contract
	if c == nil {
		return nil
	}
	c.stop()
	err := <-c.ended
	lasted := history.Since(c.began)
	s := c.workload.Stats()
	x.run.Contract = &results.Contract{
		Seconds: results.Seconds(lasted), Operations: s.Operations, Requests: s.Requests, Errors: s.Errors,
		Unknown: s.Unknown, Late: s.Late,
		WatchesOpened: s.Watches.Opened, WatchesResumed: s.Watches.Resumed, WatchEvents: s.Watches.Events,
	}
	if err != nil {
		return err
	}
	if err := c.workload.Cleanup(ctx); err != nil {
		return fmt.Errorf("clean up after the contract traffic: %w", err)
	}
	return nil
}

// ofContract says whether a key of the store is a pod of the contract traffic,
// which is never scheduled and no part of the load.
func ofContract(key string) bool { return strings.HasPrefix(key, "/registry/pods/contract-") }
