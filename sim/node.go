package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
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

	// lease is only touched by beat, one turn of which runs at a time.
	lease heartbeat

	mu          sync.Mutex
	uid         string // of the Node object
	rng         *rand.Rand
	leaseTimer  *time.Timer
	statusTimer *time.Timer
	status      statusClock
	pods        podTable
	queue       []podJob
	writing     bool // a goroutine empties the queue
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

// useCertificates makes the node's clients, each with a connection of its own.
func (n *node) useCertificates() error {
	issue, layer := n.cluster.cfg.Certificate, n.cluster.cfg.Layer
	cert, err := issue(nodeUserPrefix+n.name, []string{nodesGroup})
	if err != nil {
		return err
	}
	n.kubelet = layer.Client(client.Identity{User: nodeUserPrefix + n.name, Class: history.ClassKubelet, Certificate: &cert})
	if !n.cluster.behaviour.kubeProxy {
		return nil
	}
	proxy, err := issue(kubeProxyUser, nil)
	if err != nil {
		return err
	}
	n.proxy = layer.Client(client.Identity{User: kubeProxyUser, Class: history.ClassKubeProxy, Certificate: &proxy})
	return nil
}

// closeConnections ends the node's own connections; shared ones stay.
func (n *node) closeConnections() {
	for _, c := range []*client.Client{n.kubelet, n.proxy} {
		if c != nil {
			c.Close()
		}
	}
}

// start does what a kubelet does when it starts: it registers, reports its
// status, takes its lease, and opens its watches.
func (n *node) start(ctx context.Context) {
	if n.kubelet == nil {
		if err := n.useCertificates(); err != nil {
			select {
			case n.cluster.failed <- fmt.Errorf("issue client certificate of %s: %w", n.name, err):
			default: // one such error is enough
			}
			return
		}
	}
	fresh, ok := n.register(ctx)
	if !ok {
		return
	}
	n.cluster.stats.nodesRegistered.Add(1)
	n.reportStatus(ctx, !fresh)
	n.beat(ctx, history.Now())
	for _, w := range n.watches() {
		n.cluster.tasks.run(func() { w.run(ctx) })
	}
}

// register creates the Node object. It tries until it succeeds, with the
// pauses of registerWithAPIServer in pkg/kubelet/kubelet_node_status.go. fresh
// is false when the object existed already.
func (n *node) register(ctx context.Context) (fresh, ok bool) {
	const longest = 7 * time.Second
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, longest) {
		resp, err := n.do(ctx, requestLimit, &client.Request{
			Verb: "create", Resource: nodesResource, Body: n.registration(time.Now()),
		})
		fresh = err == nil
		if client.IsAlreadyExists(err) {
			resp, err = n.do(ctx, requestLimit, &client.Request{Verb: "get", Resource: nodesResource, Name: n.name})
		}
		if err == nil {
			err = n.setUID(resp.Body)
		}
		if err == nil {
			return fresh, true
		}
		n.cluster.cfg.Log.Debug("node registration failed", "node", n.name, "error", err)
		if !sleep(ctx, pause) {
			return false, false
		}
	}
}

func (n *node) setUID(body []byte) error {
	_, _, raw, err := wire.Unwrap(body)
	if err != nil {
		return err
	}
	meta, err := wire.ScanMeta(raw)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.uid = meta.UID
	return err
}

// requestLimit bounds a request of the kubelet that is not a heartbeat. The
// API server itself gives up after as long (--request-timeout).
const requestLimit = 60 * time.Second

func (n *node) do(ctx context.Context, limit time.Duration, r *client.Request) (*client.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
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
	n.leaseTimer = n.cluster.tasks.after(d, f)
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
}

// watches returns the watches that the profile keeps open on this node. The
// selectors are those of pkg/kubelet/kubelet.go, pkg/kubelet/config/apiserver.go
// and cmd/kube-proxy/app/server.go.
func (n *node) watches() []*watcher {
	onNode := newWatcher(n.cluster, n.kubelet, podsResource, &podSink{n: n}, n.random)
	onNode.query.Set("fieldSelector", "spec.nodeName="+n.name)
	all := []*watcher{onNode}
	if n.cluster.behaviour.watchOwnNode {
		own := newWatcher(n.cluster, n.kubelet, nodesResource, ownNode{n}, n.random)
		own.query.Set("fieldSelector", "metadata.name="+n.name)
		all = append(all, own)
	}
	if n.cluster.behaviour.kubeProxy {
		services := newWatcher(n.cluster, n.proxy, servicesResource, ignore{}, n.random)
		services.query.Set("labelSelector", "!service.kubernetes.io/service-proxy-name")
		services.query.Set("fieldSelector", "spec.clusterIP!=None")
		slices := newWatcher(n.cluster, n.proxy, slicesResource, ignore{}, n.random)
		slices.query.Set("labelSelector", "!service.kubernetes.io/headless")
		all = append(all, services, slices)
	}
	return all
}

var (
	podsResource     = client.Resource{Version: "v1", Plural: "pods"}
	servicesResource = client.Resource{Version: "v1", Plural: "services"}
	slicesResource   = client.Resource{Group: "discovery.k8s.io", Version: "v1", Plural: "endpointslices"}
)
