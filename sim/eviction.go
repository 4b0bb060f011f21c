package sim

import (
	"fmt"
	"time"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// The kubelet's rules for evictions (evictionMonitoringPeriod in
// pkg/kubelet/kubelet.go, the constants of pkg/kubelet/eviction/eviction_manager.go,
// EvictionPressureTransitionPeriod in pkg/kubelet/apis/config/v1beta1/defaults.go).
// Containers get what killContainer in pkg/kubelet/kuberuntime/kuberuntime_container.go
// gives to all of them: more than the one second that the eviction manager asks for.
const (
	housekeeping       = 10 * time.Second
	pressureTransition = 5 * time.Minute
	cleanupPoll        = time.Second      // how often it looks whether what it evicted has ended,
	cleanupLimit       = 30 * time.Second // and for how long
	evictionGrace      = 2 * time.Second  // that containers get
)

// pressure is how a node is off for memory. All of it is guarded by node.mu.
type pressure struct {
	low  bool // less is available than the kubelet's threshold
	left int  // pods that may still be evicted for that
	told bool // what the Node says, as far as its kubelet knows

	// What the kubelet's process knows; it is lost with that.
	seen   time.Time   // when memory was last seen to be low; zero: never
	under  bool        // the node counts as one under memory pressure
	victim string      // the UID of the pod that was evicted last, until it has ended
	since  time.Time   // when it was
	timer  *time.Timer // of the next look; nil: there is none to come
}

// PressMemory has those nodes run short of memory, as if something else on their
// machines took it: less is available than the kubelet's default threshold of 100Mi.
// It does not wait for what follows. Within Config.Housekeeping each kubelet notices,
// and within 10 s after that its Node says so (MemoryPressure). Meanwhile it evicts
// pods, each as soon as the one before has ended, up to that many of a node; and it
// refuses pods of QoS class BestEffort that come. That goes on until FreeMemory.
//
// A crash of the machine ends the shortage, since what took the memory is gone, too.
// A new process of the kubelet finds it, and knows nothing of its predecessor.
// Nodes that are down are left alone. Like Crash it may be called at any time after
// Start.
func (c *Cluster) PressMemory(evictions int, nodes ...string) error {
	return c.outage("take memory from nodes", nodes, func(nodes []*node) error {
		if evictions < 0 {
			return fmt.Errorf("%d pods to be evicted: want at least 0", evictions)
		}
		for _, n := range nodes {
			if !n.down {
				n.press(evictions)
			}
		}
		return nil
	})
}

// FreeMemory gives those nodes their memory back. Their kubelets evict no more
// pods, and say that there is enough once they have seen so for
// Config.PressureTransition, and within 10 s after that.
func (c *Cluster) FreeMemory(nodes ...string) error {
	return c.outage("give nodes memory", nodes, func(nodes []*node) error {
		for _, n := range nodes {
			n.mu.Lock()
			n.pressure.low = false
			n.mu.Unlock()
		}
		return nil
	})
}

func (n *node) press(evictions int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &n.pressure
	p.low, p.left = true, evictions
	if p.timer == nil { // else it looks anyway
		n.armHousekeeping(time.Duration(n.rng.Float64() * float64(n.cluster.cfg.Housekeeping)))
	}
}

// newProcess is what is left when the kubelet's process has ended.
func (p *pressure) newProcess() { *p = pressure{low: p.low, left: p.left, told: p.told} }

// stop ends the looks.
func (p *pressure) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// beginHousekeeping is the first look of a kubelet's process. It comes before its
// first report.
func (n *node) beginHousekeeping() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pressure.low {
		n.housekeep(time.Now())
	}
}

// armHousekeeping sets the timer of the next look. It is called with n.mu held.
func (n *node) armHousekeeping(d time.Duration) {
	n.pressure.stop()
	n.pressure.timer = n.life.after(d, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.housekeep(time.Now())
	})
}

// housekeep is one turn of the loop in Start of eviction_manager.go: after an
// eviction it waits until the pod has ended, and then looks again at once. It is
// called with n.mu held.
func (n *node) housekeep(now time.Time) {
	p := &n.pressure
	p.stop() // the first look of a process may come before one that is set already
	p.timer = nil
	if p.victim != "" && !n.hasEnded(p.victim) && now.Sub(p.since) < cleanupLimit {
		n.armHousekeeping(n.untilCleanup())
		return
	}
	p.victim = ""
	switch evicted := n.synchronize(now); {
	case evicted:
		n.armHousekeeping(n.untilCleanup())
	case p.low || p.under: // else nothing is to be seen before the next PressMemory
		n.armHousekeeping(n.cluster.cfg.Housekeeping)
	}
}

func (n *node) untilCleanup() time.Duration { return min(cleanupPoll, n.cluster.cfg.Housekeeping) }

func (n *node) hasEnded(uid string) bool {
	p := n.pods.find(uid)
	return p == nil || p.state == podEnded
}

// synchronize looks how the node is off, and evicts one pod at most. A node stays
// under pressure until none was seen for the transition period. It is called with
// n.mu held.
func (n *node) synchronize(now time.Time) (evicted bool) {
	p := &n.pressure
	if p.low {
		p.seen = now
	}
	p.under = !p.seen.IsZero() && now.Sub(p.seen) < n.cluster.cfg.PressureTransition
	n.tellPressure()
	if !p.low || p.left <= 0 {
		return false
	}
	victim := n.nextVictim()
	if victim == nil {
		return false
	}
	p.left--
	p.victim, p.since = victim.uid, now
	n.evict(victim)
	return true
}

// nextVictim is the pod that is evicted next, nil if there is none: none of those
// that are critical, and the first in the order of rankMemoryPressure
// (pkg/kubelet/eviction/helpers.go) of those that run; the kubelet's own also considers
// those that start, wait or are being deleted. One that has just started knows of no pod.
func (n *node) nextVictim() *pod {
	var next *pod
	for i := range n.pods.pods {
		p := &n.pods.pods[i]
		if p.state == podRunning && p.listed != 0 && !p.critical && (next == nil || p.before(&next.worth)) {
			next = p
		}
	}
	return next
}

// evict has the containers of a pod stopped, and then reports that it has failed.
// They get two seconds, whatever their pod says, and take all of it if they need longer
// to exit; they end as if they were killed. (A kubelet forgets that it has evicted a pod
// all of whose containers exit with 0 in time: generateAPIPodStatus finds that it
// has succeeded.) It is called with n.mu held.
func (n *node) evict(p *pod) {
	n.countRunning(p.state, podEvicted)
	p.state, p.evicted, p.unready = podEvicted, true, false
	uid := p.uid
	if c := n.courses.find(uid); c != nil {
		c.rest()
	}
	if n.cluster.behaviour.readBeforeWrite {
		// The status manager is told at once, and finds that nothing may be said
		// while containers run (mergePodStatus).
		n.enqueue(podJob{action: doLook, uid: uid})
	}
	wait := exitTime(n.cluster.cfg.StopTime)
	if wait <= 0 {
		n.killed(uid)
		return
	}
	n.life.after(wait, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.killed(uid)
	})
}

// exitTime is how long the containers of a pod take that is evicted, of those that take so
// long to stop.
func exitTime(stop time.Duration) time.Duration { return min(stop, evictionGrace) }

// killed takes note that the containers of an evicted pod have ended. A kubelet that
// ends before it could say why leaves no more than that to the next one. It is called
// with n.mu held.
func (n *node) killed(uid string) {
	if p := n.pods.find(uid); p != nil {
		p.down, p.killed = true, true
		n.enqueue(podJob{action: doEvict, uid: uid})
	}
}

// refuses says whether a pod that is to be started is not admitted, by the rules of
// Admit in eviction_manager.go. One on which a kubelet has reported was admitted by
// that: the next one, which asks again, has seldom looked at its memory by then. It
// is called with n.mu held.
func (n *node) refuses(p *pod, seen *wire.Pod, raw []byte) bool {
	if !n.pressure.under || !p.bestEffort || p.critical || p.tolerates {
		return false
	}
	started := field(field(raw, 3), 7) // startTime
	return seen.Phase == "Pending" && started == nil
}
