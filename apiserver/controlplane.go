package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/planecheck/planecheck/apiserver/link"
)

const (
	// readyBound is how long a component may take to become ready. It takes
	// some 3 s on an idle machine; a busy one may be much slower.
	readyBound = 2 * time.Minute
	// stopBound is how long it may take to end after SIGTERM. A kube-apiserver
	// finishes the requests that it has, which for a LIST of everything is
	// seconds.
	stopBound = 15 * time.Second
	// drainBound is how long it may take where it is to end in good order while
	// its clients stay. Without --shutdown-watch-termination-grace-period a
	// kube-apiserver then waits a minute for watches that nobody ends
	// (k8s.io/apiserver/pkg/server/genericapiserver.go, ShutdownTimeout).
	drainBound = 40 * time.Second
)

// Component is one running component, as it was started.
type Component struct {
	Name    string // e.g. "kube-apiserver-0"
	Kind    string // e.g. "kube-apiserver"
	PID     int
	Addr    string // host:port where it serves TLS
	LogFile string
	Binary  string
	Args    []string // without the name of the binary
	Env     []string // the whole environment, NAME=value
}

// ControlPlane is a running control plane. Its methods may be called
// concurrently.
type ControlPlane struct {
	cfg      Config
	log      *slog.Logger
	layout   *layout
	keys     authorities
	token    string
	binaries map[string]binary
	versions map[string]string
	prober   *prober
	balancer *link.Balancer
	ports    map[string]*link.Port // by component
	stores   map[string]store      // by API server; nil without Config.StoreLinks

	died     chan *ComponentError
	watchers sync.WaitGroup
	abort    context.CancelCauseFunc // ends Start

	stopOnce sync.Once
	stopErr  error

	mu       sync.Mutex
	children []child // in the order in which they were started; of those of a name the last counts
	stopping bool    // nothing is started any more
	resigned []Resignation
}

type child struct {
	Component
	process *process
}

// Start starts a control plane and returns when every component is ready. If
// it fails, or ctx ends, it leaves nothing running. The first kube-apiserver is
// started alone, because it creates what the others expect: roles, namespaces,
// the Service default/kubernetes.
func Start(ctx context.Context, cfg Config) (*ControlPlane, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	c := &ControlPlane{
		cfg: cfg, log: cfg.Log, abort: abort, ports: map[string]*link.Port{},
		died: make(chan *ComponentError, cfg.Servers+cfg.Schedulers+cfg.ControllerManagers),
	}
	err = c.prepare(ctx)
	if err == nil {
		err = c.startAll(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start control plane: %w", err), c.Stop())
	}
	return c, nil
}

// prepare does everything that needs no process.
func (c *ControlPlane) prepare(ctx context.Context) error {
	var err error
	if c.binaries, err = findBinaries(ctx, &c.cfg); err != nil {
		return err
	}
	if c.balancer, err = link.NewBalancer(fmt.Sprintf("127.0.0.1:%d", c.cfg.Port)); err != nil {
		return err
	}
	for _, name := range c.names() {
		if c.ports[name], err = link.ReservePort(0); err != nil {
			return err
		}
	}
	if err = c.linkStore(); err != nil {
		return err
	}
	if c.layout, err = newLayout(c.cfg.Dir); err != nil {
		return err
	}
	if c.keys, err = c.layout.writeKeys(); err != nil {
		return err
	}
	admin, err := c.keys.cluster.Client(adminUser, adminGroup)
	if err != nil {
		return err
	}
	c.prober = newProber(c.keys.cluster, admin.TLS())
	return c.writeFiles()
}

// names lists all components in the order in which they are started.
func (c *ControlPlane) names() []string {
	return slices.Concat(c.namesOf(KubeAPIServer), c.namesOf(KubeScheduler), c.namesOf(KubeControllerManager))
}

func (c *ControlPlane) namesOf(kind string) []string {
	count := map[string]int{
		KubeAPIServer: c.cfg.Servers, KubeScheduler: c.cfg.Schedulers, KubeControllerManager: c.cfg.ControllerManagers,
	}[kind]
	names := make([]string, count)
	for i := range names {
		names[i] = componentName(kind, i)
	}
	return names
}

func (c *ControlPlane) startAll(ctx context.Context) error {
	servers := c.namesOf(KubeAPIServer)
	if err := c.startOne(ctx, KubeAPIServer, servers[0]); err != nil {
		return err
	}
	if err := c.startGroup(ctx, map[string][]string{KubeAPIServer: servers[1:]}); err != nil {
		return err
	}
	if err := c.startGroup(ctx, map[string][]string{
		KubeScheduler:         c.namesOf(KubeScheduler),
		KubeControllerManager: c.namesOf(KubeControllerManager),
	}); err != nil {
		return err
	}
	return c.readVersions(ctx)
}

// startGroup starts components at once; the first failure ends the wait for
// the others.
func (c *ControlPlane) startGroup(ctx context.Context, names map[string][]string) error {
	group, ctx := errgroup.WithContext(ctx)
	for kind := range names {
		for _, name := range names[kind] {
			group.Go(func() error { return c.startOne(ctx, kind, name) })
		}
	}
	return group.Wait()
}

// startOne starts a component, waits until it is ready and watches it from
// then on.
func (c *ControlPlane) startOne(ctx context.Context, kind, name string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	began := time.Now()
	started, err := c.spawn(kind, name)
	if err != nil {
		return err
	}
	probe := func(ctx context.Context) error {
		_, err := c.prober.get(ctx, started.Addr, readyPath(kind))
		return err
	}
	if err := started.process.waitReady(ctx, readyBound, probe); err != nil {
		return err
	}
	c.log.Info("component ready", "component", name, "pid", started.PID, "addr", started.Addr, "took", time.Since(began))
	if kind == KubeAPIServer {
		c.balancer.Add(name, started.Addr)
	}
	c.watchers.Go(func() { c.watch(started.process, kind) })
	return nil
}

func readyPath(kind string) string {
	if kind == KubeAPIServer {
		return "/readyz"
	}
	return "/healthz"
}

// spawn starts the process of a component and records it, so that Stop finds
// it whatever happens next.
func (c *ControlPlane) spawn(kind, name string) (child, error) {
	if err := c.layout.writeServing(c.keys.cluster, kind, name); err != nil {
		return child{}, err
	}
	program, addr := c.binaries[kind], c.ports[name].Addr()
	started := child{Component: Component{
		Name: name, Kind: kind, Addr: addr, LogFile: c.layout.logFile(name), Binary: program.path,
		Args: slices.Concat(program.prefix, c.args(kind, name, addr)),
		Env:  componentEnv(os.Environ(), name, kind, c.cfg.GC[kind], c.cfg.ConsistencyPeriod),
	}}
	var err error
	started.process, err = startProcess(name, started.LogFile, started.Binary, started.Args, started.Env)
	if err != nil {
		return child{}, err
	}
	started.PID = started.process.pid
	c.mu.Lock()
	stopping := c.stopping
	if !stopping {
		c.children = append(c.children, started)
	}
	c.mu.Unlock()
	if stopping { // Stop does not know of it
		_, err := started.process.stop(0)
		return child{}, errors.Join(errStopping, err)
	}
	return started, nil
}

func (c *ControlPlane) args(kind, name, addr string) []string {
	switch kind {
	case KubeAPIServer:
		cfg := c.cfg
		cfg.Etcd = c.storeOf(name)
		return c.layout.serverArgs(&cfg, name, addr)
	case KubeScheduler:
		return c.layout.schedulerArgs(&c.cfg, name, addr)
	default:
		return c.layout.managerArgs(&c.cfg, name, addr)
	}
}

// readVersions records what runs: servers say it themselves, of the others
// the binary did.
func (c *ControlPlane) readVersions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scrapeBound)
	defer cancel()
	version, err := c.prober.serverVersion(ctx, c.ServerAddrs()[0])
	if err != nil {
		return fmt.Errorf("ask kube-apiserver for its version: %w", err)
	}
	c.versions = map[string]string{KubeAPIServer: version}
	for _, kind := range []string{KubeScheduler, KubeControllerManager} {
		c.versions[kind] = c.binaries[kind].version
	}
	return nil
}

// Stop ends all components, schedulers and controller managers first, so that
// they do not work against servers that are going, and returns when nothing is
// left. Further calls return what the first did.
func (c *ControlPlane) Stop() error {
	c.stopOnce.Do(func() { c.stopErr = c.stop() })
	return c.stopErr
}

func (c *ControlPlane) stop() error {
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	err := errors.Join(
		c.stopWhere(func(kind string) bool { return kind != KubeAPIServer }),
		c.stopWhere(func(kind string) bool { return kind == KubeAPIServer }),
	)
	if err == nil {
		c.watchers.Wait()
	}
	if c.balancer != nil {
		err = errors.Join(err, c.balancer.Close())
	}
	err = errors.Join(err, c.unlinkStore())
	for _, port := range c.ports {
		if port != nil {
			port.Release()
		}
	}
	if c.prober != nil {
		c.prober.close()
	}
	if err != nil {
		return fmt.Errorf("stop control plane: %w", err)
	}
	return nil
}

// stopWhere stops the components of the chosen kinds at once.
func (c *ControlPlane) stopWhere(chosen func(kind string) bool) error {
	c.mu.Lock()
	children := slices.Clone(c.children)
	c.mu.Unlock()
	var group errgroup.Group
	for _, started := range children {
		if !chosen(started.Kind) {
			continue
		}
		group.Go(func() error {
			killed, err := started.process.stop(stopBound)
			if killed {
				c.log.Warn("component ignored SIGTERM and was killed", "component", started.Name, "after", stopBound)
			}
			return err
		})
	}
	return group.Wait()
}

// Addr is the load balancer's address, host:port.
func (c *ControlPlane) Addr() string { return c.balancer.Addr() }

// Balancer is the load balancer in front of the servers, for its figures.
func (c *ControlPlane) Balancer() *link.Balancer { return c.balancer }

// ServerAddrs are the addresses of the API servers themselves, in their order.
func (c *ControlPlane) ServerAddrs() []string {
	var addrs []string
	for _, name := range c.namesOf(KubeAPIServer) {
		addrs = append(addrs, c.ports[name].Addr())
	}
	return addrs
}

// CA is the certificate, as PEM, that signs all components.
func (c *ControlPlane) CA() []byte { return c.keys.cluster.PEM() }

// Issue issues a client certificate.
func (c *ControlPlane) Issue(user string, groups []string) (tls.Certificate, error) {
	pair, err := c.keys.cluster.Client(user, groups...)
	if err != nil {
		return tls.Certificate{}, err
	}
	return pair.TLS(), nil
}

// AdminToken is the bearer token of an identity in the group system:masters.
func (c *ControlPlane) AdminToken() string { return c.token }

// Kubeconfig is the path of the person's kubeconfig.
func (c *ControlPlane) Kubeconfig() string { return c.layout.kubeconfig }

// Components returns all components in the order of their kinds.
func (c *ControlPlane) Components() []Component {
	c.mu.Lock()
	defer c.mu.Unlock()
	byName := make(map[string]Component, len(c.children))
	for _, started := range c.children {
		byName[started.Name] = started.Component
	}
	var components []Component
	for _, name := range c.names() {
		if component, ok := byName[name]; ok {
			components = append(components, component)
		}
	}
	return components
}

// Died delivers each component that ended although nobody stopped it. It is
// never closed.
func (c *ControlPlane) Died() <-chan *ComponentError { return c.died }

// Signal sends a signal to a component, by the plan: if it is one that ends a
// process, its end is expected and Died does not tell of it.
func (c *ControlPlane) Signal(component string, sig os.Signal) error {
	target := c.find(component)
	if target == nil {
		return fmt.Errorf("there is no component %q", component)
	}
	number, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal %s: %v is no signal of this system", component, sig)
	}
	switch number {
	case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT:
		target.process.expect()
	}
	return target.process.signal(number)
}

// Versions is the Kubernetes version of each kind of component.
func (c *ControlPlane) Versions() map[string]string { return maps.Clone(c.versions) }

func (c *ControlPlane) find(component string) *child {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, started := range slices.Backward(c.children) {
		if started.Name == component {
			return &started
		}
	}
	return nil
}
