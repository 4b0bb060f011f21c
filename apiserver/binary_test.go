package apiserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script writes an executable that prints a version and a usage.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "binary")
	// A process that another test starts meanwhile would hold the file open for writing until
	// it executes its program, and what is open so cannot be executed.
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func component(version, kind string) string {
	return fmt.Sprintf("case $1 in --version) echo '%s';; *) echo 'Usage:'; echo '  %s [flags]';; esac\n", version, kind)
}

func TestOwnBinary(t *testing.T) {
	check := func(path, want string) {
		t.Helper()
		b, err := ownBinary(KubeAPIServer, path)
		if err == nil {
			err = b.check(t.Context(), KubeAPIServer)
		}
		switch {
		case want == "" && (err != nil || b.version != "v1.36.2-mine+dirty"):
			t.Errorf("%s: version %q, %v", path, b.version, err)
		case want == "":
		case err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%s: got %v, want an error with %q", path, err, want)
		case strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path+" is no kube-apiserver: "):
			t.Errorf("not one line about the file: %v", err)
		}
	}
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte{0x7f, 'E', 'L', 'F', 0, 1}, 0o755); err != nil {
		t.Fatal(err)
	}
	check(script(t, component("Kubernetes v1.36.2-mine+dirty", KubeAPIServer)), "")
	check(script(t, component("Kubernetes v1.36.2-mine+dirty", "my-apiserver")), "")
	check(filepath.Join(dir, "missing"), "no such file")
	check(dir, "it is a directory")
	check(plain, "it is not executable")
	check(garbage, "exec format error")
	check(script(t, component("Kubernetes v1.37.1", KubeScheduler)), "it is a kube-scheduler")
	check(script(t, component("etcd Version: 3.7.3", "etcd")), "not a Kubernetes version")
	check(script(t, "echo one; echo two >&2; exit 4\n"), `exit status 4: "one two"`)
	check(script(t, ""), "not a Kubernetes version")
}

// A binary that ignores --version and serves must not hold us up.
func TestBinaryThatHangs(t *testing.T) {
	t.Parallel()
	b, err := ownBinary(KubeAPIServer, script(t, "sleep 1000\n"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.check(ctx, KubeAPIServer); err == nil || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("got %v", err)
	}
}

// The components are run from another binary, if there is one that has them.
func TestProgram(t *testing.T) {
	program := script(t, "[ \"$1\" = component ] || exit 4\nshift 2\n"+component("Kubernetes v1.37.1", KubeAPIServer))
	t.Chdir(filepath.Dir(program))
	own := script(t, component("Kubernetes v1.36.2", KubeScheduler))
	for _, path := range []string{program, filepath.Base(program)} {
		found, err := findBinaries(t.Context(), &Config{Program: path, KubeScheduler: own})
		if err != nil {
			t.Fatal(err)
		}
		want := binary{path: program, prefix: []string{Subcommand, KubeAPIServer}, version: "v1.37.1"}
		if got := found[KubeAPIServer]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
		if got := found[KubeScheduler]; got.path != own || got.prefix != nil {
			t.Errorf("beside %s: %+v, want a person's own %s", path, got, own)
		}
	}
	missing := filepath.Join(filepath.Dir(program), "missing")
	if _, err := findBinaries(t.Context(), &Config{Program: missing}); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("no such program: %v", err)
	}
}
