package sim

import "sync/atomic"

// Stats is the state of the simulated cluster at one moment.
type Stats struct {
	NodesRegistered int64 // nodes whose Node object was created or found
	NodesReady      int64 // nodes Ready and without the not-ready taint, as watched
	NodesDown       int64 // nodes that Crash turned off and Boot has not turned on again

	PodsHeld    int64 // pods bound to a node that is up, and not yet gone
	PodsRunning int64 // of those, reported Running and acknowledged
	PodRestarts int64 // times that the containers of one exited and were started again
	PodFlips    int64 // times that the readiness of one changed of itself

	WatchesOpen int64
	Relists     int64 // complete lists fetched again by a watch that had lost its place, or by a new process
	Reconnects  int64 // watches resumed from their last version after an end

	LeaseRenewals int64 // acknowledged
	LeaseFailed   int64 // renewals given up until the next one is due
	LeaseMissed   int64 // leases that ran out before their renewal was acknowledged

	NodeStatusWrites int64 // acknowledged
	PodStatusWrites  int64 // acknowledged
	PodDeletes       int64 // acknowledged
	PodsEvicted      int64 // reported as evicted, or as not admitted for want of memory
	WriteErrors      int64 // pod and node writes that failed and were tried again
}

// counters are the fields of Stats that change often, kept apart so that
// reading them takes no lock.
type counters struct {
	nodesRegistered, nodesReady, nodesDown   atomic.Int64
	podsHeld, podsRunning                    atomic.Int64
	podRestarts, podFlips                    atomic.Int64
	watchesOpen, relists, reconnects         atomic.Int64
	leaseRenewals, leaseFailed, leaseMissed  atomic.Int64
	nodeStatusWrites                         atomic.Int64
	podStatusWrites, podDeletes, writeErrors atomic.Int64
	podsEvicted                              atomic.Int64
}

// Stats returns the current figures. It is cheap and may be called at any time.
func (c *Cluster) Stats() Stats {
	s := &c.stats
	return Stats{
		NodesRegistered:  s.nodesRegistered.Load(),
		NodesReady:       s.nodesReady.Load(),
		NodesDown:        s.nodesDown.Load(),
		PodsHeld:         s.podsHeld.Load(),
		PodsRunning:      s.podsRunning.Load(),
		PodRestarts:      s.podRestarts.Load(),
		PodFlips:         s.podFlips.Load(),
		WatchesOpen:      s.watchesOpen.Load(),
		Relists:          s.relists.Load(),
		Reconnects:       s.reconnects.Load(),
		LeaseRenewals:    s.leaseRenewals.Load(),
		LeaseFailed:      s.leaseFailed.Load(),
		LeaseMissed:      s.leaseMissed.Load(),
		NodeStatusWrites: s.nodeStatusWrites.Load(),
		PodStatusWrites:  s.podStatusWrites.Load(),
		PodDeletes:       s.podDeletes.Load(),
		PodsEvicted:      s.podsEvicted.Load(),
		WriteErrors:      s.writeErrors.Load(),
	}
}
