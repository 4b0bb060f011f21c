package storebench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// SyncBlock is the size of what is written before each sync of the floor, in
// bytes: about a write of a pod in a store's log.
const SyncBlock = 2 << 10

// syncFile is how much is allocated for them at once, as etcd does for its log
// (server/v3/storage/wal, SegmentSizeBytes): a sync then has no new length of
// the file to write.
const syncFile = 64 << 20

// Syncs measures how long the disk takes to make a small write durable: one
// block after another is written to a file in dir, each with an fdatasync, until
// the window ends. It is the floor of a single durable write.
func Syncs(ctx context.Context, dir string, warmup, window time.Duration, sink Sink) (m Measure, err error) {
	path := filepath.Join(dir, "sync-floor")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
		if err = unix.Fallocate(int(f.Fd()), 0, 0, syncFile); errors.Is(err, unix.EOPNOTSUPP) {
			err = f.Truncate(syncFile)
		}
	}
	if err != nil {
		return m, fmt.Errorf("measure fdatasync in %s: %w", dir, err)
	}
	block := newValues(0).noise[:SyncBlock]
	var at int64
	c := &Config{Warmup: warmup, Window: window}
	return closedLoop(ctx, c, Measure{Clients: 1}, func(int) turn {
		return func(context.Context) (int64, error) {
			if _, err := f.WriteAt(block, at); err != nil {
				return 0, err
			}
			at = (at + SyncBlock) % syncFile
			return 0, unix.Fdatasync(int(f.Fd()))
		}
	}, sink), nil
}

// Echo is a gRPC server on loopback that answers a trivial call, as gRPC's own
// health service does: a call of it is the floor of every request, because it
// goes the same way and nothing is done.
type Echo struct {
	server *grpc.Server
	served chan struct{}
	bench  *Bench
}

// NewEcho starts the server and connects to it as to a store.
func NewEcho(c Config) (*Echo, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the server of the loopback floor: %w", err)
	}
	e := &Echo{server: grpc.NewServer(), served: make(chan struct{})}
	grpc_health_v1.RegisterHealthServer(e.server, health.NewServer())
	go func() {
		defer close(e.served)
		_ = e.server.Serve(listener) // it ends with Close, and says so
	}()
	c.Endpoints = []string{listener.Addr().String()}
	if e.bench, err = Open(c); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Close ends server and connections.
func (e *Echo) Close() {
	if e.bench != nil {
		e.bench.Close()
	}
	e.server.Stop()
	<-e.served
}

// Measure has clients call it in a closed loop.
func (e *Echo) Measure(ctx context.Context, clients int, sink Sink) Measure {
	m := Measure{Clients: clients, Connections: min(clients, len(e.bench.conns))}
	return e.bench.loop(ctx, m, sink, func(w worker) turn {
		call := grpc_health_v1.NewHealthClient(e.bench.conns[w.client%len(e.bench.conns)])
		return func(ctx context.Context) (int64, error) {
			_, err := call.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			return 0, err
		}
	})
}
