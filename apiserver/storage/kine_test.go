package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/apiserver/storage/kine"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers"
	checker "github.com/planecheck/planecheck/checkers/storage"
)

// startKine starts a kine backend. The first of a version on a machine builds
// kine, within the bound of the tests and not of a start.
func startKine(t testing.TB, spec string, opt Options) *kineBackend {
	t.Helper()
	k := openAs[*kineBackend](t, spec, opt)
	if _, err := kine.Binary(t.Context(), k.version, k.opt.Log); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return k
}

// kine is written to, told of, watched, stopped and started with its data, and
// is gone at the end.
func TestKineLives(t *testing.T) {
	t.Parallel()
	var commits commitLog
	dir := t.TempDir()
	k := startKine(t, kineSQLiteName, Options{Dir: dir, OnCommit: commits.add})
	if err := k.Start(bounded(t)); message(err) != "start kine-sqlite: it is started already" {
		t.Errorf("second start: %v", err)
	}
	before := k.Members()[0]
	client := dial(t, k.Endpoints()...)
	const key = "/registry/pods/default/web-0"
	events := client.Watch(t.Context(), key, clientv3.WithRev(2), clientv3.WithPrevKV())
	created := mustPut(t, client, key, "one", 0)
	updated, deleted := updateAndDelete(t, client, &commits, key, created)
	var seen []string
	for len(seen) < 3 {
		m := <-events
		if m.Err() != nil || len(m.Events) == 0 {
			t.Fatalf("watch: %v, %+v", m.Err(), m)
		}
		for _, e := range m.Events {
			seen = append(seen, fmt.Sprintf("%s@%d", e.Type, e.Kv.ModRevision))
		}
	}
	if diff := gocmp.Diff([]string{fmt.Sprintf("PUT@%d", created), fmt.Sprintf("PUT@%d", updated), fmt.Sprintf("DELETE@%d", deleted)}, seen); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
	mustPut(t, client, key, "kept", 0)
	if n, err := k.DiskBytes(); n == 0 || err != nil {
		t.Errorf("%d bytes on disk, %v", n, err)
	}

	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(before.PID, 0); err != syscall.ESRCH {
		t.Errorf("process %d after the stop: %v", before.PID, err)
	}
	if err := k.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	after := k.Members()[0]
	if after.Endpoint != before.Endpoint || after.PID == before.PID {
		t.Errorf("it came back as %+v, was %+v", after, before)
	}
	wantValue(t, dial(t, k.Endpoints()...), key, "kept")
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := RemoveData(k); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, kineSQLiteName)); len(left) > 0 || err != nil {
		t.Errorf("left of the data: %v, %v", left, err)
	}
}

// A start on a directory that is used is refused, and leaves nothing behind.
func TestKineWantsANewDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startKine(t, kineSQLiteName, Options{Dir: dir})
	second := openAs[*kineBackend](t, kineSQLiteName, Options{Dir: dir})
	if err := second.Start(bounded(t)); !strings.HasSuffix(message(err), "is not empty, a run starts in a new one") {
		t.Errorf("started on the data of another: %v", err)
	}
	if pid := second.Members()[0].PID; pid != 0 {
		t.Errorf("process %d is left", pid)
	}
}

// It can be killed, restarted with what it had acknowledged, and frozen; and when
// it ends by itself, that is told with what it said last.
func TestKineFaults(t *testing.T) {
	t.Parallel()
	k := startKine(t, kineSQLiteName, Options{})
	var _ interface {
		MemberRestarter
		MemberKiller
		MemberFreezer
		MemberInspector
		WatchFreezer
		DeathNotifier
		Describer
	} = k
	ctx := bounded(t)
	const key = "/registry/a"
	client := dial(t, k.Endpoints()...)
	mustPut(t, client, key, "kept", 0)
	if err := k.KillMembers(ctx, kineMember); err != nil {
		t.Fatal(err)
	}
	wantNobody(t, k.Endpoints()[0])
	if err := k.KillMembers(ctx, kineMember); message(err) != "kill a member of kine-sqlite: kine is down" {
		t.Errorf("killed twice: %v", err)
	}
	if err := k.RestartMember(ctx, kineMember); err != nil {
		t.Fatal(err)
	}
	wantValue(t, dial(t, k.Endpoints()...), key, "kept")

	if err := k.FreezeMember(ctx, kineMember); err != nil {
		t.Fatal(err)
	}
	if state, err := k.InspectMember(ctx, kineMember); state.Process != frozenState || err != nil {
		t.Errorf("frozen it is %+v, %v", state, err)
	}
	if err := k.ThawMember(ctx, kineMember); err != nil {
		t.Fatal(err)
	}
	if state, err := k.InspectMember(ctx, kineMember); state.Process == frozenState || state.DBSize == 0 || err != nil {
		t.Errorf("thawed it is %+v, %v", state, err)
	}
	select {
	case err := <-k.Died():
		t.Errorf("what was killed counts as dead: %v", err)
	default:
	}

	if err := syscall.Kill(k.Members()[0].PID, syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-k.Died():
		if got := message(err); !strings.HasPrefix(got, "kine died: exit status 2") || strings.Contains(got, "\n") {
			t.Errorf("died: %v", err)
		}
	case <-ctx.Done():
		t.Fatal("nobody was told of the death")
	}
}

// What kine says before it gives up is the cause of a failed start.
func TestKineSaysWhyItEnded(t *testing.T) {
	t.Parallel()
	k := openAs[*kineBackend](t, kineSQLiteName, Options{})
	if _, err := kine.Binary(t.Context(), k.version, k.opt.Log); err != nil {
		t.Fatal(err)
	}
	k.database = broken{}
	err := k.Start(bounded(t))
	if got := message(err); !strings.HasPrefix(got, "start kine: exit status 1: ") || !strings.Contains(got, "unknown driver, see ") || strings.Contains(got, "severity") || strings.Contains(got, "\n") {
		t.Errorf("start without a database: %v", err)
	}
}

// broken is a database of no driver.
type broken struct{ sqlite }

func (broken) Start(context.Context, string, func(error)) (string, error) {
	return "none://", nil
}

// The history of kine can be judged by its contract, and is good; with one
// answer changed it is not.
func TestHistoryOfKine(t *testing.T) {
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			testHistoryOfKine(t, kineSQLiteName+version, checker.Kine())
		})
	}
}

func testHistoryOfKine(t *testing.T, spec string, contract checker.Contract) {
	log := &historyLog{}
	k := startKine(t, spec, Options{History: log, Dir: passable(t)})
	watch, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: k.Endpoints()[0], Below: k.Members()[0].Below()})
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, k.Endpoints()...)
	contend(t, client)
	leasedKeyEnds(t, client)
	complete(t, k, watch)
	for name, v := range log.judgeBy(contract) {
		judged := tested(name)
		if judged && v.Outcome != checkers.Pass && v.Outcome != checkers.NotExercised || v.Outcome == checkers.Fail {
			t.Errorf("%s (%s)", v, v.Checked)
		}
	}
	log.repeatRevision()
	failed := 0
	for _, v := range log.judgeBy(contract) {
		if v.Outcome == checkers.Fail {
			failed++
		}
	}
	if failed == 0 {
		t.Error("a revision that was given twice is not seen")
	}
}
