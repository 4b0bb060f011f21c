package storage

import (
	"bytes"
	"context"
	"runtime/pprof"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/history"
)

// commitInterceptor tells onCommit of every key that a KV/Txn changed.
//
// It reads the request after the handler has run. That is safe: etcd marshals
// a Txn into a raft entry and applies what it reads back from the log, so the
// request itself stays as it came (etcdserver/v3_server.go, EtcdServer.Txn).
//
// A Txn that fails is not reported, although one that timed out may yet be
// committed.
func commitInterceptor(onCommit func(history.Commit)) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		txn, ok := req.(*pb.TxnRequest)
		if !ok {
			return handler(ctx, req)
		}
		called := history.Now()
		resp, err := handler(ctx, req)
		if answer, ok := resp.(*pb.TxnResponse); ok && err == nil && changes(executed(txn, answer)) {
			returned := history.Now()
			// The work of the recorder is the harness's own, not the store's.
			pprof.SetGoroutineLabels(recorderLabels)
			defer pprof.SetGoroutineLabels(storeLabels)
			reportTxn(onCommit, txn, answer, called, returned)
		}
		return resp, err
	}
}

// commitObserver is commitInterceptor for a proxy. The goroutine is the
// proxy's, which carries the recorder's label already.
func commitObserver(onCommit func(history.Commit)) proxy.Interference {
	return proxy.Unary(func(ctx context.Context, _ string, req proto.Message, next proxy.Invoke) (proto.Message, error) {
		called := history.Now()
		resp, err := next(ctx, req)
		txn, ok := req.(*pb.TxnRequest)
		if answer, answered := resp.(*pb.TxnResponse); ok && answered && err == nil && changes(executed(txn, answer)) {
			reportTxn(onCommit, txn, answer, called, history.Now())
		}
		return resp, err
	})
}

func reportTxn(onCommit func(history.Commit), txn *pb.TxnRequest, resp *pb.TxnResponse, called, returned history.Time) {
	r := txnReport{
		onCommit: onCommit,
		commit:   history.Commit{Called: called, Returned: returned, Revision: resp.GetHeader().GetRevision()},
	}
	r.txn(txn, resp)
}

// executed returns the branch of txn that was taken.
func executed(txn *pb.TxnRequest, resp *pb.TxnResponse) []*pb.RequestOp {
	if resp.GetSucceeded() {
		return txn.GetSuccess()
	}
	return txn.GetFailure()
}

// changes says whether ops could change anything; most failed Txns of
// Kubernetes only read.
func changes(ops []*pb.RequestOp) bool {
	for _, op := range ops {
		if op.GetRequestRange() == nil {
			return true
		}
	}
	return false
}

// txnReport walks one Txn beside its answer.
type txnReport struct {
	onCommit func(history.Commit)
	commit   history.Commit // what all commits of the Txn have in common
}

func (r *txnReport) txn(txn *pb.TxnRequest, resp *pb.TxnResponse) {
	answers := resp.GetResponses()
	for i, op := range executed(txn, resp) {
		if i >= len(answers) {
			return
		}
		switch op := op.GetRequest().(type) {
		case *pb.RequestOp_RequestPut:
			create := comparesAbsent(txn, op.RequestPut.GetKey()) && resp.GetSucceeded()
			r.put(op.RequestPut, create)
		case *pb.RequestOp_RequestDeleteRange:
			r.deleteRange(op.RequestDeleteRange, answers[i].GetResponseDeleteRange())
		case *pb.RequestOp_RequestTxn:
			r.txn(op.RequestTxn, answers[i].GetResponseTxn())
		}
	}
}

func (r *txnReport) put(put *pb.PutRequest, create bool) {
	c := r.commit
	c.Key, c.Value, c.Create = string(put.GetKey()), put.GetValue(), create
	r.onCommit(c)
}

// deleteRange reports a deletion that deleted something. A deletion of a whole
// range, which kube-apiserver never sends, is reported once, under the first
// key of the range.
func (r *txnReport) deleteRange(del *pb.DeleteRangeRequest, resp *pb.DeleteRangeResponse) {
	if resp.GetDeleted() == 0 {
		return
	}
	c := r.commit
	c.Key, c.Delete = string(del.GetKey()), true
	r.onCommit(c)
}

// comparesAbsent says whether txn asks that key does not exist yet, in the way
// Kubernetes does: If ModRevision(key) == 0.
func comparesAbsent(txn *pb.TxnRequest, key []byte) bool {
	for _, cmp := range txn.GetCompare() {
		if cmp.GetTarget() == pb.Compare_MOD && cmp.GetResult() == pb.Compare_EQUAL &&
			cmp.GetModRevision() == 0 && bytes.Equal(cmp.GetKey(), key) {
			return true
		}
	}
	return false
}
