package memory

import (
	"bytes"
	"cmp"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"
)

// etcd's own bounds.
const (
	maxTxnOps       = 128
	maxRequestBytes = 1.5 * 1024 * 1024
	overheadBytes   = 512 * 1024 // of a message above its request
)

// txn carries out a transaction, whole or not at all.
func (s *Store) txn(r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if err := checkTxn(r); err != nil {
		return nil, err
	}
	if readOnly(r.GetSuccess()) && readOnly(r.GetFailure()) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return (&writer{Store: s}).execute(r)
	}
	if tooLarge(&pb.InternalRaftRequest{Txn: r}) {
		return nil, rpctypes.ErrGRPCRequestTooLarge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &writer{Store: s}
	resp, err := w.execute(r)
	w.end()
	return resp, err
}

// tooLarge says whether etcd would refuse to put a request into its log.
func tooLarge(r *pb.InternalRaftRequest) bool {
	r.Header = &pb.RequestHeader{ID: 1 << 63} // as long as etcd's are
	return proto.Size(r) > maxRequestBytes
}

func readOnly(ops []*pb.RequestOp) bool {
	for _, op := range ops {
		if op.GetRequestRange() == nil {
			return false
		}
	}
	return true
}

// checkTxn says what is wrong with a transaction before it is looked at.
func checkTxn(r *pb.TxnRequest) error {
	if max(len(r.GetCompare()), len(r.GetSuccess()), len(r.GetFailure())) > maxTxnOps {
		return rpctypes.ErrGRPCTooManyOps
	}
	for _, c := range r.GetCompare() {
		if len(c.GetKey()) == 0 {
			return rpctypes.ErrGRPCEmptyKey
		}
	}
	for _, ops := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range ops {
			if err := checkOp(op); err != nil {
				return err
			}
		}
	}
	for _, ops := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		if err := checkOverlap(ops); err != nil {
			return err
		}
	}
	return nil
}

func checkOp(op *pb.RequestOp) error {
	switch op := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		return checkRange(op.RequestRange)
	case *pb.RequestOp_RequestPut:
		return checkPut(op.RequestPut)
	case *pb.RequestOp_RequestDeleteRange:
		if len(op.RequestDeleteRange.GetKey()) == 0 {
			return rpctypes.ErrGRPCEmptyKey
		}
		return nil
	case *pb.RequestOp_RequestTxn:
		return unimplemented("transactions within transactions")
	default:
		return rpctypes.ErrGRPCKeyNotFound // etcd's word for no operation at all
	}
}

func checkPut(r *pb.PutRequest) error {
	switch {
	case len(r.GetKey()) == 0:
		return rpctypes.ErrGRPCEmptyKey
	case r.GetIgnoreValue() && len(r.GetValue()) != 0:
		return rpctypes.ErrGRPCValueProvided
	case r.GetIgnoreLease() && r.GetLease() != 0:
		return rpctypes.ErrGRPCLeaseProvided
	case r.GetIgnoreValue() || r.GetIgnoreLease():
		return unimplemented("puts that keep the value or the lease")
	}
	return nil
}

// checkOverlap refuses to put a key twice, or to put and delete it. As in etcd,
// a deletion without an end overlaps with nothing.
func checkOverlap(ops []*pb.RequestOp) error {
	puts := map[string]bool{}
	for _, op := range ops {
		put := op.GetRequestPut()
		if put == nil {
			continue
		}
		key := put.GetKey()
		if puts[string(key)] {
			return rpctypes.ErrGRPCDuplicateKey
		}
		puts[string(key)] = true
		for _, other := range ops {
			if del := other.GetRequestDeleteRange(); del != nil && (span{key: del.GetKey(), end: del.GetRangeEnd()}).contains(key) {
				return rpctypes.ErrGRPCDuplicateKey
			}
		}
	}
	return nil
}

// execute carries out the branch that the comparisons choose. It fails before
// it changes anything.
func (w *writer) execute(r *pb.TxnRequest) (*pb.TxnResponse, error) {
	resp := &pb.TxnResponse{Succeeded: w.holds(r.GetCompare())}
	ops := r.GetFailure()
	if resp.Succeeded {
		ops = r.GetSuccess()
	}
	for _, op := range ops {
		if err := w.possible(op); err != nil {
			return nil, err
		}
	}
	for _, op := range ops {
		answer, err := w.do(op)
		if err != nil {
			return nil, err
		}
		resp.Responses = append(resp.Responses, answer)
	}
	resp.Header = &pb.ResponseHeader{Revision: w.current()}
	return resp, nil
}

// possible says whether an operation can be done in the state before the
// transaction.
func (w *writer) possible(op *pb.RequestOp) error {
	switch op := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		if revision := op.RequestRange.GetRevision(); revision < 0 && revision < w.compacted {
			return rpctypes.ErrGRPCCompacted // only in a transaction does etcd look below 0
		}
		return w.readable(op.RequestRange.GetRevision(), w.revision)
	case *pb.RequestOp_RequestPut:
		if lease := op.RequestPut.GetLease(); lease != 0 && w.leases[lease] == nil {
			return rpctypes.ErrGRPCLeaseNotFound
		}
	}
	return nil
}

func (w *writer) do(op *pb.RequestOp) (*pb.ResponseOp, error) {
	switch op := op.GetRequest().(type) {
	case *pb.RequestOp_RequestPut:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: w.doPut(op.RequestPut)}}, nil
	case *pb.RequestOp_RequestDeleteRange:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: w.doDelete(op.RequestDeleteRange)}}, nil
	default:
		resp, err := w.read(op.(*pb.RequestOp_RequestRange).RequestRange, w.current())
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: resp}}, err
	}
}

func (w *writer) doPut(r *pb.PutRequest) *pb.PutResponse {
	resp := &pb.PutResponse{Header: &pb.ResponseHeader{Revision: w.revision + 1}}
	if r.GetPrevKv() {
		resp.PrevKv = w.get(r.GetKey(), w.current())
	}
	w.put(r.GetKey(), r.GetValue(), r.GetLease())
	return resp
}

func (w *writer) doDelete(r *pb.DeleteRangeRequest) *pb.DeleteRangeResponse {
	resp, keys := &pb.DeleteRangeResponse{}, spanOf(r.GetKey(), r.GetRangeEnd())
	if r.GetPrevKv() {
		w.visit(keys, w.current(), func(kv *mvccpb.KeyValue) { resp.PrevKvs = append(resp.PrevKvs, kv) })
	}
	resp.Deleted = w.delete(keys)
	resp.Header = &pb.ResponseHeader{Revision: w.current()}
	return resp
}

func (w *writer) holds(compares []*pb.Compare) bool {
	for _, c := range compares {
		there, holds := false, true
		w.visit(spanOf(c.GetKey(), c.GetRangeEnd()), w.revision, func(kv *mvccpb.KeyValue) {
			there, holds = true, holds && compare(c, kv)
		})
		// A key that is not there has all zeroes, but no value.
		if !there && (c.GetTarget() == pb.Compare_VALUE || !compare(c, &mvccpb.KeyValue{})) || !holds {
			return false
		}
	}
	return true
}

// compare follows etcd in what makes no sense, too: an unknown target is equal,
// an unknown result is true.
func compare(c *pb.Compare, kv *mvccpb.KeyValue) bool {
	order := 0
	switch c.GetTarget() {
	case pb.Compare_VALUE:
		order = bytes.Compare(kv.Value, c.GetValue())
	case pb.Compare_CREATE:
		order = cmp.Compare(kv.CreateRevision, c.GetCreateRevision())
	case pb.Compare_MOD:
		order = cmp.Compare(kv.ModRevision, c.GetModRevision())
	case pb.Compare_VERSION:
		order = cmp.Compare(kv.Version, c.GetVersion())
	case pb.Compare_LEASE:
		order = cmp.Compare(kv.Lease, c.GetLease())
	}
	switch c.GetResult() {
	case pb.Compare_EQUAL:
		return order == 0
	case pb.Compare_NOT_EQUAL:
		return order != 0
	case pb.Compare_GREATER:
		return order > 0
	case pb.Compare_LESS:
		return order < 0
	}
	return true
}
