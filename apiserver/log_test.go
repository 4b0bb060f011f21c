package apiserver

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	check := func(text string, offset int64, want ...string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, lastLines(path, offset)); diff != "" {
			t.Error(diff)
		}
	}
	numbered := func(from, to int) (lines []string) {
		for i := from; i < to; i++ {
			lines = append(lines, fmt.Sprintf("line %d", i))
		}
		return lines
	}
	text := func(lines []string) string { return strings.Join(lines, "\n") + "\n" }

	check("", 0, "(the log is empty)")
	check("old\n", 4, "(the log is empty)")
	check("old\nnew\n", 4, "new")
	check("no end of line", 0, "no end of line")
	check(text(numbered(0, 100)), 0, numbered(100-tailLines, 100)...)
	// More than is read: the first line, cut in two, is not shown.
	check(text(numbered(0, 50000)), 0, numbered(50000-tailLines, 50000)...)
	// The cause comes before the stacks.
	check(text([]string{"I1121 ready"})+"F1121 19:00:00 lost the lease\ngoroutine 1\n", 0,
		"F1121 19:00:00 lost the lease", "goroutine 1")
	check("panic: boom\n"+text(numbered(0, 100)), 0, append([]string{"panic: boom"}, numbered(0, tailLines-1)...)...)
	check("fatal error: out of memory\n\n", 0, "fatal error: out of memory")
	check(strings.Repeat("x", 2*lineBytes), 0, strings.Repeat("x", lineBytes)+"...")

	if got := lastLines(filepath.Join(path, "missing"), 0); len(got) != 1 || !strings.Contains(got[0], "missing") {
		t.Errorf("no log: %q", got)
	}
}

// Whatever a component prints, what is shown of it is bounded.
func FuzzLastLines(f *testing.F) {
	f.Add([]byte("panic: x\n\ngoroutine 1\n"), int64(0))
	f.Add([]byte{0xff, '\n', 0}, int64(1))
	f.Add([]byte("short"), int64(100))
	f.Fuzz(func(t *testing.T, text []byte, offset int64) {
		if offset < 0 {
			return
		}
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		lines := lastLines(path, offset)
		if len(lines) == 0 || len(lines) > tailLines {
			t.Fatalf("%d lines", len(lines))
		}
		for _, line := range lines {
			if len(line) > lineBytes+len("...") || strings.Contains(line, "\n") {
				t.Fatalf("line %q", line)
			}
		}
	})
}
