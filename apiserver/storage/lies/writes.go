package lies

import (
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/storage"
)

// writeLies are those about writes.
func writeLies() []Lie {
	return []Lie{
		{Name: "write-not-done", Breaks: []string{storage.Order, storage.Durable}, every: 10, tell: writeNotDone},
		{Name: "revision-raised", Breaks: []string{storage.Order}, every: 10, tell: revisionRaised},
		{Name: "write-denied", Breaks: []string{storage.Replay, storage.NoPhantom}, every: 8, tell: writeDenied},
		{Name: "compare-ignored", Breaks: []string{storage.Replay}, every: 3, tell: compareIgnored},
		{Name: "previous-value", Breaks: []string{storage.Replay}, every: 1, tell: previousValue},
		{Name: "deleted-count", Breaks: []string{storage.Replay}, every: 1, tell: deletedCount},
		{Name: "stranger-writes", Breaks: []string{storage.NoPhantom}, every: 10, tell: strangerWrites},
		{Name: "write-twice", Breaks: []string{storage.NoPhantom}, every: 10, tell: writeTwice},
		{Name: "refused-but-done", Breaks: []string{storage.DefiniteFailureInert}, every: 8, tell: refusedButDone},
		{Name: "lease-denied-but-done", Breaks: []string{storage.DefiniteFailureInert, storage.LeaseHonest}, every: 2, tell: leaseDeniedButDone},
		{Name: "half-a-transaction", Breaks: []string{storage.Replay}, every: 2, tell: halfTransaction},
	}
}

type doTxn = func(*pb.TxnRequest) (*pb.TxnResponse, error)

// putOf returns the put of a transaction that on success does nothing else, as
// the creates and updates of an API server do; nil: it is another one.
func putOf(req *pb.TxnRequest) *pb.PutRequest {
	if len(req.Compare) == 0 || len(req.Success) != 1 {
		return nil
	}
	return req.Success[0].GetRequestPut()
}

// get is a transaction's read of one key.
func get(key []byte, revision int64) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key, Revision: revision}}}
}

// probe asks whether the comparisons of a write hold, without the write.
func probe(req *pb.TxnRequest, key []byte, next doTxn) (*pb.TxnResponse, error) {
	read := []*pb.RequestOp{get(key, 0)}
	return next(&pb.TxnRequest{Compare: req.Compare, Success: read, Failure: read})
}

// writeNotDone acknowledges a write at the next revision and forgets it.
func writeNotDone(l *Liar) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		put := putOf(req)
		if put == nil || put.Lease != 0 || !l.turn() {
			return next(req)
		}
		resp, err := probe(req, put.Key, next)
		if err != nil || !resp.Succeeded {
			return next(req)
		}
		l.tell()
		resp.Header.Revision++
		resp.Responses = []*pb.ResponseOp{{Response: &pb.ResponseOp_ResponsePut{
			ResponsePut: &pb.PutResponse{Header: &pb.ResponseHeader{Revision: resp.Header.Revision}},
		}}}
		return resp, nil
	})
}

// revisionRaised acknowledges a write at the revision after its own.
func revisionRaised(l *Liar) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		resp, err := next(req)
		if err != nil || putOf(req) == nil || !resp.Succeeded || !l.turn() {
			return resp, err
		}
		l.tell()
		resp.Header.Revision++
		if h := resp.Responses[0].GetResponsePut().GetHeader(); h != nil {
			h.Revision++
		}
		return resp, nil
	})
}

// writeDenied does a write and answers that its comparison had failed, with
// the object as it was before.
func writeDenied(l *Liar) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		resp, err := next(req)
		put := putOf(req)
		if err != nil || put == nil || !resp.Succeeded || len(req.Failure) != 1 || !l.turn() {
			return resp, err
		}
		before := resp.Header.Revision - 1
		denied, err := next(&pb.TxnRequest{Success: []*pb.RequestOp{get(put.Key, before)}})
		if err != nil { // compacted
			return resp, nil
		}
		l.tell()
		denied.Succeeded = false
		denied.Header.Revision = before
		if h := denied.Responses[0].GetResponseRange().GetHeader(); h != nil {
			h.Revision = before
		}
		return denied, nil
	})
}

// compareIgnored does a write although its comparison fails: the update that
// was there before is lost.
func compareIgnored(l *Liar) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		put := putOf(req)
		if put == nil || !l.turn() {
			return next(req)
		}
		resp, err := probe(req, put.Key, next)
		if err != nil || resp.Succeeded {
			return next(req)
		}
		resp, err = next(&pb.TxnRequest{Success: req.Success})
		if err == nil {
			l.tell()
		}
		return resp, err
	})
}

// previousValue lies about what a put has replaced.
func previousValue(l *Liar) proxy.Interference {
	return on(func(req *pb.PutRequest, next func(*pb.PutRequest) (*pb.PutResponse, error)) (*pb.PutResponse, error) {
		resp, err := next(req)
		if err == nil && resp.PrevKv != nil && l.turn() {
			l.tell()
			resp.PrevKv = lieOf(resp.PrevKv)
		}
		return resp, err
	})
}

// deletedCount says of a deletion that one key more was there.
func deletedCount(l *Liar) proxy.Interference {
	return on(func(req *pb.DeleteRangeRequest, next func(*pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error)) (*pb.DeleteRangeResponse, error) {
		resp, err := next(req)
		if err == nil && resp.Deleted > 0 && l.turn() {
			l.tell()
			resp.Deleted++
		}
		return resp, err
	})
}

// strangerWrites puts a key that some client has written before, without
// anybody having asked for it.
func strangerWrites(l *Liar) proxy.Interference {
	var mu sync.Mutex
	var seen []byte
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		resp, err := next(req)
		put := putOf(req)
		if err != nil || put == nil || put.Lease != 0 {
			return resp, err
		}
		mu.Lock()
		key := seen
		seen = put.Key
		mu.Unlock()
		if key == nil || !l.turn() {
			return resp, nil
		}
		stranger := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: []byte("stranger")}}}
		if _, err := next(&pb.TxnRequest{Success: []*pb.RequestOp{stranger}}); err == nil {
			l.tell()
		}
		return resp, nil
	})
}

// writeTwice does a write a second time, as a proxy would that retries.
func writeTwice(l *Liar) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		resp, err := next(req)
		if err != nil || putOf(req) == nil || !resp.Succeeded || !l.turn() {
			return resp, err
		}
		if _, err := next(&pb.TxnRequest{Success: req.Success}); err == nil {
			l.tell()
		}
		return resp, nil
	})
}

// butDone does the writes that fit, and says that they had been refused.
func butDone(l *Liar, fit func(*pb.PutRequest) bool, refusal error) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		resp, err := next(req)
		put := putOf(req)
		if err != nil || put == nil || !fit(put) || !resp.Succeeded || !l.turn() {
			return resp, err
		}
		l.tell()
		return nil, refusal
	})
}

func refusedButDone(l *Liar) proxy.Interference {
	return butDone(l, func(*pb.PutRequest) bool { return true }, rpctypes.ErrGRPCRequestTooManyRequests)
}

func leaseDeniedButDone(l *Liar) proxy.Interference {
	return butDone(l, func(put *pb.PutRequest) bool { return put.Lease != 0 }, rpctypes.ErrGRPCLeaseNotFound)
}

// halfTransaction leaves out the last write of a transaction with several and
// acknowledges it.
func halfTransaction(l *Liar) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		last := len(req.Success) - 1
		if last < 1 || req.Success[last].GetRequestPut() == nil || !l.turn() {
			return next(req)
		}
		half := copyOf(req)
		half.Success = half.Success[:last]
		resp, err := next(half)
		if err != nil || !resp.Succeeded {
			return resp, err
		}
		l.tell()
		resp.Responses = append(resp.Responses, &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{
			ResponsePut: &pb.PutResponse{Header: &pb.ResponseHeader{Revision: resp.Header.Revision}},
		}})
		return resp, nil
	})
}
