// Package namespace makes a part of a store that others use look like a store of
// one's own: all keys have a prefix in it, and revisions are counted from the
// moment at which the part was taken.
//
// It is an interference of a proxy, so it is the only way to the store: a request
// that it cannot translate, or that would concern others (compaction,
// defragmentation, alarms, snapshots, members, users), does not get through. So a
// key without the prefix cannot be read or written, whatever the clients ask.
//
// Others go on to write: revisions have gaps. That is what is left to see of them.
package namespace

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
)

// Namespace is a part of a store.
type Namespace struct {
	prefix, end []byte
	// before is the number of revisions that the store had before, but for one: a
	// store begins with revision 1.
	before int64

	mu     sync.Mutex
	leases map[int64]bool // guarded by mu; those that were granted
}

// New returns the part of a store below a prefix, at the store's present
// revision.
func New(prefix string, revision int64) *Namespace {
	return &Namespace{
		prefix: []byte(prefix), end: []byte(clientv3.GetPrefixRangeEnd(prefix)),
		before: revision - 1, leases: map[int64]bool{},
	}
}

// Leases are those that were granted here.
func (n *Namespace) Leases() []int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []int64
	for id := range n.leases {
		ids = append(ids, id)
	}
	return ids
}

// Open implements proxy.Interference.
func (n *Namespace) Open(ctx context.Context, method string, next proxy.Opener) (proxy.Stream, error) {
	switch method {
	case pb.KV_Range_FullMethodName, pb.KV_RangeStream_FullMethodName, pb.KV_Txn_FullMethodName,
		pb.Watch_Watch_FullMethodName, pb.Lease_LeaseGrant_FullMethodName, pb.Maintenance_Status_FullMethodName:
	default:
		return nil, status.Errorf(codes.Unimplemented, "planecheck: %s would concern others than this run", method)
	}
	up, err := next(ctx)
	if err != nil {
		return nil, err
	}
	return &stream{Stream: up, n: n}, nil
}

type stream struct {
	proxy.Stream
	n *Namespace
}

// Send implements proxy.Stream. What stands before the namespace may look at its
// request again, so it is a copy that is translated.
func (s *stream) Send(request any) error {
	m, ok := request.(proto.Message)
	if !ok {
		return status.Error(codes.InvalidArgument, "planecheck: a request that is broken does not get through")
	}
	m = proto.Clone(m)
	if err := s.n.request(m); err != nil {
		return err
	}
	return s.Stream.Send(m)
}

// Recv implements proxy.Stream.
func (s *stream) Recv() (any, error) {
	m, err := s.Stream.Recv()
	if err != nil {
		return nil, err
	}
	return m, s.n.answer(m)
}

// request translates a request in place.
func (n *Namespace) request(m any) error {
	switch r := m.(type) {
	case *pb.RangeRequest:
		return n.rangeRequest(r)
	case *pb.TxnRequest:
		return n.txn(r)
	case *pb.WatchRequest:
		return n.watch(r)
	case *pb.LeaseGrantRequest, *pb.StatusRequest:
		return nil
	}
	return status.Errorf(codes.Unimplemented, "planecheck: a request of type %T cannot be translated", m)
}

func (n *Namespace) rangeRequest(r *pb.RangeRequest) error {
	for _, revision := range []*int64{&r.Revision, &r.MinModRevision, &r.MaxModRevision, &r.MinCreateRevision, &r.MaxCreateRevision} {
		n.outward(revision)
	}
	return n.keys(&r.Key, &r.RangeEnd)
}

// keys translates a range. An end of one zero byte means all keys from the first
// on.
func (n *Namespace) keys(key, end *[]byte) error {
	if len(*key) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	*key = n.inside(*key)
	switch {
	case len(*end) == 0:
	case len(*end) == 1 && (*end)[0] == 0:
		*end = bytes.Clone(n.end)
	default:
		*end = n.inside(*end)
	}
	return nil
}

func (n *Namespace) inside(key []byte) []byte { return append(bytes.Clone(n.prefix), key...) }

// outward translates a revision that a client asks for. 0 and less are none.
func (n *Namespace) outward(revision *int64) {
	if *revision > 0 {
		*revision += n.before
	}
}

func (n *Namespace) txn(t *pb.TxnRequest) error {
	for _, c := range t.Compare {
		if err := n.keys(&c.Key, &c.RangeEnd); err != nil {
			return err
		}
		switch u := c.TargetUnion.(type) {
		case *pb.Compare_ModRevision:
			n.outward(&u.ModRevision)
		case *pb.Compare_CreateRevision:
			n.outward(&u.CreateRevision)
		}
	}
	for _, ops := range [][]*pb.RequestOp{t.Success, t.Failure} {
		for _, op := range ops {
			if err := n.op(op); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Namespace) op(op *pb.RequestOp) error {
	switch r := op.Request.(type) {
	case *pb.RequestOp_RequestRange:
		return n.rangeRequest(r.RequestRange)
	case *pb.RequestOp_RequestPut:
		none := []byte{}
		return n.keys(&r.RequestPut.Key, &none)
	case *pb.RequestOp_RequestDeleteRange:
		return n.keys(&r.RequestDeleteRange.Key, &r.RequestDeleteRange.RangeEnd)
	case *pb.RequestOp_RequestTxn:
		return n.txn(r.RequestTxn)
	}
	return status.Errorf(codes.Unimplemented, "planecheck: an operation of type %T cannot be translated", op.Request)
}

func (n *Namespace) watch(w *pb.WatchRequest) error {
	switch r := w.RequestUnion.(type) {
	case *pb.WatchRequest_CreateRequest:
		n.outward(&r.CreateRequest.StartRevision)
		return n.keys(&r.CreateRequest.Key, &r.CreateRequest.RangeEnd)
	case *pb.WatchRequest_CancelRequest, *pb.WatchRequest_ProgressRequest:
		return nil
	}
	return status.Errorf(codes.Unimplemented, "planecheck: a watch request of type %T cannot be translated", w.RequestUnion)
}

// answer translates an answer in place. A key without the prefix in it is a fault
// of ours or of the store, and no client is to see it.
func (n *Namespace) answer(m any) error {
	switch r := m.(type) {
	case *pb.RangeResponse:
		return n.rangeResponse(r)
	case *pb.RangeStreamResponse:
		return n.rangeResponse(r.RangeResponse)
	case *pb.TxnResponse:
		return n.txnResponse(r)
	case *pb.WatchResponse:
		return n.watchResponse(r)
	case *pb.LeaseGrantResponse:
		n.header(r.Header)
		n.mu.Lock()
		n.leases[r.ID] = true
		n.mu.Unlock()
		return nil
	case *pb.StatusResponse:
		n.header(r.Header)
		return nil
	}
	return status.Errorf(codes.Internal, "planecheck: an answer of type %T cannot be translated", m)
}

func (n *Namespace) header(h *pb.ResponseHeader) {
	if h != nil {
		n.inward(&h.Revision)
	}
}

// inward translates a revision that the store tells of. One from before the
// namespace, such as that of a compaction, is the first.
func (n *Namespace) inward(revision *int64) {
	if *revision > 0 {
		*revision = max(*revision-n.before, 1)
	}
}

func (n *Namespace) rangeResponse(r *pb.RangeResponse) error {
	if r == nil {
		return nil
	}
	n.header(r.Header)
	return n.kvs(r.Kvs...)
}

func (n *Namespace) kvs(kvs ...*mvccpb.KeyValue) error {
	for _, kv := range kvs {
		if kv == nil {
			continue
		}
		key, ours := bytes.CutPrefix(kv.Key, n.prefix)
		if !ours {
			return status.Error(codes.Internal, fmt.Sprintf("planecheck: the store showed the key %q, which was not asked for", kv.Key))
		}
		kv.Key = key
		n.inward(&kv.CreateRevision)
		n.inward(&kv.ModRevision)
	}
	return nil
}

func (n *Namespace) txnResponse(t *pb.TxnResponse) error {
	n.header(t.Header)
	for _, op := range t.Responses {
		var err error
		switch r := op.Response.(type) {
		case *pb.ResponseOp_ResponseRange:
			err = n.rangeResponse(r.ResponseRange)
		case *pb.ResponseOp_ResponsePut:
			n.header(r.ResponsePut.Header)
			err = n.kvs(r.ResponsePut.PrevKv)
		case *pb.ResponseOp_ResponseDeleteRange:
			n.header(r.ResponseDeleteRange.Header)
			err = n.kvs(r.ResponseDeleteRange.PrevKvs...)
		case *pb.ResponseOp_ResponseTxn:
			err = n.txnResponse(r.ResponseTxn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Namespace) watchResponse(w *pb.WatchResponse) error {
	n.header(w.Header)
	n.inward(&w.CompactRevision)
	for _, e := range w.Events {
		if err := n.kvs(e.Kv, e.PrevKv); err != nil {
			return err
		}
	}
	return nil
}
