package kine

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Each version can be built, says which one it is, and is there when it is
// asked for again.
func TestBinary(t *testing.T) {
	versions := Versions()[:1]
	if os.Getenv("PLANECHECK_KNOWN") != "" { // `make known` wants the others, too
		versions = Versions()
	}
	for _, version := range versions {
		file, err := Binary(t.Context(), version, slog.Default())
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), file, "--version").CombinedOutput()
		if err != nil || !strings.Contains(string(out), " "+version+" ") {
			t.Errorf("%s says it is %q, %v", file, out, err)
		}
		// Without a toolchain, what is built can still be had.
		again, err := binary(t.Context(), filepath.Dir(file), version, slog.New(failing{t}))
		if again != file || err != nil {
			t.Errorf("asked again for %s: %s, %v", file, again, err)
		}
	}
}

// failing is a log that nothing may be written to.
type failing struct{ t *testing.T }

func (f failing) Enabled(context.Context, slog.Level) bool { return true }
func (f failing) WithAttrs([]slog.Attr) slog.Handler       { return f }
func (f failing) WithGroup(string) slog.Handler            { return f }
func (f failing) Handle(_ context.Context, r slog.Record) error {
	f.t.Errorf("it says %q", r.Message)
	return nil
}

func TestBinaryThatCannotBe(t *testing.T) {
	discard := slog.New(slog.DiscardHandler)
	tools, nothing := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "go"), []byte("#!/bin/sh\necho a; echo it is broken >&2; exit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, version, want string }{
		{nothing, "v0.1", "unknown version, known: v0.17.5, v0.16.4"},
		{nothing, "v0.17.5", "it takes a Go toolchain, and there is no "},
		{tools, "v0.17.5", `it takes a C compiler, for SQLite, and there is no "gcc" in the PATH (or set PLANECHECK_KINE to a kine binary)`},
	} {
		t.Setenv("PATH", test.path)
		cache := t.TempDir()
		_, err := binary(t.Context(), cache, test.version, discard)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.version, err, test.want)
		}
		left, err := filepath.Glob(filepath.Join(cache, "build-*"))
		if len(left) > 0 || err != nil {
			t.Errorf("%s: left %q, %v", test.version, left, err)
		}
	}
	if err := os.WriteFile(filepath.Join(tools, "gcc"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+":/bin")
	if _, err := binary(t.Context(), t.TempDir(), "v0.17.5", discard); err == nil || err.Error() != "go build: exit status 3: a; it is broken" {
		t.Errorf("a build that fails: %v", err)
	}
	t.Setenv(OwnBinary, filepath.Join(nothing, "kine"))
	if _, err := Binary(t.Context(), "v0.17.5", discard); err == nil || !strings.HasPrefix(err.Error(), "PLANECHECK_KINE names no program: ") {
		t.Errorf("a binary of a person's own that is not there: %v", err)
	}
}

// Of several that want a binary at one time one builds it, and the others wait.
func TestBinaryIsBuiltOnce(t *testing.T) {
	tools, cache := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\necho built >>" + filepath.Join(tools, "log") + "\n: >kine\n"
	for _, tool := range []string{"go", "gcc"} {
		if err := os.WriteFile(filepath.Join(tools, tool), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", tools+":/bin")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := binary(ctx, cache, "v0.17.5", slog.New(slog.DiscardHandler)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if log, err := os.ReadFile(filepath.Join(tools, "log")); string(log) != "built\n" || err != nil {
		t.Errorf("builds: %q, %v", log, err)
	}
}

func TestFlags(t *testing.T) {
	const poll = "--datastore-poll-interval=1s"
	for version, want := range map[string]bool{"v0.17.5": true, "v0.16.4": false} {
		if flags := strings.Join(Flags(version, "l", "e"), " "); strings.Contains(flags, poll) != want || !strings.Contains(flags, "--compact-min-retain=0") {
			t.Errorf("%s is told %s", version, flags)
		}
	}
}

func TestFatalEntry(t *testing.T) {
	for line, want := range map[string]string{
		`{"severity":"fatal","message":"WATCH SEND EVENTS FOR PAST REVISION server=1","timestamp":"x"}`: "WATCH SEND EVENTS FOR PAST REVISION server=1",
		`{"severity":"error","message":"GAP"}`:                                                          "",
		`no JSON`:                                                                                       "",
	} {
		if got := fatalEntry(line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
