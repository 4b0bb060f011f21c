package storage

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers"
	checker "github.com/planecheck/planecheck/checkers/storage"
)

// theirs is an etcd that others use, with keys around all that we may touch.
func theirs(t *testing.T) (e *etcdCluster, client *kubernetes.Client) {
	t.Helper()
	e = start(t, "etcd:members=1", Options{})
	client = dial(t, e.Endpoints()...)
	var last int64
	for _, key := range []string{"a", "/registry/pods/ns/theirs", "/planecheck", "/planecheck-", "/planecheck-zzzz/a", "compact_rev_key", "\xff"} {
		last = mustPut(t, client, key, "theirs", 0)
	}
	if _, err := client.Compact(bounded(t), last-2); err != nil {
		t.Fatal(err)
	}
	return e, client
}

// dump is every key of a store with all that it says of it.
func dump(t *testing.T, client *kubernetes.Client) map[string]string {
	t.Helper()
	resp, err := client.KV.Get(bounded(t), "\x00", clientv3.WithFromKey())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, kv := range resp.Kvs {
		all[string(kv.Key)] = fmt.Sprintf("%q created %d modified %d version %d lease %d", kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease)
	}
	return all
}

// A run that does all that it can in its part of a store leaves every other key
// as it was, and in the end nothing of its own.
func TestExternalLeavesOthersAlone(t *testing.T) {
	e, their := theirs(t)
	before := dump(t, their)
	b := startAs[*external](t, externalName, Options{External: External{Endpoints: e.Endpoints()}})
	ours := dial(t, b.Endpoints()...)
	if all := dump(t, ours); len(all) > 0 {
		t.Errorf("a new part holds %v", all)
	}
	first := mustPut(t, ours, "/registry/pods/ns/theirs", "ours", 0)
	if first != 2 {
		t.Errorf("the first write has revision %d, in a new store it has 2", first)
	}
	mustPut(t, ours, "/registry/pods/ns/theirs", "ours again", first)
	for i := range cleanBatch + 10 {
		mustPut(t, ours, fmt.Sprintf("/registry/pods/ns/%d", i), "ours", 0)
	}
	lease, err := ours.Grant(bounded(t), 3600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ours.OptimisticPut(bounded(t), "compact_rev_key", []byte("1"), 0, kubernetes.PutOptions{LeaseID: lease.ID}); err != nil {
		t.Fatal(err)
	}
	if all := dump(t, ours); len(all) != cleanBatch+12 {
		t.Errorf("our part holds %d keys", len(all))
	}
	refused(t, b)

	// The widest deletion that there is reaches our keys only.
	if _, err := ours.KV.Txn(bounded(t)).Then(clientv3.OpDelete("\x00", clientv3.WithFromKey())).Commit(); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(before, dump(t, their)); diff != "" {
		t.Errorf("after the deletion of everything (-before +after):\n%s", diff)
	}
	mustPut(t, ours, "/registry/a", "left to be cleaned", 0)
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(before, dump(t, their)); diff != "" {
		t.Errorf("after the end (-before +after):\n%s", diff)
	}
	leases, err := their.Leases(bounded(t))
	if err != nil || len(leases.Leases) > 0 {
		t.Errorf("leases that are left: %v, %v", leases, err)
	}
	if err := b.Start(bounded(t)); err == nil {
		t.Error("it was started again, without its data")
	}
}

// refused asks for everything that would concern others.
func refused(t *testing.T, b *external) {
	t.Helper()
	ours := dial(t, b.Endpoints()...)
	ctx := bounded(t)
	requests := map[string]func() error{
		"compact":        func() error { _, err := ours.Compact(ctx, 3); return err },
		"put":            func() error { _, err := ours.KV.Put(ctx, "/registry/b", ""); return err },
		"delete":         func() error { _, err := ours.KV.Delete(ctx, "/registry/b"); return err },
		"revoke a lease": func() error { _, err := ours.Revoke(ctx, 1); return err },
		"defragment":     func() error { _, err := ours.Defragment(ctx, b.Endpoints()[0]); return err },
		"alarms":         func() error { _, err := ours.AlarmDisarm(ctx, &clientv3.AlarmMember{}); return err },
		"hash":           func() error { _, err := ours.HashKV(ctx, b.Endpoints()[0], 0); return err },
		"move leader":    func() error { _, err := ours.MoveLeader(ctx, 1); return err },
		"members":        func() error { _, err := ours.MemberRemove(ctx, 1); return err },
		"users":          func() error { _, err := ours.AuthEnable(ctx); return err },
	}
	for what, request := range requests {
		if err := request(); status.Code(err) != codes.Unimplemented && !strings.Contains(fmt.Sprint(err), "concern others") {
			t.Errorf("%s: %v", what, err)
		}
	}
	err := withMember(Member{Endpoint: b.Endpoints()[0]}, func(conn *grpc.ClientConn) error {
		_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{RangeEnd: []byte{0}})
		return err
	})
	if !strings.Contains(fmt.Sprint(err), "key is not provided") {
		t.Errorf("a read without a key: %v", err)
	}
}

// The history of our part is good, although others write meanwhile; without
// their writes taken into account it is not.
func TestExternalHistory(t *testing.T) {
	e, their := theirs(t)
	log, commits := &historyLog{}, &commitLog{}
	b := startAs[*external](t, externalName, Options{History: log, OnCommit: commits.add, External: External{Endpoints: e.Endpoints()}})
	watch, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: b.Members()[0].Endpoint})
	if err != nil {
		t.Fatal(err)
	}
	ours := dial(t, b.Endpoints()...)
	var others sync.WaitGroup
	others.Go(func() {
		for i := range 100 {
			mustPut(t, their, fmt.Sprintf("/theirs/%d", i), "theirs", 0)
		}
	})
	for i := range 30 {
		key := fmt.Sprintf("/registry/configmaps/ns/%d", i)
		rev := mustPut(t, ours, key, "one", 0)
		mustPut(t, ours, key, "two", rev)
		wantValue(t, ours, key, "two")
		if resp, err := ours.OptimisticPut(t.Context(), key, []byte("three"), rev, kubernetes.PutOptions{GetOnFailure: true}); err != nil || resp.Succeeded {
			t.Fatalf("a put on an old revision: %+v, %v", resp, err)
		}
	}
	others.Wait()
	mustPut(t, ours, "/registry/configmaps/ns/last", "one", 0)
	revision := complete(t, b, watch)
	for _, c := range commits.commits() {
		if !strings.HasPrefix(c.Key, "/registry/configmaps/ns/") || c.Revision <= 1 || c.Revision > revision {
			t.Errorf("a commit of %s at revision %d is told", c.Key, c.Revision)
		}
	}
	if n := len(commits.commits()); n != 61 {
		t.Errorf("%d commits are told, want 61", n)
	}
	for _, test := range []struct {
		contract checker.Contract
		good     bool
	}{{checker.External(), true}, {checker.Memory(), false}} {
		c := checker.New(checker.Options{Contract: test.contract, Start: 1, Floors: checker.Floors{Operations: 50, Conflicts: 5}})
		for _, op := range log.Ops {
			c.StoreOp(op)
		}
		for _, w := range log.Watches {
			c.StoreWatch(w)
		}
		failed := 0
		for _, v := range c.Finish() {
			if v.Outcome == checkers.Fail {
				failed++
				if test.good {
					t.Errorf("%s (%s)", v, v.Checked)
				}
			}
			if test.good && v.Guarantee == checker.Reads && v.Outcome != checkers.Pass {
				t.Errorf("%s (%s)", v, v.Checked)
			}
		}
		if !test.good && failed == 0 {
			t.Error("a history with gaps passes for one without")
		}
	}
}

func TestExternalBadInput(t *testing.T) {
	e := start(t, "etcd:members=1", Options{})
	dir := t.TempDir()
	secure, files := startTLS(t)
	other, err := transport.SelfCert(zap.NewNop(), filepath.Join(dir, "other"), []string{"127.0.0.1:0"}, 1, x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	plain := e.Endpoints()[0]
	old := withVersion(t, plain, "3.5.12")
	for _, test := range []struct {
		name     string
		external External
		err      string // "": none
	}{
		{"no endpoint", External{}, "endpoints"},
		{"no port", External{Endpoints: []string{"http://127.0.0.1"}}, "not of the form"},
		{"no scheme", External{Endpoints: []string{"127.0.0.1:2379"}}, "not of the form"},
		{"two schemes", External{Endpoints: []string{plain, secure}}, "not all http"},
		{"files for plain text", External{Endpoints: []string{plain}, CACert: files.CACert}, "the endpoints are http"},
		{"a file that is not there", External{Endpoints: []string{secure}, CACert: "/nowhere.pem"}, "no such file"},
		{"a file without a certificate", External{Endpoints: []string{secure}, CACert: empty}, "holds no certificate"},
		{"half a pair", External{Endpoints: []string{secure}, Cert: files.Cert}, "one of them is missing"},
		{"a pair of two", External{Endpoints: []string{secure}, Cert: files.Cert, Key: other.KeyFile}, "private key"},
		{"nobody there", External{Endpoints: []string{"http://127.0.0.1:1"}}, "connection refused"},
		{"another authority", External{Endpoints: []string{secure}, CACert: other.CertFile, Cert: files.Cert, Key: files.Key}, "certificate"},
		{"without our certificate", External{Endpoints: []string{secure}, CACert: files.CACert}, "certificate"},
		{"TLS without TLS", External{Endpoints: []string{strings.Replace(plain, "http", "https", 1)}, CACert: files.CACert}, "tls"},
		{"users with passwords", External{Endpoints: []string{withUsers(t)}}, "user name is empty"},
		{"too old", External{Endpoints: []string{old}}, "is etcd 3.5.12, which lacks progress"},
		{"plain text", External{Endpoints: []string{plain}}, ""},
		{"TLS", External{Endpoints: []string{secure}, CACert: files.CACert, Cert: files.Cert, Key: files.Key}, ""},
	} {
		b, err := Open(externalName, Options{Dir: dir, External: test.external})
		if err == nil {
			err = b.(Checker).Check(bounded(t))
		}
		if test.err == "" && err != nil || !strings.Contains(message(err), test.err) {
			t.Errorf("%s: %v, want %q", test.name, err, test.err)
		}
		if strings.Contains(message(err), "\n") {
			t.Errorf("%s: more than one line: %v", test.name, err)
		}
	}
	if _, err := Open("etcd", Options{Dir: dir, External: External{Endpoints: []string{plain}}}); err == nil {
		t.Error("etcd took endpoints")
	}
}

// withUsers is an etcd that answers only users of its own, who have passwords.
func withUsers(t *testing.T) string {
	t.Helper()
	e := start(t, "etcd:members=1", Options{})
	client := dial(t, e.Endpoints()...)
	const root = "root" // both must have this name
	if _, err := client.RoleAdd(bounded(t), root); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UserAdd(bounded(t), root, "secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UserGrantRole(bounded(t), root, root); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AuthEnable(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return e.Endpoints()[0]
}

// A store that goes away under a run is named, in one line; one that answers is
// not, and what was put there is removed when it is back.
func TestExternalDies(t *testing.T) {
	theirs := start(t, "etcd:members=1", Options{})
	b := openAs[*external](t, externalName, Options{External: External{Endpoints: theirs.Endpoints()}})
	b.silent = externalBound + time.Second // one question without an answer is none
	if err := b.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	mustPut(t, dial(t, b.Endpoints()...), "/registry/a", "one", 0)
	select {
	case err := <-b.Died():
		t.Errorf("it answers, and died: %v", err)
	default:
	}
	if err := theirs.Stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-b.Died():
		if text := message(err); !strings.HasPrefix(text, "the external store has not answered for ") ||
			!strings.Contains(text, theirs.Endpoints()[0]) || strings.Contains(text, "\n") {
			t.Errorf("it died: %s", text)
		}
	case <-bounded(t).Done():
		t.Error("nobody said that it is gone")
	}
	if err := theirs.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
	if left := dump(t, dial(t, theirs.Endpoints()...)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A store behind TLS serves as one without.
func TestExternalTLS(t *testing.T) {
	endpoint, files := startTLS(t)
	files.Endpoints = []string{endpoint}
	b := startAs[*external](t, externalName, Options{External: files})
	ours := dial(t, b.Endpoints()...)
	mustPut(t, ours, "/registry/a", "one", 0)
	wantValue(t, ours, "/registry/a", "one")
	if settings := b.Settings(); settings["tls"] != "true" || settings["version"] == "" || !strings.HasPrefix(settings["prefix"], "/planecheck-") {
		t.Errorf("settings %v", settings)
	}
}

func TestProgresses(t *testing.T) {
	for text, want := range map[string]bool{
		"3.4.23": false, "3.4.30": false, "3.4.31": true, "3.5.0": false, "3.5.12": false, "3.5.13": true, "3.6.0": true, "3.7.3": true,
	} {
		if got := progresses(version.MustParseSemantic(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// startTLS starts an etcd that wants certificates of its clients.
func startTLS(t *testing.T) (endpoint string, files External) {
	t.Helper()
	dir := t.TempDir()
	info, err := transport.SelfCert(zap.NewNop(), filepath.Join(dir, "tls"), []string{"127.0.0.1:0"}, 1, x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	c := etcdConfig()
	client, peer := reservedURL(t), reservedURL(t)
	client[0].Scheme = "https"
	c.Name, c.Dir = "secure", filepath.Join(dir, "data")
	c.ListenClientUrls, c.AdvertiseClientUrls = client, client
	c.ListenPeerUrls, c.AdvertisePeerUrls = peer, peer
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.ClientTLSInfo = transport.TLSInfo{CertFile: info.CertFile, KeyFile: info.KeyFile, TrustedCAFile: info.CertFile, ClientCertAuth: true}
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	server, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(time.Minute):
		t.Fatal("etcd with TLS is not ready")
	}
	return client.StringSlice()[0], External{CACert: info.CertFile, Cert: info.CertFile, Key: info.KeyFile}
}

// withVersion is a store that says that it is of another version.
func withVersion(t *testing.T, endpoint, version string) string {
	t.Helper()
	p, err := proxy.Start(proxy.Options{Upstream: endpoint, Interference: []proxy.Interference{
		proxy.Unary(func(ctx context.Context, _ string, req proto.Message, next proxy.Invoke) (proto.Message, error) {
			resp, err := next(ctx, req)
			if s, ok := resp.(*pb.StatusResponse); ok {
				s.Version = version
			}
			return resp, err
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p.Endpoint()
}
