package results

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadHost(t *testing.T) {
	h, err := ReadHost(filepath.Join(t.TempDir(), "runs", "not", "yet"))
	if err != nil {
		t.Fatal(err)
	}
	if h.CPUs < 1 || h.MemoryBytes < mib || h.AvailableBytes < 1 || h.AvailableBytes > h.MemoryBytes ||
		h.DiskBytes < 1 || h.MaxFDs < 3 || h.Kernel == "" {
		t.Errorf("host = %+v", h)
	}
}

func TestParseMeminfo(t *testing.T) {
	total, available := parseMeminfo([]byte("MemTotal:       1000 kB\nMemFree: 5 kB\nMemAvailable:    600 kB\nBroken\n"))
	if total != 1000*kib || available != 600*kib {
		t.Errorf("total %d, available %d", total, available)
	}
}

func TestGroupMemory(t *testing.T) {
	mount := t.TempDir()
	write := func(path, content string) {
		t.Helper()
		path = filepath.Join(mount, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(self string, wantLimit, wantUsed int64) {
		t.Helper()
		limit, used := groupMemory(mount, []byte(self))
		if limit != wantLimit || used != wantUsed {
			t.Errorf("%q: limit %d, used %d, want %d, %d", self, limit, used, wantLimit, wantUsed)
		}
	}
	f("0::/\n", 0, 0)
	write("a/memory.max", "5000\n")
	write("a/memory.current", "1000\n")
	write("a/b/memory.max", "max\n")
	write("a/c/memory.max", "9000\n")
	f("0::/a\n", 5000, 1000)
	f("0::/a/b\n", 5000, 1000)
	f("0::/a/c\n", 5000, 1000) // the tighter one counts
	f("4:memory:/x\n", 0, 0)   // version 1

	h := Host{MemoryBytes: 8000, AvailableBytes: 7000}
	h.limit(5000, 1000)
	if h.MemoryBytes != 5000 || h.AvailableBytes != 4000 {
		t.Errorf("limited host = %+v", h)
	}
	h.limit(9000, 0)
	if h.MemoryBytes != 5000 {
		t.Errorf("a limit above the memory counts: %+v", h)
	}
}
