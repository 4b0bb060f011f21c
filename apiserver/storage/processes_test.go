package storage

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/client/v3/kubernetes"
)

func startProcesses(t testing.TB, spec string, opt Options) *processCluster {
	t.Helper()
	return startAs[*processCluster](t, spec, opt)
}

// await polls until the condition holds; it gives up after a minute.
func await(t testing.TB, what string, holds func() bool) {
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

func inspect(t testing.TB, c *processCluster, name string) MemberState {
	t.Helper()
	state, err := c.InspectMember(bounded(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// leads waits until the members named agree on a leader among them, and
// returns its name.
func leads(t testing.TB, c *processCluster, names ...string) (leader string) {
	t.Helper()
	await(t, "a leader among "+strings.Join(names, ", "), func() bool {
		leader = ""
		var agreed uint64
		for i, name := range names {
			state, err := c.InspectMember(bounded(t), name)
			if err != nil || state.Leader == 0 || i > 0 && state.Leader != agreed {
				return false
			}
			agreed = state.Leader
			if state.ID == agreed {
				leader = name
			}
		}
		return leader != ""
	})
	return leader
}

// newTerm waits until a member is in a later term than that. It says so when it
// has applied an entry of it, which is after it knows the leader
// (etcdserver/server.go, setTerm).
func newTerm(t testing.TB, c *processCluster, name string, than uint64) {
	t.Helper()
	await(t, "a new term", func() bool { return inspect(t, c, name).Term > than })
}

func names(c *processCluster) []string {
	var all []string
	for _, m := range c.Members() {
		all = append(all, m.Name)
	}
	return all
}

func others(c *processCluster, name string) []string {
	return slices.DeleteFunc(names(c), func(n string) bool { return n == name })
}

func endpointOf(c *processCluster, name string) string {
	return c.Members()[slices.Index(names(c), name)].Endpoint
}

func mustAgree(t testing.TB, c *processCluster, key, value string) {
	t.Helper()
	for _, m := range c.Members() {
		wantValue(t, dial(t, m.Endpoint), key, value)
	}
}

func TestProcessFaultsAreListed(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]int{"etcd-process:members=1": 12, "etcd-process": 15} {
		c := openAs[*processCluster](t, spec, Options{})
		if got := c.Faults(); len(got) != want {
			t.Errorf("%s takes %q, want %d faults", spec, got, want)
		}
	}
	var _ interface {
		Backend
		MemberRestarter
		LeaderMover
		MemberKiller
		MemberFreezer
		PeerFaulter
		MemberInspector
		DataKeeper
		WatchFreezer
		MemberReplacer
		SnapshotRestorer
		DeathNotifier
		Describer
	} = (*processCluster)(nil)
}

// wantNobody sees to it that whoever connects to an endpoint is turned away at
// once.
func wantNobody(t testing.TB, endpoint string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(endpoint, "http://"), time.Minute)
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection to a member that is down: %v, want a reset", err)
	}
}

func TestProcessKillLeader(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	ctx := bounded(t)
	revision := mustPut(t, dial(t, c.Endpoints()...), "/registry/a", "before", 0)
	leader := leads(t, c, names(c)...)
	term := inspect(t, c, leader).Term
	pid := c.Members()[slices.Index(names(c), leader)].PID
	if err := syscall.Kill(pid, 0); err != nil || pid == os.Getpid() {
		t.Fatalf("process %d of %s: %v", pid, leader, err)
	}
	if err := c.KillMembers(ctx, leader); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d of the killed member: %v", pid, err)
	}
	if diff := gocmp.Diff(MemberState{Exit: "signal: killed"}, inspect(t, c, leader)); diff != "" {
		t.Errorf("the killed member (-want +got):\n%s", diff)
	}
	wantNobody(t, endpointOf(c, leader))
	if err := c.KillMembers(ctx, leader); message(err) != "kill etcd member: "+leader+" is down" {
		t.Errorf("killed twice: %v", err)
	}
	rest := others(c, leader)
	next := leads(t, c, rest...)
	newTerm(t, c, next, term)
	mustPut(t, dial(t, endpointOf(c, rest[0])), "/registry/a", "during", revision)
	if err := c.RestartMember(ctx, leader); err != nil {
		t.Fatal(err)
	}
	if err := c.RestartMember(ctx, leader); message(err) != "restart etcd member: "+leader+" is up" {
		t.Errorf("restarted twice: %v", err)
	}
	mustAgree(t, c, "/registry/a", "during")

	next = leads(t, c, names(c)...) // a busy machine elects anew at any time
	from, to, err := c.MoveLeader(ctx)
	if now := leads(t, c, names(c)...); err != nil || from != next || to != now || now == next {
		t.Errorf("moved from %s to %s, %v; led by %s before, by %s now", from, to, err, next, now)
	}
	select {
	case err := <-c.Died():
		t.Errorf("members that were killed count as dead: %v", err)
	default:
	}
}

// A frozen member answers nobody, not even a ping, and is as before when it is
// thawed. The others go on.
func TestProcessFreeze(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	ctx := bounded(t)
	leader := leads(t, c, names(c)...)
	rest := others(c, leader)
	revision := mustPut(t, dial(t, c.Endpoints()...), "/registry/a", "before", 0)
	frozen := dial(t, endpointOf(c, leader))
	wantValue(t, frozen, "/registry/a", "before")

	if err := c.FreezeMember(ctx, leader); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(MemberState{Process: "T"}, inspect(t, c, leader)); diff != "" {
		t.Errorf("the frozen member (-want +got):\n%s", diff)
	}
	leads(t, c, rest...)
	during := mustPut(t, dial(t, endpointOf(c, rest[0])), "/registry/a", "during", revision)
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := frozen.Kubernetes.Get(short, "/registry/a", kubernetes.GetOptions{}); err == nil {
		t.Error("a frozen member has answered")
	}
	if way := c.members[slices.Index(names(c), leader)].way.Stats(); way.Up.Held == 0 || way.Reset != 0 {
		t.Errorf("the clients' way to a frozen member: %+v", way)
	}
	if err := c.ThawMember(ctx, leader); err != nil {
		t.Fatal(err)
	}
	mustAgree(t, c, "/registry/a", "during")
	mustPut(t, frozen, "/registry/a", "after", during)

	// Frozen processes can be stopped and killed too.
	for _, name := range rest {
		if err := c.FreezeMember(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.KillMembers(ctx, rest[0]); err != nil {
		t.Error(err)
	}
	if err := c.StopMembers(ctx, rest[1]); err != nil {
		t.Error(err)
	}
}

// A freeze that is cut short leaves a member that runs: it could not be told from
// one that is frozen.
func TestProcessFreezeCutShort(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process:members=1", Options{})
	ctx, cancel := context.WithCancel(bounded(t))
	cancel()
	for range 200 {
		if err := c.FreezeMember(ctx, "etcd-0"); err != nil {
			if state := inspect(t, c, "etcd-0"); state.Process == "T" {
				t.Errorf("after %v it is frozen", err)
			}
			wantValue(t, dial(t, c.Endpoints()...), "/registry/none", "")
			return
		}
		if err := c.ThawMember(bounded(t), "etcd-0"); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip("each was faster than its end")
}

// What etcd does at its end is seen and told in one line; the others go on.
func TestProcessDies(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	ctx := bounded(t)
	mustPut(t, dial(t, c.Endpoints()...), "/registry/a", "x", 0)
	if err := syscall.Kill(c.Members()[1].PID, syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-c.Died():
		if got := message(err); !strings.HasPrefix(got, "etcd member etcd-1 died: exit status 2") || strings.Contains(got, "\n") {
			t.Errorf("died: %v", err)
		}
	case <-ctx.Done():
		t.Fatal("nobody was told of the death")
	}
	if pid := c.Members()[1].PID; pid != 0 {
		t.Errorf("the dead member has process %d", pid)
	}
	breakLogs(t, filepath.Join(c.members[1].dataDir, "member", "wal"))
	if err := c.RestartMember(ctx, "etcd-1"); !strings.HasPrefix(message(err), "start etcd member etcd-1: ") ||
		!strings.Contains(message(err), "crc mismatch") || strings.Contains(message(err), "\n") {
		t.Errorf("restart on a broken log: %v", err)
	}
	rest := others(c, "etcd-1")
	leads(t, c, rest...)
	wantValue(t, dial(t, endpointOf(c, rest[0])), "/registry/a", "x")
	want := `stop etcd member: no member "etcd-9", known: etcd-0, etcd-1, etcd-2`
	if err := c.StopMembers(ctx, "etcd-9"); message(err) != want {
		t.Errorf("stop of an unknown member: %v, want %s", err, want)
	}
}
