package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers/history"
)

// memberPoll is the pause between two looks at whether a member is up, and
// memberAsk bounds one of them.
const (
	memberPoll = 20 * time.Millisecond
	memberAsk  = 5 * time.Second
)

// processMember is one place in the cluster: its name, files, ports and links
// stay the same over restarts, while each launch makes a new life.
type processMember struct {
	name    string
	dir     string // holds dataDir and saved
	dataDir string
	saved   string // a copy of dataDir
	logPath string
	peerURL string
	died    func(error)
	freezer *proxy.FreezeWatches // of the cluster
	// joining is set while the member is one that has been added to a cluster
	// and has no data yet.
	joining bool
	// syncDelay is how much longer fsync takes, from the next launch on.
	syncDelay time.Duration

	// The ports are reserved from the first start on: the one that clients
	// know, the proxy's, and the process's two.
	front, inner, client, peer *link.Port

	gate     *link.Gate
	way      *link.Link // from the clients to the proxy
	recorder *record.Recorder

	mu     sync.Mutex
	life   *memberLife // guarded by mu; nil while the member is down
	doomed bool        // guarded by mu, see mayDie
}

// memberLife is one life of a member.
type memberLife struct {
	process *etcdproc.Process
	proxy   *proxy.Proxy
	frozen  bool          // guarded by processCluster.op
	over    chan struct{} // closed when the end has been dealt with
}

// reserve takes the member's ports: those it had before, or any.
func (m *processMember) reserve() error {
	for _, p := range []**link.Port{&m.front, &m.inner, &m.client, &m.peer} {
		number := 0
		if *p != nil {
			number = (*p).Number
		}
		reserved, err := link.ReservePort(number)
		if err != nil {
			return fmt.Errorf("etcd member %s: %w", m.name, err)
		}
		*p = reserved
	}
	return nil
}

func (m *processMember) endpoint() string { return "http://" + m.front.Addr() }

// connect builds the member's links and enters those to its peers in links.
func (m *processMember) connect(all []*processMember, links map[pair]*link.Link) (err error) {
	if m.way, err = link.New(m.front.Addr(), m.inner.Addr()); err != nil {
		return fmt.Errorf("etcd member %s: clients' way: %w", m.name, err)
	}
	if m.gate, err = link.NewGate("127.0.0.1:0"); err != nil {
		return fmt.Errorf("etcd member %s: way to its peers: %w", m.name, err)
	}
	for _, to := range all {
		if to == m {
			continue
		}
		l, err := m.gate.Route(strings.TrimPrefix(to.peerURL, "http://"), to.peer.Addr())
		if err != nil {
			return fmt.Errorf("etcd member %s: way to %s: %w", m.name, to.name, err)
		}
		links[pair{m.name, to.name}] = l
	}
	return nil
}

// release takes down what stands around a member that is down.
func (m *processMember) release() error {
	var err error
	if m.way != nil {
		err = m.way.Close()
	}
	if m.gate != nil {
		err = errors.Join(err, m.gate.Close())
	}
	m.way, m.gate = nil, nil
	for _, p := range []*link.Port{m.front, m.inner, m.client, m.peer} {
		if p != nil {
			p.Release()
		}
	}
	m.recorder.Close()
	m.recorder = nil // another start is another part of the history
	return err
}

// flags are the member's command line: a stock server but for what serverConfig
// changes too.
func (m *processMember) flags(c *embed.Config, cluster string) []string {
	state := embed.ClusterStateFlagNew
	if m.joining {
		state = embed.ClusterStateFlagExisting
	}
	return []string{
		"--name=" + m.name,
		"--data-dir=" + m.dataDir,
		"--listen-client-urls=http://" + m.client.Addr(),
		"--advertise-client-urls=" + m.endpoint(),
		"--listen-peer-urls=http://" + m.peer.Addr(),
		"--initial-advertise-peer-urls=" + m.peerURL,
		"--initial-cluster=" + cluster,
		"--initial-cluster-state=" + state,
		fmt.Sprintf("--quota-backend-bytes=%d", c.QuotaBackendBytes),
		"--log-outputs=stderr",
	}
}

// launch starts a process on the member's data and lets clients to it. It
// returns when the process has read its data and talks to its peers, which is
// before it knows a leader.
func (m *processMember) launch(ctx context.Context, c *embed.Config, cluster string, onCommit func(history.Commit), between proxy.Interference) error {
	env := []string{"HTTP_PROXY=socks5://" + m.gate.Addr()}
	if m.syncDelay > 0 {
		env = append(env, etcdproc.SyncDelay+"="+m.syncDelay.String())
	}
	process, err := etcdproc.Start(etcdproc.Config{Name: m.name, LogFile: m.logPath, Args: m.flags(c, cluster), Env: env})
	if err != nil {
		return err
	}
	if err := m.awaitPeerSide(ctx, process); err != nil {
		return errors.Join(fmt.Errorf("start etcd member %s: %w", m.name, err), process.Kill())
	}
	opt := proxy.Options{
		Upstream: m.client.Addr(), Listen: m.inner.Addr(), Recorder: m.recorder,
		Interference: []proxy.Interference{m.freezer},
	}
	if onCommit != nil {
		opt.Interference = append(opt.Interference, commitObserver(onCommit))
	}
	if between != nil {
		opt.Interference = append(opt.Interference, between)
	}
	p, err := proxy.Start(opt)
	if err != nil {
		return errors.Join(fmt.Errorf("start etcd member %s: %w", m.name, err), process.Kill())
	}
	life := &memberLife{process: process, proxy: p, over: make(chan struct{})}
	m.mu.Lock()
	m.life = life
	m.mu.Unlock()
	go m.mourn(life)
	return nil
}

// mourn waits for the end of a life. Clients then are cut off, as they would
// be from a dead process.
func (m *processMember) mourn(life *memberLife) {
	defer close(life.over)
	<-life.process.Exited()
	err := life.proxy.Close()
	m.mu.Lock()
	m.life = nil
	doomed := m.doomed
	m.mu.Unlock()
	if !life.process.Expected() && !doomed {
		m.died(errors.Join(life.process.Failure(), err))
	}
}

// current is the member's life, nil while it is down.
func (m *processMember) current() *memberLife {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life
}

func (m *processMember) up() bool { return m.current() != nil }

func (m *processMember) pid() int {
	if life := m.current(); life != nil {
		return life.process.PID()
	}
	return 0
}

// stop ends the member in good order; that of one that is down does nothing.
func (m *processMember) stop() error {
	return m.end(func(p *etcdproc.Process) error { return p.Stop(closeBound) })
}

// kill ends it with SIGKILL.
func (m *processMember) kill() error { return m.end((*etcdproc.Process).Kill) }

func (m *processMember) end(how func(*etcdproc.Process) error) error {
	life := m.current()
	if life == nil {
		return nil
	}
	m.hold(false) // or a stop would wait for clients that cannot be reached
	if err := how(life.process); err != nil {
		if life.process.Running() {
			return err
		}
		<-life.over
		return err
	}
	<-life.over
	return nil
}

// hold makes the clients' way silent or not.
func (m *processMember) hold(silent bool) {
	for _, d := range []link.Direction{link.Up, link.Down} {
		m.way.Set(d, link.Condition{Hold: silent})
	}
}

// awaitPeerSide waits until the process answers its peers: it listens to them
// when it has read its data and runs (embed/etcd.go, StartEtcd).
func (m *processMember) awaitPeerSide(ctx context.Context, process *etcdproc.Process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, launchBound, fmt.Errorf("it had %v", launchBound))
	defer cancel()
	return m.poll(ctx, process, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.peer.Addr()+"/version", nil)
		if err != nil {
			return err
		}
		transport := &http.Transport{DisableKeepAlives: true} // no proxy
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	})
}

// awaitReady waits until the member answers a read through the quorum.
func (m *processMember) awaitReady(ctx context.Context) error {
	life := m.current()
	if life == nil {
		return errors.New("it is down")
	}
	return m.poll(ctx, life.process, func(ctx context.Context) error {
		return m.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, Limit: 1, KeysOnly: true})
			return err
		})
	})
}

// poll tries until it succeeds, or the process or ctx ends.
func (m *processMember) poll(ctx context.Context, process *etcdproc.Process, try func(context.Context) error) error {
	tick := time.NewTicker(memberPoll)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, memberAsk)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-process.Exited():
			return process.Failure()
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// ask calls the process itself, past the clients' way: what is asked there is
// not of the history.
func (m *processMember) ask(ctx context.Context, f func(context.Context, *grpc.ClientConn) error) error {
	return withMember(Member{Endpoint: m.client.Addr()}, func(conn *grpc.ClientConn) error { return f(ctx, conn) })
}

func (m *processMember) status(ctx context.Context) (resp *pb.StatusResponse, err error) {
	ctx, cancel := context.WithTimeout(ctx, memberAsk)
	defer cancel()
	err = m.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		resp, err = pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s for its status: %w", m.name, err)
	}
	return resp, nil
}

// clearData makes the member's data directory absent.
func (m *processMember) clearData() error {
	if err := os.RemoveAll(m.dataDir); err != nil {
		return fmt.Errorf("remove the data of %s: %w", m.name, err)
	}
	return nil
}
