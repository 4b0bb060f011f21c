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
