package storage

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
)

// TestMain lets the test binary re-execute itself as an etcd member, and sees
// to it that none is left when the tests are done.
func TestMain(m *testing.M) {
	etcdproc.Hook()
	status := m.Run()
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		fmt.Fprintf(os.Stderr, "a child process is left behind (wait4: %d, %v)\n", pid, err)
		status = 1
	}
	os.Exit(status)
}
