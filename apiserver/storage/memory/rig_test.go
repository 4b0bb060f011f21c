package memory_test

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/memory"
	"github.com/planecheck/planecheck/workloads/contract/store"
)

// bound is for whatever must happen soon.
const bound = time.Minute

// server is one of the two that are compared, with a connection to it.
type server struct {
	*store.Server
	kv    pb.KVClient
	lease pb.LeaseClient
	watch pb.WatchClient
}

func connect(t testing.TB, name, address string) *server {
	t.Helper()
	s, err := store.Connect(name, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &server{Server: s, kv: s.KV, lease: s.Lease, watch: s.Watch}
}

// serveMemory serves a store for as long as the test runs. Leases do not end by
// themselves.
func serveMemory(t testing.TB, s *memory.Store) *server {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(memory.ServerOptions()...)
	s.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return connect(t, "memory", listener.Addr().String())
}

// serveEtcd starts a member of etcd of its own, which does not sync its disk:
// what is compared are answers. Its version must be known before it takes
// requests.
func serveEtcd(t testing.TB) *server {
	t.Helper()
	c := embed.NewConfig()
	c.Dir, c.LogLevel, c.UnsafeNoFsync = t.TempDir(), "fatal", true
	client, peer := reserve(t), reserve(t)
	c.ListenClientUrls, c.AdvertiseClientUrls = client, client
	c.ListenPeerUrls, c.AdvertisePeerUrls = peer, peer
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	select {
	case <-e.Server.ReadyNotify():
	case <-ctx.Done():
		t.Fatal("etcd was not ready in time")
	}
	s := connect(t, "etcd", client[0].Host)
	for { // a write is refused until the version of the cluster is agreed on
		_, err := s.kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{}}, grpc.WaitForReady(true))
		if err == nil && e.Server.ClusterVersion() != nil {
			return s
		}
		if ctx.Err() != nil {
			t.Fatalf("etcd took no requests in time: %v", err)
		}
	}
}

func reserve(t testing.TB) []url.URL {
	t.Helper()
	port, err := link.ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	return []url.URL{{Scheme: "http", Host: port.Addr()}}
}

// both are etcd and a store in memory, each new.
func both(t testing.TB) [2]*server {
	t.Helper()
	return [2]*server{serveEtcd(t), serveMemory(t, memory.New())}
}
