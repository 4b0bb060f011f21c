package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
)

const processName = "etcd-process"

// leaderAsk bounds the question who leads when all are about to stop anyway.
const leaderAsk = time.Second

// processCluster is a cluster of etcd members, each in a process of its own.
//
//	clients ── front ── proxy ── member i ── gate i ── member j
//	           link     records              a link for each j
//
// The proxy records the storage history and tells of commits, see served.
//
// Each ordered pair of members has a link, although all members must know a
// peer under one address, the one it is advertised with: every member dials
// through a gate of its own, a SOCKS5 proxy, which etcd's peer transport takes
// from the environment (client/pkg/transport/transport.go,
// http.ProxyFromEnvironment). etcd's SetMemberLocalAddr, by which a link could
// have told its clients apart, leaves out loopback addresses (embed/config.go,
// InferLocalAddr).
type processCluster struct {
	opt     Options
	config  *embed.Config
	members []*processMember
	deaths  chan error
	numbers record.Numbers // of the history
	freezer proxy.FreezeWatches

	op      sync.Mutex // held during Start, Stop and every fault
	started bool       // guarded by op

	mu        sync.Mutex
	endpoints []string            // guarded by mu
	links     map[pair]*link.Link // guarded by mu; nil while the cluster is stopped
}

// pair is a member that dials and the one that it dials.
type pair struct{ from, to string }

func newProcesses(size int, config *embed.Config, opt Options) (*processCluster, error) {
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("open storage backend %s: %w", processName, err)
	}
	c := &processCluster{opt: opt, config: config, deaths: make(chan error, 1)}
	for i := range size {
		name := fmt.Sprintf("etcd-%d", i)
		c.members = append(c.members, &processMember{
			served: served{
				name: name, title: "etcd member " + name,
				logPath: filepath.Join(dir, "logs", name+".log"),
				died:    func(err error) { c.died(name, err) },
				freezer: &c.freezer,
			},
			dir:     filepath.Join(dir, processName, name),
			dataDir: filepath.Join(dir, processName, name, "data"),
			saved:   filepath.Join(dir, processName, name, "saved"),
			peerURL: peerURL(i),
		})
	}
	return c, nil
}

// peerURL is the address that a member is advertised with to the others. It is
// only a name for the gates, so it must not be a loopback address, to which Go
// uses no proxy, nor one that leads anywhere should a gate ever be passed by:
// a link-local address without an interface cannot be dialled (ipv6(7)). A
// host name would not do, because etcd resolves it when it compares addresses
// (pkg/netutil).
func peerURL(member int) string { return fmt.Sprintf("http://[fe80::%x]:2380", member+1) }

// Name implements Backend.
func (c *processCluster) Name() string { return processName }

// Start implements Backend.
func (c *processCluster) Start(ctx context.Context) (err error) {
	c.op.Lock()
	defer c.op.Unlock()
	if c.started {
		return errors.New("start etcd: it is started already")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	select {
	case <-c.deaths: // of an earlier life
	default:
	}
	begun := time.Now()
	if err := c.prepare(); err != nil {
		return err
	}
	if err := c.each(c.members, func(m *processMember) error { return c.launch(ctx, m) }); err != nil {
		return err
	}
	if err := c.awaitReady(ctx, c.members); err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	c.started = true
	c.opt.Log.Info("etcd is up", "members", len(c.members), "endpoints", c.Endpoints(), "took", time.Since(begun))
	return nil
}

// prepare takes directories and ports of all members and builds what stands
// between them and before them.
func (c *processCluster) prepare() error {
	first := c.Endpoints() == nil
	for _, m := range c.members {
		if err := prepareDir(m.dir, first); err != nil {
			return err
		}
		if err := m.reserve(); err != nil {
			return err
		}
	}
	links := map[pair]*link.Link{}
	for _, m := range c.members {
		if err := m.connect(c.members, links); err != nil {
			return err
		}
		m.record(c.opt.History, &c.numbers)
	}
	c.publish(links)
	return nil
}

// publish makes known what the members keep until the cluster is stopped.
func (c *processCluster) publish(links map[pair]*link.Link) {
	var endpoints []string
	for _, m := range c.members {
		endpoints = append(endpoints, m.endpoint())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endpoints, c.links = endpoints, links
}

func (c *processCluster) launch(ctx context.Context, m *processMember) error {
	return m.launch(ctx, c.config, c.initialCluster(), c.opt.OnCommit, c.opt.Interference)
}

// initialCluster lists the members and their addresses as etcd's flag does.
func (c *processCluster) initialCluster() string {
	var all []string
	for _, m := range c.members {
		all = append(all, m.name+"="+m.peerURL)
	}
	return strings.Join(all, ",")
}

// each runs f for several members at once and joins what went wrong.
func (c *processCluster) each(members []*processMember, f func(*processMember) error) error {
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { errs[i] = f(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// awaitReady waits until each of the members answers a read through the
// quorum, so knows a leader.
func (c *processCluster) awaitReady(ctx context.Context, members []*processMember) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyBound, fmt.Errorf("it had %v", readyBound))
	defer cancel()
	for _, m := range members {
		if err := m.awaitReady(ctx); err != nil {
			return fmt.Errorf("%s is not ready: %w", m.name, err)
		}
	}
	return nil
}

// Stop implements Backend. It takes up to 30 s, after which a member is killed.
func (c *processCluster) Stop() error {
	c.op.Lock()
	defer c.op.Unlock()
	return c.stop()
}

func (c *processCluster) stop() error {
	c.started = false
	c.mu.Lock()
	c.links = nil
	c.mu.Unlock()
	c.freezer.Thaw() // it is no state of another start
	err := c.stopMembers()
	for _, m := range c.members {
		err = errors.Join(err, m.release())
	}
	return err
}

// stopMembers stops the leader last: it would hand over to a member that is
// about to end, and wait seconds for that (etcdserver/server.go,
// TryTransferLeadershipOnShutdown).
func (c *processCluster) stopMembers() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaderAsk)
	defer cancel()
	leader, err := c.leader(ctx)
	if err != nil {
		return c.each(c.members, (*processMember).stop)
	}
	err = c.each(c.members, func(m *processMember) error {
		if m == leader {
			return nil
		}
		return m.stop()
	})
	return errors.Join(err, leader.stop())
}

// find returns the members of a started cluster with those names; no names:
// all.
func (c *processCluster) find(names ...string) ([]*processMember, error) {
	if !c.started {
		return nil, errors.New("etcd is not started")
	}
	if len(names) == 0 {
		return c.members, nil
	}
	var found []*processMember
	for _, name := range names {
		m, err := c.one(name)
		if err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	return found, nil
}

// one returns the member with that name, whether or not the cluster is up.
func (c *processCluster) one(name string) (*processMember, error) {
	var known []string
	for _, m := range c.members {
		if m.name == name {
			return m, nil
		}
		known = append(known, m.name)
	}
	return nil, fmt.Errorf("no member %q, known: %s", name, strings.Join(known, ", "))
}

// findUp returns the member of a started cluster with that name if it is up.
func (c *processCluster) findUp(name string) (*processMember, error) {
	found, err := c.find(name)
	if err != nil {
		return nil, err
	}
	if !found[0].up() {
		return nil, fmt.Errorf("%s is down", name)
	}
	return found[0], nil
}

// Endpoints implements Backend.
func (c *processCluster) Endpoints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.endpoints)
}

// Members implements Backend.
func (c *processCluster) Members() []Member {
	endpoints := c.Endpoints()
	var members []Member
	for i, m := range c.members {
		member := Member{Name: m.name, DataDir: m.dir, PID: m.pid(), Proxied: true}
		if i < len(endpoints) {
			member.Endpoint = endpoints[i]
		}
		members = append(members, member)
	}
	return members
}

// Faults implements Backend.
func (c *processCluster) Faults() []string {
	faults := []string{
		FaultMemberStop, FaultMemberRestart, FaultMemberKill, FaultMemberFreeze,
		FaultMemberRollback, FaultDefragment, FaultNoSpace, FaultCompact, FaultSnapshotRestore, FaultQuota, FaultWatchFreeze,
	}
	if !c.config.UnsafeNoFsync { // a disk that nobody waits for is not slow
		faults = append(faults, FaultSlowDisk)
	}
	if len(c.members) > 1 {
		faults = append(faults, FaultLeaderMove, FaultPeerLink, FaultMemberReplace)
	}
	return faults
}

// DiskBytes implements Backend.
func (c *processCluster) DiskBytes() (int64, error) {
	var total int64
	for _, m := range c.members {
		n, err := diskUsage(m.dataDir)
		if err != nil {
			return 0, fmt.Errorf("measure the data of etcd member %s: %w", m.name, err)
		}
		total += n
	}
	return total, nil
}

// Settings implements Describer.
func (c *processCluster) Settings() map[string]string { return settings(c.config, len(c.members)) }

// Died implements DeathNotifier.
func (c *processCluster) Died() <-chan error { return c.deaths }

func (c *processCluster) died(member string, err error) {
	err = fmt.Errorf("etcd member %s died: %w", member, err)
	c.opt.Log.LogAttrs(context.Background(), slog.LevelError, "etcd member died", slog.String("member", member), slog.Any("err", err))
	select {
	case c.deaths <- err:
	default: // only the first is of interest
	}
}
