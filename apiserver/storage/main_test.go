package storage

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
)

// TestMain lets the test binary re-execute itself as an etcd member, and sees
// to it that none is left when the tests are done.
func TestMain(m *testing.M) {
	etcdproc.Hook()
	moreAtOnce()
	status := m.Run()
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		fmt.Fprintf(os.Stderr, "a child process is left behind (wait4: %d, %v)\n", pid, err)
		status = 1
	}
	os.Exit(status)
}

// moreAtOnce lets more tests run at once than there are processors, unless -parallel
// says how many: they wait for members and disks most of the time.
func moreAtOnce() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if said {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
}
