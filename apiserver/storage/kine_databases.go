package storage

import "context"

// The backends that are kine on a database other than a file.
const (
	kineMemoryName   = "kine-memory"
	kinePostgresName = "kine-postgres"
	kineMariaDBName  = "kine-mariadb"
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
