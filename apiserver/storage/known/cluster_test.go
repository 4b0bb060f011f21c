package known

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers"
	checker "github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// size is the number of members: one is asked, and two do not need the answer.
const size = 3

// bounded is a context that ends long after anything here should be done: a whole
// test runs in one, also on a machine with other work.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// buildOld builds the etcd of ../oldetcd.
func buildOld(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "oldetcd")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", "oldetcd"), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	return binary
}

// startOld starts a cluster of processes with etcd's own settings. They end
// with the test.
func startOld(t testing.TB, binary string) []storage.Member {
	t.Helper()
	dir := t.TempDir()
	clients, peers := reserve(t), reserve(t)
	var members []storage.Member
	var initial []string
	for i := range size {
		name := fmt.Sprintf("old-%d", i)
		members = append(members, storage.Member{Name: name, Endpoint: "http://" + clients[i].Addr(), DataDir: filepath.Join(dir, name)})
		initial = append(initial, name+"=http://"+peers[i].Addr())
	}
	var processes []*process
	for i := range members {
		m := &members[i]
		p := startProcess(t, dir, m.Name, binary,
			"--name", m.Name, "--data-dir", m.DataDir, "--initial-cluster", strings.Join(initial, ","),
			"--listen-client-urls", m.Endpoint, "--advertise-client-urls", m.Endpoint,
			"--listen-peer-urls", "http://"+peers[i].Addr(), "--initial-advertise-peer-urls", "http://"+peers[i].Addr())
		m.PID = p.cmd.Process.Pid
		processes = append(processes, p)
	}
	ctx := bounded(t)
	for i, p := range processes {
		if err := p.await(ctx.Done(), func() error { return ready(ctx, members[i].Endpoint) }); err != nil {
			t.Fatal(err)
		}
	}
	return members
}

// reserve takes a port for each member.
func reserve(t testing.TB) []*link.Port {
	t.Helper()
	var ports []*link.Port
	for range size {
		port, err := link.ReservePort(0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(port.Release)
		ports = append(ports, port)
	}
	return ports
}

// ready asks a member whether it serves linearizable reads, for which it needs
// a leader.
func ready(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", req.URL, resp.Status)
	}
	return nil
}

// startFixed starts a cluster of the version that planecheck links.
func startFixed(t testing.TB) []storage.Member {
	t.Helper()
	b, err := storage.Open(fmt.Sprintf("etcd:members=%d", size), storage.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := b.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return b.Members()
}

// memory keeps the history of a scenario.
type memory struct{ storetest.Log }

// judge returns the verdicts by their guarantees. The floors are those of a
// scenario with one refusal and one compaction; conflicts and leases it has
// none of, so that Replay and LeaseHonest cannot pass.
func (s *memory) judge() map[string]checkers.Verdict {
	recorded := s.Recorded()
	c := checker.New(checker.Options{Start: 1, Floors: checker.Floors{Operations: writes, Compactions: 1}})
	for _, op := range recorded.Ops {
		c.StoreOp(op)
	}
	for _, w := range recorded.Watches {
		c.StoreWatch(w)
	}
	verdicts := map[string]checkers.Verdict{}
	for _, v := range c.Finish() {
		verdicts[v.Guarantee] = v
	}
	return verdicts
}

// member is one server, asked through a proxy that records.
type member struct {
	name        string
	kv          pb.KVClient
	maintenance pb.MaintenanceClient
	watch       *record.FullWatch // of all its keys
}

// recorded is a cluster with a proxy before every member.
type recorded struct {
	members []*member
	sink    memory
	stops   []func() error
}

func startRecorded(t testing.TB, servers []storage.Member) *recorded {
	t.Helper()
	r := &recorded{}
	t.Cleanup(func() { r.stop(t) })
	numbers := &record.Numbers{}
	for _, s := range servers {
		if err := r.add(s, numbers); err != nil {
			t.Fatalf("record %s: %v", s.Name, err)
		}
	}
	return r
}

// add puts a proxy before a server. The client is generated code on a bare
// connection, so that nothing is sent twice.
func (r *recorded) add(s storage.Member, numbers *record.Numbers) error {
	recorder := record.New(record.Options{Member: s.Name, Sink: &r.sink, Numbers: numbers})
	r.stops = append(r.stops, func() error { recorder.Close(); return nil })
	p, err := proxy.Start(proxy.Options{Upstream: s.Endpoint, Recorder: recorder})
	if err != nil {
		return err
	}
	r.stops = append(r.stops, p.Close)
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(p.Endpoint(), "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(), grpc.WithDisableRetry())
	if err != nil {
		return err
	}
	r.stops = append(r.stops, conn.Close)
	watch, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: p.Endpoint()})
	if err != nil {
		return err
	}
	r.stops = append(r.stops, watch.Stop)
	r.members = append(r.members, &member{
		name: s.Name, kv: pb.NewKVClient(conn), maintenance: pb.NewMaintenanceClient(conn), watch: watch,
	})
	return nil
}

// stop ends the history, clients first. The second stop does nothing.
func (r *recorded) stop(t testing.TB) {
	t.Helper()
	for len(r.stops) > 0 {
		last := len(r.stops) - 1
		if err := r.stops[last](); err != nil {
			t.Errorf("end the history: %v", err)
		}
		r.stops = r.stops[:last]
	}
}
