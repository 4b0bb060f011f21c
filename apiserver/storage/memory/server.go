package memory

import (
	"context"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/version"
	"google.golang.org/grpc"
)

// Who the server is, in every header. Nothing depends on the numbers.
const (
	clusterID = 0x706c616e65636865
	memberID  = 0x636b6d656d6f7279
	raftTerm  = 2 // that of a new cluster's first leader
)

func header(revision int64) *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: clusterID, MemberId: memberID, RaftTerm: raftTerm, Revision: revision}
}

// identify completes a header. Only the outermost of an answer has more than a
// revision, as in etcd.
func identify(h *pb.ResponseHeader) {
	h.ClusterId, h.MemberId, h.RaftTerm = clusterID, memberID, raftTerm
}

// ServerOptions are those that a server of a Store needs: etcd's bounds on
// messages, and a Stop that waits for the calls.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxRequestBytes + overheadBytes),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.WaitForHandlers(true),
	}
}

// Register makes a server serve the store. Any number may.
func (s *Store) Register(server grpc.ServiceRegistrar) {
	pb.RegisterKVServer(server, kv{s: s})
	pb.RegisterWatchServer(server, watch{s: s})
	pb.RegisterLeaseServer(server, leases{s: s})
	pb.RegisterMaintenanceServer(server, maintenance{s: s})
}

type kv struct {
	s *Store
	pb.UnimplementedKVServer
}

func (k kv) Range(_ context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	resp, err := k.s.rangeOf(r)
	if err != nil {
		return nil, err
	}
	identify(resp.Header)
	return resp, nil
}

func (k kv) RangeStream(r *pb.RangeRequest, to pb.KV_RangeStreamServer) error {
	resp, err := k.s.rangeOf(r)
	if err != nil {
		return err
	}
	identify(resp.Header)
	return stream(resp, to.Send)
}

func (k kv) Txn(_ context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	resp, err := k.s.txn(r)
	if err != nil {
		return nil, err
	}
	identify(resp.Header)
	return resp, nil
}

func (k kv) Compact(_ context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	if err := k.s.compact(r.GetRevision()); err != nil {
		return nil, err
	}
	return &pb.CompactionResponse{Header: header(k.s.revision)}, nil
}

type watch struct {
	s *Store
	pb.UnimplementedWatchServer
}

func (w watch) Watch(stream pb.Watch_WatchServer) error { return w.s.watch(stream) }

type leases struct {
	s *Store
	pb.UnimplementedLeaseServer
}

func (l leases) LeaseGrant(_ context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	resp, err := l.s.grant(r)
	if err != nil {
		return nil, err
	}
	identify(resp.Header)
	return resp, nil
}

func (l leases) LeaseRevoke(_ context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	resp, err := l.s.revoke(r)
	if err != nil {
		return nil, err
	}
	identify(resp.Header)
	return resp, nil
}

type maintenance struct {
	s *Store
	pb.UnimplementedMaintenanceServer
}

// Status gives as the size of the database the bytes of all keys and values,
// and as the index of the log the revision. kube-apiserver reads from the
// version what the store can do.
func (m maintenance) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	m.s.mu.RLock()
	defer m.s.mu.RUnlock()
	index := uint64(m.s.revision)
	return &pb.StatusResponse{
		Header: header(m.s.revision), Version: version.Version, Leader: memberID,
		RaftIndex: index, RaftAppliedIndex: index, RaftTerm: raftTerm,
		DbSize: m.s.size, DbSizeInUse: m.s.size,
	}, nil
}
