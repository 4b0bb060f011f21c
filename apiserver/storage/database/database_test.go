package database

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A database that is not installed is refused in one line that says which
// package has it.
func TestNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, s := range []*Server{Postgres(t.TempDir()), MariaDB(t.TempDir())} {
		s.places = []string{t.TempDir()}
		_, err := s.Start(t.Context(), t.TempDir(), nil)
		if err == nil || !strings.HasPrefix(err.Error(), s.name+" is not installed: ") || !strings.Contains(err.Error(), "apt-get install "+s.pkg) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", s.name, err)
		}
		if s.Installed() == nil {
			t.Errorf("%s counts as installed", s.name)
		}
	}
}

// The newest version is taken where several are installed.
func TestNewestVersion(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	for _, version := range []string{"15", "13"} {
		bin := filepath.Join(dir, version, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"initdb", "postgres"} {
			if err := os.WriteFile(filepath.Join(bin, program), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := Postgres("")
	s.places = []string{filepath.Join(dir, "*", "bin")}
	if bin, err := s.find(); err != nil || bin["postgres"] != filepath.Join(dir, "15/bin/postgres") {
		t.Errorf("found %v, %v", bin, err)
	}
}

// A directory that the server's user cannot reach is named.
func TestReachable(t *testing.T) {
	top, err := os.MkdirTemp("", "planecheck-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	dir := filepath.Join(top, "closed", "run", "kine-x", "kine")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, open := range []string{top, filepath.Join(top, "closed", "run")} {
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	closed := filepath.Join(top, "closed")
	if err := reachable(dir); err == nil || !strings.Contains(err.Error(), "may not pass through "+closed+" (mode drwx------)") {
		t.Errorf("a run below a closed directory: %v", err)
	}
	if err := os.Chmod(closed, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := reachable(dir); err != nil {
		t.Errorf("a run below open directories: %v", err)
	}
}

// A database that cannot be made says why, and leaves no port and no process.
func TestEmptyDatabaseFails(t *testing.T) {
	top, err := os.MkdirTemp("", "planecheck-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	dir := filepath.Join(top, "kine-postgres", "kine")
	for _, d := range []string{top, dir} {
		if err := errors.Join(os.MkdirAll(d, 0o755), os.Chmod(d, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	s := Postgres(t.TempDir())
	for _, program := range s.programs {
		if err := os.WriteFile(filepath.Join(top, program), []byte("#!/bin/sh\necho ERROR: it is full >&2\necho ask elsewhere\nexit 3\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", top+":/bin")
	_, err = s.Start(t.Context(), dir, func(err error) { t.Error(err) })
	if err == nil || err.Error() != "make an empty database with initdb: exit status 3: ERROR: it is full" {
		t.Errorf("a database that cannot be made: %v", err)
	}
	if s.PID() != 0 {
		t.Errorf("process %d is left", s.PID())
	}
}
