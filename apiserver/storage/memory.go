package storage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/pprof"
	"sync"

	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/memory"
	"github.com/planecheck/planecheck/apiserver/storage/record"
)

const memoryName = "memory"

// inMemory is the backend of package memory: one server in this process. It
// takes no faults and cannot die, and its data goes with the process.
type inMemory struct {
	opt     Options
	store   *memory.Store
	numbers record.Numbers // of the history

	op   sync.Mutex // held during Start and Stop
	stop func()     // guarded by op; nil while it is down

	mu   sync.Mutex
	port *link.Port // guarded by mu; nil before the first start
}

func newMemory(opt Options) *inMemory { return &inMemory{opt: opt, store: memory.New()} }

// Name implements Backend.
func (m *inMemory) Name() string { return memoryName }

// Start implements Backend.
func (m *inMemory) Start(ctx context.Context) error {
	m.op.Lock()
	defer m.op.Unlock()
	if m.stop != nil {
		return errors.New("start memory: it is started already")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("start memory: %w", context.Cause(ctx))
	}
	number := 0
	if before := m.reserved(); before != nil {
		number = before.Number
	}
	port, err := link.ReservePort(number)
	if err != nil {
		return fmt.Errorf("start memory: %w", err)
	}
	listener, err := port.Listen()
	if err != nil {
		port.Release()
		return fmt.Errorf("start memory: %w", err)
	}
	m.mu.Lock()
	m.port = port
	m.mu.Unlock()
	m.stop = m.serve(listener, port)
	m.opt.Log.Info("memory is up", "endpoints", m.Endpoints())
	return nil
}

// serve starts to serve and returns what ends that.
func (m *inMemory) serve(listener net.Listener, port *link.Port) (stop func()) {
	recorder := record.New(record.Options{
		Member: memoryName, Sink: m.opt.History, Numbers: &m.numbers,
		Inside: recorderLabels, Outside: storeLabels,
	})
	// Clients may ping as often as etcd lets them.
	options := append(memory.ServerOptions(), grpcOptions(etcdConfig())...)
	if m.opt.OnCommit != nil {
		options = append(options, grpc.ChainUnaryInterceptor(commitInterceptor(m.opt.OnCommit)))
	}
	server := grpc.NewServer(append(options, recorder.ServerOptions()...)...)
	m.store.Register(server)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	label := func(f func()) func() {
		return func() {
			pprof.SetGoroutineLabels(storeLabels) // whatever f starts inherits them
			f()
		}
	}
	running.Go(label(func() { _ = server.Serve(listener) })) // it ends with Stop, and says so
	running.Go(label(func() { m.store.Expire(ctx) }))
	return func() {
		cancel()
		server.Stop()
		running.Wait()
		recorder.Close()
		port.Release()
	}
}

// Stop implements Backend. It breaks off all calls, and waits for them.
func (m *inMemory) Stop() error {
	m.op.Lock()
	defer m.op.Unlock()
	if m.stop != nil {
		m.stop()
		m.stop = nil
	}
	return nil
}

func (m *inMemory) reserved() *link.Port {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.port
}

// Endpoints implements Backend.
func (m *inMemory) Endpoints() []string {
	port := m.reserved()
	if port == nil {
		return nil
	}
	return []string{"http://" + port.Addr()}
}

// Members implements Backend. There is no directory of data.
func (m *inMemory) Members() []Member {
	member := Member{Name: memoryName}
	if port := m.reserved(); port != nil {
		member.Endpoint = "http://" + port.Addr()
	}
	return []Member{member}
}

// Faults implements Backend: there are none.
func (m *inMemory) Faults() []string { return nil }

// DiskBytes implements Backend: nothing is on disk.
func (m *inMemory) DiskBytes() (int64, error) { return 0, nil }

// Settings implements Describer.
func (m *inMemory) Settings() map[string]string {
	return map[string]string{"members": "1", "driver": "memory", "fsync": "false"}
}
