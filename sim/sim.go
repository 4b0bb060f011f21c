// Package sim is the simulated cluster: thousands of kubelets (and the
// kube-proxies beside them) that register, heartbeat, watch and run pods
// against a real control plane, with the identities, requests and rhythms of
// the real ones, and without a decoded copy of anything. Its machines crash, boot
// and are cut off and run short of memory, its kubelets restart, and its clocks go
// wrong, when they are told to.
package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// Config describes the simulated cluster.
type Config struct {
	Nodes   int     // 1 to MaxNodes
	Profile Profile // default Kubelet

	// Layer carries all requests and watches.
	Layer *client.Layer
	// OwnConnections gives each node (and each kube-proxy) one TLS connection
	// with a client certificate from Certificate, instead of a bearer token
	// (see Identities) on connections that all nodes share.
	OwnConnections bool
	Certificate    func(user string, groups []string) (tls.Certificate, error)

	// Seed decides the tokens and every random delay.
	Seed uint64
	// ObserverToken is the identity of the one watch of all nodes by which
	// readiness is judged. It needs the right to watch nodes.
	ObserverToken string
	// RegisterPerSecond is the pace at which kubelets start. Default 250.
	RegisterPerSecond int
	// ReadyTimeout bounds Start. Default: one minute and twelve times what
	// RegisterPerSecond needs, because a busy machine registers at half the pace
	// of a quiet one, and a run that gives up there has measured nothing.
	ReadyTimeout time.Duration

	// Zones is in how many zones the nodes are, 1 to 26, evenly and by index;
	// nodes are labelled with their zone and its region. Default 3; -1: nodes
	// have neither label.
	Zones int

	PodsPerNode int // capacity of a node, 1 to 250. Default 110
	NodeImages  int // images in a node's status: its size. Default 8
	// StopTime is how long containers take to exit once they are told to
	// stop. Those that would outlive the pod's grace period are killed at its
	// end, and the pod then fails. Default 0: they exit at once.
	StopTime time.Duration
	// JobTime is how long the containers of a pod run whose restartPolicy is Never
	// or OnFailure: they exit with 0 then, and the pod has succeeded. Each pod draws
	// its own from this within a quarter, by Seed and its UID. Default 0: they
	// run until they are deleted. The annotations planecheck.dev/run-for of a pod (a
	// duration) and planecheck.dev/exit-code (0 to 255) go before it. Where the
	// restartPolicy says so, containers that exit are started again, with the
	// kubelet's back-off.
	JobTime time.Duration
	// Unready has pods with restartPolicy Always become unready of themselves while
	// Flip says so, each time within a quarter of its times. Default zero: none does.
	// The annotations planecheck.dev/unready-after and planecheck.dev/unready-for of
	// a pod (durations) go before it, and hold whatever Flip says.
	Unready Unready

	// Housekeeping is how often a kubelet looks how much memory is left, which there
	// is enough of but for PressMemory. Default 10 s, as upstream.
	Housekeeping time.Duration
	// PressureTransition is for how long there must have been enough before its Node
	// says so (upstream: evictionPressureTransitionPeriod). Default 5 min, as upstream.
	PressureTransition time.Duration

	Hooks Hooks
	Log   *slog.Logger // default: discard
}

// MaxNodes is how many /24 networks of pods the simulated address plan holds.
const MaxNodes = 1 << 15

// Hooks are told what happens in the simulation. Each may be nil; they are
// called concurrently and must be quick.
type Hooks struct {
	// PodSeen is called when a pod that is bound to a node arrives on that
	// node's watch for the first time. After a Boot it is called again for
	// those pods of the node that had not run by then.
	PodSeen func(namespace, name string, at history.Time)
	// Lease is called after each renewal of a heartbeat, also a failed one. The
	// first one of a node, and the first one after each Boot, is none: it
	// extends no lease that its kubelet knows of.
	Lease func(history.Lease)
}

func (c *Config) withDefaults() Config {
	d := *c
	if d.Profile == "" {
		d.Profile = Kubelet
	}
	if d.RegisterPerSecond == 0 {
		d.RegisterPerSecond = 250
	}
	if d.Zones == 0 {
		d.Zones = 3
	}
	if d.PodsPerNode == 0 {
		d.PodsPerNode = 110
	}
	if d.NodeImages == 0 {
		d.NodeImages = 8
	}
	if d.Housekeeping == 0 {
		d.Housekeeping = housekeeping
	}
	if d.PressureTransition == 0 {
		d.PressureTransition = pressureTransition
	}
	if d.ReadyTimeout == 0 && d.RegisterPerSecond > 0 {
		pace := time.Second * time.Duration(d.Nodes) / time.Duration(d.RegisterPerSecond)
		d.ReadyTimeout = time.Minute + 12*pace
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return d
}

func (c *Config) validate() error {
	switch {
	case c.Nodes < 1 || c.Nodes > MaxNodes:
		return fmt.Errorf("%d nodes: want 1 to %d", c.Nodes, MaxNodes)
	case c.PodsPerNode < 1 || c.PodsPerNode > lastSlot:
		return fmt.Errorf("%d pods per node: want 1 to %d", c.PodsPerNode, lastSlot)
	case c.Zones < -1 || c.Zones > maxZones:
		return fmt.Errorf("%d zones: want 1 to %d, or -1 for none", c.Zones, maxZones)
	case c.RegisterPerSecond < 1:
		return fmt.Errorf("register %d nodes per second: want at least 1", c.RegisterPerSecond)
	case c.Housekeeping < 0 || c.PressureTransition < 0:
		return fmt.Errorf("a look at memory every %v, pressure for %v after the last: want more than none", c.Housekeeping, c.PressureTransition)
	case c.Layer == nil:
		return errors.New("no client layer")
	case c.Unready.Share < 0 || c.Unready.Share > 1:
		return fmt.Errorf("a share of %g of the pods becomes unready: want 0 to 1", c.Unready.Share)
	case c.OwnConnections && c.Certificate == nil:
		return errors.New("own connections without a source of certificates")
	}
	_, err := c.Profile.behaviour()
	return err
}

// Cluster is the simulated cluster. Start and Stop are called once each.
type Cluster struct {
	cfg       Config
	behaviour behaviour
	stats     counters
	nodes     []*node
	ready     *readiness
	failed    chan error // holds what makes waiting for readiness pointless
	wrong     sync.Map   // annotations that were complained about
	flipping  atomic.Bool

	// life ends with Stop; every goroutine and timer of the cluster itself
	// runs under tasks and watches it. Those of nodes have lives of their own,
	// which end with it.
	life   context.Context
	cancel context.CancelFunc
	tasks  tasks
	once   sync.Once

	// power is held by whoever starts and ends processes of nodes, once all
	// nodes have been started for the first time.
	power   sync.Mutex
	started bool // guarded by power
}

// stopTimeout bounds Stop. Requests and watches end with the context, so only
// a hook that blocks can use it up.
const stopTimeout = 10 * time.Second

// New returns a cluster that is not started yet. A bad configuration is
// reported by Start.
func New(cfg Config) *Cluster {
	c := &Cluster{cfg: cfg.withDefaults(), failed: make(chan error, 1)}
	c.life, c.cancel = context.WithCancel(context.Background())
	return c
}

// Start registers all nodes at the configured pace and returns when each of
// them is Ready and without the taint node.kubernetes.io/not-ready, as seen by
// a watch of all nodes. When it fails, nothing is left running.
func (c *Cluster) Start(ctx context.Context) (err error) {
	if err := c.cfg.validate(); err != nil {
		return fmt.Errorf("start simulated cluster: %w", err)
	}
	defer func() {
		if err != nil {
			c.Stop()
			err = fmt.Errorf("start simulated cluster: %w", err)
		}
	}()
	c.behaviour, _ = c.cfg.Profile.behaviour() // validated above
	if err := c.makeNodes(); err != nil {
		return err
	}
	c.ready = newReadiness(c)
	c.tasks.run(func() { c.ready.observe(c.life) })
	c.tasks.run(c.register)
	if err := c.ready.wait(ctx, c.cfg.ReadyTimeout); err != nil {
		return err
	}
	c.power.Lock()
	defer c.power.Unlock()
	c.started = true
	return nil
}

func (c *Cluster) makeNodes() error {
	identities := Identities(c.cfg.Nodes, c.cfg.Seed)
	c.nodes = make([]*node, c.cfg.Nodes)
	for i := range c.nodes {
		c.nodes[i] = newNode(c, i)
		if c.cfg.OwnConnections {
			continue // connect, with the certificate, comes at the node's turn
		}
		c.nodes[i].useTokens(identities[i], identities[c.cfg.Nodes+i])
	}
	return nil
}

// register starts the kubelets, open loop: a node that takes long to register
// does not delay the next one, until registrations pile up.
func (c *Cluster) register() {
	const atOnce = 256 // registrations under way
	slots := make(chan struct{}, atOnce)
	begin := time.Now()
	for i, n := range c.nodes {
		offset := time.Second * time.Duration(i) / time.Duration(c.cfg.RegisterPerSecond)
		if !sleep(c.life, time.Until(begin.Add(offset))) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-c.life.Done():
			return
		}
		n.turnOn(func() { <-slots })
	}
}

// Stop ends all kubelets: their watches are cut, their leases left to expire.
// It returns when nothing of the cluster runs any more, within 10 s. It may be
// called more than once.
func (c *Cluster) Stop() {
	c.once.Do(func() {
		c.cancel()
		c.power.Lock()
		defer c.power.Unlock()
		if err := c.endAll(); err != nil {
			c.cfg.Log.Error("stop simulated cluster", "error", err)
			return
		}
		for _, n := range c.nodes {
			n.stopTimers()
			n.closeConnections()
		}
	})
}

// endAll ends all processes and waits for them. Those of the cluster itself go
// first: one of them starts nodes.
func (c *Cluster) endAll() error {
	begin := time.Now()
	c.tasks.end()
	if err := drain(stopTimeout, nil, &c.tasks); err != nil {
		return err
	}
	var lives []*life
	for _, n := range c.nodes {
		lives = append(lives, n.lives()...)
	}
	for _, l := range lives {
		l.close()
		l.cancel()
	}
	return drain(stopTimeout-time.Since(begin), nil, work(lives)...)
}

// sleep waits for d. It returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
