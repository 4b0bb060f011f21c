package record

import (
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// complete adds the answer to op. It returns false for an answer that does not
// belong to the method.
func complete(op *history.StoreOp, msg proto.Message) bool {
	if m, ok := msg.(interface{ GetHeader() *pb.ResponseHeader }); ok {
		op.Term = m.GetHeader().GetRaftTerm()
	}
	switch m := msg.(type) {
	case *pb.TxnResponse:
		op.Header, op.Succeeded = m.GetHeader().GetRevision(), m.GetSucceeded()
		op.Results = txnResults(op, m)
	case *pb.RangeResponse:
		op.Header = m.GetHeader().GetRevision()
		op.Results = append(op.Results, rangeResult(m, first(op.Then)))
	case *pb.PutResponse:
		op.Header = m.GetHeader().GetRevision()
		op.Results = append(op.Results, putResult(m, first(op.Then)))
	case *pb.DeleteRangeResponse:
		op.Header = m.GetHeader().GetRevision()
		op.Results = append(op.Results, deleteResult(m, first(op.Then)))
	case *pb.CompactionResponse:
		op.Header = m.GetHeader().GetRevision()
	case *pb.LeaseGrantResponse:
		op.Header, op.GrantedLease, op.GrantedTTL = m.GetHeader().GetRevision(), m.GetID(), m.GetTTL()
	case *pb.LeaseRevokeResponse:
		op.Header = m.GetHeader().GetRevision()
	case *pb.LeaseKeepAliveResponse:
		op.Header, op.GrantedLease, op.GrantedTTL = m.GetHeader().GetRevision(), m.GetID(), m.GetTTL()
	case *pb.LeaseTimeToLiveResponse:
		op.Header, op.GrantedLease, op.GrantedTTL = m.GetHeader().GetRevision(), m.GetID(), m.GetGrantedTTL()
		op.TTL = m.GetTTL()
	case *pb.StatusResponse:
		op.Header = m.GetHeader().GetRevision()
	case *pb.HashKVResponse:
		op.Header, op.Hash, op.CompactRevision = m.GetHeader().GetRevision(), uint64(m.GetHash()), m.GetCompactRevision()
	case *pb.HashResponse:
		op.Header, op.Hash = m.GetHeader().GetRevision(), uint64(m.GetHash())
	default:
		return op.Method == history.MethodUnknown
	}
	return true
}

func first(actions []history.StoreAction) history.StoreAction {
	if len(actions) == 0 {
		return history.StoreAction{}
	}
	return actions[0]
}

// txnResults reads one result for each answer, whether or not there was an
// action for it: what the client was told is recorded, not what it should have
// been told. The header of an answer within a Txn is not that of the Txn.
func txnResults(op *history.StoreOp, m *pb.TxnResponse) []history.StoreResult {
	asked := op.Else
	if m.GetSucceeded() {
		asked = op.Then
	}
	results := op.Results
	for i, answer := range m.GetResponses() {
		var a history.StoreAction
		if i < len(asked) {
			a = asked[i]
		}
		results = append(results, txnResult(answer, a))
	}
	return results
}

func txnResult(answer *pb.ResponseOp, a history.StoreAction) history.StoreResult {
	var r history.StoreResult
	switch answer := answer.GetResponse().(type) {
	case *pb.ResponseOp_ResponseRange:
		r = rangeResult(answer.ResponseRange, a)
		r.Header = answer.ResponseRange.GetHeader().GetRevision()
	case *pb.ResponseOp_ResponsePut:
		r = putResult(answer.ResponsePut, a)
		r.Header = answer.ResponsePut.GetHeader().GetRevision()
	case *pb.ResponseOp_ResponseDeleteRange:
		r = deleteResult(answer.ResponseDeleteRange, a)
		r.Header = answer.ResponseDeleteRange.GetHeader().GetRevision()
	}
	return r
}

func rangeResult(m *pb.RangeResponse, a history.StoreAction) history.StoreResult {
	r := history.StoreResult{Count: m.GetCount(), More: m.GetMore()}
	r.KVs, r.Chunks = listed(m.GetKvs(), a)
	return r
}

func putResult(m *pb.PutResponse, a history.StoreAction) history.StoreResult {
	var r history.StoreResult
	if prev := m.GetPrevKv(); prev != nil {
		r.KVs, r.Chunks = listed([]*mvccpb.KeyValue{prev}, a)
	}
	return r
}

func deleteResult(m *pb.DeleteRangeResponse, a history.StoreAction) history.StoreResult {
	r := history.StoreResult{Deleted: m.GetDeleted()}
	r.KVs, r.Chunks = listed(m.GetPrevKvs(), a)
	return r
}

func listed(kvs []*mvccpb.KeyValue, a history.StoreAction) ([]history.StoreKV, []history.StoreChunk) {
	l := listing{action: a}
	l.add(kvs)
	return l.result()
}

// listing gathers the keys of one answer, which may come in several messages.
// It holds on to no more than MaxListed keys at a time.
type listing struct {
	action history.StoreAction
	kvs    []history.StoreKV
	chunks []history.StoreChunk
}

func (l *listing) add(kvs []*mvccpb.KeyValue) {
	if l.kvs == nil && len(kvs) > 0 {
		l.kvs = make([]history.StoreKV, 0, min(len(kvs), history.MaxListed))
	}
	for len(kvs) > 0 {
		if len(l.kvs) == history.MaxListed {
			l.cut()
		}
		part := kvs[:min(len(kvs), history.MaxListed-len(l.kvs))]
		kvs = kvs[len(part):]
		keys := joined(part, l.action.Key)
		for _, kv := range part {
			var key string
			key, keys = keys[:len(kv.GetKey())], keys[len(kv.GetKey()):]
			l.kvs = append(l.kvs, keyValue(key, kv, l.action.KeysOnly))
		}
	}
}

// cut turns the keys so far into a chunk. Its ends are copied, or they would
// keep the keys between them in memory.
func (l *listing) cut() {
	for _, c := range history.Chunks(l.kvs) {
		c.First, c.Last = strings.Clone(c.First), strings.Clone(c.Last)
		l.chunks = append(l.chunks, c)
	}
	l.kvs = l.kvs[:0]
}

func (l *listing) result() ([]history.StoreKV, []history.StoreChunk) {
	if l.chunks == nil {
		return l.kvs, nil
	}
	l.cut()
	return nil, l.chunks
}

// joined returns all keys of kvs in one string, to be cut up: one allocation
// instead of many, and none for the one key that was asked for.
func joined(kvs []*mvccpb.KeyValue, asked string) string {
	if len(kvs) == 1 && string(kvs[0].GetKey()) == asked {
		return asked
	}
	size := 0
	for _, kv := range kvs {
		size += len(kv.GetKey())
	}
	var b strings.Builder
	b.Grow(size)
	for _, kv := range kvs {
		b.Write(kv.GetKey())
	}
	return b.String()
}

// keyValue describes kv, whose key it is given. Without a value its hash is 0.
func keyValue(key string, kv *mvccpb.KeyValue, valueless bool) history.StoreKV {
	v := history.StoreKV{
		Key: key, Create: kv.GetCreateRevision(), Mod: kv.GetModRevision(),
		Version: kv.GetVersion(), Lease: kv.GetLease(),
	}
	if !valueless {
		v.Value = history.HashValue(kv.GetValue())
	}
	return v
}
