package memory

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// checkRange says what is wrong with a read before it is looked at.
func checkRange(r *pb.RangeRequest) error {
	if len(r.GetKey()) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	_, order := pb.RangeRequest_SortOrder_name[int32(r.GetSortOrder())]
	_, target := pb.RangeRequest_SortTarget_name[int32(r.GetSortTarget())]
	switch {
	case !order || !target:
		return rpctypes.ErrGRPCInvalidSortOption
	case r.GetSortTarget() != pb.RangeRequest_KEY || r.GetSortOrder() == pb.RangeRequest_DESCEND:
		return unimplemented("another order than that of keys")
	case r.GetMinModRevision() != 0 || r.GetMaxModRevision() != 0 || r.GetMinCreateRevision() != 0 || r.GetMaxCreateRevision() != 0:
		return unimplemented("bounds of revisions in a read")
	}
	return nil
}

func unimplemented(what string) error {
	return status.Errorf(codes.Unimplemented, "the store in memory does not have %s", what)
}

// readable says whether a revision, of which 0 is none, can be read.
func (s *Store) readable(revision, current int64) error {
	switch {
	case revision > current:
		return rpctypes.ErrGRPCFutureRev
	case revision > 0 && revision < s.compacted:
		return rpctypes.ErrGRPCCompacted
	}
	return nil
}

// read answers a Range while the lock is held; current is the newest revision.
func (s *Store) read(r *pb.RangeRequest, current int64) (*pb.RangeResponse, error) {
	if err := s.readable(r.GetRevision(), current); err != nil {
		return nil, err
	}
	at := r.GetRevision()
	if at <= 0 {
		at = current
	}
	resp := &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: current}}
	s.visit(spanOf(r.GetKey(), r.GetRangeEnd()), at, func(kv *mvccpb.KeyValue) {
		resp.Count++
		switch {
		case r.GetCountOnly():
		case r.GetLimit() > 0 && resp.Count > r.GetLimit():
			resp.More = true
		case r.GetKeysOnly():
			// etcd answers this from its index, which knows no leases.
			resp.Kvs = append(resp.Kvs, &mvccpb.KeyValue{
				Key: kv.Key, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Version: kv.Version,
			})
		default:
			resp.Kvs = append(resp.Kvs, kv)
		}
	})
	return resp, nil
}

func (s *Store) rangeOf(r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if err := checkRange(r); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.read(r, s.revision)
}

// How RangeStream cuts its answer: the first chunk has chunkKeys, and the
// others so many that they come near the largest request.
const chunkKeys = 10

// stream sends an answer in chunks, of which the last has header and count.
// Everything is read at once, so a compaction cannot overtake it.
func stream(whole *pb.RangeResponse, send func(*pb.RangeStreamResponse) error) error {
	left, n := whole.Kvs, chunkKeys
	for len(left) > n {
		chunk := &pb.RangeResponse{Kvs: left[:n]}
		if err := send(&pb.RangeStreamResponse{RangeResponse: chunk}); err != nil {
			return err
		}
		left = left[n:]
		switch size := proto.Size(chunk); {
		case size < maxRequestBytes/2:
			n *= 2
		case size > 2*maxRequestBytes:
			n = max(n/2, 1)
		}
	}
	last := &pb.RangeResponse{Header: whole.Header, Kvs: left, More: whole.More, Count: whole.Count}
	return send(&pb.RangeStreamResponse{RangeResponse: last})
}
