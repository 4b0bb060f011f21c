package sim

import (
	"context"
	"errors"

	"github.com/planecheck/planecheck/checkers/history"
)

// life is one run of a process of a node, the kubelet or the kube-proxy: from
// its start to the crash, the restart or the Stop that ends it. All that the
// process does runs under its tasks and its context. So an end is a mark and a
// cancel, and what was set going before it (a timer, a retry, the answer to a
// write) finds the door closed instead of acting in the name of the next life.
type life struct {
	ctx    context.Context
	cancel context.CancelFunc
	tasks
	ended history.Time // guarded by tasks.mu; zero: not ended
}

func newLife(parent context.Context) *life {
	l := new(life)
	l.ctx, l.cancel = context.WithCancel(parent)
	return l
}

// close lets nothing new begin. What is under way goes on until cancel.
func (l *life) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		l.stopped, l.ended = true, history.Now()
	}
}

// now is the time as the process knows it: it stands still at its end.
func (l *life) now() history.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != 0 {
		return l.ended
	}
	return history.Now()
}

// over says whether the life was ended, by its own end or by the cluster's.
func (l *life) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped || l.ctx.Err() != nil
}

// lives are those of the node's processes that were ever started, the kubelet's
// first.
func (n *node) lives() []*life {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.life == nil:
		return nil
	case n.proxyLife == nil:
		return []*life{n.life}
	}
	return []*life{n.life, n.proxyLife}
}

var errStopped = errors.New("the simulated cluster is stopped")

// await waits until nothing of those lives runs any more, or the cluster is
// stopped.
func (c *Cluster) await(lives []*life) error {
	return drain(stopTimeout, c.life.Done(), work(lives)...)
}

func work(lives []*life) []*tasks {
	all := make([]*tasks, len(lives))
	for i, l := range lives {
		all[i] = &l.tasks
	}
	return all
}
