package kine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// buildBound is how long a build may take, download of kine's modules included.
// A cold one takes minutes.
const buildBound = 30 * time.Minute

// lockPoll is the pause between two attempts to take the lock of a build.
const lockPoll = 200 * time.Millisecond

// inputs are what a binary is built from. The names do not end as Go's do, or
// they would be a module of their own, and not embedded.
//
//go:embed build
var inputs embed.FS

// tags are those with which kine's own release of a version is built (its
// scripts/build). The C flags of the release are left out: what the tags do not set of
// them, kine does not use, and -O2, which they take away, stays.
var tags = map[string]string{
	"v0.17.5": "nats,sqlite_unlock_notify,sqlite_vtable,sqlite_stat4,sqlite_preupdate_hook," +
		"sqlite_math_functions,sqlite_dbstat,sqlite_column_metadata",
	"v0.16.4": "nats",
}

// Binary returns the path of kine's binary of a version: the one that OwnBinary
// names, else one that is built when there is none yet, which takes minutes, and
// is kept for the next time. Builds by several processes wait for each other.
func Binary(ctx context.Context, version string, log *slog.Logger) (string, error) {
	if file := Own(); file != "" {
		if _, err := exec.LookPath(file); err != nil {
			return "", fmt.Errorf("%s names no program: %w", OwnBinary, err)
		}
		return filepath.Abs(file)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("build kine %s: no directory to keep it in: %w", version, err)
	}
	file, err := binary(ctx, filepath.Join(cache, "planecheck"), version, log)
	if err != nil {
		return "", fmt.Errorf("build kine %s: %w", version, err)
	}
	return file, nil
}

func binary(ctx context.Context, cache, version string, log *slog.Logger) (string, error) {
	files, err := sources(version)
	if err != nil {
		return "", err
	}
	file := filepath.Join(cache, "kine-"+version+"-"+digest(version, files))
	if exists(file) {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, buildBound, fmt.Errorf("it had %v", buildBound))
	defer cancel()
	unlock, err := lock(ctx, file+".lock", log)
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(file) { // built while we waited
		return file, nil
	}
	return file, build(ctx, file, version, files, log)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// sources are the files of the module that is built, by name.
func sources(version string) (map[string][]byte, error) {
	if _, ok := tags[version]; !ok {
		return nil, fmt.Errorf("unknown version, known: %s", strings.Join(Versions(), ", "))
	}
	files := map[string][]byte{}
	for name, from := range map[string]string{
		"main.go": "build/main.txt",
		"go.mod":  path.Join("build", version, "mod.txt"),
		"go.sum":  path.Join("build", version, "sum.txt"),
	} {
		text, err := inputs.ReadFile(from)
		if err != nil {
			return nil, err
		}
		files[name] = text
	}
	return files, nil
}

// digest names what a binary is built from.
func digest(version string, files map[string][]byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", version, tags[version])
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		fmt.Fprintf(h, "%s %d\n", name, len(files[name]))
		h.Write(files[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// lock waits for a lock that the kernel gives up when its holder ends, however
// that does.
func lock(ctx context.Context, file string, log *slog.Logger) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for waited := false; ; waited = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file, err), f.Close())
		}
		if !waited {
			log.Info("another process builds kine, waiting for it")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for another build: %w", context.Cause(ctx)), f.Close())
		}
	}
}

// build makes the binary beside its place, and moves it there.
func build(ctx context.Context, file, version string, files map[string][]byte, log *slog.Logger) (err error) {
	for _, tool := range []struct{ name, what string }{{"go", "a Go toolchain"}, {"gcc", "a C compiler, for SQLite"}} {
		if _, err := exec.LookPath(tool.name); err != nil {
			return fmt.Errorf("it takes %s, and there is no %q in the PATH (or set %s to a kine binary)", tool.what, tool.name, OwnBinary)
		}
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), "build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	log.Info("building kine, once for this machine", "version", version, "into", file)
	begun := time.Now()
	if err := compile(ctx, dir, version); err != nil {
		return err
	}
	log.Info("kine is built", "version", version, "took", time.Since(begun).Round(time.Second))
	return os.Rename(filepath.Join(dir, "kine"), file)
}

func compile(ctx context.Context, dir, version string) error {
	runtime.LockOSThread() // see child.Process: Pdeathsig is sent when the thread ends
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", tags[version],
		"-ldflags", "-s -w -X github.com/k3s-io/kine/pkg/version.Version="+version, "-o", "kine", ".")
	cmd.Dir = dir
	// What a person has set for a build of planecheck is not meant for this one.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // compilers too
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("go build: %w: %s", err, lastLines(out.String(), 5))
	}
	return nil
}

// lastLines is the end of an output, on one line.
func lastLines(text string, n int) string {
	lines := slices.Collect(strings.Lines(strings.TrimSpace(text)))
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
