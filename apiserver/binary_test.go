package apiserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script writes an executable that prints a version and a usage.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
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
