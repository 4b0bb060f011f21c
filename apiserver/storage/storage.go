// Package storage starts and stops the store that the API servers keep their
// objects in, whichever it is, behind one interface.
//
// The default backend is etcd: a cluster of 1, 3 or 5 members that lives in
// this process and listens on loopback TCP, see etcd.go. What a cluster
// measures is seen in two places only: every committed transaction is told to
// Options.OnCommit by the member that served it, and all CPU that the backend
// burns in this process carries the pprof label ProfileLabel.
//
// The backend etcd-process is the same cluster with each member in a process
// of its own and with links between them, for the faults that only processes
// can take, see processes.go. It costs each call some hops more.
//
// Both etcd and memory may be behind the proxy that records the others, see
// through_proxy.go.
//
// The backends kine-* are kine, in a process of its own, on a database, see
// kine.go.
//
// The backend memory is a store of our own in this process, without log,
// consensus and disk: the most that another store could give, see memory.go.
//
// The backend external is a store that somebody else runs, of which a run has a
// part, see external.go.
package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/history"
)

// ProfileLabel is the key of the pprof label on every goroutine of a backend
// inside this process, so that a CPU profile of the harness splits. Its value
// is ProfileStore for the store itself, and ProfileRecorder for the proxies before
// it and while Options.OnCommit runs on one of the store's goroutines.
const (
	ProfileLabel    = "component"
	ProfileStore    = "etcd"
	ProfileRecorder = "recorder"
)

// Options are what a backend needs to know of the run.
type Options struct {
	// Dir is the run directory. Data goes to Dir/<backend>/<member>, logs to
	// Dir/logs/<member>.log. It must be set, and Dir/<backend> must be absent
	// or empty when the backend starts for the first time.
	Dir string
	// OnCommit is told of every key that a transaction changed. It is called
	// on the store's own goroutines, concurrently and before the writer has
	// its answer, so it must be quick. Nil: nobody is told, at no cost.
	OnCommit func(history.Commit)
	// History takes the storage history: every call and every watch message
	// that the members answer. Nil: nothing is recorded, at no cost. Calls that
	// were never answered are handed over when the backend stops.
	History history.StoreSink
	// Interference stands between what records and every member, of a backend
	// whose members are behind a proxy; others refuse it. Nil: nothing does.
	Interference proxy.Interference
	// External is the store of the backend external; others have no use for it.
	External External
	Log      *slog.Logger // nil: nothing is logged
}

// Member is one server of a backend.
type Member struct {
	Name     string
	Endpoint string // http://127.0.0.1:port, empty before the first start
	PID      int    // 0: inside the harness, or down
	DataDir  string // empty: it has none
	Proxied  bool   // clients reach it through a recording proxy in the harness
	Keys     string // the prefix of all keys that are clients'; others are its own. Empty: none are
}

// Below is where a watch of all keys of clients may end, see
// record.FullWatchOptions.
func (m Member) Below() string {
	if m.Keys == "" {
		return ""
	}
	return "\xff"
}

// Backend is a store that speaks the etcd v3 API.
//
// Start and Stop may alternate: a started backend is stopped with Stop, and
// after that Start resumes it with its data and at the same endpoints. A Start
// that fails undoes what it had begun. Stop may be called at any time and
// leaves the data where it was: it belongs to the owner of the run directory,
// who may call RemoveData.
type Backend interface {
	Name() string // "etcd", as in --backend
	// Start returns when every member serves requests and knows a leader.
	Start(ctx context.Context) error
	Endpoints() []string // one per member, nil before the first start
	Members() []Member
	Faults() []string // names of the faults that it can take
	// DiskBytes is the space that the data takes on disk now, in all members.
	DiskBytes() (int64, error)
	Stop() error
}

// DeathNotifier is implemented by backends that can lose a member which nobody
// stopped, for example because the disk is full.
type DeathNotifier interface {
	// Died delivers the first such loss after each Start.
	Died() <-chan error
}

// Describer is implemented by backends that have settings worth recording with
// a run's figures.
type Describer interface {
	Settings() map[string]string
}

// Preparer is implemented by backends whose first start on a machine has to build
// something, which takes minutes.
type Preparer interface {
	// Prepare builds what is missing, so that Start need not. It starts nothing.
	Prepare(ctx context.Context) error
}

// Accompanied is implemented by backends whose members need other servers.
type Accompanied interface {
	// Accompanying are the processes of those that run now, by name. They may
	// work in child processes.
	Accompanying() map[string]int
}

// Open returns the backend that spec names, not yet started. A spec is a name
// from Known, then optionally a colon and comma-separated key=value options:
// "etcd", "etcd:members=1".
func Open(spec string, opt Options) (Backend, error) {
	if opt.Dir == "" {
		return nil, errors.New("open storage backend: no run directory given")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	kind, options, err := parseSpec(spec)
	if err != nil {
		return nil, err
	}
	if opt.Interference != nil && !kind.interferes(options) {
		return nil, fmt.Errorf("open storage backend %s: nothing can stand before its members, only before those of %s", spec, strings.Join(proxied(), ", "))
	}
	if len(opt.External.Endpoints) > 0 && kind.name != externalName {
		return nil, fmt.Errorf("open storage backend %s: endpoints of an external store are given, which only the backend %s takes", kind.name, externalName)
	}
	return kind.open(options, opt)
}

// RemoveData deletes the data directories of a stopped backend.
func RemoveData(b Backend) error {
	for _, m := range b.Members() {
		if m.DataDir == "" {
			continue
		}
		if err := os.RemoveAll(m.DataDir); err != nil {
			return fmt.Errorf("remove the data of %s: %w", m.Name, err)
		}
	}
	return nil
}
