package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// readiness follows, with one watch of all nodes, which of the simulated ones
// can take pods. It stays open for the life of the cluster: Stats wants to
// know, and in a profile whose nodes do not watch themselves it is from here
// that a kubelet learns that it was declared dead.
type readiness struct {
	cluster *Cluster
	watcher *watcher
	ready   []bool // by node index
	listed  []bool
	changed chan struct{} // holds one token when the number of ready nodes changed
}

func newReadiness(c *Cluster) *readiness {
	r := &readiness{
		cluster: c,
		ready:   make([]bool, len(c.nodes)),
		listed:  make([]bool, len(c.nodes)),
		changed: make(chan struct{}, 1),
	}
	observer := c.cfg.Layer.Client(client.Identity{User: "observer", Class: history.ClassObserver, Token: c.cfg.ObserverToken})
	// Only the watcher's own goroutine draws.
	random := rand.New(rand.NewPCG(c.cfg.Seed, 0x6f62736572766572))
	r.watcher = newWatcher(c, observer, nodesResource, r, random.Float64)
	return r
}

func (r *readiness) observe(ctx context.Context) { r.watcher.run(ctx) }

func (r *readiness) begin() { clear(r.listed) }

func (r *readiness) event(typ string, raw []byte, _ uint64, _ history.Time) {
	seen, err := wire.ScanNode(raw)
	if err != nil {
		r.cluster.cfg.Log.Error("node on a watch cannot be read", "error", err)
		return
	}
	i, ok := nodeIndex(seen.Name)
	if !ok || i >= len(r.ready) {
		return
	}
	r.listed[i] = typ != "DELETED"
	r.set(i, typ != "DELETED" && seen.Ready && !seen.NotReadyTaint)
	if !r.cluster.behaviour.watchOwnNode && typ != "DELETED" {
		r.cluster.nodes[i].notice(seen)
	}
}

func (r *readiness) end() {
	for i, listed := range r.listed {
		if !listed {
			r.set(i, false)
		}
	}
}

func (r *readiness) set(i int, ready bool) {
	if r.ready[i] == ready {
		return
	}
	r.ready[i] = ready
	change := int64(1)
	if !ready {
		change = -1
	}
	r.cluster.stats.nodesReady.Add(change)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// ErrNotReady is why Start fails when the control plane has not made all nodes ready
// within Config.ReadyTimeout.
var ErrNotReady = errors.New("nodes not ready")

// wait returns when all nodes are ready, or when they cannot become so.
func (r *readiness) wait(ctx context.Context, limit time.Duration) error {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		s := r.cluster.Stats()
		missing := int64(len(r.ready)) - s.NodesReady
		if missing == 0 {
			return nil
		}
		select {
		case <-r.changed:
		case err := <-r.cluster.failed:
			return err
		case <-timeout.C:
			return fmt.Errorf("%w after %v: %d of %d (%d registered)",
				ErrNotReady, limit, missing, len(r.ready), s.NodesRegistered)
		case <-ctx.Done():
			return fmt.Errorf("wait for nodes to be ready: %d of %d missing: %w", missing, len(r.ready), ctx.Err())
		}
	}
}

// ownNode is the sink of a kubelet's watch of its own Node.
type ownNode struct{ n *node }

func (ownNode) begin() {}
func (ownNode) end()   {}

func (o ownNode) event(typ string, raw []byte, _ uint64, _ history.Time) {
	if typ == "DELETED" {
		return
	}
	seen, err := wire.ScanNode(raw)
	if err != nil {
		o.n.cluster.cfg.Log.Error("own node on a watch cannot be read", "node", o.n.name, "error", err)
		return
	}
	o.n.notice(seen)
}
