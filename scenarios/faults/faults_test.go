package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage"
)

// TestCatalogue holds that every fault can be planned: it has a name of its own,
// says what it does, and finds something to act on in a cluster with standbys.
func TestCatalogue(t *testing.T) {
	large := Shape{Members: 3, APIServers: 2, Schedulers: 2, ControllerManagers: 2, Nodes: 20, ClientLinks: true, StoreLinks: true}
	small := Shape{Members: 1, APIServers: 1, Schedulers: 1, ControllerManagers: 1, Nodes: 1}
	known := map[string]bool{}
	for _, f := range Catalogue() {
		if known[f.Name] {
			t.Errorf("two faults are named %s", f.Name)
		}
		known[f.Name] = true
		if f.Does == "" || f.Area == "" || f.For < 0 || f.inject == nil {
			t.Errorf("%s is incomplete", f.Name)
		}
		if len(f.Targets(large)) == 0 {
			t.Errorf("%s finds nothing to act on", f.Name)
		}
		if found, ok := Find(f.Name); !ok || found.Name != f.Name {
			t.Errorf("%s is not found", f.Name)
		}
	}
	for _, name := range []string{"etcd-leader-stop", "apiserver-kill", "scheduler-leader-kill", "kcm-leader-freeze", "nodes-crash", "nodes-memory-pressure"} {
		f, _ := Find(name)
		if targets := f.Targets(small); len(targets) > 0 {
			t.Errorf("%s would take the only one there is: %q", name, targets)
		}
	}
	few, _ := Find("etcd-kill")
	five := large
	five.Members = 5
	if got := append(few.Targets(large), few.Targets(five)...); !slices.Equal(got, []string{leader, follower, leader, follower, minority}) {
		t.Errorf("targets of %s among three and five members: %q", few.Name, got)
	}
	if _, ok := Find("etcd-explode"); ok {
		t.Error("a fault was found that there is not")
	}
	kill, _ := Find("apiserver-kill")
	if got := kill.Targets(large); !slices.Equal(got, []string{"kube-apiserver-0", "kube-apiserver-1"}) {
		t.Errorf("targets of %s: %q", kill.Name, got)
	}
}

func TestPossible(t *testing.T) {
	f := Fault{Needs: []string{storage.FaultMemberStop, storage.FaultMemberRestart}}
	if f.Possible([]string{storage.FaultMemberStop}) {
		t.Error("a store that cannot restart a member is asked to")
	}
	if !f.Possible([]string{storage.FaultMemberRestart, "x", storage.FaultMemberStop}) {
		t.Error("a store that can is not asked")
	}
	if !(Fault{}).Possible(nil) {
		t.Error("a fault that needs nothing is not possible")
	}
}

// TestStopped looks at this process, at one that there is not, and at one that
// was stopped.
func TestStopped(t *testing.T) {
	if stopped(os.Getpid()) == nil {
		t.Error("this process reads as stopped")
	}
	if stopped(1<<30) == nil {
		t.Error("a process that does not exist reads as stopped")
	}
	sleeper := exec.CommandContext(t.Context(), "sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	pid := sleeper.Process.Pid
	if gone(pid) == nil {
		t.Error("a process that runs reads as gone")
	}
	if err := sleeper.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	defer cancel()
	if err := await(ctx, "the process to stand still", func(context.Context) error { return stopped(pid) }); err != nil {
		t.Error(err)
	}
	_ = sleeper.Process.Kill()
	_ = sleeper.Wait()
	if err := gone(pid); err != nil {
		t.Error(err)
	}
}

func TestRefuses(t *testing.T) {
	port, err := link.ReservePort(0) // stays ours when nobody listens on it any more
	if err != nil {
		t.Fatal(err)
	}
	defer port.Release()
	listener, err := port.Listen()
	if err != nil {
		t.Fatal(err)
	}
	addr := port.Addr()
	way, err := link.New("127.0.0.1:0", addr) // as before an etcd member
	if err != nil {
		t.Fatal(err)
	}
	defer way.Close()
	if refuses(t.Context(), way.Addr()) == nil {
		t.Error("a link to an open port reads as refusing")
	}
	if refuses(t.Context(), addr) == nil {
		t.Error("an open port reads as refusing")
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := refuses(t.Context(), addr); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	defer cancel()
	err = await(ctx, "the link to turn clients away", func(ctx context.Context) error { return refuses(ctx, way.Addr()) })
	if err != nil {
		t.Error(err)
	}
}

// A member that is down is started again, also where the first look does not show
// it: a link on a busy machine turns clients away late.
func TestWhereDown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for first := true; ; first = false {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if first {
				defer conn.Close() // too late
				continue
			}
			_ = conn.Close()
		}
	})
	defer tasks.Wait()
	defer listener.Close()
	started := ""
	err = whereDown(t.Context(), storage.Member{Name: "x", Endpoint: "http://" + listener.Addr().String()}, func(_ context.Context, name string) error {
		started += name
		return nil
	})
	if started != "x" || err != nil {
		t.Errorf("%q was started, %v", started, err)
	}
}

// A fault that does not show is undone, and that is told.
func TestHealed(t *testing.T) {
	why := errors.New("it does not show")
	mended := false
	if err := healed(t.Context(), &Active{heal: func(context.Context) (string, error) { mended = true; return "", nil }}, why); !errors.Is(err, why) || !mended {
		t.Errorf("%v, mended: %v", err, mended)
	}
	stuck := errors.New("stuck")
	if err := healed(t.Context(), &Active{heal: func(context.Context) (string, error) { return "", stuck }}, why); !errors.Is(err, why) || !errors.Is(err, stuck) {
		t.Error(err)
	}
}

// A fault is undone also where the run has ended, and within a time.
func TestHealedAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	why := errors.New("interrupted")
	err := healed(ctx, &Active{heal: func(ctx context.Context) (string, error) {
		if _, bounded := ctx.Deadline(); !bounded || ctx.Err() != nil {
			t.Errorf("bounded: %v, %v", bounded, ctx.Err())
		}
		return "", nil
	}}, why)
	if !errors.Is(err, why) {
		t.Error(err)
	}
}

// Where one of several faults fails, those that act are undone; else all act, and
// all are healed.
func TestTogether(t *testing.T) {
	why := errors.New("it does not show")
	var mended atomic.Int64
	inject := func(fails int) func(int) (*Active, error) {
		return func(i int) (*Active, error) {
			if i == fails {
				return nil, why
			}
			return &Active{Evidence: fmt.Sprint("e", i), heal: func(context.Context) (string, error) {
				mended.Add(1)
				return fmt.Sprint("h", i), nil
			}}, nil
		}
	}
	if _, err := together(t.Context(), 3, inject(1)); !errors.Is(err, why) || mended.Load() != 2 {
		t.Errorf("%v, %d of 2 are mended", err, mended.Load())
	}
	mended.Store(0)
	a, err := together(t.Context(), 2, inject(-1))
	if err != nil || a.Evidence != "e0; e1" || mended.Load() != 0 {
		t.Fatalf("%+v, %v, %d are mended", a, err, mended.Load())
	}
	if evidence, err := a.Heal(t.Context()); err != nil || evidence != "h0; h1" || mended.Load() != 2 {
		t.Errorf("%q, %v, %d are mended", evidence, err, mended.Load())
	}
}

// What a wait was for, what it saw last and why it ended are all told.
func TestAwait(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	err := await(ctx, "godot", func(context.Context) error {
		if n++; n == 3 {
			cancel(errors.New("it is late"))
		}
		return errors.New("a tree")
	})
	for _, part := range []string{"godot", "it is late", "a tree"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not tell of %q", err, part)
		}
	}
}

func TestSumOf(t *testing.T) {
	const text = `# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="pods",scope="cluster",verb="LIST"} 3
apiserver_request_total{code="200",resource="pods",scope="namespace",verb="LIST"} 4
apiserver_request_total{code="200",resource="pods",scope="cluster",verb="WATCH"} 50
apiserver_request_total{code="200",resource="podsets",scope="cluster",verb="LIST"} 600
apiserver_request_total_more{resource="pods",verb="LIST"} 7000
`
	if got := sumOf(text, "apiserver_request_total", `resource="pods"`, `verb="LIST"`); got != 7 {
		t.Errorf("%g lists of pods", got)
	}
}
