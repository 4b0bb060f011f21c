package sim

import (
	"errors"
	"sync"

	"github.com/planecheck/planecheck/checkers/history"
)

// errNoNetwork is what a request of a node ends with that the network does not carry.
var errNoNetwork = errors.New("the network of the node is cut")

// network is what the processes of a node reach API servers by. A nil one cannot
// be cut.
type network struct {
	mu       sync.Mutex
	cut      bool
	mended   history.Time // last; zero: never
	underway map[*transfer]struct{}
}

// transfer is a request or a watch on its way.
type transfer struct {
	network *network
	end     func()
}

// carry has end called when the network is cut, or else by done. It fails where the
// network is cut already.
func (n *network) carry(end func()) (*transfer, error) {
	t := &transfer{network: n, end: end}
	if n == nil {
		return t, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return nil, errNoNetwork
	}
	if n.underway == nil {
		n.underway = map[*transfer]struct{}{}
	}
	n.underway[t] = struct{}{}
	return t, nil
}

func (t *transfer) done() {
	if n := t.network; n != nil {
		n.mu.Lock()
		delete(n.underway, t)
		n.mu.Unlock()
	}
	t.end()
}

// set cuts the network, which ends all that is under way, or mends it.
func (n *network) set(cut bool) {
	n.mu.Lock()
	var ended []*transfer
	if n.cut && !cut {
		n.mended = history.Now()
	}
	n.cut = cut
	if cut {
		for t := range n.underway {
			ended = append(ended, t)
		}
		n.underway = nil
	}
	n.mu.Unlock()
	for _, t := range ended {
		t.end()
	}
}

// cutSince says whether the network was cut at any time after then.
func (n *network) cutSince(then history.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut || n.mended > then
}

// Cut cuts nodes off from the API servers, whose machines go on: containers run,
// kubelets try to renew their leases, to report and to watch, with their usual
// pauses, and nothing of that leaves the machine. What is under way is abandoned:
// whether the API server carries a write out is not known, and it sees the streams
// end. Until Reconnect, and for the renewal that comes then, no hook is told of
// their leases: that they are late says nothing of the control plane.
//
// A name that no node has is an error, and then nothing was done. Like Crash it
// may be called at any time after Start; nodes that are cut off, or down, stay so.
func (c *Cluster) Cut(nodes ...string) error { return c.setNetwork("cut off nodes", nodes, true) }

// Reconnect mends the network of nodes that Cut has cut off. It does not wait for
// what follows: kubelets renew their leases and resume their watches when their
// pauses are over, which is up to a minute for a watch that was refused for long.
// Pods that are to be deleted by then are stopped and deleted.
func (c *Cluster) Reconnect(nodes ...string) error {
	return c.setNetwork("reconnect nodes", nodes, false)
}

func (c *Cluster) setNetwork(what string, names []string, cut bool) error {
	return c.outage(what, names, func(nodes []*node) error {
		for _, n := range nodes {
			n.network.set(cut)
		}
		return nil
	})
}

// Running returns the UIDs of the pods whose containers run on those nodes, as
// their kubelets know it, whatever an API server says of them. A node that is
// down runs none.
func (c *Cluster) Running(nodes ...string) (uids []string, err error) {
	err = c.outage("look what runs on nodes", nodes, func(nodes []*node) error {
		for _, n := range nodes {
			uids = append(uids, n.running()...)
		}
		return nil
	})
	return uids, err
}

func (n *node) running() (uids []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.pods.pods {
		if p := &n.pods.pods[i]; p.state == podRunning || p.state == podStopping || p.state == podEvicted && !p.killed {
			uids = append(uids, p.uid)
		}
	}
	return uids
}
