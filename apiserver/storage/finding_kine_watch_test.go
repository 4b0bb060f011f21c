package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/child"
	"github.com/planecheck/planecheck/apiserver/storage/database"
	"github.com/planecheck/planecheck/apiserver/storage/kine"
)

// What kine's watches do, and its revisions in two processes, see finding_kine_test.go.

// stream is a watch stream of gRPC's own: etcd's client hides what a store says
// of a watch after its end, or does not survive it.
type stream struct {
	pb.Watch_WatchClient
	t    *testing.T
	came chan *pb.WatchResponse
}

// watchStream opens one, which ends with the context.
func watchStream(ctx context.Context, t *testing.T, c *kubernetes.Client) *stream {
	t.Helper()
	ws, err := pb.NewWatchClient(c.ActiveConnection()).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{Watch_WatchClient: ws, t: t, came: make(chan *pb.WatchResponse)}
	go func() {
		defer close(s.came)
		for {
			m, err := ws.Recv()
			if err != nil {
				return
			}
			select {
			case s.came <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	return s
}

func (s *stream) ask(r *pb.WatchRequest) {
	s.t.Helper()
	if err := s.Send(r); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stream) next() *pb.WatchResponse {
	s.t.Helper()
	m, ok := <-s.came
	if !ok {
		s.t.Fatal("the watch stream has ended")
	}
	return m
}

// create asks for a watch as kube-apiserver's caches do.
func (s *stream) create(prefix string, from int64) {
	s.t.Helper()
	s.ask(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)), StartRevision: from, ProgressNotify: true, PrevKv: true,
	}}})
}

// watch begins the first watch of a stream.
func (s *stream) watch(prefix string, from int64) (id int64) {
	s.t.Helper()
	s.create(prefix, from)
	m := s.next()
	if !m.GetCreated() || m.GetCanceled() {
		s.t.Fatalf("watch: %v", m)
	}
	return m.GetWatchId()
}

func (s *stream) askProgress() {
	s.t.Helper()
	s.ask(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
}

// progress asks for progress until some is told: nobody has to answer while a
// watch is behind.
func (s *stream) progress() int64 {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s.askProgress()
		select {
		case m := <-s.came:
			if m.GetCanceled() || len(m.GetEvents()) > 0 || m.GetHeader() == nil {
				s.t.Fatalf("instead of progress: %v", m)
			}
			return m.GetHeader().GetRevision()
		case <-tick.C:
		}
	}
}

// ifKnown skips what takes a race that a busy machine may lose: `make known` takes it.
func ifKnown(t *testing.T) {
	t.Helper()
	if !bothVersions() {
		t.Skip("a race of kine's, which `make known` looks for")
	}
}

// docs/findings/0016: progress is told of a revision before that of an event which came earlier.
func TestKineProgressGoesBack(t *testing.T) {
	ifKnown(t)
	f := func(version string, most int, want bool) {
		busily(t, startKine(t, kineSQLiteName+version, Options{}), 4, func(c *kubernetes.Client) {
			if got := tries(t, most, back(t, c)); got != want {
				t.Errorf("%s: in up to %d answers progress was behind an event: %v", version, most, got)
			}
		})
	}
	f(v0175, 5000, true)
	f(v0164, 2000, false) // its Send lifts what is lower
}

// back watches a busy store and asks for progress. It returns what looks at one
// answer, and says whether it is progress that is behind an event.
func back(t *testing.T, c *kubernetes.Client) func(int) string {
	s := watchStream(bounded(t), t, c)
	s.watch("/busy/", 0)
	seen := int64(0)
	return func(int) string {
		t.Helper()
		s.askProgress()
		m := s.next()
		for _, e := range m.GetEvents() {
			seen = max(seen, e.GetKv().GetModRevision())
		}
		if told := m.GetHeader().GetRevision(); len(m.GetEvents()) == 0 && told < seen {
			return fmt.Sprintf("the event of revision %d came, and then progress at %d", seen, told)
		}
		return ""
	}
}

// docs/findings/0016: and it stays there until somebody writes. PostgreSQL takes more
// tries, and on SQLite it was not seen.
func TestKineProgressStaysBehind(t *testing.T) {
	ifKnown(t)
	installed(t, database.MariaDB(""))
	k := startKine(t, kineMariaDBName+v0175, Options{Dir: passable(t)})
	if !tries(t, 200, func(try int) string { return behind(t, k, try) }) {
		t.Error("progress came up to the last event each time")
	}
}

// behind has clients write at one time and stop, and waits until a watch has shown
// all. It says whether all progress that is told then is of an earlier revision.
func behind(t *testing.T, b Backend, try int) string {
	t.Helper()
	const prefix, answers = "/registry/pods/", 40
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	c := dial(t, b.Endpoints()...)
	s := watchStream(ctx, t, c)
	s.watch(prefix, 0)
	var all sync.WaitGroup
	for i := range 8 {
		c := dial(t, b.Endpoints()...)
		all.Go(func() {
			for n := range 20 {
				if _, err := c.OptimisticPut(ctx, fmt.Sprintf("%s%d/%d/%d", prefix, try, i, n), nil, 0, kubernetes.PutOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	list, err := c.Kubernetes.List(ctx, prefix, kubernetes.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := int64(0)
	for seen < list.Revision {
		for _, e := range s.next().GetEvents() {
			seen = e.GetKv().GetModRevision()
		}
	}
	told := int64(0)
	for range answers {
		told = max(told, s.progress())
	}
	if told >= seen {
		return ""
	}
	return fmt.Sprintf("the list is of revision %d, the last event of %d; %d times progress was asked for, and told is at most %d", list.Revision, seen, answers, told)
}

// K8 of docs/findings: where clients that create one key at one time have drawn
// numbers for nothing, kine fills those, and a watch is told of progress all the same.
func TestKineTellsProgressBehindGaps(t *testing.T) {
	ifKnown(t)
	installed(t, database.Postgres(""))
	k := startKine(t, kinePostgresName+v0175, Options{Dir: passable(t)})
	c := dial(t, k.Endpoints()...)
	ctx := bounded(t)
	for try := range 20 {
		s := watchStream(ctx, t, c)
		s.watch("/registry/pods/", 0)
		var all sync.WaitGroup
		for range 8 {
			c := dial(t, k.Endpoints()...)
			all.Go(func() {
				for n := range 20 {
					if _, err := c.OptimisticPut(ctx, fmt.Sprintf("/registry/pods/%d/%d", try, n), nil, 0, kubernetes.PutOptions{}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for seen := 0; seen < 20; {
			seen += len(s.next().GetEvents())
		}
		s.progress() // waits for an answer
	}
	if n := fillers(ctx, t, c); n == 0 {
		t.Error("no number was drawn for nothing")
	} else {
		t.Logf("%d gaps were filled", n)
	}
}

// fillers counts the rows that kine has put where a number was missing. No list shows
// them, but a watch of the past does.
func fillers(ctx context.Context, t *testing.T, c *kubernetes.Client) (n int) {
	t.Helper()
	s := watchStream(ctx, t, c)
	s.watch("gap-", 2)
	for {
		s.askProgress()
		m := s.next()
		if len(m.GetEvents()) == 0 {
			return n
		}
		n += len(m.GetEvents())
	}
}

// docs/findings/0017: the second of two kine processes on one database reads the
// past. v0.17.5 does not.
func TestKineSecondProcessReadsThePast(t *testing.T) {
	for _, version := range versions() {
		k := startKine(t, kineSQLiteName+version, Options{})
		two := []*kubernetes.Client{dial(t, k.Endpoints()...), dial(t, secondKine(t, k))}
		if past := tries(t, 20, func(try int) string { return past(t, two, try) }); past != (version == v0164) {
			t.Errorf("%s: in up to 20 tries the second process read the past: %v", version, past)
		}
	}
}

// secondKine starts another process on a kine's database, with flags of its own, and
// returns its endpoint.
func secondKine(t *testing.T, k *kineBackend, flags ...string) string {
	t.Helper()
	port, err := link.ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	p, err := kine.Start(child.Config{
		Name: "the second kine", Path: k.binary, LogFile: filepath.Join(t.TempDir(), "log"),
		Args: append(kine.Flags(k.version, port.Addr(), k.endpoint), flags...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + port.Addr()
}

// past writes a key with one client and then reads with another. It says what of
// that is before the write.
func past(t *testing.T, two []*kubernetes.Client, try int) string {
	t.Helper()
	key := fmt.Sprintf("/registry/%d", try)
	told := mustPut(t, two[0], key, "", 0)
	none, err := two[1].Kubernetes.Get(bounded(t), "/registry/none", kubernetes.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := two[1].OptimisticPut(bounded(t), key, nil, 0, kubernetes.PutOptions{GetOnFailure: true})
	if err != nil || again.Succeeded {
		t.Fatalf("create of what is there: %+v, %v", again, err)
	}
	switch {
	case none.Revision < told:
		return fmt.Sprintf("a write was answered with revision %d, a later read with %d", told, none.Revision)
	case again.KV == nil:
		return fmt.Sprintf("%s was created at %d; another create is told that it is there, and at revision %d that it is not", key, told, again.Revision)
	}
	return ""
}

// docs/findings/0018: kine speaks of watches that have ended.
func TestKineSpeaksOfEndedWatches(t *testing.T) {
	ifKnown(t)
	k := startKine(t, kineSQLiteName+v0175, Options{})
	busily(t, k, 4, func(c *kubernetes.Client) {
		if !tries(t, 300, func(try int) string { return afterEnd(t, c, try) }) {
			t.Error("nothing was said of a watch that had ended")
		}
	})
}

// afterEnd ends a watch of a busy store, and says what came of it after its end.
func afterEnd(t *testing.T, c *kubernetes.Client, try int) string {
	t.Helper()
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	s := watchStream(ctx, t, c)
	id := s.watch("/busy/", 0)
	for range 1 + try%7 {
		s.next()
	}
	s.ask(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
	for !s.next().GetCanceled() {
	}
	s.create("/registry/none", 0) // whose answer ends what is looked at
	events, others, zero := 0, 0, 0
	for m := s.next(); !m.GetCreated(); m = s.next() {
		switch {
		case m.GetWatchId() != id:
		case len(m.GetEvents()) > 0:
			events += len(m.GetEvents())
		case m.GetHeader().GetRevision() == 0:
			zero++
		default:
			others++
		}
	}
	if events == 0 {
		return ""
	}
	return fmt.Sprintf("after its end a watch was sent %d events, %d times the revision 0, and %d other answers", events, zero, others)
}

// docs/findings/0018: a watch from a revision that is to come is ended, and what
// kine sends then ends the client's process.
func TestKineEndsItsClient(t *testing.T) {
	k := startKine(t, kineSQLiteName+v0175, Options{})
	if said := watchTheFuture(t, k); !strings.Contains(said, "panic: send on closed channel") {
		t.Errorf("the client ended with: %s; it used to panic", said)
	}
}

// watchTheFuture lets a process with etcd's client do that, and returns the line
// with which it ended.
func watchTheFuture(t *testing.T, b Backend) string {
	t.Helper()
	p, err := child.Start(child.Config{
		Name: "a client", Args: []string{"-test.run=^TestClientOfTheFuture$", "-test.v"},
		Env: []string{futureEndpoint + "=" + b.Endpoints()[0]}, LogFile: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-p.Exited():
	case <-bounded(t).Done():
		t.Fatal("the client has not ended")
	}
	return p.Said()
}

// futureEndpoint tells TestClientOfTheFuture where to watch.
const futureEndpoint = "PLANECHECK_TEST_FUTURE"

// TestClientOfTheFuture is the process of watchTheFuture. On one stream it keeps a
// watch, asks for progress all the time, and watches from a revision that is to come.
func TestClientOfTheFuture(t *testing.T) {
	endpoint := os.Getenv(futureEndpoint)
	if endpoint == "" {
		t.Skip("it is started by other tests")
	}
	ctx := bounded(t)
	c := dial(t, endpoint)
	open := func(ctx context.Context, from int64) clientv3.WatchChan {
		t.Helper()
		w := c.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithCreatedNotify(), clientv3.WithProgressNotify())
		if m := <-w; !m.Created && ctx.Err() == nil {
			t.Errorf("watch from %d: %+v", from, m)
		}
		return w
	}
	kept := open(ctx, 0)
	go func() {
		for range kept {
		}
	}()
	go func() {
		for ctx.Err() == nil {
			_ = c.RequestProgress(ctx)
		}
	}()
	for range 100 {
		watch, cancel := context.WithCancel(ctx)
		open(watch, 1<<40)
		// By then kine has ended the watch.
		if _, err := c.Kubernetes.Get(ctx, "/registry/health", kubernetes.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
}
