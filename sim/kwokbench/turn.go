package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// result is what one turn of one arm measured.
type result struct {
	Ready   float64 // seconds until all nodes were Ready and without taint
	Watches int     // held by the simulator while idle

	Hold window // idle nodes
	Fill window // all pods from created to Running
	Life fillTimes

	IdleRSS int64 // bytes, at the end of Hold
	FillRSS int64 // bytes, at the end of Fill
	PeakRSS int64 // bytes, until the end of Fill
}

// window is what happened in one phase.
type window struct {
	Seconds   float64
	CPU       float64 // seconds, of the simulator
	ServerCPU float64 // seconds, of the API server
	Writes    writes
}

// fillTimes are the times of the pods of one turn.
type fillTimes struct {
	PodsPerSecond float64 // from the first create to the last pod seen Running
	P50, P99, Max float64 // seconds from a pod's create call to Running seen
}

func newFillTimes(begin history.Time, created, running []history.Time) fillTimes {
	latency := make([]float64, len(created))
	for i := range created {
		latency[i] = running[i].Sub(created[i]).Seconds()
	}
	slices.Sort(latency)
	return fillTimes{
		PodsPerSecond: float64(len(created)) / slices.Max(running).Sub(begin).Seconds(),
		P50:           quantile(latency, 0.50),
		P99:           quantile(latency, 0.99),
		Max:           latency[len(latency)-1],
	}
}

// quantile of a sorted slice: the smallest value that at least the share q of
// all values does not exceed. Zero if there are none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(i, 1), len(sorted))-1]
}

// settle is how long nodes are left alone before Hold: long enough for each
// lease to have been renewed once (10 s + 4 %).
const settle = 12 * time.Second

// readyTimeout bounds the start of the nodes.
const readyTimeout = 10 * time.Minute

// turn lets one arm simulate the nodes and the pods, on an empty cluster, and
// leaves an empty cluster.
func (p *plane) turn(ctx context.Context, o options, name string) (r result, err error) {
	before, err := p.watches(ctx)
	if err != nil {
		return r, err
	}
	reader := newAuditReader(p.audit)
	logFile := filepath.Join(o.dir, name+".log")
	begin := time.Now()
	a, err := p.start(ctx, o, name, logFile)
	if err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w (its log ends: %s)", err, tail(logFile))
		}
		err = errors.Join(err, a.end(), p.clear(context.WithoutCancel(ctx)))
	}()
	if err := p.awaitNodes(ctx, a, o.nodes); err != nil {
		return r, err
	}
	r.Ready = time.Since(begin).Seconds()
	if err := pause(ctx, settle); err != nil {
		return r, err
	}
	if _, err := reader.take(); err != nil {
		return r, err
	}
	r.Hold, err = p.measure(a, reader, func() error { return pause(ctx, o.hold) })
	if err != nil {
		return r, err
	}
	if err := r.idle(ctx, p, a, before); err != nil {
		return r, err
	}
	r.Fill, err = p.measure(a, reader, func() error {
		r.Life, err = p.fill(ctx, a, o)
		return err
	})
	if err != nil {
		return r, err
	}
	used, err := readUsage(a.cmd.Process.Pid)
	r.FillRSS, r.PeakRSS = used.RSS, used.Peak
	return r, err
}

func (r *result) idle(ctx context.Context, p *plane, a *arm, watchesBefore int) error {
	used, err := readUsage(a.cmd.Process.Pid)
	if err != nil {
		return err
	}
	r.IdleRSS = used.RSS
	now, err := p.watches(ctx)
	r.Watches = now - watchesBefore
	return err
}

func (p *plane) start(ctx context.Context, o options, name, logFile string) (*arm, error) {
	if name != armKWOK {
		return p.startSim(o, name, logFile)
	}
	a, err := p.startKWOK(ctx, o, logFile)
	if err != nil {
		return nil, err
	}
	if err := p.createNodes(ctx, o.nodes); err != nil {
		return nil, errors.Join(err, a.end(), p.clear(context.WithoutCancel(ctx)))
	}
	return a, nil
}

// awaitNodes waits until pods may be bound to all nodes.
func (p *plane) awaitNodes(ctx context.Context, a *arm, n int) error {
	return p.awaitAll(ctx, a, nodesResource, n, readyTimeout, func(raw []byte, _ history.Time) (string, error) {
		node, err := wire.ScanNode(raw)
		if err != nil || !node.Ready || node.NotReadyTaint {
			return "", err
		}
		return node.Name, nil
	})
}

// measure says what was used and written while do ran.
func (p *plane) measure(a *arm, reader *auditReader, do func() error) (w window, err error) {
	begin := time.Now()
	before, err := p.readings(a)
	if err != nil {
		return w, err
	}
	if err := do(); err != nil {
		return w, err
	}
	if err := a.alive(); err != nil {
		return w, err
	}
	after, err := p.readings(a)
	if err != nil {
		return w, err
	}
	w = window{Seconds: time.Since(begin).Seconds(), CPU: after[0] - before[0], ServerCPU: after[1] - before[1]}
	w.Writes, err = reader.take()
	return w, err
}

// readings are the CPU seconds of simulator and API server.
func (p *plane) readings(a *arm) (cpu [2]float64, err error) {
	used, err := readUsage(a.cmd.Process.Pid)
	if err != nil {
		return cpu, err
	}
	server, err := p.serverCPU()
	return [2]float64{used.CPU, server}, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
