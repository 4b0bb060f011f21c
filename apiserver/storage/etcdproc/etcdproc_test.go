package etcdproc

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/child"
)

// bound ends every wait of these tests.
const bound = time.Minute

// harness is the first argument of a test binary that starts a member, prints
// its process, and waits to be killed.
const harness = "test-harness"

func TestMain(m *testing.M) {
	Hook()
	if len(os.Args) == 5 && os.Args[1] == harness {
		p, err := Start(member(os.Args[2], os.Args[3], os.Args[4]))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.PID())
		<-p.Exited()
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// member is one that has no peers.
func member(dir, client, peer string) child.Config {
	return child.Config{
		Name: "single", LogFile: filepath.Join(dir, "logs", "single.log"),
		Args: []string{
			"--name=single", "--data-dir=" + filepath.Join(dir, "data"), "--initial-cluster=single=" + peer,
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--log-outputs=stderr",
		},
	}
}

func reserve(t *testing.T) string {
	t.Helper()
	p, err := link.ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return "http://" + p.Addr()
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	return ctx
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := bounded(t)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-poll.C:
		}
	}
}

func launch(t *testing.T, c child.Config) *child.Process {
	t.Helper()
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func healthy(client string) bool {
	resp, err := http.Get(client + "/health")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func TestLife(t *testing.T) {
	t.Parallel()
	ctx, dir, client, peer := bounded(t), t.TempDir(), reserve(t), reserve(t)
	p := launch(t, member(dir, client, peer))
	await(t, "the member to serve", func() bool { return healthy(client) })

	if err := p.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	if state, err := p.State(); state != "T" || err != nil {
		t.Errorf("frozen, its state is %q, %v", state, err)
	}
	if err := p.Thaw(ctx); err != nil {
		t.Fatal(err)
	}
	if state, err := p.State(); state == "T" || state == "" || err != nil {
		t.Errorf("thawed, its state is %q, %v", state, err)
	}
	if !healthy(client) {
		t.Error("it does not serve after it was thawed")
	}
	if !p.Running() || p.Expected() {
		t.Error("it does not count as running")
	}

	// Each way to end, and what is known after it.
	if err := p.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(bound); err != nil {
		t.Errorf("stop of a frozen member: %v", err)
	}
	ended(t, p, "signal: terminated")
	log, err := os.ReadFile(filepath.Join(dir, "logs", "single.log"))
	if err != nil || !strings.Contains(string(log), "closed etcd server") {
		t.Errorf("it was not stopped in good order: %d bytes of log, %v", len(log), err)
	}
	again := launch(t, member(dir, client, peer))
	await(t, "the member to serve again", func() bool { return healthy(client) })
	if err := again.Kill(); err != nil {
		t.Error(err)
	}
	ended(t, again, "signal: killed")
}

func ended(t *testing.T, p *child.Process, how string) {
	t.Helper()
	if err := syscall.Kill(p.PID(), 0); err != syscall.ESRCH {
		t.Errorf("process %d: %v", p.PID(), err)
	}
	if state, err := p.State(); state != "" || err != nil || p.Running() || !p.Expected() {
		t.Errorf("ended, its state is %q, %v, running %v, expected %v", state, err, p.Running(), p.Expected())
	}
	if err := p.Failure(); !strings.HasPrefix(err.Error(), how) {
		t.Errorf("it ended by %v, want %s", err, how)
	}
	for _, end := range []func() error{p.Kill, func() error { return p.Stop(bound) }} {
		if err := end(); err != nil {
			t.Errorf("ended twice: %v", err)
		}
	}
	if err := p.Freeze(bounded(t)); err == nil {
		t.Error("what has ended could be frozen")
	}
}

// Why a member ended comes from its log, from this life's part of it.
func TestReason(t *testing.T) {
	t.Parallel()
	dir, client, peer := t.TempDir(), reserve(t), reserve(t)
	for _, test := range []struct{ change, want string }{
		{"--data-dir=" + filepath.Join(dir, "logs", "single.log"), "not a directory"},
		{"--listen-peer-urls=http://192.0.2.1:1", "cannot assign requested address"},
	} {
		c := member(dir, client, peer)
		c.Args = append(c.Args, test.change)
		p := launch(t, c)
		select {
		case <-p.Exited():
		case <-time.After(bound):
			t.Fatal("it runs with " + test.change)
		}
		got := p.Failure().Error()
		if !strings.HasPrefix(got, "exit status 1: ") || !strings.Contains(got, test.want) || strings.Contains(got, "\n") || p.Expected() {
			t.Errorf("with %s it ended by %q", test.change, got)
		}
	}
}

// The end of the harness is the end of its members, however it ends.
func TestMembersEndWithTheHarness(t *testing.T) {
	t.Parallel()
	client := reserve(t)
	cmd := exec.Command(os.Args[0], harness, t.TempDir(), client, reserve(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("the harness says %q: %v", line, err)
	}
	await(t, "the member to serve", func() bool { return healthy(client) })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Whoever inherits it may leave it a zombie.
	await(t, "the member to end", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}
