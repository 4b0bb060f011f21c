package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
	"github.com/planecheck/planecheck/workloads/storebench"
)

// TestMain lets the test binary re-execute itself as an etcd member, and sees to
// it that none is left.
func TestMain(m *testing.M) {
	etcdproc.Hook()
	status := m.Run()
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		fmt.Fprintf(os.Stderr, "a child process is left behind (wait4: %d, %v)\n", pid, err)
		status = 1
	}
	os.Exit(status)
}

// tiny is a bench of moments.
func tiny(t *testing.T) Options {
	o := DefaultOptions()
	o.Clients, o.Window, o.Warmup = []int{1, 5}, shortest, 20*time.Millisecond
	o.Connections, o.Objects, o.Namespaces, o.Page = 2, 43, 3, 4
	o.RunsDir = t.TempDir()
	return o
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// onlyRun is the only run directory below dir.
func onlyRun(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*-bench-storage"))
	if err != nil || len(found) != 1 {
		t.Fatalf("run directories: %q, %v", found, err)
	}
	return found[0]
}

// Every operation of every backend gives figures, at every number of clients,
// and they can be printed again.
func TestRun(t *testing.T) {
	o := tiny(t)
	o.Backends, o.Warmup, o.Window = "memory,etcd:members=1,fsync=off", 0, 3*shortest // for a busy machine
	var out bytes.Buffer
	if err := Run(bounded(t), o, &out); err != nil {
		t.Fatalf("%v; output:\n%s", err, &out)
	}
	dir := onlyRun(t, o.RunsDir)
	figures, err := results.LoadStoreBench(dir)
	if err != nil {
		t.Fatal(err)
	}
	if figures.Floors.Sync.Answered == 0 || len(figures.Floors.Echo) != len(o.Clients) || figures.Incomplete != "" || figures.Ended.IsZero() {
		t.Errorf("floors %+v, incomplete %q", figures.Floors, figures.Incomplete)
	}
	for i, spec := range []string{"memory", "etcd:members=1,fsync=off"} {
		b := figures.Backends[i]
		if b.Reached != results.ReachedDirectly {
			t.Errorf("%s was reached %q", spec, b.Reached)
		}
		if b.Backend != spec || b.Filled != 2*o.Objects || b.Settings["fsync"] != "false" || b.Failed != "" {
			t.Errorf("backend %d: %s, %d objects, settings %v, failed %q", i, b.Backend, b.Filled, b.Settings, b.Failed)
		}
		if want := len(o.Operations) * len(o.Clients); len(b.Measures) != want {
			t.Fatalf("%s: %d measurements, want %d", spec, len(b.Measures), want)
		}
		for j, m := range b.Measures {
			op, clients := o.Operations[j/len(o.Clients)], o.Clients[j%len(o.Clients)]
			if m.Operation != op || m.Clients != clients || m.Connections != min(clients, 2) || m.Window.Duration() != o.Window {
				t.Errorf("%s: measurement %d is %+v", spec, j, m)
			}
			if m.Latency.Count == 0 || m.Latency.P50 <= 0 || m.Failed != 0 || len(m.Errors) != 0 || m.Incomplete != "" {
				t.Errorf("%s: %+v", spec, m)
			}
		}
	}
	var again bytes.Buffer
	if err := Show(dir, &again); err != nil || !strings.HasSuffix(out.String(), again.String()) {
		t.Errorf("printed again (%v):\n%s\nat first:\n%s", err, &again, &out)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "bench-storage.txt")); err != nil || string(text) != again.String() {
		t.Errorf("bench-storage.txt (%v):\n%s", err, text)
	}
	expectNoData(t, dir)
}

func expectNoData(t *testing.T, dir string) {
	t.Helper()
	for _, pattern := range []string{"sync-floor", "*/etcd", "*/etcd-process"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

// A store that somebody else runs is measured, and left as it was.
func TestExternal(t *testing.T) {
	their, err := storage.Open("etcd:members=1,fsync=off", storage.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := their.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	defer their.Stop()
	o := tiny(t)
	o.Backends, o.Operations = "external", []string{"create", "list", "watch"}
	o.External.Endpoints = their.Endpoints()
	var out bytes.Buffer
	if err := Run(bounded(t), o, &out); err != nil {
		t.Fatalf("%v; output:\n%s", err, &out)
	}
	if want := their.Endpoints()[0]; !strings.Contains(out.String(), "external: through the proxy, endpoints "+want) {
		t.Errorf("no %s in\n%s", want, &out)
	}
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(their.Endpoints()[0], "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	left, err := pb.NewKVClient(conn).Range(bounded(t), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	if err != nil || left.Count != 0 || left.Header.Revision < 100 {
		t.Errorf("at revision %d, %d keys are left (%v)", left.GetHeader().GetRevision(), left.GetCount(), err)
	}
	o.External.Endpoints = []string{"http://127.0.0.1:1"}
	if err := Run(bounded(t), o, &out); scenarios.ExitStatus("", err) != scenarios.ExitUsage {
		t.Errorf("nobody is there: %v", err)
	}
}

// sums is a Sink that only counts.
type sums struct {
	mu sync.Mutex
	n  int64
}

func (s *sums) Took(int, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
}

// calls keeps those of a store's history.
type calls struct {
	mu  sync.Mutex
	all []*history.StoreOp
}

func (c *calls) StoreOp(op *history.StoreOp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, op)
}

func (c *calls) StoreWatch(*history.StoreWatch) {}

// What the load says that it sent must be what the store was asked, request by
// request: without a warm-up every one of them counts.
func TestAccounting(t *testing.T) {
	log := &calls{}
	b, err := storage.Open("memory", storage.Options{Dir: t.TempDir(), History: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	o := tiny(t)
	c := (&run{o: o}).config()
	c.Warmup, c.Endpoints = 0, b.Endpoints()
	bench, err := storebench.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer bench.Close()
	if _, _, err := bench.Fill(bounded(t)); err != nil {
		t.Fatal(err)
	}
	const clients = 3
	for _, op := range storebench.Operations() {
		begun, sink := history.Now(), &sums{}
		m, err := bench.Measure(bounded(t), op, clients, sink)
		if err != nil || m.Failed != 0 {
			t.Fatalf("%s: %+v, %v", op, m, err)
		}
		var asked int64
		await(t, "all calls to be recorded", func() bool {
			asked = askedOf(log, op, begun)
			return asked*perRequest(op, clients) >= sink.n // a call is recorded when it has been answered
		})
		if want := asked * perRequest(op, clients); sink.n != want || m.Answered > want || sink.n == 0 {
			t.Errorf("%s: the store was asked %d times; %d latencies, want %d; %d answers", op, asked, sink.n, want, m.Answered)
		}
	}
}

// perRequest is how many latencies a request gives.
func perRequest(op storebench.Operation, clients int64) int64 {
	if op == storebench.Watch {
		return clients
	}
	return 1
}

// askedOf counts the calls since then that have the shape of an operation.
func askedOf(log *calls, op storebench.Operation, since history.Time) (n int64) {
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, c := range log.all {
		if c.Called >= since && shape(c) == op {
			n++
		}
	}
	return n
}

// shape says which operation a recorded call is of, by what kube-apiserver
// sends; "" if of none.
func shape(c *history.StoreOp) storebench.Operation {
	switch {
	case c.Method == history.MethodRangeStream:
		return storebench.Stream
	case c.Method == history.MethodRange && c.Then[0].Limit == 4:
		return storebench.List
	case c.Method == history.MethodRange && strings.Contains(c.Then[0].Key, "/pods/bench-"):
		return storebench.Get
	case c.Method != history.MethodTxn || len(c.Compares) != 1 || len(c.Then) != 1 || c.Then[0].Kind != history.ActionPut:
		return ""
	case c.Compares[0].Target != history.CompareMod || c.Compares[0].Op != "=" || c.Compares[0].Key != c.Then[0].Key:
		return ""
	case strings.Contains(c.Then[0].Key, "/pods/new-") && c.Compares[0].Number == 0 && len(c.Else) == 0:
		return storebench.Create
	case c.Compares[0].Number == 0 || len(c.Else) != 1 || c.Else[0].Kind != history.ActionRange:
		return ""
	case strings.Contains(c.Then[0].Key, "/pods/watched/"):
		return storebench.Watch
	case strings.Contains(c.Then[0].Key, "/leases/kube-node-lease/"):
		return storebench.Renew
	case strings.Contains(c.Then[0].Key, "/pods/bench-"):
		return storebench.Update
	}
	return ""
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := bounded(t)
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// hook calls f once, when a line has been written that contains a text.
type hook struct {
	bytes.Buffer
	text string
	f    func()
}

func (h *hook) Write(b []byte) (int, error) {
	n, err := h.Buffer.Write(b)
	if h.f != nil && strings.Contains(string(b), h.text) {
		h.f()
		h.f = nil
	}
	return n, err
}

// Ctrl-C ends a bench with what there is.
func TestInterrupted(t *testing.T) {
	o := tiny(t)
	o.Backends = "etcd:members=1,memory"
	ctx, cancel := context.WithCancelCause(bounded(t))
	out := &hook{text: "update", f: func() { cancel(scenarios.ErrInterrupted) }}
	err := Run(ctx, o, out)
	if scenarios.ExitStatus("", err) != scenarios.ExitInterrupted {
		t.Errorf("error %v", err)
	}
	dir := onlyRun(t, o.RunsDir)
	figures, err := results.LoadStoreBench(dir)
	if err != nil {
		t.Fatal(err)
	}
	if figures.Incomplete != "interrupted" || len(figures.Backends) != 1 || len(figures.Backends[0].Measures) != 3 {
		t.Errorf("incomplete %q, backends %+v", figures.Incomplete, figures.Backends)
	}
	for _, want := range []string{"create", "not complete: interrupted"} {
		if text := figures.String(); !strings.Contains(out.String(), text) || !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	expectNoData(t, dir)
}

// A backend that dies is marked with its cause, and the others go on.
func TestBackendDies(t *testing.T) {
	o := tiny(t)
	o.Backends, o.Operations = "etcd-process:members=1,memory", []string{"update", "get"}
	out := &hook{text: "update", f: func() { killMember(t, o.RunsDir) }}
	err := Run(bounded(t), o, out)
	if scenarios.ExitStatus("", err) != scenarios.ExitHarness {
		t.Errorf("error %v", err)
	}
	dir := onlyRun(t, o.RunsDir)
	figures, err := results.LoadStoreBench(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(figures.Backends) != 2 || !strings.Contains(figures.Backends[0].Failed, "etcd-0 died: signal: killed") {
		t.Fatalf("backends %+v", figures.Backends)
	}
	if memory := figures.Backends[1]; len(memory.Measures) != 4 || memory.Failed != "" {
		t.Errorf("the backend after it: %+v", memory)
	}
	expectNoData(t, dir)
}

// killMember kills the only process that has a directory in its arguments.
func killMember(t *testing.T, dir string) {
	t.Helper()
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	killed := 0
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(dir)) {
			continue // it has ended, or is another
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err == nil && pid != os.Getpid() && unix.Kill(pid, unix.SIGKILL) == nil {
			killed++
		}
	}
	if killed != 1 {
		t.Errorf("killed %d processes", killed)
	}
}

func TestBadInput(t *testing.T) {
	for _, test := range []struct {
		adjust func(*Options)
		err    string
	}{
		{func(o *Options) { o.Backends = "zookeeper" }, `unknown storage backend "zookeeper"`},
		{func(o *Options) { o.Backends = "etcd,etcd:members=2" }, `unknown value in "members=2"`},
		{func(o *Options) { o.Backends = "memory,memory" }, "memory is given twice"},
		{func(o *Options) { o.Backends = "" }, `unknown storage backend ""`},
		{func(o *Options) { o.Clients = []int{1, 0} }, "--clients [1 0]"},
		{func(o *Options) { o.Clients = nil }, "--clients []"},
		{func(o *Options) { o.Clients = []int{20_000} }, "from 1 to 10000"},
		{func(o *Options) { o.Objects = 4 }, "one for each client"},
		{func(o *Options) { o.Namespaces = 0 }, "--namespaces 0"},
		{func(o *Options) { o.Page = 0 }, "--page 0"},
		{func(o *Options) { o.Connections = 0 }, "--connections 0"},
		{func(o *Options) { o.Operations = []string{"get", "scan"} }, `unknown operation "scan"`},
		{func(o *Options) { o.Operations = nil }, "--operations"},
		{func(o *Options) { o.Window = time.Hour }, "--duration 1h0m0s"},
		{func(o *Options) { o.Window = 0 }, "--duration 0s"},
		{func(o *Options) { o.Warmup = -1 }, "--warmup"},
		{func(o *Options) {
			o.Window, o.Clients = time.Minute, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}
		}, "more than 2h0m0s"},
		{func(o *Options) { o.Clients, o.Objects, o.Page = []int{10_000}, 1_000_000, 1_000_000 }, "GiB"},
	} {
		o := tiny(t)
		test.adjust(&o)
		err := Run(t.Context(), o, os.Stderr)
		if scenarios.ExitStatus("", err) != scenarios.ExitUsage || !strings.Contains(fmt.Sprint(err), test.err) {
			t.Errorf("error %v, want %q", err, test.err)
		}
		if left, _ := os.ReadDir(o.RunsDir); len(left) > 0 {
			t.Errorf("%v: %s was made", err, left[0].Name())
		}
	}
	if err := Show(t.TempDir(), os.Stderr); scenarios.ExitStatus("", err) != scenarios.ExitUsage {
		t.Errorf("an empty directory was shown: %v", err)
	}
}

func TestTakes(t *testing.T) {
	o := DefaultOptions()
	o.Clients, o.Operations, o.Warmup, o.Window = []int{1, 2}, []string{"get", "list", "watch"}, time.Second, 2*time.Second
	if diff := cmp.Diff((3+2*6)*3*time.Second, o.takes(2)); diff != "" {
		t.Errorf("two backends (-want +got): %s", diff)
	}
}
