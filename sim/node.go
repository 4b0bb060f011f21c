package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

var nodesResource = client.Resource{Version: "v1", Plural: "nodes"}

// node is one simulated kubelet, with the kube-proxy beside it.
type node struct {
	cluster *Cluster
	index   int
	name    string
	ip      string

	kubelet *client.Client
	proxy   *client.Client

	// lease is only touched by beat, one turn of which runs at a time, and
	// between two lives.
	lease heartbeat

	down     bool         // turned off by Crash; guarded by Cluster.power
	clockOff atomic.Int64 // how far the wall clock is off, in nanoseconds
	network  network      // of the machine

	mu          sync.Mutex
	life        *life  // of the kubelet; nil before its first start
	proxyLife   *life  // of the kube-proxy, in profiles that have one
	boots       uint16 // by Boot
	rebooted    bool   // the API server has not been told the bootID yet
	restarted   bool   // this is not the kubelet's first life
	proxying    bool   // the kube-proxy has its watches
	writing     bool   // a goroutine empties the queue
	uid         string // of the Node object
	rng         *rand.Rand
	leaseTimer  *time.Timer
	statusTimer *time.Timer
	status      statusClock
	pods        podTable
	courses     courses
	courseTimer *time.Timer
	queue       []podJob
	pressure    pressure
}

func newNode(c *Cluster, index int) *node {
	return &node{
		cluster: c, index: index, name: NodeName(index), ip: nodeIP(index),
		rng: rand.New(rand.NewPCG(c.cfg.Seed, uint64(index))),
	}
}

// useTokens makes the node's clients, which share the layer's connections.
func (n *node) useTokens(kubelet, proxy Identity) {
	layer := n.cluster.cfg.Layer
	n.kubelet = layer.Client(client.Identity{User: kubelet.User, Class: history.ClassKubelet, Token: kubelet.Token})
	if n.cluster.behaviour.kubeProxy {
		n.proxy = layer.Client(client.Identity{User: proxy.User, Class: history.ClassKubeProxy, Token: proxy.Token})
	}
}

// connect makes those of the node's clients that it has not got, each with a
// certificate and a connection of its own.
func (n *node) connect() (err error) {
	if n.kubelet == nil {
		n.kubelet, err = n.certified(nodeUserPrefix+n.name, history.ClassKubelet, nodesGroup)
	}
	if err == nil && n.proxy == nil && n.cluster.behaviour.kubeProxy {
		n.proxy, err = n.certified(kubeProxyUser, history.ClassKubeProxy)
	}
	return err
}

func (n *node) certified(user string, class history.Class, groups ...string) (*client.Client, error) {
	cert, err := n.cluster.cfg.Certificate(user, groups)
	if err != nil {
		return nil, fmt.Errorf("issue client certificate of %s: %w", n.name, err)
	}
	return n.cluster.cfg.Layer.Client(client.Identity{User: user, Class: class, Certificate: &cert}), nil
}

// kept is the client that the next process goes on with: none in place of one
// whose connection was closed.
func (n *node) kept(c *client.Client) *client.Client {
	if n.cluster.cfg.OwnConnections {
		return nil
	}
	return c
}

// closeConnections ends the node's own connections; shared ones stay.
func (n *node) closeConnections() {
	for _, c := range []*client.Client{n.kubelet, n.proxy} {
		if c != nil {
			c.Close()
		}
	}
}

// turnOn starts the node for the first time, and calls after when its kubelet
// has.
func (n *node) turnOn(after func()) {
	n.mu.Lock()
	if n.cluster.behaviour.kubeProxy {
		n.proxyLife = newLife(n.cluster.life)
	}
	n.mu.Unlock()
	n.run(after)
}

// run starts the kubelet's process. Nothing of an earlier one may run any more. What was
// to be written between the two, by Flip, is dropped: the new one looks at every pod.
func (n *node) run(after func()) {
	l := newLife(n.cluster.life)
	n.mu.Lock()
	n.life = l
	n.queue, n.writing = nil, false
	n.mu.Unlock()
	l.run(func() {
		defer after()
		n.start(l)
	})
}

// start does what a kubelet does when it starts: it registers, reports its
// status, takes its lease, and opens its watches.
func (n *node) start(l *life) {
	if err := n.connect(); err != nil {
		select {
		case n.cluster.failed <- err:
		default: // one such error is enough
		}
		return
	}
	owes := n.lease.renewed != 0
	if owes {
		// The lease controller of a kubelet waits for nothing (Run in
		// pkg/kubelet/kubelet.go starts it beside the rest), and a lease that
		// is held must not run out because registering takes long.
		l.run(func() { n.beat(l.ctx, history.Now()) })
	}
	seen, ok := n.register(l.ctx)
	if !ok {
		return
	}
	n.beginHousekeeping()
	// As it registered, or was found, the node is Ready, so that only its
	// heartbeat is news; unless it was taken for dead meanwhile.
	n.reportStatus(l.ctx, !seen.Ready)
	if !owes {
		n.beat(l.ctx, history.Now())
	}
	n.watch(l)
}

// register creates the Node object, or finds the one that there is, and returns
// it. It tries until it succeeds, with the pauses of registerWithAPIServer in
// pkg/kubelet/kubelet_node_status.go; every process of a kubelet does so once.
func (n *node) register(ctx context.Context) (seen wire.Node, ok bool) {
	const longest = 7 * time.Second
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, longest) {
		resp, err := n.do(ctx, requestLimit, &client.Request{
			Verb: "create", Resource: nodesResource, Body: n.registration(n.wall()),
		})
		fresh := err == nil
		if client.IsAlreadyExists(err) {
			resp, err = n.do(ctx, requestLimit, &client.Request{Verb: "get", Resource: nodesResource, Name: n.name})
		}
		if err == nil {
			seen, err = n.registered(resp.Body, fresh)
		}
		if err == nil {
			return seen, true
		}
		n.cluster.cfg.Log.Debug("node registration failed", "node", n.name, "error", err)
		if !sleep(ctx, pause) {
			return wire.Node{}, false
		}
	}
}

// registered takes note of the Node object.
func (n *node) registered(body []byte, fresh bool) (wire.Node, error) {
	_, _, raw, err := wire.Unwrap(body)
	if err != nil {
		return wire.Node{}, err
	}
	seen, err := wire.ScanNode(raw)
	if err != nil {
		return wire.Node{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.uid == "" {
		n.cluster.stats.nodesRegistered.Add(1)
	}
	n.uid = seen.UID
	n.pressure.told = saysPressure(raw)
	if fresh {
		n.rebooted = false // the new object has the bootID
	}
	return seen, nil
}

// owner is the UID of the Node object.
func (n *node) owner() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.uid
}

// wall is the time by the node's own clock.
func (n *node) wall() time.Time { return time.Now().Add(n.offset()) }

func (n *node) offset() time.Duration { return time.Duration(n.clockOff.Load()) }

// requestLimit bounds a request of the kubelet that is not a heartbeat. The
// API server itself gives up after as long (--request-timeout).
const requestLimit = 60 * time.Second

// do sends a request. Once ctx has ended nothing is sent: the dead do not try
// again.
func (n *node) do(ctx context.Context, limit time.Duration, r *client.Request) (*client.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	way, err := n.network.carry(cancel)
	if err != nil {
		return nil, err
	}
	defer way.done()
	return n.kubelet.Do(ctx, r)
}

// random draws from [0, 1).
func (n *node) random() float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.Float64()
}

func (n *node) setLeaseTimer(d time.Duration, f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leaseTimer = n.life.after(d, f)
}

func (n *node) stopTimers() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leaseTimer != nil {
		n.leaseTimer.Stop()
	}
	if n.statusTimer != nil {
		n.statusTimer.Stop()
	}
	if n.courseTimer != nil {
		n.courseTimer.Stop()
	}
	n.pressure.stop()
}

// watch opens the watches of a kubelet that has just started, and those of the
// kube-proxy unless it has them: it lives through a restart of the kubelet.
func (n *node) watch(l *life) {
	n.mu.Lock()
	n.armCourses() // of what ran on while there was no kubelet
	n.mu.Unlock()
	for _, w := range n.watches() {
		l.run(func() { w.run(l.ctx) })
	}
	n.mu.Lock()
	proxy, begin := n.proxyLife, !n.proxying
	n.proxying = true
	n.mu.Unlock()
	if proxy == nil || !begin {
		return
	}
	for _, w := range n.proxyWatches() {
		proxy.run(func() { w.run(proxy.ctx) })
	}
}

// watcher makes one that watches over the node's network.
func (n *node) watcher(from *client.Client, resource client.Resource, to sink) *watcher {
	w := newWatcher(n.cluster, from, resource, to, n.random)
	w.network = &n.network
	return w
}

// watches returns the watches that the profile's kubelet keeps open. The
// selectors are those of pkg/kubelet/kubelet.go and
// pkg/kubelet/config/apiserver.go.
func (n *node) watches() []*watcher {
	onNode := n.watcher(n.kubelet, podsResource, &podSink{n: n})
	onNode.query.Set("fieldSelector", "spec.nodeName="+n.name)
	all := []*watcher{onNode}
	if n.cluster.behaviour.watchOwnNode {
		own := n.watcher(n.kubelet, nodesResource, ownNode{n})
		own.query.Set("fieldSelector", "metadata.name="+n.name)
		all = append(all, own)
	}
	return n.listedBefore(all)
}

// proxyWatches returns those of the kube-proxy (cmd/kube-proxy/app/server.go).
func (n *node) proxyWatches() []*watcher {
	services := n.watcher(n.proxy, servicesResource, ignore{})
	services.query.Set("labelSelector", "!service.kubernetes.io/service-proxy-name")
	services.query.Set("fieldSelector", "spec.clusterIP!=None")
	slices := n.watcher(n.proxy, slicesResource, ignore{})
	slices.query.Set("labelSelector", "!service.kubernetes.io/headless")
	return n.listedBefore([]*watcher{services, slices})
}

// listedBefore counts the list of a process before this one, if there was any.
func (n *node) listedBefore(watches []*watcher) []*watcher {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.restarted {
		for _, w := range watches {
			w.lists = 1
		}
	}
	return watches
}

var (
	podsResource     = client.Resource{Version: "v1", Plural: "pods"}
	servicesResource = client.Resource{Version: "v1", Plural: "services"}
	slicesResource   = client.Resource{Group: "discovery.k8s.io", Version: "v1", Plural: "endpointslices"}
)
