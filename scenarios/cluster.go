package scenarios

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/apiserver/storage"
	storelies "github.com/planecheck/planecheck/apiserver/storage/lies"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/sim"
	"github.com/planecheck/planecheck/sim/controllers"
)

// hooks are the ears of the measurement; a nil one hears nothing.
type hooks struct {
	observer history.Observer
	// logins are users of the API beside those of the World.
	logins []apiserver.Identity
	// recording keeps the storage history; nil: it is not kept.
	recording *recording
	commit    func(history.Commit)
	podSeen   func(namespace, name string, at history.Time)
	lease     func(history.Lease)
	// operatorSaw hears of every version of a pod that a simulated controller
	// has taken note of.
	operatorSaw func(namespace, name, resourceVersion string, at history.Time)
}

// cluster is everything that a World starts, in the order in which it starts.
type cluster struct {
	world   World
	seed    uint64
	hooks   hooks
	log     *slog.Logger
	backend storage.Backend
	plane   *apiserver.ControlPlane
	liars   liars       // before the API servers, or one before each controller manager; none unless the World lies
	links   clientLinks // before the layer, none unless the World has them
	// storeLiar stands before every member of the store; nil: none.
	storeLiar *storelies.Liar
	layer     *client.Layer
	nodes     *sim.Cluster
	// operators are the simulated controllers, nil if there are none.
	operators *controllers.Controllers
	// restore undoes the settings of this process: garbage collector, CPU policy.
	restore []func()
}

// startControlPlane starts the store and the Kubernetes components and opens
// the client layer. A failed start leaves nothing behind.
func startControlPlane(ctx context.Context, w World, seed uint64, dir string, h hooks, log *slog.Logger) (*cluster, error) {
	c, err := startStore(ctx, w, seed, dir, h, log)
	if err != nil {
		return nil, err
	}
	if err := c.startPlane(ctx, dir); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// startStore starts the store, and the recording of it. A failed start leaves
// nothing behind.
func startStore(ctx context.Context, w World, seed uint64, dir string, h hooks, log *slog.Logger) (_ *cluster, err error) {
	c := &cluster{world: w, seed: seed, hooks: h, log: log, restore: []func(){applyGC(w.GC[harness])}}
	defer func() {
		if err != nil {
			err = errors.Join(err, tornDown(c.stop()))
		}
	}()
	restorePolicy, err := applyCPUPolicy(w.CPUPolicy)
	if err != nil {
		return nil, err
	}
	c.restore = append(c.restore, restorePolicy)
	opt := storage.Options{Dir: dir, OnCommit: h.commit, History: h.recording.sink(), External: w.External, Log: log}
	if c.storeLiar = storeLiar(w, seed); c.storeLiar != nil {
		opt.Interference = c.storeLiar
	}
	c.backend, err = storage.Open(w.Backend, opt)
	if err != nil {
		return nil, err
	}
	if err = c.backend.Start(ctx); err != nil {
		return nil, fmt.Errorf("start backend %s: %w", w.Backend, err)
	}
	if err = h.recording.follow(c.backend.Members()); err != nil {
		return nil, err
	}
	return c, nil
}

// startPlane starts the Kubernetes components on the store and opens the client
// layer. What a failed start leaves is stopped with the cluster.
func (c *cluster) startPlane(ctx context.Context, dir string) (err error) {
	w, seed, h, log := c.world, c.seed, c.hooks, c.log
	cfg := planeConfig(w, seed, h.logins, dir, c.backend.Endpoints(), log)
	cfg.Before = c.electionLiar()
	c.plane, err = apiserver.Start(ctx, cfg)
	if err != nil {
		return fmt.Errorf("start control plane: %w", err)
	}
	servers, ca := c.servers(), c.plane.CA()
	if w.Lie != "" && cfg.Before == nil && c.storeLiar == nil {
		if c.liars, err = startLiars(w, servers, ca, seed); err != nil {
			return err
		}
		servers, ca = c.liars.addrs(), c.liars.ca()
	}
	var watchServers []string
	if w.ClientLinks && w.Connections != ownConnections {
		if c.links, err = startClientLinks(c.plane, servers); err != nil {
			return err
		}
		servers, watchServers = c.links.addrs()
	}
	c.layer, err = client.New(client.Config{
		Servers: servers, WatchServers: watchServers, CA: ca, Observer: h.recording.observer(h.observer),
	})
	if err != nil {
		return fmt.Errorf("open client layer: %w", err)
	}
	c.nodes = sim.New(sim.Config{
		Nodes:          w.Nodes,
		Profile:        sim.Profile(w.Profile),
		Layer:          c.layer,
		OwnConnections: w.Connections == ownConnections,
		Certificate:    c.plane.Issue,
		Seed:           seed,
		ObserverToken:  c.plane.AdminToken(),
		PodsPerNode:    w.room(),
		JobTime:        time.Duration(w.JobTime),
		StopTime:       time.Duration(w.StopTime),
		Unready:        sim.Unready{Every: time.Duration(w.UnreadyEvery), For: time.Duration(w.UnreadyFor), Share: w.UnreadyShare},
		NodeImages:     w.NodeImages,

		Housekeeping:       time.Duration(w.Housekeeping),
		PressureTransition: time.Duration(w.PressureTransition),

		Hooks: sim.Hooks{PodSeen: h.podSeen, Lease: h.lease},
		Log:   log,
	})
	return c.grantWorkload(ctx, grantBound)
}

// startNodes starts the simulated nodes, and the simulated controllers if the
// World has any. It returns when all are ready.
func (c *cluster) startNodes(ctx context.Context) error {
	if err := c.nodes.Start(ctx); err != nil || c.world.Controllers == 0 {
		return err
	}
	admin := c.layer.Client(c.observerIdentity()).RESTConfig()
	if err := controllers.Install(ctx, admin); err != nil {
		return fmt.Errorf("install simulated controllers: %w", err)
	}
	c.operators = controllers.New(controllers.Config{
		Operators: c.world.Controllers, Layer: c.layer, Seed: c.seed, Seen: c.hooks.operatorSaw, Log: c.log,
	})
	return c.operators.Start(ctx)
}

// operatorStats are the totals of the simulated controllers, zero without any.
func (c *cluster) operatorStats() controllers.Stats {
	if c.operators == nil {
		return controllers.Stats{}
	}
	return c.operators.Stats()
}

// ownConnections is the setting with a TLS connection per node.
const ownConnections = "own"

// servers are the addresses that the simulation dials. Shared connections are
// spread over the API servers by the client layer itself; own ones go through
// the balancer, as those of real nodes do.
func (c *cluster) servers() []string {
	if c.world.Connections == ownConnections {
		return []string{c.plane.Addr()}
	}
	return c.plane.ServerAddrs()
}

// planeConfig is the World as package apiserver wants it. logins are users beside
// those that every World has.
func planeConfig(w World, seed uint64, logins []apiserver.Identity, dir string, endpoints []string, log *slog.Logger) apiserver.Config {
	cfg := apiserver.Config{
		Dir:                   dir,
		Etcd:                  endpoints,
		StoreLinks:            w.StoreLinks,
		Servers:               w.APIServers,
		Schedulers:            w.Schedulers,
		ControllerManagers:    w.ControllerManagers,
		LeaderLease:           time.Duration(w.LeaderLease),
		Supervised:            w.Supervised,
		Forgiven:              w.Forgiven,
		Leaderless:            w.Leaderless,
		Accountable:           w.Accountable,
		Port:                  w.Port,
		Program:               w.Program,
		KubeAPIServer:         w.KubeAPIServer,
		KubeScheduler:         w.KubeScheduler,
		KubeControllerManager: w.KubeControllerManager,
		APIServerArgs:         w.APIServerArgs,
		KCMArgs:               w.KCMArgs,
		SchedulerSetting:      w.SchedulerSetting,
		SchedulerConfigFile:   w.SchedulerConfigFile,
		FeatureGates:          w.FeatureGates,
		ConsistencyPeriod:     time.Duration(w.ConsistencyPeriod),
		GC:                    map[string]apiserver.GC{},
		Log:                   log,
	}
	cfg.Tokens = append(cfg.Tokens, workloadLogin(seed))
	cfg.Tokens = append(cfg.Tokens, strangerLogins(seed)...)
	cfg.Tokens = append(cfg.Tokens, logins...)
	for _, id := range controllers.Identities(w.Controllers, seed) {
		cfg.Tokens = append(cfg.Tokens, apiserver.Identity(id))
	}
	for _, id := range sim.Identities(w.Nodes, seed) {
		cfg.Tokens = append(cfg.Tokens, apiserver.Identity(id))
	}
	for name, g := range w.GC {
		if name != harness {
			cfg.GC[name] = apiserver.GC{GOGC: g.Percent, MemoryLimit: g.MemoryLimit}
		}
	}
	return cfg
}

// stop ends everything that was started, last first.
func (c *cluster) stop() error {
	if c == nil {
		return nil
	}
	var errs []error
	if c.operators != nil {
		errs = append(errs, c.operators.Stop())
	}
	if c.nodes != nil {
		c.nodes.Stop()
	}
	if c.layer != nil {
		c.layer.Close()
	}
	errs = append(errs, c.links.close(), c.liars.close())
	if c.plane != nil {
		errs = append(errs, c.plane.Stop())
	}
	if c.backend != nil {
		c.hooks.recording.finish()
		errs = append(errs, c.backend.Stop())
	}
	c.hooks.recording.close()
	for _, restore := range c.restore {
		restore()
	}
	return errors.Join(errs...)
}

// applyGC sets the collector of this process and returns how to undo it.
func applyGC(g GC) func() {
	if g.Percent == 0 {
		return func() {}
	}
	percent := debug.SetGCPercent(g.Percent)
	limit := debug.SetMemoryLimit(g.MemoryLimit)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}
