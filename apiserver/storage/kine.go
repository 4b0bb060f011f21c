package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/child"
	"github.com/planecheck/planecheck/apiserver/storage/database"
	"github.com/planecheck/planecheck/apiserver/storage/kine"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
)

// kineMember is the name of the one member of a kine backend.
const kineMember = "kine"

// kineData is where a kine server keeps its data.
type kineData interface {
	// Start starts what kine needs beside itself and returns the endpoint to
	// tell kine. dir exists, and died is told of the end of what was started
	// that nobody asked for. A start that fails leaves nothing behind.
	Start(ctx context.Context, dir string, died func(error)) (endpoint string, err error)
	// Stop ends what Start has started; without such it does nothing.
	Stop() error
	// Keeps says whether the data outlives a kine process.
	Keeps() bool
	Settings() map[string]string
}

// kineBackend is a kine server in a process of its own, behind a proxy that
// records, on a database. It is one member; see package kine for the flags.
type kineBackend struct {
	opt      Options
	name     string
	version  string
	binary   string // found at the first start
	dir      string // the data
	database kineData
	server   served
	deaths   chan error
	numbers  record.Numbers // of the history
	freezer  proxy.FreezeWatches

	op       sync.Mutex // held during Start, Stop and every fault
	started  bool       // guarded by op
	endpoint string     // what kine is told of the database; guarded by op

	mu    sync.Mutex
	front *link.Port // guarded by mu; nil before the first start
}

func newKine(name, version string, data func(logs string) kineData, opt Options) (*kineBackend, error) {
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("open storage backend %s: %w", name, err)
	}
	k := &kineBackend{
		opt: opt, name: name, version: version, deaths: make(chan error, 1),
		database: data(filepath.Join(dir, "logs")), dir: filepath.Join(dir, name, kineMember),
	}
	k.server = served{
		name: kineMember, title: kineMember, logPath: filepath.Join(dir, "logs", kineMember+".log"),
		died: func(err error) { k.died(fmt.Errorf("kine died: %w", err)) }, freezer: &k.freezer,
	}
	return k, nil
}

// Name implements Backend.
func (k *kineBackend) Name() string { return k.name }

// Start implements Backend. The first of a version on a machine builds kine,
// which takes minutes.
func (k *kineBackend) Start(ctx context.Context) (err error) {
	k.op.Lock()
	defer k.op.Unlock()
	if k.started {
		return fmt.Errorf("start %s: it is started already", k.name)
	}
	if k.binary, err = kine.Binary(ctx, k.version, k.opt.Log); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.stop())
		}
	}()
	select {
	case <-k.deaths: // of an earlier life
	default:
	}
	begun := time.Now()
	if err := k.prepare(ctx); err != nil {
		return err
	}
	if err := k.launch(ctx); err != nil {
		return err
	}
	k.started = true
	k.opt.Log.Info("kine is up", "backend", k.name, "version", k.version, "endpoint", k.server.endpoint(), "took", time.Since(begun))
	return nil
}

// Prepare implements Preparer: it builds kine.
func (k *kineBackend) Prepare(ctx context.Context) error {
	_, err := kine.Binary(ctx, k.version, k.opt.Log)
	return err
}

// prepare takes directory and ports, and starts all but kine itself.
func (k *kineBackend) prepare(ctx context.Context) (err error) {
	if err := prepareDir(k.dir, k.Endpoints() == nil); err != nil {
		return err
	}
	if err := k.server.reserve(); err != nil {
		return err
	}
	k.mu.Lock()
	k.front = k.server.front
	k.mu.Unlock()
	if err := k.server.openWay(); err != nil {
		return err
	}
	k.server.record(k.opt.History, &k.numbers)
	if k.endpoint, err = k.database.Start(ctx, k.dir, k.died); err != nil {
		return fmt.Errorf("start the database of %s: %w", k.name, err)
	}
	return nil
}

// launch starts a kine process on the database, and lets clients to it when it
// serves.
func (k *kineBackend) launch(ctx context.Context) error {
	process, err := kine.Start(child.Config{
		Name: kineMember, Path: k.binary, LogFile: k.server.logPath,
		Args: kine.Flags(k.version, k.server.client.Addr(), k.endpoint),
	})
	if err != nil {
		return err
	}
	ready, cancel := context.WithTimeoutCause(ctx, launchBound, fmt.Errorf("it had %v", launchBound))
	defer cancel()
	if err := k.server.poll(ready, process, k.serves); err != nil {
		said := ""
		if process.Running() {
			said = ", and it said last: " + process.Said()
		}
		return errors.Join(fmt.Errorf("start kine: %w%s", err, said), process.Kill())
	}
	return k.server.admit(process, k.opt.OnCommit, k.opt.Interference)
}

// serves reads the key that kine writes before it serves.
func (k *kineBackend) serves(ctx context.Context) error {
	return k.server.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("/registry/health"), Limit: 1})
		return err
	})
}

// Stop implements Backend. It takes up to 30 s, after which kine is killed, and
// as long for the database.
func (k *kineBackend) Stop() error {
	k.op.Lock()
	defer k.op.Unlock()
	return k.stop()
}

func (k *kineBackend) stop() error {
	k.started = false
	k.freezer.Thaw() // it is no state of another start
	return errors.Join(k.server.stop(), k.database.Stop(), k.server.release())
}

// Endpoints implements Backend.
func (k *kineBackend) Endpoints() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.front == nil {
		return nil
	}
	return []string{"http://" + k.front.Addr()}
}

// Members implements Backend.
func (k *kineBackend) Members() []Member {
	member := Member{Name: kineMember, DataDir: k.dir, PID: k.server.pid(), Proxied: true, Keys: "/"}
	if endpoints := k.Endpoints(); endpoints != nil {
		member.Endpoint = endpoints[0]
	}
	return []Member{member}
}

// DiskBytes implements Backend.
func (k *kineBackend) DiskBytes() (int64, error) {
	n, err := diskUsage(k.dir)
	if err != nil {
		return 0, fmt.Errorf("measure the data of %s: %w", k.name, err)
	}
	return n, nil
}

// Settings implements Describer.
func (k *kineBackend) Settings() map[string]string {
	settings := k.database.Settings()
	settings["members"], settings["version"] = "1", k.version
	if own := kine.Own(); own != "" {
		settings["version"] = "unknown, " + own
	}
	maps.Copy(settings, kine.Settings(k.version))
	return settings
}

// Accompanying implements Accompanied.
func (k *kineBackend) Accompanying() map[string]int {
	k.op.Lock()
	defer k.op.Unlock()
	server, ok := k.database.(*database.Server)
	if !ok || server.PID() == 0 {
		return nil
	}
	return map[string]int{server.Name(): server.PID()}
}

// Died implements DeathNotifier.
func (k *kineBackend) Died() <-chan error { return k.deaths }

func (k *kineBackend) died(err error) {
	k.opt.Log.LogAttrs(context.Background(), slog.LevelError, "the backend died", slog.String("backend", k.name), slog.Any("err", err))
	select {
	case k.deaths <- err:
	default: // only the first is of interest
	}
}

// Faults implements Backend. What is not kept cannot be started again.
func (k *kineBackend) Faults() []string {
	faults := []string{FaultMemberFreeze, FaultWatchFreeze}
	if k.database.Keeps() {
		faults = slices.Concat([]string{FaultMemberStop, FaultMemberRestart, FaultMemberKill}, faults)
	}
	return faults
}
