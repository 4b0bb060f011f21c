package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Crash turns the machines of those nodes off, as a cut of their power does:
// leases, status and watches stop at once, connections of their own are
// closed, and their containers are lost. A write that is under way is
// abandoned: whether the API server carries it out is not known. When Crash
// returns, nothing of the nodes runs any more, and until Boot no hook is called
// for them and no renewal of their leases is due.
//
// The API server does hear of it, by the streams that end. Who wants it to hear
// nothing cuts the network first.
//
// Nodes that are down already stay so. A name that no node has is an error, and
// then nothing was done. Crash, Boot and RestartKubelets may be called at any
// time after Start, again and again; concurrent calls take turns.
func (c *Cluster) Crash(nodes ...string) error {
	return c.outage("crash nodes", nodes, func(nodes []*node) error {
		nodes = slices.DeleteFunc(nodes, func(n *node) bool { return n.down })
		for _, n := range nodes {
			n.down = true
		}
		c.stats.nodesDown.Add(int64(len(nodes)))
		var lives []*life
		for _, n := range nodes {
			lives = append(lives, n.lives()...)
		}
		for _, l := range lives {
			l.close()
		}
		for _, n := range nodes {
			n.closeConnections() // before the cancel: the dead do not reset their streams
		}
		for _, l := range lives {
			l.cancel()
		}
		if err := c.await(lives); err != nil {
			return err
		}
		for _, n := range nodes {
			n.loseAll()
		}
		return nil
	})
}

// Boot turns machines on that Crash turned off. It does not wait for what
// follows: the kubelet finds its Node, reports a new bootID, takes its lease and
// lists its pods. Those that ran are started again in new containers, with a
// higher restart count (those with restartPolicy Never have failed); those that
// are being deleted are reported as ended, and deleted; of those that are gone
// nothing is left to be written. Nodes that are up are left alone.
func (c *Cluster) Boot(nodes ...string) error {
	return c.outage("boot nodes", nodes, func(nodes []*node) error {
		nodes = slices.DeleteFunc(nodes, func(n *node) bool { return !n.down })
		var lives []*life
		for _, n := range nodes {
			lives = append(lives, n.lives()...)
		}
		if err := c.await(lives); err != nil {
			return err // of a Crash that gave up on them
		}
		var errs []error
		for _, n := range nodes {
			n.loseAll()
			if err := n.connect(); err != nil {
				errs = append(errs, err)
				continue
			}
			n.down = false
			c.stats.nodesDown.Add(-1)
			n.boot()
		}
		return errors.Join(errs...)
	})
}

// RestartKubelets ends the kubelets of those nodes and starts them again, all
// at once: a relist storm. Containers go on, kube-proxies too; the kubelet
// finds its Node, renews its lease, for which the old deadline still holds,
// lists its pods and, where the profile reads before it writes, reads each of
// them once: its status manager has yet to learn that there is nothing to say
// (needsUpdate in pkg/kubelet/status/status_manager.go). Containers that wait to be
// started again are started at once: the back-off was in the kubelet's memory. So are
// those that were killed in an eviction of which nobody was told, unless their
// restartPolicy is Never: then their pod has failed. Nodes that are down have no kubelet
// to restart and are left alone.
func (c *Cluster) RestartKubelets(nodes ...string) error {
	return c.outage("restart kubelets", nodes, func(nodes []*node) error {
		nodes = slices.DeleteFunc(nodes, func(n *node) bool { return n.down })
		lives := make([]*life, len(nodes))
		for i, n := range nodes {
			lives[i] = n.lives()[0]
			lives[i].close()
			lives[i].cancel()
		}
		if err := c.await(lives); err != nil {
			return err
		}
		var errs []error
		for _, n := range nodes {
			n.endProcess()
			errs = append(errs, n.connect())
		}
		for i, n := range nodes { // now that nothing is left that would spread them out
			if errs[i] == nil {
				n.run(func() {})
			}
		}
		return errors.Join(errs...)
	})
}

// SetClock sets the wall clock of a node off by that much, or right again with
// 0: the renewTime of its lease, its heartbeats, and the times in the statuses
// of its pods. When something is due is not touched: that goes by the clock of
// the run. It may be called at any time after Start, also for a node that is
// down.
func (c *Cluster) SetClock(name string, offset time.Duration) error {
	return c.outage("set clock", []string{name}, func(nodes []*node) error {
		nodes[0].clockOff.Store(int64(offset))
		return nil
	})
}

// outage does something to the nodes of those names, each once.
func (c *Cluster) outage(what string, names []string, do func([]*node) error) error {
	c.power.Lock()
	defer c.power.Unlock()
	nodes, err := c.named(names)
	if err == nil {
		err = do(nodes)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// named is called with c.power held.
func (c *Cluster) named(names []string) ([]*node, error) {
	switch {
	case c.life.Err() != nil:
		return nil, errStopped
	case !c.started:
		return nil, errors.New("the simulated cluster has not started")
	}
	var unknown []string
	nodes := make([]*node, 0, len(names))
	for _, name := range names {
		if i, ok := nodeIndex(name); ok && i < len(c.nodes) {
			nodes = append(nodes, c.nodes[i])
		} else {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("no such nodes: %q", unknown)
	}
	slices.SortFunc(nodes, func(a, b *node) int { return a.index - b.index })
	return slices.Compact(nodes), nil
}

// boot starts the machine again.
func (n *node) boot() {
	n.mu.Lock()
	n.boots++
	n.rebooted = true
	n.mu.Unlock()
	n.turnOn(func() {})
}

// loseAll forgets what a machine does when its power is cut. Nothing of the
// node runs any more.
func (n *node) loseAll() {
	n.endProcess()
	n.lease = heartbeat{} // a fresh start: nothing was due meanwhile
	n.proxy = n.kept(n.proxy)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proxying = false
	for i := len(n.pods.pods) - 1; i >= 0; i-- {
		n.forget(n.pods.pods[i].uid)
	}
	n.pods = podTable{}
	n.courses = nil
	n.pressure = pressure{}
}

// endProcess forgets what a kubelet's process knows and its container runtime
// does not. Nothing of the process runs any more.
//
// A pod that was not reported to run, or to have ended, is to be looked at
// anew. One that runs goes on (HandlePodCleanups in pkg/kubelet/kubelet_pods.go
// finds it in the runtime), and one whose containers have ended is found so.
func (n *node) endProcess() {
	n.stopTimers()
	if n.kubelet != nil {
		n.kubelet.Close()
	}
	n.kubelet = n.kept(n.kubelet)
	n.lease.meta = nil
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leaseTimer, n.statusTimer, n.status = nil, nil, statusClock{}
	n.courseTimer = nil
	n.pressure.newProcess()
	n.restarted = true
	n.queue, n.writing = nil, false
	n.pods.lists = 0
	for i := range n.courses {
		n.courses[i].backoff = backoff{} // is in the memory of the process
	}
	for i := range n.pods.pods {
		p := &n.pods.pods[i]
		p.listed = 0
		switch {
		case p.state == podRunning || p.state == podEnded || p.state == podExited:
		case p.down:
			p.state, p.evicted = podCrashed, false
			if c := n.courses.find(p.uid); c != nil {
				c.rest()
			}
		default:
			p.state, p.evicted = podUnknown, false
		}
	}
}
