package bench

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/results"
)

// Where a store is reached through the proxy, the others are reached so,
// unless they were told otherwise or the proxy is what is measured.
func TestAlike(t *testing.T) {
	f := func(list, want, wantMoved string) {
		t.Helper()
		same, moved := alike(storage.SplitSpecs(list), storage.Open)
		if got := strings.Join(same, ","); got != want || strings.Join(moved, ",") != wantMoved {
			t.Errorf("%s: %s, moved %q; want %s, %s", list, got, moved, want, wantMoved)
		}
	}
	f("etcd,memory", "etcd,memory", "")
	f("kine-sqlite", "kine-sqlite", "")
	f("etcd:members=1,kine-sqlite,memory", "etcd:members=1,proxy=on,kine-sqlite,memory:proxy=on", "etcd:members=1,proxy=on,memory:proxy=on")
	f("memory,etcd-process", "memory:proxy=on,etcd-process", "memory:proxy=on")
	f("memory,memory:proxy=on", "memory,memory:proxy=on", "")
	f("memory,memory:proxy=on,kine-sqlite", "memory,memory:proxy=on,kine-sqlite", "")
	f("memory:proxy=on,etcd", "memory:proxy=on,etcd:proxy=on", "etcd:proxy=on")
	f("memory:proxy=off,kine-sqlite", "memory:proxy=off,kine-sqlite", "")
	f("nonsense,kine-sqlite", "nonsense,kine-sqlite", "")
}

// accompanied is a backend whose members need a server.
type accompanied struct {
	storage.Backend
	pid int
}

func (a accompanied) Members() []storage.Member    { return nil }
func (a accompanied) Accompanying() map[string]int { return map[string]int{"db": a.pid} }

// What a database works in processes below it is the store's, and nobody else's.
func TestCPUOfWhatAccompanies(t *testing.T) {
	server := exec.Command("sh", "-c", "while :; do :; done & wait")
	server.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer unix.Kill(-server.Process.Pid, unix.SIGKILL)
	var worked time.Duration
	await(t, "the server to have worked", func() bool {
		worked, _ = results.TreeCPU(server.Process.Pid)
		return worked >= 300*time.Millisecond
	})
	before := cpuOf(nil)
	if used := cpuOf(accompanied{pid: server.Process.Pid}); used-before < worked {
		t.Errorf("the store used %v, its server %v of that", used-before, worked)
	}
}
