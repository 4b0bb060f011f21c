package results

import (
	"os"
	"syscall"
	"testing"
)

// What is reserved takes space, has no name that a killed run could leave behind, and
// is given back once.
func TestReserve(t *testing.T) {
	d, err := Create(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	held := d.reserve
	info, err := held.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if names := info.Sys().(*syscall.Stat_t).Nlink; info.Size() != reserveBytes || names != 0 {
		t.Errorf("%d bytes with %d names, want %d with none", info.Size(), names, reserveBytes)
	}
	if files, err := os.ReadDir(d.Path); err != nil || len(files) != 0 {
		t.Errorf("there are %v, %v; want nothing", files, err)
	}
	for range 2 {
		if err := d.Release(); err != nil {
			t.Error(err)
		}
	}
	if _, err := held.Stat(); err == nil {
		t.Error("the space is still held")
	}
}
