package lies

import (
	"context"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/storage"
)

// revisionLies are those about compactions, leases and whole members.
func revisionLies() []Lie {
	return []Lie{
		{Name: "compacted-that-is-not", Breaks: []string{storage.CompactionHonest}, every: 4, tell: compactedThatIsNot},
		{Name: "future-that-is-past", Breaks: []string{storage.CompactionHonest}, every: 4, tell: futureThatIsPast},
		{Name: "compaction-not-done", Breaks: []string{storage.CompactionHonest}, every: 1, tell: compactionNotDone},
		{Name: "lease-revoke-not-done", Breaks: []string{storage.LeaseHonest}, every: 1, tell: revokeNotDone},
		{Name: "other-lease-revoked", Breaks: []string{storage.LeaseHonest}, every: 1, tell: otherRevoked},
		{Name: "lease-denied", Breaks: []string{storage.LeaseHonest}, every: 2, tell: leaseDenied},
		{Name: "renewal-denied", Breaks: []string{storage.LeaseHonest}, every: 1, tell: renewalDenied},
		{Name: "other-hash", Breaks: []string{storage.MembersAgree}, Members: 3, every: 1, tell: otherHash},
	}
}

type doCompact = func(*pb.CompactionRequest) (*pb.CompactionResponse, error)

// askedFor is the highest revision that a client has asked to compact to.
type askedFor struct{ revision atomic.Int64 }

func (a *askedFor) interference() proxy.Interference {
	return on(func(req *pb.CompactionRequest, next doCompact) (*pb.CompactionResponse, error) {
		for {
			old := a.revision.Load()
			if req.Revision <= old || a.revision.CompareAndSwap(old, req.Revision) {
				return next(req)
			}
		}
	})
}

// compactedThatIsNot refuses to read a revision that is there. It keeps away
// from revisions that may be gone soon.
func compactedThatIsNot(l *Liar) proxy.Interference {
	var asked askedFor
	return both(asked.interference(), on(func(req *pb.RangeRequest, next doRange) (*pb.RangeResponse, error) {
		resp, err := next(req)
		if err == nil && req.Revision > asked.revision.Load() && l.turn() {
			l.tell()
			return nil, rpctypes.ErrGRPCCompacted
		}
		return resp, err
	}))
}

// futureThatIsPast says that a revision is yet to come which was answered.
func futureThatIsPast(l *Liar) proxy.Interference {
	return on(func(req *pb.RangeRequest, next doRange) (*pb.RangeResponse, error) {
		resp, err := next(req)
		if err == nil && req.Revision > 0 && l.turn() {
			l.tell()
			return nil, rpctypes.ErrGRPCFutureRev
		}
		return resp, err
	})
}

// compactionNotDone acknowledges a compaction and forgets it, so that what is
// said to be gone can still be read. It compacts to one of the first revisions
// instead, a higher one each time: the answer to that is what the client gets.
func compactionNotDone(l *Liar) proxy.Interference {
	return on(func(req *pb.CompactionRequest, next doCompact) (*pb.CompactionResponse, error) {
		low := int64(l.Told())
		if low >= req.Revision || !l.turn() {
			return next(req)
		}
		resp, err := next(&pb.CompactionRequest{Revision: low})
		if err == nil {
			l.tell()
		}
		return resp, err
	})
}

type (
	doGrant  = func(*pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error)
	doRevoke = func(*pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error)
)

// newest is the newest header that the store has answered with.
type newest struct {
	mu     sync.Mutex
	header *pb.ResponseHeader
}

// interference looks at the answers of all unary calls.
func (n *newest) interference() proxy.Interference {
	return proxy.Unary(func(ctx context.Context, _ string, req proto.Message, next proxy.Invoke) (proto.Message, error) {
		resp, err := next(ctx, req)
		if a, ok := resp.(interface{ GetHeader() *pb.ResponseHeader }); ok && err == nil {
			n.mu.Lock()
			if h := a.GetHeader(); h.GetRevision() > n.header.GetRevision() {
				n.header = copyOf(h)
			}
			n.mu.Unlock()
		}
		return resp, err
	})
}

func (n *newest) get() *pb.ResponseHeader {
	n.mu.Lock()
	defer n.mu.Unlock()
	return copyOf(n.header)
}

// revokeNotDone acknowledges the end of a lease, and its keys live on.
func revokeNotDone(l *Liar) proxy.Interference {
	var last newest
	return both(last.interference(), on(func(req *pb.LeaseRevokeRequest, next doRevoke) (*pb.LeaseRevokeResponse, error) {
		if !l.turn() {
			return next(req)
		}
		l.tell()
		return &pb.LeaseRevokeResponse{Header: last.get()}, nil
	}))
}

// otherRevoked ends another lease than the one that was to end.
func otherRevoked(l *Liar) proxy.Interference {
	var mu sync.Mutex
	var living []int64
	grants := on(func(req *pb.LeaseGrantRequest, next doGrant) (*pb.LeaseGrantResponse, error) {
		resp, err := next(req)
		if err == nil {
			mu.Lock()
			living = append(living, resp.ID)
			mu.Unlock()
		}
		return resp, err
	})
	return both(grants, on(func(req *pb.LeaseRevokeRequest, next doRevoke) (*pb.LeaseRevokeResponse, error) {
		mu.Lock()
		var other int64
		for i, id := range living {
			if id != req.ID {
				other = id
				living = append(living[:i], living[i+1:]...)
				break
			}
		}
		mu.Unlock()
		if other == 0 || !l.turn() {
			return next(req)
		}
		resp, err := next(&pb.LeaseRevokeRequest{ID: other})
		if err != nil {
			return next(req)
		}
		l.tell()
		return resp, nil
	}))
}

// leaseDenied refuses a put for want of a lease that lives.
func leaseDenied(l *Liar) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		put := putOf(req)
		if put == nil || put.Lease == 0 || !l.turn() {
			return next(req)
		}
		l.tell()
		return nil, rpctypes.ErrGRPCLeaseNotFound
	})
}

// renewalDenied says of a lease that lives that there is none.
func renewalDenied(l *Liar) proxy.Interference {
	return proxy.InterferenceFunc(func(ctx context.Context, method string, next proxy.Opener) (proxy.Stream, error) {
		up, err := next(ctx)
		if err != nil || method != pb.Lease_LeaseKeepAlive_FullMethodName {
			return up, err
		}
		return &renewals{Stream: up, liar: l}, nil
	})
}

type renewals struct {
	proxy.Stream
	liar *Liar
}

// Recv implements proxy.Stream.
func (s *renewals) Recv() (any, error) {
	m, err := s.Stream.Recv()
	if resp, ok := m.(*pb.LeaseKeepAliveResponse); ok && err == nil && resp.TTL > 0 && s.liar.turn() {
		s.liar.tell()
		resp.TTL = 0
	}
	return m, err
}

// otherHash is the hash of a member that holds something else.
func otherHash(l *Liar) proxy.Interference {
	return on(func(req *pb.HashKVRequest, next func(*pb.HashKVRequest) (*pb.HashKVResponse, error)) (*pb.HashKVResponse, error) {
		resp, err := next(req)
		if err == nil && l.turn() {
			l.tell()
			resp.Hash++
		}
		return resp, err
	})
}
