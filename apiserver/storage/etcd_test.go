package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/planecheck/planecheck/checkers/history"
)

// commitLog keeps the commits that it is told of.
type commitLog struct {
	mu   sync.Mutex
	list []history.Commit
}

func (l *commitLog) add(c history.Commit) {
	c.Value = slices.Clone(c.Value)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, c)
}

func (l *commitLog) commits() []history.Commit {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortFunc(l.list, func(a, b history.Commit) int { return cmp.Compare(a.Revision, b.Revision) })
	return slices.Clone(l.list)
}

// bounded is a context that ends long after anything here should be done: a whole
// test runs in one, also on a machine with other work.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// both are the backends that are held to the same.
var both = []string{etcdName, processName}

func openAs[B Backend](t testing.TB, spec string, opt Options) B {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	b, err := Open(spec, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return b.(B)
}

func startAs[B Backend](t testing.TB, spec string, opt Options) B {
	t.Helper()
	b := openAs[B](t, spec, opt)
	if err := b.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, spec string, opt Options) *etcdCluster {
	t.Helper()
	return openAs[*etcdCluster](t, spec, opt)
}

func start(t testing.TB, spec string, opt Options) *etcdCluster {
	t.Helper()
	return startAs[*etcdCluster](t, spec, opt)
}

// dial returns a client of the kind that kube-apiserver uses.
func dial(t testing.TB, endpoints ...string) *kubernetes.Client {
	t.Helper()
	client, err := kubernetes.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 20 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// busy says whether an error may be that of a machine with other work to do: there,
// members miss heartbeats, elect anew and let requests fail, which is none of what
// a test is about.
func busy(err error) bool {
	var told rpctypes.EtcdError // what etcd's client makes of the statuses that it knows; it is none itself
	if errors.As(err, &told) {
		return told.Code() == codes.Unavailable
	}
	return status.Code(err) == codes.Unavailable
}

func TestBusy(t *testing.T) {
	for err, want := range map[error]bool{
		rpctypes.ErrTimeout: true, rpctypes.ErrGRPCTimeout: true, rpctypes.ErrLeaderChanged: true,
		rpctypes.ErrCompacted: false, rpctypes.ErrGRPCCompacted: false, context.DeadlineExceeded: false,
	} {
		if busy(err) != want {
			t.Errorf("busy(%T %v) is %t", err, err, !want)
		}
	}
}

// persist tries until it works, or fails for another reason than a busy machine.
func persist(t testing.TB, what string, try func(context.Context) error) {
	t.Helper()
	ctx := bounded(t)
	await(t, what, func() bool {
		err := try(ctx)
		switch {
		case err == nil:
			return true
		case !busy(err):
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s, again: %v", what, err)
		return false
	})
}

// mustPut writes key as kube-apiserver would and returns the new revision. Where it
// does not hear whether it has, it looks.
func mustPut(t testing.TB, client *kubernetes.Client, key, value string, expected int64) (revision int64) {
	t.Helper()
	var unheard bool
	persist(t, fmt.Sprintf("put %s expecting revision %d", key, expected), func(ctx context.Context) error {
		resp, err := client.OptimisticPut(ctx, key, []byte(value), expected, kubernetes.PutOptions{GetOnFailure: expected != 0})
		if err != nil {
			unheard = true
			return err
		}
		if resp.Succeeded {
			revision = resp.Revision
			return nil
		}
		is, err := client.Kubernetes.Get(ctx, key, kubernetes.GetOptions{})
		if err != nil {
			return err
		}
		if revision = is.KV.GetModRevision(); !unheard || revision <= expected || string(is.KV.GetValue()) != value {
			return fmt.Errorf("it is %s", is.KV)
		}
		return nil
	})
	return revision
}

func wantValue(t testing.TB, client *kubernetes.Client, key, want string) {
	t.Helper()
	persist(t, "get "+key, func(ctx context.Context) error {
		resp, err := client.Kubernetes.Get(ctx, key, kubernetes.GetOptions{})
		if got := string(resp.KV.GetValue()); err == nil && got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
		return err
	})
}

func TestCommitsOfCluster(t *testing.T) {
	t.Parallel()
	for _, spec := range append([]string{"etcd:proxy=on"}, both...) {
		t.Run(spec, func(t *testing.T) { t.Parallel(); testCommitsOfCluster(t, spec) })
	}
}

func testCommitsOfCluster(t *testing.T, spec string) {
	var commits commitLog
	e := startAs[Backend](t, spec, Options{OnCommit: commits.add})
	if n := len(e.Endpoints()); n != 3 {
		t.Fatalf("%d endpoints, want 3", n)
	}
	const key = "/registry/pods/default/web-0"
	began := history.Now()
	first := dial(t, e.Endpoints()[0])
	created := mustPut(t, first, key, "one", 0)
	if resp, err := first.OptimisticPut(bounded(t), key, []byte("again"), 0, kubernetes.PutOptions{}); err != nil || resp.Succeeded {
		t.Errorf("second create: succeeded %v, %v", resp.Succeeded, err)
	}
	updated := mustPut(t, dial(t, e.Endpoints()[1]), key, "two", created)
	third := dial(t, e.Endpoints()[2])
	deleted, err := third.OptimisticDelete(bounded(t), key, updated, kubernetes.DeleteOptions{GetOnFailure: true})
	if err != nil || !deleted.Succeeded {
		t.Fatalf("delete: %+v, %v", deleted, err)
	}
	if lost, err := third.OptimisticDelete(bounded(t), key, updated, kubernetes.DeleteOptions{}); err != nil || lost.Succeeded {
		t.Errorf("second delete: %+v, %v", lost, err)
	}
	ended := history.Now()

	want := []history.Commit{
		{Revision: created, Key: key, Value: []byte("one"), Create: true},
		{Revision: updated, Key: key, Value: []byte("two")},
		{Revision: deleted.Revision, Key: key, Delete: true},
	}
	got := commits.commits()
	if diff := gocmp.Diff(want, got, cmpopts.IgnoreFields(history.Commit{}, "Called", "Returned")); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
	last := began
	for _, c := range got { // they were made one after the other
		if c.Called < last || c.Returned <= c.Called || c.Returned > ended {
			t.Errorf("revision %d: called %d, returned %d, within %d to %d", c.Revision, c.Called, c.Returned, last, ended)
		}
		last = c.Returned
	}
	if n, err := e.DiskBytes(); err != nil || n < 3<<20 {
		t.Errorf("the data takes %d bytes, %v", n, err)
	}
}

// The process must be as before for everybody else: etcd's framework would
// change its working directory and environment and leave sockets behind.
func TestProcessIsUntouched(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	env := os.Environ()
	dir := filepath.Join(here, "run")
	e := start(t, "etcd", Options{Dir: "run"}) // relative, as a person may write it
	check := func(when string) {
		t.Helper()
		if got, err := os.Getwd(); err != nil || got != here {
			t.Errorf("%s: working directory is %s, %v; want %s", when, got, err, here)
		}
		if diff := gocmp.Diff(env, os.Environ()); diff != "" {
			t.Errorf("%s: environment (-want +got):\n%s", when, diff)
		}
		entries, err := os.ReadDir(here)
		if err != nil || len(entries) != 1 || entries[0].Name() != "run" {
			t.Errorf("%s: working directory holds %v, %v; want only run", when, entries, err)
		}
	}
	check("started")
	for _, m := range e.Members() {
		if want := filepath.Join(dir, "etcd", m.Name); m.DataDir != want {
			t.Errorf("%s keeps its data in %s, want %s", m.Name, m.DataDir, want)
		}
		if log, err := os.ReadFile(filepath.Join(dir, "logs", m.Name+".log")); err != nil || !strings.Contains(string(log), `"member":"`+m.Name) {
			t.Errorf("the log of %s: %d bytes, %v", m.Name, len(log), err)
		}
	}
	// Peers must find each other again wherever the process stands by then.
	t.Chdir(t.TempDir())
	restart(t, e, "etcd-1")
	mustPut(t, dial(t, e.Endpoints()[1]), "/registry/a", "x", 0)
	t.Chdir(here)
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	check("stopped")
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !d.Type().IsRegular() {
			t.Errorf("left behind: %s (%v)", path, d.Type())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func restart(t *testing.T, e *etcdCluster, name string) {
	t.Helper()
	if err := e.StopMembers(bounded(t), name); err != nil {
		t.Fatal(err)
	}
	if err := e.RestartMember(bounded(t), name); err != nil {
		t.Fatal(err)
	}
}

func TestStartAgain(t *testing.T) {
	t.Parallel()
	for _, spec := range both {
		t.Run(spec, func(t *testing.T) { t.Parallel(); testStartAgain(t, spec) })
	}
}

func testStartAgain(t *testing.T, spec string) {
	e := startAs[Backend](t, spec, Options{})
	if err := e.Start(bounded(t)); message(err) != "start etcd: it is started already" {
		t.Errorf("second start: %v", err)
	}
	endpoints := e.Endpoints()
	mustPut(t, dial(t, endpoints...), "/registry/a", "kept", 0)
	for range 2 {
		if err := e.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(endpoints, e.Endpoints()); diff != "" {
		t.Errorf("endpoints moved (-before +after):\n%s", diff)
	}
	wantValue(t, dial(t, endpoints...), "/registry/a", "kept")

	// Another run in the same process, while the first still goes on.
	other := startAs[Backend](t, spec+":members=1", Options{})
	mustPut(t, dial(t, other.Endpoints()...), "/registry/a", "other", 0)
	wantValue(t, dial(t, endpoints...), "/registry/a", "kept")
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	e := start(t, "etcd:members=1", Options{})
	mustPut(t, dial(t, e.Endpoints()...), "/registry/a", "kept", 0)
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(e.Endpoints()[0], "http://")
	thief, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	want := "etcd member etcd-0: reserve " + address + ": bind: address already in use"
	if err := e.Start(bounded(t)); message(err) != want {
		t.Errorf("start on a taken port: %v, want %s", err, want)
	}
	thief.Close()
	if err := e.Start(bounded(t)); err != nil {
		t.Fatalf("start when the port is free again: %v", err)
	}
	wantValue(t, dial(t, e.Endpoints()...), "/registry/a", "kept")

	// A member that is down and whose port somebody listens on.
	if err := e.StopMembers(bounded(t), "etcd-0"); err != nil {
		t.Fatal(err)
	}
	if thief, err = net.Listen("tcp4", address); err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	err = e.RestartMember(bounded(t), "etcd-0")
	if !strings.HasPrefix(message(err), "start etcd member etcd-0: listen tcp4 "+address) {
		t.Errorf("restart on a taken port: %v", err)
	}
	thief.Close()
	if err := e.RestartMember(bounded(t), "etcd-0"); err != nil {
		t.Fatalf("restart when the port is free again: %v", err)
	}
	wantValue(t, dial(t, e.Endpoints()...), "/registry/a", "kept")
}

func TestUnusableDirectory(t *testing.T) {
	t.Parallel()
	for _, spec := range both {
		t.Run(spec, func(t *testing.T) { t.Parallel(); testUnusableDirectory(t, spec) })
	}
}

func testUnusableDirectory(t *testing.T, spec string) {
	used := t.TempDir()
	stale := filepath.Join(used, spec, "etcd-0", "member")
	if err := os.MkdirAll(stale, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		used: "data directory " + filepath.Dir(stale) + " is not empty, a run starts in a new one",
		file: "make etcd's data directory: mkdir " + file + ": not a directory",
	} {
		e := openAs[Backend](t, spec+":members=1", Options{Dir: dir})
		if err := e.Start(bounded(t)); !strings.Contains(message(err), want) {
			t.Errorf("start in %s: %v, want %q", dir, err, want)
		}
	}
}

func TestStartIsUndone(t *testing.T) {
	t.Parallel()
	for _, spec := range both {
		t.Run(spec, func(t *testing.T) { t.Parallel(); testStartIsUndone(t, spec) })
	}
}

func testStartIsUndone(t *testing.T, spec string) {
	e := openAs[Backend](t, spec, Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	cancel(interrupted)
	if err := e.Start(ctx); !errors.Is(err, interrupted) {
		t.Fatalf("start under a cancelled context: %v", err)
	}
	for _, endpoint := range e.Endpoints() {
		if conn, err := net.Dial("tcp4", strings.TrimPrefix(endpoint, "http://")); err == nil {
			conn.Close()
			t.Errorf("%s still takes connections", endpoint)
		}
	}
	if err := e.Start(bounded(t)); err != nil {
		t.Fatalf("start after a start that failed: %v", err)
	}
}

func TestRemoveData(t *testing.T) {
	t.Parallel()
	for _, spec := range both {
		t.Run(spec, func(t *testing.T) { t.Parallel(); testRemoveData(t, spec) })
	}
}

func testRemoveData(t *testing.T, spec string) {
	e := startAs[Backend](t, spec+":members=1", Options{})
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if n, err := e.DiskBytes(); err != nil || n == 0 {
		t.Errorf("a stopped cluster keeps %d bytes, %v", n, err)
	}
	if err := RemoveData(e); err != nil {
		t.Fatal(err)
	}
	if n, err := e.DiskBytes(); err != nil || n != 0 {
		t.Errorf("a removed cluster keeps %d bytes, %v", n, err)
	}
}
