// Package controllers simulates the operators that most clusters really load
// their API servers with: each of them watches all pods through a client-go
// informer and reports on those of its own share.
//
// An operator here does the least that is still honest. It owns a share of the
// namespaces, by hash, and keeps one object in each of them, a ConfigMap, whose
// data is the status: how many pods there are, run and are ready. Whenever
// these numbers change it writes the status, through a work queue by
// namespace, so that many changes in a short time become one write, as they do
// in every level-triggered controller. Why not a status in the pods
// themselves, which would be closer to an operator of one workload: because
// each write to a pod is an event for every watcher of pods, and the
// simulation would then measure its own echo.
//
// An operator has replicas. As with controller-runtime, each of them holds the
// LIST and WATCH of all pods from the start; one of them, by leader election,
// writes.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// Config describes the simulated controllers.
type Config struct {
	Operators int // at least 1
	Replicas  int // of each operator. Default DefaultReplicas
	Layer     *client.Layer
	Seed      uint64 // of the tokens, as given to Identities

	// ReadyTimeout bounds Start. Default one minute.
	ReadyTimeout time.Duration

	// Seen is called when an operator's leader has taken note of a change of a
	// pod of its share, with the pod's resource version then: held against the
	// commit of that version, it is how far the operator is behind the store.
	// It may be nil; it is called concurrently and must be quick.
	Seen func(namespace, name, resourceVersion string, at history.Time)

	Log *slog.Logger // default: discard
}

// DefaultReplicas is how many processes an operator usually runs as.
const DefaultReplicas = 2

// Stats is the state of the operators at one moment.
type Stats struct {
	Leaders   int64 // operators that have one
	Events    int64 // changes of pods that replicas took note of
	Writes    int64 // status writes that were acknowledged
	Conflicts int64 // status writes that met another version
	Errors    int64 // other status writes that failed and were tried again
}

type counters struct{ leaders, events, writes, conflicts, errors atomic.Int64 }

// Identity is one line of the API server's --token-auth-file.
type Identity struct {
	Token  string
	User   string
	Groups []string
}

// Group is what the role that Install creates is bound to.
const Group = "planecheck:operators"

// Identities returns one token per operator. Replicas share it, as the
// replicas of a Deployment share a service account.
func Identities(operators int, seed uint64) []Identity {
	random := rand.New(rand.NewPCG(seed, 0x6f70657261746f72)) // a stream of its own
	identities := make([]Identity, operators)
	for i := range identities {
		token := fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
		identities[i] = Identity{Token: token, User: operatorName(i), Groups: []string{Group}}
	}
	return identities
}

func operatorName(i int) string { return fmt.Sprintf("planecheck:operator-%02d", i) }

// Controllers runs the operators. Start and Stop are called once each.
type Controllers struct {
	cfg    Config
	stats  counters
	life   context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	led    chan struct{} // one token for each operator that has its first leader
}

// stopTimeout bounds Stop: leaders give up their leases, which is a request.
const stopTimeout = 10 * time.Second

// New returns controllers that are not started yet.
func New(cfg Config) *Controllers {
	if cfg.Replicas == 0 {
		cfg.Replicas = DefaultReplicas
	}
	if cfg.ReadyTimeout == 0 {
		cfg.ReadyTimeout = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Controllers{cfg: cfg, led: make(chan struct{}, max(cfg.Operators, 0))}
	// client-go logs to the logger in its context.
	logger := logr.FromSlogHandler(cfg.Log.Handler())
	c.life, c.cancel = context.WithCancel(klog.NewContext(context.Background(), logger))
	return c
}

// Start starts all replicas and returns when each operator has a leader that
// has listed the pods. Install has to have been called before. When it fails,
// nothing is left running.
func (c *Controllers) Start(ctx context.Context) (err error) {
	if c.cfg.Operators < 1 || c.cfg.Replicas < 1 || c.cfg.Layer == nil {
		return fmt.Errorf("start simulated controllers: %d operators of %d replicas, client layer given: %v",
			c.cfg.Operators, c.cfg.Replicas, c.cfg.Layer != nil)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start simulated controllers: %w", err), c.Stop())
		}
	}()
	for i, id := range Identities(c.cfg.Operators, c.cfg.Seed) {
		if err := c.startOperator(i, id); err != nil {
			return err
		}
	}
	return c.wait(ctx)
}

func (c *Controllers) startOperator(i int, id Identity) error {
	var first sync.Once
	leads := func() { first.Do(func() { c.led <- struct{}{} }) }
	for n := range c.cfg.Replicas {
		from := c.cfg.Layer.Client(client.Identity{User: id.User, Class: history.ClassController, Token: id.Token})
		api, err := kubernetes.NewForConfig(from.RESTConfig())
		if err != nil {
			return fmt.Errorf("client of %s: %w", id.User, err)
		}
		r := newReplica(c, i, n, api, leads)
		c.wg.Go(func() { r.run(c.life) })
	}
	return nil
}

func (c *Controllers) wait(ctx context.Context) error {
	timeout := time.NewTimer(c.cfg.ReadyTimeout)
	defer timeout.Stop()
	for have := range c.cfg.Operators {
		select {
		case <-c.led:
		case <-timeout.C:
			return fmt.Errorf("operators without a leader after %v: %d of %d", c.cfg.ReadyTimeout, c.cfg.Operators-have, c.cfg.Operators)
		case <-ctx.Done():
			return fmt.Errorf("wait for leaders: %d of %d operators without: %w", c.cfg.Operators-have, c.cfg.Operators, ctx.Err())
		}
	}
	return nil
}

// Stop ends all replicas; leaders give up their leases. It returns an error if
// some still run after 10 s.
func (c *Controllers) Stop() error {
	c.cancel()
	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("stop simulated controllers: replicas still run after %v", stopTimeout)
	}
}

// Stats returns the current figures. It is cheap and may be called at any time.
func (c *Controllers) Stats() Stats {
	s := &c.stats
	return Stats{
		Leaders: s.leaders.Load(), Events: s.events.Load(), Writes: s.writes.Load(),
		Conflicts: s.conflicts.Load(), Errors: s.errors.Load(),
	}
}
