package storage

import (
	"context"
	"net/url"
	"path/filepath"
)

// The backends that are kine on a database other than a file.
const (
	kineMemoryName   = "kine-memory"
	kinePostgresName = "kine-postgres"
	kineMariaDBName  = "kine-mariadb"
	kineNATSName     = "kine-nats"
	kineT4Name       = "kine-t4"
)

// kineInMemory is kine's own store in memory, which ends with its process.
type kineInMemory struct{}

func (kineInMemory) Start(context.Context, string, func(error)) (string, error) {
	return "memory://", nil
}

func (kineInMemory) Stop() error { return nil }

func (kineInMemory) Keeps() bool { return false }

func (kineInMemory) Settings() map[string]string {
	return map[string]string{"driver": "memory", "fsync": "false"}
}

// kineOnNATS is the NATS server that is built into kine, with its JetStream in a
// directory. It listens nowhere. JetStream syncs its files every two minutes
// (nats-server, server/filestore.go, defaultSyncInterval): what was acknowledged
// since survives the end of the process, and a loss of power perhaps not.
type kineOnNATS struct{}

func (kineOnNATS) Start(_ context.Context, dir string, _ func(error)) (string, error) {
	return "nats://?dontListen&dataDir=" + url.QueryEscape(filepath.Join(dir, "data")), nil
}

func (kineOnNATS) Stop() error { return nil }

func (kineOnNATS) Keeps() bool { return true }

func (kineOnNATS) Settings() map[string]string {
	return map[string]string{"driver": "nats", "history": "10", "fsync": "every 2 minutes"}
}

// kineOnT4 is the store t4 (github.com/t4db/t4), which kine links, as one node
// without an object store: its log and its Pebble database are in a directory, and
// the log is synced before a write is answered (internal/wal).
type kineOnT4 struct{}

func (kineOnT4) Start(_ context.Context, dir string, _ func(error)) (string, error) {
	return "t4://" + filepath.Join(dir, "data"), nil
}

func (kineOnT4) Stop() error { return nil }

func (kineOnT4) Keeps() bool { return true }

func (kineOnT4) Settings() map[string]string {
	return map[string]string{"driver": "t4", "fsync": "true"}
}
