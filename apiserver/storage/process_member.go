package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/child"
	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/history"
)

// processMember is one place in the cluster: its name, files, ports and links
// stay the same over restarts, while each launch makes a new life.
type processMember struct {
	served
	dir     string // holds dataDir and saved
	dataDir string
	saved   string // a copy of dataDir
	peerURL string
	// joining is set while the member is one that has been added to a cluster
	// and has no data yet.
	joining bool
	// syncDelay is how much longer fsync takes, from the next launch on.
	syncDelay time.Duration

	peer *link.Port // reserved from the first start on
	gate *link.Gate
}

// reserve takes the member's ports: those it had before, or any.
func (m *processMember) reserve() error {
	if err := m.served.reserve(); err != nil {
		return err
	}
	return m.reservePort(&m.peer)
}

// connect builds the member's links and enters those to its peers in links.
func (m *processMember) connect(all []*processMember, links map[pair]*link.Link) (err error) {
	if err := m.openWay(); err != nil {
		return err
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
	err := m.served.release()
	if m.gate != nil {
		err = errors.Join(err, m.gate.Close())
	}
	m.gate = nil
	if m.peer != nil {
		m.peer.Release()
	}
	return err
}

// flags are the member's command line: a stock server but for what serverConfig
// changes too.
func (m *processMember) flags(c *embed.Config, cluster string) []string {
	state := embed.ClusterStateFlagNew
	if m.joining {
		state = embed.ClusterStateFlagExisting
	}
	flags := []string{
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
	if c.UnsafeNoFsync {
		flags = append(flags, "--unsafe-no-fsync")
	}
	return flags
}

// launch starts a process on the member's data and lets clients to it. It
// returns when the process has read its data and talks to its peers, which is
// before it knows a leader.
func (m *processMember) launch(ctx context.Context, c *embed.Config, cluster string, onCommit func(history.Commit), between proxy.Interference) error {
	env := []string{"HTTP_PROXY=socks5://" + m.gate.Addr()}
	if m.syncDelay > 0 {
		env = append(env, etcdproc.SyncDelay+"="+m.syncDelay.String())
	}
	process, err := etcdproc.Start(child.Config{Name: m.name, LogFile: m.logPath, Args: m.flags(c, cluster), Env: env})
	if err != nil {
		return err
	}
	if err := m.awaitPeerSide(ctx, process); err != nil {
		return errors.Join(fmt.Errorf("start etcd member %s: %w", m.name, err), process.Kill())
	}
	return m.admit(process, onCommit, between)
}

// awaitPeerSide waits until the process answers its peers: it listens to them
// when it has read its data and runs (embed/etcd.go, StartEtcd).
func (m *processMember) awaitPeerSide(ctx context.Context, process *child.Process) error {
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

// clearData makes the member's data directory absent.
func (m *processMember) clearData() error {
	if err := os.RemoveAll(m.dataDir); err != nil {
		return fmt.Errorf("remove the data of %s: %w", m.name, err)
	}
	return nil
}
