package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	checker "github.com/planecheck/planecheck/checkers/storage"
)

// judged is the outcome of the guarantees over a history, without those that
// the traffic of the tests is too small for.
func judged(log *historyLog, crashes ...history.Crash) map[string]checkers.Verdict {
	verdicts := log.judgeBy(checker.Etcd(), crashes...)
	delete(verdicts, checker.CompactionHonest)
	delete(verdicts, checker.LeaseHonest)
	return verdicts
}

// traffic writes through members until it is told to stop, and counts what was
// acknowledged.
func traffic(t testing.TB, stop <-chan struct{}, endpoints ...string) (acknowledged map[string]int64) {
	acknowledged = map[string]int64{}
	client := dial(t, endpoints...)
	for i := 0; ; i++ {
		select {
		case <-stop:
			return acknowledged
		default:
		}
		key := fmt.Sprintf("/registry/configmaps/ns/%d", i%20)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		resp, err := client.OptimisticPut(ctx, key, []byte(fmt.Sprint(i)), acknowledged[key], kubernetes.PutOptions{GetOnFailure: true})
		cancel()
		switch {
		case err != nil:
		case resp.Succeeded:
			acknowledged[key] = resp.Revision
		default: // one of which we did not hear
			acknowledged[key] = resp.KV.GetModRevision()
		}
	}
}

// Under load the leader is killed, then all are; nothing that was acknowledged
// is lost, and the checkers find nothing in the history.
func TestProcessHistoryWithKills(t *testing.T) {
	t.Parallel()
	log := &historyLog{}
	commits := &commitLog{}
	c := startProcesses(t, "etcd-process", Options{History: log, OnCommit: commits.add})
	ctx := bounded(t)
	stop, done := make(chan struct{}), make(chan map[string]int64, 1)
	go func() { done <- traffic(t, stop, c.Endpoints()...) }()
	grown := func(by int) {
		t.Helper()
		from := len(commits.commits())
		await(t, "writes to go on", func() bool { return len(commits.commits()) >= from+by })
	}
	grown(50)
	leader := leads(t, c, names(c)...)
	ended := history.Now()
	if err := c.KillMembers(ctx, leader); err != nil {
		t.Fatal(err)
	}
	leads(t, c, others(c, leader)...)
	grown(50)
	if err := c.RestartMember(ctx, leader); err != nil {
		t.Fatal(err)
	}
	crash := history.Crash{Member: leader, Ended: ended, Back: history.Now()}
	grown(20)
	if err := c.KillMembers(ctx, names(c)...); err != nil {
		t.Fatal(err)
	}
	for _, name := range names(c) {
		if err := c.RestartMember(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	leads(t, c, names(c)...)
	grown(20)
	close(stop)
	for key, revision := range <-done {
		resp, err := dial(t, c.Endpoints()...).Kubernetes.Get(ctx, key, kubernetes.GetOptions{})
		if err != nil || resp.KV.GetModRevision() < revision {
			t.Errorf("%s is of revision %d, %v, but %d was acknowledged", key, resp.KV.GetModRevision(), err, revision)
		}
	}
	if _, err := Audit(ctx, c.Members()); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, v := range judged(log) {
		if v.Outcome == checkers.Fail {
			t.Errorf("%s (%s)", v, v.Checked)
		}
	}
	if v := judged(log, crash)[checker.Durable]; v.Outcome != checkers.Pass {
		t.Errorf("%s (%s)", v, v.Checked)
	}
	if v := judged(log)[checker.Durable]; v.Outcome != checkers.Invalid {
		t.Errorf("with no word of a member that ended: %s (%s)", v, v.Checked)
	}
	unanswered := 0
	for _, op := range log.Ops {
		if op.Error.Kind != history.ErrorNone {
			unanswered++
		}
	}
	if unanswered == 0 {
		t.Error("no call failed although members were killed under load")
	}
}

// All members started from copies of their data have lost what was written
// since, and the checkers can tell: by what is read, before anything is written
// under the revision of what was lost, as well as after.
func TestProcessRollbackOfAll(t *testing.T) {
	t.Parallel()
	log := &historyLog{}
	c := startProcesses(t, "etcd-process", Options{History: log})
	ctx := bounded(t)
	client := dial(t, c.Endpoints()...)
	if err := c.RollbackData(ctx, names(c)...); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("rolled back without a copy: %v", err)
	}
	for i := range 60 {
		rev := mustPut(t, client, fmt.Sprintf("/registry/a/%d", i), "kept", 0)
		if resp, err := client.OptimisticPut(ctx, fmt.Sprintf("/registry/a/%d", i), []byte("x"), rev-1, kubernetes.PutOptions{}); err != nil || resp.Succeeded {
			t.Fatalf("a put on an old revision: %+v, %v", resp, err)
		}
	}
	if err := c.SaveData(ctx); err != nil {
		t.Fatal(err)
	}
	mustPut(t, client, "/registry/b", "lost", 0)
	if err := c.RollbackData(ctx); err != nil {
		t.Fatal(err)
	}
	leads(t, c, names(c)...)
	mustAgree(t, c, "/registry/a/59", "kept")
	mustAgree(t, c, "/registry/b", "")
	if _, err := Audit(ctx, c.Members()); err != nil {
		t.Fatal(err)
	}
	read := &historyLog{}
	recorded := log.Recorded()
	read.Ops, read.Watches = recorded.Ops, recorded.Watches
	mustPut(t, client, "/registry/c", "under the revision of what was lost", 0)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	wantLost(t, judged(read), "/registry/b", checker.RealTime)
	wantLost(t, judged(log), "", checker.RealTime, checker.Order)
}

// wantLost wants Durable broken, with a key in its counter-example, and besides
// only the guarantees that are named.
func wantLost(t testing.TB, verdicts map[string]checkers.Verdict, key string, beside ...string) {
	t.Helper()
	for name, v := range verdicts {
		want := name == checker.Durable || slices.Contains(beside, name)
		if want != (v.Outcome == checkers.Fail) {
			t.Errorf("after a write was lost: %s", v)
		}
	}
	if v := verdicts[checker.Durable]; !strings.Contains(v.Detail, key) {
		t.Errorf("nothing of %s in %s", key, v)
	}
}

// One member that has lost what it had acknowledged learns it again from the
// others.
func TestProcessRollbackOfOne(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	ctx := bounded(t)
	client := dial(t, c.Endpoints()...)
	revision := mustPut(t, client, "/registry/a", "before", 0)
	if err := c.SaveData(ctx); err != nil {
		t.Fatal(err)
	}
	mustPut(t, client, "/registry/a", "after", revision)
	leader := leads(t, c, names(c)...)
	for _, name := range []string{others(c, leader)[0], leader} {
		if err := c.RollbackData(ctx, name); err != nil {
			t.Fatal(err)
		}
		leads(t, c, names(c)...)
		mustAgree(t, c, "/registry/a", "after")
	}
	// Two, while one that remembers them is left.
	if err := c.SaveData(ctx); err != nil {
		t.Fatal(err)
	}
	leader = leads(t, c, names(c)...)
	if err := c.RollbackData(ctx, others(c, leader)...); err != nil {
		t.Fatal(err)
	}
	leads(t, c, names(c)...)
	mustAgree(t, c, "/registry/a", "after")
	select {
	case err := <-c.Died():
		t.Error(err)
	default:
	}
}

// A follower that is started from a copy under the leader that remembers what it
// has acknowledged dies by raft's panic, and lives again when it is replaced; a
// leader comes back, because another one was elected.
func TestProcessRollbackRemembered(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	ctx := bounded(t)
	client := dial(t, c.Endpoints()...)
	leader := leads(t, c, names(c)...)
	if _, err := c.RollbackMember(ctx, leader); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("rolled back without a copy: %v", err)
	}
	revision := mustPut(t, client, "/registry/a", "before", 0)
	if err := c.SaveData(ctx); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		revision = mustPut(t, client, "/registry/a", "after", revision)
	}
	leads(t, c, names(c)...)
	was := inspect(t, c, leader)
	seen, err := c.RollbackMember(ctx, leader)
	if err != nil || seen.Panic != "" || seen.Began == 0 || seen.Began >= seen.Had || seen.Had < was.Applied {
		t.Errorf("the leader had applied %d and came back as %+v, %v", was.Applied, seen, err)
	}
	mustAgree(t, c, "/registry/a", "after")

	leader = leads(t, c, names(c)...)
	follower := others(c, leader)[0]
	if err := c.SaveData(ctx, follower); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		revision = mustPut(t, client, "/registry/a", "last", revision)
	}
	await(t, "the follower to have all", func() bool { return inspect(t, c, follower).Applied >= inspect(t, c, leader).Applied })
	if seen, err = c.RollbackMember(ctx, follower); err != nil || !strings.Contains(seen.Panic, "tocommit") {
		t.Errorf("the follower came back as %+v, %v", seen, err)
	}
	if state := inspect(t, c, follower); state.Process != "" {
		t.Errorf("the process that has died is in state %q", state.Process)
	}
	select {
	case err := <-c.Died():
		t.Errorf("a death that was to be expected was told: %v", err)
	default:
	}
	if err := c.ReplaceMember(ctx, follower); err != nil {
		t.Fatal(err)
	}
	mustAgree(t, c, "/registry/a", "last")
}

func TestProcessReplace(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	ctx := bounded(t)
	client := dial(t, c.Endpoints()...)
	revision := mustPut(t, client, "/registry/a", "before", 0)
	leader := leads(t, c, names(c)...)
	was := inspect(t, c, leader)
	if err := c.SaveData(ctx, leader); err != nil {
		t.Fatal(err)
	}
	if err := c.ReplaceMember(ctx, leader); err != nil {
		t.Fatal(err)
	}
	if is := inspect(t, c, leader); is.ID == was.ID || is.ID == 0 {
		t.Errorf("member %x was replaced by member %x", was.ID, is.ID)
	}
	mustPut(t, dial(t, endpointOf(c, leader)), "/registry/a", "after", revision)
	mustAgree(t, c, "/registry/a", "after")
	if err := c.RollbackData(ctx, leader); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("rolled back to the data of the member that is no more: %v", err)
	}
	// The cluster as it is now can be stopped and started.
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	mustAgree(t, c, "/registry/a", "after")
}

// A cluster that is restored from a snapshot has what the snapshot has, and
// with a bump no revision is ever given out twice.
func TestProcessSnapshotRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startProcesses(t, "etcd-process", Options{Dir: dir})
	ctx := bounded(t)
	client := dial(t, c.Endpoints()...)
	kept := mustPut(t, client, "/registry/a", "kept", 0)
	file := filepath.Join(dir, "snapshot.db")
	if _, err := c.RestoreSnapshot(ctx, file, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("restored what was never saved: %v", err)
	}
	mustAgree(t, c, "/registry/a", "kept") // also the member that the snapshot is of
	if saved, err := c.SaveSnapshot(ctx, "etcd-1", file); err != nil || saved != kept {
		t.Fatalf("the snapshot ends with revision %d, %v, want %d", saved, err, kept)
	}
	lost := mustPut(t, client, "/registry/a", "lost", kept)
	const bump = 1000
	before := history.Now()
	if at, err := c.RestoreSnapshot(ctx, file, bump); err != nil || at <= before || at >= history.Now() {
		t.Fatalf("restored at %d, %v, after %d", at, err, before)
	}
	mustAgree(t, c, "/registry/a", "kept")
	after := mustPut(t, dial(t, c.Endpoints()...), "/registry/b", "after", 0)
	if after <= lost || after < kept+bump {
		t.Errorf("revision %d follows a restore of revision %d with a bump of %d; %d was lost", after, kept, bump, lost)
	}
	watch := client.Client.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(lost))
	if resp := <-watch; resp.CompactRevision == 0 {
		t.Errorf("a watch from a lost revision on is told %+v, want that it is compacted", resp)
	}

	// Without a bump, time goes back.
	if _, err := c.RestoreSnapshot(ctx, file, 0); err != nil {
		t.Fatal(err)
	}
	if again := mustPut(t, dial(t, c.Endpoints()...), "/registry/b", "again", 0); again != lost {
		t.Errorf("revision %d follows a restore without a bump, want %d again", again, lost)
	}
	if err := os.WriteFile(file, []byte("nothing that could be restored"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RestoreSnapshot(ctx, file, 0); !strings.Contains(message(err), "make the data of etcd-0: ") {
		t.Errorf("restored a broken file: %v", err)
	}
}
