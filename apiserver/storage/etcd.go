package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/storage/record"
)

const etcdName = "etcd"

// readyBound bounds the wait for a new cluster's first leader, which takes
// one or two election timeouts.
const readyBound = 60 * time.Second

// etcdCluster is a cluster of etcd members in this process, out of the Member
// of etcd's own integration framework.
//
// The framework is made for tests of etcd. Its NewCluster wants BeforeTest,
// which changes the working directory and the environment of the process,
// allows one cluster at a time, and works only inside a test binary; its
// MustNewMember opens unix sockets relative to the working directory, where
// the peers then look for each other. None of that happens here, because a
// Member can be filled in by hand: the peers talk TCP, and the cluster works in
// any binary and in any number. What the framework gives us is a whole server
// that can be started, stopped, cut from its peers and looked into.
type etcdCluster struct {
	opt     Options
	config  *embed.Config
	members []*etcdMember
	grpc    []grpc.ServerOption
	deaths  chan error
	numbers record.Numbers // of the history

	op      sync.Mutex // held during Start, Stop, StopMembers, RestartMember, MoveLeader
	started bool       // guarded by op

	mu    sync.Mutex
	peers types.URLsMap // guarded by mu; nil before the first start
	ports []string      // guarded by mu: the endpoints
}

func newEtcd(size int, c *embed.Config, opt Options) (*etcdCluster, error) {
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("open storage backend etcd: %w", err)
	}
	e := &etcdCluster{opt: opt, config: c, deaths: make(chan error, 1)}
	e.grpc = grpcOptions(e.config)
	if opt.OnCommit != nil {
		e.grpc = append(e.grpc, grpc.ChainUnaryInterceptor(commitInterceptor(opt.OnCommit)))
	}
	for i := range size {
		name := fmt.Sprintf("etcd-%d", i)
		e.members = append(e.members, &etcdMember{
			name:    name,
			dataDir: filepath.Join(dir, etcdName, name),
			logPath: filepath.Join(dir, "logs", name+".log"),
			hook:    &exitHook{died: func(err error) { e.died(name, err) }},
		})
	}
	return e, nil
}

// Name implements Backend.
func (e *etcdCluster) Name() string { return etcdName }

// Start implements Backend.
func (e *etcdCluster) Start(ctx context.Context) (err error) {
	e.op.Lock()
	defer e.op.Unlock()
	if e.started {
		return errors.New("start etcd: it is started already")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	select {
	case <-e.deaths: // of an earlier life
	default:
	}
	if err := e.prepare(); err != nil {
		return err
	}
	begun := time.Now()
	if err := e.each(e.members, e.launch); err != nil {
		return err
	}
	if err := e.awaitReady(ctx); err != nil {
		return err
	}
	e.started = true
	e.opt.Log.Info("etcd is up", "members", len(e.members), "endpoints", e.Endpoints(), "took", time.Since(begun))
	return nil
}

// prepare takes directories, ports and log files of all members.
func (e *etcdCluster) prepare() error {
	first := e.peerURLs() == nil
	for _, m := range e.members {
		if err := m.usable(); err != nil {
			return err
		}
		if err := prepareDir(m.dataDir, first); err != nil {
			return err
		}
		if err := m.openLog(); err != nil {
			return err
		}
		if err := m.reserve(); err != nil {
			return err
		}
	}
	if first {
		e.publish()
	}
	return nil
}

// prepareDir makes a member's data directory. Before the first start it must
// be empty: with somebody else's data in it, the cluster would come up as
// another one.
func prepareDir(dir string, first bool) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make etcd's data directory: %w", err)
	}
	if !first {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look into etcd's data directory: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("start etcd: data directory %s is not empty, a run starts in a new one", dir)
	}
	return nil
}

// publish fixes the addresses that the members keep from now on.
func (e *etcdCluster) publish() {
	peers := make(types.URLsMap)
	var ports []string
	for _, m := range e.members {
		peers[m.name] = types.URLs{url.URL{Scheme: "http", Host: m.peer.Addr()}}
		ports = append(ports, "http://"+m.client.Addr())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.peers, e.ports = peers, ports
}

func (e *etcdCluster) peerURLs() types.URLsMap {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peers
}

func (e *etcdCluster) launch(m *etcdMember) error {
	if m.recorder == nil {
		m.recorder = record.New(record.Options{
			Member: m.name, Sink: e.opt.History, Numbers: &e.numbers,
			Inside: recorderLabels, Outside: storeLabels,
		})
	}
	return m.launch(e.config, e.peerURLs(), slices.Concat(e.grpc, m.recorder.ServerOptions()))
}

// each runs f for all members at once and joins what went wrong.
func (e *etcdCluster) each(members []*etcdMember, f func(*etcdMember) error) error {
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { errs[i] = f(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// awaitReady waits until every member has a leader, has made itself known
// through it, and has heard the cluster's version, without which it refuses
// requests.
func (e *etcdCluster) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyBound, fmt.Errorf("it had %v", readyBound))
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for _, m := range e.members {
		for !m.run.ready() {
			select {
			case <-poll.C:
			case err := <-e.deaths:
				return fmt.Errorf("start etcd: %w", err)
			case <-ctx.Done():
				return fmt.Errorf("start etcd: %s is not ready: %w", m.name, context.Cause(ctx))
			}
		}
	}
	return nil
}

func (r *memberRun) ready() bool {
	select {
	case <-r.server.ReadyNotify():
		return r.server.Lead() != 0 && r.server.ClusterVersion() != nil
	default:
		return false
	}
}

// Stop implements Backend. It takes up to 30 s; a member that hangs longer is
// left behind and named in the error.
func (e *etcdCluster) Stop() error {
	e.op.Lock()
	defer e.op.Unlock()
	return e.stop()
}

func (e *etcdCluster) stop() error {
	e.started = false
	err := e.each(e.members, (*etcdMember).close)
	for _, m := range e.members {
		err = errors.Join(err, m.release())
		m.recorder.Close()
		m.recorder = nil // another start is another part of the history
	}
	return err
}

// StopMembers implements MemberRestarter.
func (e *etcdCluster) StopMembers(_ context.Context, names ...string) error {
	e.op.Lock()
	defer e.op.Unlock()
	var up []*etcdMember
	for _, name := range names {
		m, err := e.find(name)
		if err != nil {
			return fmt.Errorf("stop etcd member: %w", err)
		}
		if m.run == nil {
			return fmt.Errorf("stop etcd member %s: it is down already", name)
		}
		up = append(up, m)
	}
	return e.each(up, (*etcdMember).close)
}

// RestartMember implements MemberRestarter.
func (e *etcdCluster) RestartMember(_ context.Context, name string) error {
	e.op.Lock()
	defer e.op.Unlock()
	m, err := e.find(name)
	if err != nil {
		return fmt.Errorf("restart etcd member: %w", err)
	}
	if m.run != nil {
		return fmt.Errorf("restart etcd member %s: it is up", name)
	}
	return e.launch(m)
}

// MoveLeader implements LeaderMover: leadership goes to the next member that is
// up.
func (e *etcdCluster) MoveLeader(ctx context.Context) (from, to string, err error) {
	e.op.Lock()
	defer e.op.Unlock()
	if !e.started {
		return "", "", errors.New("move etcd's leader: etcd is not started")
	}
	leader := slices.IndexFunc(e.members, func(m *etcdMember) bool {
		return m.run != nil && m.run.server.Leader() == m.run.server.MemberID()
	})
	if leader < 0 {
		return "", "", errors.New("move etcd's leader: no member leads")
	}
	old := e.members[leader]
	for i := range len(e.members) - 1 {
		m := e.members[(leader+1+i)%len(e.members)]
		if m.run == nil {
			continue
		}
		server := old.run.server
		if err := server.MoveLeader(ctx, uint64(server.MemberID()), uint64(m.run.server.MemberID())); err != nil {
			return "", "", fmt.Errorf("move etcd's leader from %s to %s: %w", old.name, m.name, err)
		}
		return old.name, m.name, nil
	}
	return "", "", fmt.Errorf("move etcd's leader: no member but %s is up", old.name)
}

// find returns the member of a started cluster with that name.
func (e *etcdCluster) find(name string) (*etcdMember, error) {
	if !e.started {
		return nil, errors.New("etcd is not started")
	}
	var names []string
	for _, m := range e.members {
		if m.name == name {
			return m, nil
		}
		names = append(names, m.name)
	}
	return nil, fmt.Errorf("no member %q, known: %s", name, strings.Join(names, ", "))
}

// Endpoints implements Backend.
func (e *etcdCluster) Endpoints() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.ports)
}

// Members implements Backend.
func (e *etcdCluster) Members() []Member {
	endpoints := e.Endpoints()
	var members []Member
	for i, m := range e.members {
		member := Member{Name: m.name, DataDir: m.dataDir}
		if i < len(endpoints) {
			member.Endpoint = endpoints[i]
		}
		members = append(members, member)
	}
	return members
}

// Faults implements Backend.
func (e *etcdCluster) Faults() []string {
	faults := []string{FaultMemberStop, FaultMemberRestart, FaultDefragment, FaultNoSpace, FaultCompact}
	if len(e.members) > 1 {
		faults = append(faults, FaultLeaderMove)
	}
	return faults
}

// DiskBytes implements Backend.
func (e *etcdCluster) DiskBytes() (int64, error) {
	var total int64
	for _, m := range e.members {
		n, err := diskUsage(m.dataDir)
		if err != nil {
			return 0, fmt.Errorf("measure the data of etcd member %s: %w", m.name, err)
		}
		total += n
	}
	return total, nil
}

// Settings implements Describer.
func (e *etcdCluster) Settings() map[string]string { return settings(e.config, len(e.members)) }

// Died implements DeathNotifier.
func (e *etcdCluster) Died() <-chan error { return e.deaths }

func (e *etcdCluster) died(member string, err error) {
	err = fmt.Errorf("etcd member %s died: %w", member, err)
	e.opt.Log.LogAttrs(context.Background(), slog.LevelError, "etcd member died", slog.String("member", member), slog.Any("err", err))
	select {
	case e.deaths <- err:
	default: // only the first is of interest
	}
}
