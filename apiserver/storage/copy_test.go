package storage

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A copy has the same bytes and takes no more space, which matters for logs of
// which most is allocated and not written.
func TestCopyTree(t *testing.T) {
	t.Parallel()
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	if err := os.Mkdir(filepath.Join(src, "wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	file := filepath.Join(src, "wal", "0.wal")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		t.Skipf("this file system cannot allocate: %v", err)
	}
	for _, at := range []int64{0, 1 << 20, size - 8} {
		if _, err := f.WriteAt([]byte("records!"), at); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"empty": "", "db": strings.Repeat("pages", 10_000)} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyTree(dst, src); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"empty", "db", "wal/0.wal"} {
		want, err := os.ReadFile(filepath.Join(src, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dst, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the copy of %s: %d of %d bytes, %v", name, len(got), len(want), err)
		}
	}
	if n, err := diskUsage(dst); err != nil || n > size/4 {
		t.Errorf("the copy takes %d bytes, %v", n, err)
	}
	if err := copyTree(dst, src); !os.IsExist(err) {
		t.Errorf("a copy over a copy: %v", err)
	}
}
