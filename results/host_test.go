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
	write := func(path, content string) { t.Helper(); writeGroup(t, mount, path, content) }
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

func TestGroupCPUs(t *testing.T) {
	mount := t.TempDir()
	f := func(self string, want float64) {
		t.Helper()
		if got := groupCPUs(mount, []byte(self)); got != want {
			t.Errorf("%q: %g CPUs, want %g", self, got, want)
		}
	}
	f("0::/\n", 0)
	writeGroup(t, mount, "a/cpu.max", "200000 100000\n")
	writeGroup(t, mount, "a/b/cpu.max", "max 100000\n")
	writeGroup(t, mount, "a/c/cpu.max", "800000 100000\n")
	writeGroup(t, mount, "a/d/cpu.max", "75000 50000\n")
	writeGroup(t, mount, "e/cpu.max", "max 100000\n")
	writeGroup(t, mount, "g/cpu.max", "100000\n")
	f("0::/a\n", 2)
	f("0::/a/b\n", 2)
	f("0::/a/c\n", 2) // the tighter one counts
	f("0::/a/d\n", 1.5)
	f("0::/a/none\n", 2)
	f("0::/e\n", 0)
	f("0::/g\n", 0)    // no period
	f("1:cpu:/a\n", 0) // version 1

	limited := func(quota float64, want int) {
		t.Helper()
		h := Host{CPUs: 8}
		if h.limitCPUs(quota); h.CPUs != want {
			t.Errorf("a quota of %g CPUs leaves %d of 8, want %d", quota, h.CPUs, want)
		}
	}
	limited(0, 8) // none
	limited(0.2, 1)
	limited(1.4, 1)
	limited(1.5, 2)
	limited(2, 2)
	limited(16, 8)

	h := Host{CPUs: 8, MemoryBytes: 8000, AvailableBytes: 7000}
	writeGroup(t, mount, "a/memory.max", "5000\n")
	if h.confine(mount, []byte("0::/a/b\n")); h.CPUs != 2 || h.MemoryBytes != 5000 {
		t.Errorf("confined host = %+v", h)
	}
}

// writeGroup writes a file of a control group.
func writeGroup(t *testing.T, mount, path, content string) {
	t.Helper()
	path = filepath.Join(mount, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
