package storage

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

func TestMemberFaults(t *testing.T) {
	t.Parallel()
	e := start(t, "etcd", Options{})
	if diff := gocmp.Diff([]string{FaultMemberStop, FaultMemberRestart, FaultDefragment, FaultNoSpace, FaultCompact, FaultLeaderMove}, e.Faults()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	var backend Backend = e
	faults := backend.(MemberRestarter)
	ctx := bounded(t)
	all := dial(t, e.Endpoints()...)
	revision := mustPut(t, all, "/registry/a", "before", 0)

	leader := awaitLeader(t, e)
	if err := faults.StopMembers(ctx, e.members[leader].name); err != nil {
		t.Fatal(err)
	}
	awaitLeader(t, e)
	mustPut(t, dial(t, e.Endpoints()[(leader+1)%3]), "/registry/a", "during", revision)
	if _, err := net.Dial("tcp4", strings.TrimPrefix(e.Endpoints()[leader], "http://")); err == nil {
		t.Error("a stopped member takes connections")
	}
	if err := faults.StopMembers(ctx, e.members[leader].name); err == nil {
		t.Error("a member could be stopped twice")
	}
	if err := faults.RestartMember(ctx, e.members[leader].name); err != nil {
		t.Fatal(err)
	}
	if err := faults.RestartMember(ctx, e.members[leader].name); err == nil {
		t.Error("a member that is up could be restarted")
	}
	wantValue(t, dial(t, e.Endpoints()[leader]), "/registry/a", "during")

	want := `stop etcd member: no member "etcd-9", known: etcd-0, etcd-1, etcd-2`
	if err := faults.StopMembers(ctx, "etcd-9"); message(err) != want {
		t.Errorf("stop of an unknown member: %v, want %s", err, want)
	}
	// All down at once: the first to come back has no quorum to wait for.
	for _, m := range e.members {
		if err := faults.StopMembers(ctx, m.name); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range e.members {
		if err := faults.RestartMember(ctx, m.name); err != nil {
			t.Fatal(err)
		}
	}
	wantValue(t, dial(t, e.Endpoints()...), "/registry/a", "during")
	select {
	case err := <-e.Died():
		t.Errorf("members that were stopped count as dead: %v", err)
	default:
	}
}

func TestMoveLeader(t *testing.T) {
	t.Parallel()
	e := start(t, "etcd", Options{})
	var mover LeaderMover = e
	ctx := bounded(t)
	all := dial(t, e.Endpoints()...)
	revision := mustPut(t, all, "/registry/a", "before", 0)
	leader := awaitLeader(t, e)
	from, to, err := mover.MoveLeader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	now := awaitLeader(t, e)
	if now == leader || from != e.members[leader].name || to != e.members[now].name {
		t.Errorf("moved from %s to %s; led by %s before, by %s now", from, to, e.members[leader].name, e.members[now].name)
	}
	mustPut(t, all, "/registry/a", "after", revision)

	single := start(t, "etcd:members=1", Options{})
	want := "move etcd's leader: no member but etcd-0 is up"
	if _, _, err := single.MoveLeader(ctx); message(err) != want {
		t.Errorf("with one member: %v, want %s", err, want)
	}
}

// leaderOf returns the index of the member that leads, or -1 if the members
// that are up do not agree on one of them.
func leaderOf(e *etcdCluster) int {
	leader := -1
	for i, m := range e.members {
		if m.run != nil && uint64(m.run.server.MemberID()) == m.run.server.Lead() {
			leader = i
		}
	}
	for _, m := range e.members {
		if leader >= 0 && m.run != nil && m.run.server.Lead() != e.members[leader].run.server.Lead() {
			return -1
		}
	}
	return leader
}

func awaitLeader(t *testing.T, e *etcdCluster) int {
	t.Helper()
	ctx := bounded(t)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for leaderOf(e) < 0 {
		select {
		case <-ctx.Done():
			t.Fatal("the members did not elect a leader")
		case <-poll.C:
		}
	}
	return leaderOf(e)
}

// etcd ends its process at a fatal log entry. Here the harness must live on
// and be told, and must still be able to stop the cluster.
func TestFatalEntryKillsMemberOnly(t *testing.T) {
	t.Parallel()
	e := start(t, "etcd", Options{})
	cause := errors.New("no space left on device")
	survived := make(chan bool, 1)
	go func() {
		defer close(survived)
		e.members[1].log.Fatal("failed to save", zap.Error(cause))
		survived <- true
	}()
	if <-survived {
		t.Error("the goroutine went on after a fatal entry")
	}
	err := <-e.Died()
	if want := "etcd member etcd-1 died: failed to save: no space left on device"; message(err) != want {
		t.Errorf("died: %v, want %s", err, want)
	}
	if !errors.Is(err, cause) {
		t.Errorf("%v hides its cause", err)
	}
	if err := e.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// What a full disk does, seen with etcd on a small tmpfs: the goroutine that
// commits to bbolt ends with the lock in its hand, and nothing can stop that
// server any more.
func TestStopOfDeadMemberIsBounded(t *testing.T) {
	t.Parallel()
	e := start(t, "etcd:members=1", Options{})
	m := e.members[0]
	go func() {
		m.run.server.Backend().BatchTx().LockOutsideApply()
		m.log.Fatal("failed to commit tx", zap.Error(errors.New("no space left on device")))
	}()
	<-e.Died()
	want := "stop etcd member etcd-0: not done within 3s, after it had died: failed to commit tx: no space left on device"
	if err := e.Stop(); message(err) != want {
		t.Errorf("stop: %v, want %s", err, want)
	}
	want = "start etcd member etcd-0: a former server of it hangs"
	if err := e.Start(bounded(t)); message(err) != want {
		t.Errorf("start: %v, want %s", err, want)
	}
}

// A member whose data is broken cannot come back, and says why in one line:
// where etcd returns an error and where it would end its process.
func TestRestartOnBrokenData(t *testing.T) {
	t.Parallel()
	e := start(t, "etcd", Options{})
	if err := e.StopMembers(bounded(t), "etcd-1"); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(e.members[1].dataDir, "member")
	breakLogs(t, filepath.Join(data, "wal"))
	err := e.RestartMember(bounded(t), "etcd-1")
	if got := message(err); !strings.HasPrefix(got, "start etcd member etcd-1: ") ||
		!strings.Contains(got, "crc mismatch") || strings.Contains(got, "\n") {
		t.Errorf("restart on a broken log: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(data, "snap")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "snap"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err = e.RestartMember(bounded(t), "etcd-1")
	if got := message(err); !strings.HasPrefix(got, "start etcd member etcd-1: failed to create snapshot directory: ") ||
		strings.Contains(got, "\n") {
		t.Errorf("restart without a snapshot directory: %v", err)
	}
	awaitLeader(t, e)
	mustPut(t, dial(t, e.Endpoints()[0], e.Endpoints()[2]), "/registry/a", "x", 0)
}

// breakLogs overwrites a few records of every write-ahead log in dir.
func breakLogs(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs in %s: %v", dir, err)
	}
	for _, log := range logs {
		file, err := os.OpenFile(log, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteAt(make([]byte, 64), 100); err != nil {
			t.Fatal(err)
		}
	}
}
