package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// readyPoll is how often it is looked whether a node is Ready.
const readyPoll = 500 * time.Millisecond

// skewClock sets the clock of one kubelet back. The evidence is a lease that is
// renewed, and in the past, which no lease of a clock that is right is. That the node
// stays Ready, since a controller tells time by its own clock
// (pkg/controller/nodelifecycle), is looked at until it is healed.
func skewClock(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := someNodes(e, target)
	if err != nil {
		return nil, err
	}
	name := names[0]
	before, err := renewed(ctx, e, name)
	if err != nil {
		return nil, err
	}
	watch := watchReady(ctx, e, name)
	a := &Active{heal: func(context.Context) (string, error) {
		err := e.Nodes.SetClock(name, 0)
		looks, notReady := watch.end()
		if err := errors.Join(err, notReady); err != nil {
			return "", fmt.Errorf("while its clock was off: %w", err)
		}
		return fmt.Sprintf("%s was Ready all the same, each of %d times", name, looks), nil
	}}
	if err := e.Nodes.SetClock(name, clockOffset); err != nil {
		return nil, healed(ctx, a, err)
	}
	return shown(ctx, a, "a lease of the past", func(ctx context.Context) error {
		now, err := renewed(ctx, e, name)
		if err != nil {
			return err
		}
		a.Evidence = fmt.Sprintf("the lease of %s was renewed and says that this was at %s, %v before the renewal of before",
			name, now.Format(time.TimeOnly), before.Sub(now).Round(time.Second))
		return renewedInThePast(before, now, time.Now())
	})
}

// renewedInThePast fails unless a lease was renewed, by a clock that was off. One
// that nobody renews keeps its time; what is renewed with the right clock goes
// forward.
func renewedInThePast(before, renewal, now time.Time) error {
	switch {
	case renewal.Equal(before):
		return errors.New("it is not renewed yet")
	case now.Sub(renewal) < -clockOffset:
		return fmt.Errorf("it was renewed %v ago, by its own account", now.Sub(renewal))
	case renewal.After(before):
		return fmt.Errorf("it was renewed %v after the last time", renewal.Sub(before))
	}
	return nil
}

// renewed is when a node's lease says that it was renewed.
func renewed(ctx context.Context, e *Env, node string) (time.Time, error) {
	lease, err := e.API.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return time.Time{}, err
	}
	if lease.Spec.RenewTime == nil {
		return time.Time{}, fmt.Errorf("the lease of %s says not when it was renewed", node)
	}
	return lease.Spec.RenewTime.Time, nil
}

// readyWatch looks again and again whether a node is Ready.
type readyWatch struct {
	stop     context.CancelFunc
	looking  sync.WaitGroup
	looks    int   // guarded by looking
	notReady error // guarded by looking; the first
}

func watchReady(ctx context.Context, e *Env, node string) *readyWatch {
	w := &readyWatch{}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.looking.Go(func() { w.run(ctx, e, node) })
	return w
}

func (w *readyWatch) run(ctx context.Context, e *Env, node string) {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		n, err := e.API.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err == nil { // else nobody has said anything
			w.looks++
			if !NodeReady(n) && w.notReady == nil {
				w.notReady = fmt.Errorf("node %s was not Ready", node)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// end returns how often the node was seen, and that it was not Ready once.
func (w *readyWatch) end() (int, error) {
	w.stop()
	w.looking.Wait()
	if w.looks == 0 && w.notReady == nil {
		return 0, errors.New("nobody could say whether the node was Ready")
	}
	return w.looks, w.notReady
}
