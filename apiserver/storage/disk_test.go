package storage

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDiskUsage(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before, err := diskUsage(dir)
	if err != nil || before != 0 {
		t.Fatalf("an empty directory takes %d, %v; want 0", before, err)
	}
	write("a", 100<<10)
	write("deep/b", 50<<10)
	if err := os.Truncate(filepath.Join(dir, "a"), 1<<30); err != nil { // adds length but no blocks
		t.Fatal(err)
	}
	got, err := diskUsage(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got < 150<<10 || got > 300<<10 {
		t.Errorf("files of 150 KiB take %d bytes", got)
	}
	if got, err := diskUsage(filepath.Join(dir, "gone")); err != nil || got != 0 {
		t.Errorf("a directory that is gone takes %d, %v; want 0", got, err)
	}
}
