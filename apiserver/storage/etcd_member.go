package storage

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/tests/v3/framework/integration"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/record"
)

// launchBound and closeBound bound the start and the stop of one member. Both
// take well below a second unless there are gigabytes to read or to sync. A
// member that has died often holds locks and cannot stop; it gets deadBound,
// just more than the two seconds for which it may wait for requests.
const (
	launchBound = 60 * time.Second
	closeBound  = 30 * time.Second
	deadBound   = 3 * time.Second
)

// etcdMember is one place in the cluster: its name, files and ports stay the
// same over restarts, while each launch makes a new server.
type etcdMember struct {
	name    string
	dataDir string
	logPath string
	hook    *exitHook
	// recorder outlives restarts of the member; nil: nothing is recorded.
	recorder *record.Recorder

	client, peer *link.Port // reserved from the first start on
	logFile      *os.File
	log          *zap.Logger

	run   *memberRun // nil while the member is down
	stuck bool       // a server was left behind that did not start or stop in time
}

// memberRun is one life of a member.
type memberRun struct {
	member   *integration.Member
	server   *etcdserver.EtcdServer
	served   chan struct{} // closed when the client port is closed
	stopping atomic.Bool   // we are ending it
}

// reserve takes the member's ports: those it had before, or any.
func (m *etcdMember) reserve() error {
	for _, p := range []**link.Port{&m.client, &m.peer} {
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

func (m *etcdMember) openLog() (err error) {
	m.logFile, m.log, err = openLog(m.logPath, m.name, m.hook)
	if err != nil {
		return fmt.Errorf("open the log of etcd member %s: %w", m.name, err)
	}
	return nil
}

// usable says whether the member can have another life.
func (m *etcdMember) usable() error {
	if m.stuck {
		return fmt.Errorf("start etcd member %s: a former server of it hangs", m.name)
	}
	return nil
}

// launch starts a server on the member's data. It returns when the server
// runs, which is before it knows a leader.
func (m *etcdMember) launch(c *embed.Config, peers types.URLsMap, opts []grpc.ServerOption) error {
	if err := m.usable(); err != nil {
		return err
	}
	m.hook.cause() // forget those of former lives
	var run *memberRun
	err := guard(launchBound, func() (err error) {
		run, err = m.serve(c, peers, opts)
		return err
	})
	if err == nil {
		m.run = run
		return nil
	}
	m.stuck = errors.Is(err, errBound)
	return fmt.Errorf("start etcd member %s: %w", m.name, m.explain(err))
}

// explain completes an error of guard: a Goexit by the log entry that led to
// it, a panic by its stack in the member's log.
func (m *etcdMember) explain(err error) error {
	if cause := m.hook.cause(); cause != nil && errors.Is(err, errGoexit) {
		return cause
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		m.log.Error("panic", zap.Any("value", p.value), zap.ByteString("stack", p.stack))
	}
	return err
}

// serve builds the member and starts its two sides. The framework's Member
// runs the server and the peers' side. The clients' side is ours: what the
// framework would start there keeps a record of every request in memory for
// as long as it runs (grpctesting.GRPCRecorder).
func (m *etcdMember) serve(c *embed.Config, peers types.URLsMap, opts []grpc.ServerOption) (*memberRun, error) {
	peerListener, err := m.peer.Listen()
	if err != nil {
		return nil, err
	}
	clientListener, err := m.client.Listen()
	if err != nil {
		return nil, errors.Join(err, peerListener.Close())
	}
	clientURL := types.URLs{url.URL{Scheme: "http", Host: m.client.Addr()}}
	im := &integration.Member{
		ServerConfig:  serverConfig(c, m.name, m.dataDir, clientURL, peers, m.log),
		PeerListeners: []net.Listener{peerListener},
	}
	launched := false
	defer func() { // also when a fatal log entry ends this goroutine
		if !launched {
			peerListener.Close()
			clientListener.Close()
		}
	}()
	if err := im.Launch(); err != nil {
		return nil, err
	}
	launched = true
	im.GRPCServer = v3rpc.Server(im.Server, nil, nil, opts...)
	run := &memberRun{member: im, server: im.Server, served: make(chan struct{})}
	go run.serveClients(im.GRPCServer, clientListener, m.hook.died)
	go run.watch(m.hook.died)
	return run, nil
}

// serveClients accepts connections as soon as the server is ready, like embed.
func (r *memberRun) serveClients(server *grpc.Server, listener net.Listener, died func(error)) {
	defer close(r.served)
	defer listener.Close()
	select {
	case <-r.server.ReadyNotify():
	case <-r.server.StopNotify():
		return
	}
	if err := server.Serve(listener); err != nil && !r.stopping.Load() {
		died(fmt.Errorf("serve clients: %w", err))
	}
}

// watch reports a server that stops by itself.
func (r *memberRun) watch(died func(error)) {
	<-r.server.StopNotify()
	if !r.stopping.Load() {
		died(errors.New("the server stopped by itself"))
	}
}

// close ends the member's server: it lets requests finish for up to two
// seconds, then closes connections and files. Close of a member that is down
// does nothing.
func (m *etcdMember) close() error {
	run := m.run
	if run == nil {
		return nil
	}
	m.run = nil
	run.stopping.Store(true)
	bound, death := closeBound, m.hook.cause()
	if death != nil {
		bound = deadBound
	}
	err := guard(bound, func() error {
		run.member.Close()
		<-run.served
		return nil
	})
	if err != nil {
		m.stuck = true
		if death != nil {
			err = fmt.Errorf("%w, after it had died: %w", err, death)
		}
		return fmt.Errorf("stop etcd member %s: %w", m.name, m.explain(err))
	}
	return nil
}

// release gives back ports and log file of a member that is down.
func (m *etcdMember) release() error {
	for _, p := range []*link.Port{m.client, m.peer} {
		if p != nil {
			p.Release()
		}
	}
	if m.logFile == nil {
		return nil
	}
	err := m.logFile.Close()
	m.logFile = nil
	return err
}
