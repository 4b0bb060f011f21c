package storage

import (
	"context"
	"path/filepath"
)

const kineSQLiteName = "kine-sqlite"

// sqliteParams are kine's own (drivers/sqlite/sqlite.go, DefaultParams), which
// apply only if no file is named. With synchronous=NORMAL SQLite syncs at
// checkpoints, not at commits: what was committed last survives the end of the
// process, and a loss of power perhaps not.
const sqliteParams = "_journal_mode=WAL&_busy_timeout=30000&_synchronous=NORMAL&_txlock=immediate&_stmt_cache_size=20&cache=shared"

// sqlite is a file of kine's own.
type sqlite struct{}

func (sqlite) Start(_ context.Context, dir string, _ func(error)) (string, error) {
	return "sqlite://" + filepath.Join(dir, "state.db") + "?" + sqliteParams, nil
}

func (sqlite) Stop() error { return nil }

func (sqlite) Keeps() bool { return true }

func (sqlite) Settings() map[string]string {
	return map[string]string{"driver": "sqlite", "journal_mode": "WAL", "synchronous": "NORMAL", "fsync": "at checkpoints"}
}
