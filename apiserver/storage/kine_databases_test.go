package storage

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/planecheck/planecheck/apiserver/storage/database"
	checker "github.com/planecheck/planecheck/checkers/storage"
)

// passable is a directory for a run that other users may pass through.
func passable(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "planecheck-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// installed skips a test whose database is not there; CI installs all.
func installed(t testing.TB, s *database.Server) {
	t.Helper()
	if err := s.Installed(); err != nil {
		t.Skip(err)
	}
}

// The history of kine on each database can be judged, and is good.
func TestHistoryOfKineOnDatabases(t *testing.T) {
	t.Run(kineMemoryName, func(t *testing.T) {
		t.Parallel()
		testHistoryOfKine(t, kineMemoryName, checker.KineMemory())
	})
	t.Run(kinePostgresName, func(t *testing.T) {
		installed(t, database.Postgres(""))
		t.Parallel()
		testHistoryOfKine(t, kinePostgresName, checker.Kine())
	})
	t.Run(kineMariaDBName, func(t *testing.T) {
		installed(t, database.MariaDB(""))
		t.Parallel()
		testHistoryOfKine(t, kineMariaDBName, checker.Kine())
	})
}

// A database that is stopped comes back with what it held, and one that ends by
// itself is told of.
func TestKineOnADatabaseLives(t *testing.T) {
	for _, test := range []struct {
		spec string
		db   *database.Server
	}{{kinePostgresName, database.Postgres("")}, {kineMariaDBName, database.MariaDB("")}} {
		t.Run(test.spec, func(t *testing.T) {
			installed(t, test.db)
			t.Parallel()
			testDatabaseLives(t, test.spec)
		})
	}
}

func testDatabaseLives(t *testing.T, spec string) {
	k := startKine(t, spec, Options{Dir: passable(t)})
	ctx := bounded(t)
	const key = "/registry/a"
	mustPut(t, dial(t, k.Endpoints()...), key, "kept", 0)
	db := k.database.(*database.Server)
	first := db.PID()
	if got := k.Accompanying(); len(got) != 1 || got[db.Name()] != first || first == 0 {
		t.Errorf("it is accompanied by %v, want %s in process %d", got, db.Name(), first)
	}
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(first, 0); err != syscall.ESRCH {
		t.Errorf("process %d of the database after the stop: %v", first, err)
	}
	if err := k.Start(ctx); err != nil {
		t.Fatal(err)
	}
	wantValue(t, dial(t, k.Endpoints()...), key, "kept")
	if n, err := k.DiskBytes(); n == 0 || err != nil {
		t.Errorf("%d bytes on disk, %v", n, err)
	}
	if err := syscall.Kill(db.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-k.Died():
		name := strings.TrimPrefix(spec, "kine-")
		if got := message(err); !strings.HasPrefix(got, name+" died: signal: killed") || strings.Contains(got, "\n") {
			t.Errorf("died: %v", err)
		}
	case <-ctx.Done():
		t.Fatal("nobody was told of the death")
	}
}

// What is linked into kine and keeps its data in files comes back with what it held.
func TestKineOnNATSLives(t *testing.T) { testKineLives(t, kineNATSName) }
func TestKineOnT4Lives(t *testing.T)   { testKineLives(t, kineT4Name) }

func testKineLives(t *testing.T, spec string) {
	t.Parallel()
	k := startKine(t, spec, Options{})
	const key = "/registry/a"
	mustPut(t, dial(t, k.Endpoints()...), key, "kept", 0)
	if n, err := k.DiskBytes(); n == 0 || err != nil {
		t.Errorf("%d bytes on disk, %v", n, err)
	}
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	wantValue(t, dial(t, k.Endpoints()...), key, "kept")
}
