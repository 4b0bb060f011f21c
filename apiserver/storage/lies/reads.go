package lies

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/storage"
)

// readLies are those in the answers of reads.
func readLies() []Lie {
	return []Lie{
		{Name: "stale-read", Breaks: []string{storage.RealTime}, every: 10, tell: staleRead},
		{Name: "stale-conflict", Breaks: []string{storage.RealTime}, every: 2, tell: staleConflict},
		{Name: "stale-body", Breaks: []string{storage.Reads}, every: 8, tell: staleBody},
		{Name: "stale-local-body", Breaks: []string{storage.Reads}, every: 1, tell: staleLocalBody},
		{Name: "pinned-read-elsewhere", Breaks: []string{storage.Reads}, every: 3, tell: pinnedElsewhere},
		{Name: "list-without-a-key", Breaks: []string{storage.Reads}, every: 10, tell: listWithoutKey},
		{Name: "list-key-twice", Breaks: []string{storage.Reads}, every: 10, tell: listKeyTwice},
		{Name: "wrong-count", Breaks: []string{storage.Reads}, every: 8, tell: wrongCount},
		{Name: "wrong-more", Breaks: []string{storage.Reads}, every: 6, tell: wrongMore},
		{Name: "other-value", Breaks: []string{storage.Reads}, every: 15, tell: otherValue},
		{Name: "conflict-shows-other-value", Breaks: []string{storage.Reads}, every: 3, tell: conflictShowsOther},
		{Name: "whole-read-without-a-key", Breaks: []string{storage.MembersAgree}, Members: 3, every: 1, tell: wholeWithoutKey},
	}
}

type doRange = func(*pb.RangeRequest) (*pb.RangeResponse, error)

// changeAnswers tells a lie in the true answers of reads; change returns false
// where it cannot.
func changeAnswers(l *Liar, change func(*pb.RangeRequest, *pb.RangeResponse) bool) proxy.Interference {
	return on(func(req *pb.RangeRequest, next doRange) (*pb.RangeResponse, error) {
		resp, err := next(req)
		if err == nil && l.turn() && change(req, resp) {
			l.tell()
		}
		return resp, err
	})
}

// whole says that a range is that of all keys.
func whole(key, end []byte) bool {
	return len(key) == 1 && key[0] == 0 && len(end) == 1 && end[0] == 0
}

// current says that a read is a linearizable one of the current state.
func current(req *pb.RangeRequest) bool { return req.Revision <= 0 && !req.Serializable }

// staleRead answers with what was true some revisions ago, as a member would
// that does not ask its leader.
func staleRead(l *Liar) proxy.Interference {
	return on(func(req *pb.RangeRequest, next doRange) (*pb.RangeResponse, error) {
		resp, err := next(req)
		if err != nil || !current(req) || !l.turn() {
			return resp, err
		}
		old := copyOf(req)
		// So many, that others have surely seen a later one before.
		old.Revision = resp.Header.Revision - int64(12+l.pick(10))
		if old.Revision < 1 {
			return resp, nil
		}
		stale, err := next(old)
		if err != nil { // compacted
			return resp, nil
		}
		l.tell()
		stale.Header.Revision = old.Revision
		return stale, nil
	})
}

// staleConflict refuses a write that conflicts, as of some revisions ago.
func staleConflict(l *Liar) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		resp, err := next(req)
		if err != nil || resp.Succeeded || len(req.Compare) != 1 || len(req.Failure) != 1 || !l.turn() {
			return resp, err
		}
		then := resp.Header.Revision - int64(12+l.pick(10))
		if then < 1 {
			return resp, nil
		}
		stale, err := next(&pb.TxnRequest{Success: []*pb.RequestOp{get(req.Compare[0].Key, then)}})
		if err != nil { // compacted
			return resp, nil
		}
		shown := stale.Responses[0].GetResponseRange()
		var mod int64
		if len(shown.Kvs) == 1 {
			mod = shown.Kvs[0].ModRevision
		}
		if mod == req.Compare[0].GetModRevision() { // it would have succeeded then
			return resp, nil
		}
		l.tell()
		stale.Succeeded = false
		stale.Header.Revision = then
		if h := shown.GetHeader(); h != nil {
			h.Revision = then
		}
		return stale, nil
	})
}

// staleBody answers with what was there some revisions ago and says that it is
// there now.
func staleBody(l *Liar) proxy.Interference { return staleBodies(l, current) }

// staleLocalBody does so where one member answers on its own: it may be behind,
// but must say so.
func staleLocalBody(l *Liar) proxy.Interference {
	return staleBodies(l, func(req *pb.RangeRequest) bool { return req.Revision <= 0 && req.Serializable })
}

func staleBodies(l *Liar, fit func(*pb.RangeRequest) bool) proxy.Interference {
	return on(func(req *pb.RangeRequest, next doRange) (*pb.RangeResponse, error) {
		resp, err := next(req)
		if err != nil || !fit(req) || !l.turn() {
			return resp, err
		}
		old := copyOf(req)
		old.Revision = resp.Header.Revision - int64(1+l.pick(20))
		return tellIfOther(l, old, next, resp), nil
	})
}

// pinnedElsewhere answers a read at a revision with the state of another.
func pinnedElsewhere(l *Liar) proxy.Interference {
	return on(func(req *pb.RangeRequest, next doRange) (*pb.RangeResponse, error) {
		resp, err := next(req)
		if err != nil || req.Revision <= 0 || !l.turn() {
			return resp, err
		}
		other := copyOf(req)
		other.Revision = min(resp.Header.Revision, req.Revision+int64(1+l.pick(10)))
		return tellIfOther(l, other, next, resp), nil
	})
}

// tellIfOther tells what another read shows, under the header of the true one,
// unless both show the same.
func tellIfOther(l *Liar, other *pb.RangeRequest, next doRange, truth *pb.RangeResponse) *pb.RangeResponse {
	if other.Revision < 1 {
		return truth
	}
	lie, err := next(other)
	if err != nil {
		return truth
	}
	lie.Header = truth.Header
	if proto.Equal(lie, truth) {
		return truth
	}
	l.tell()
	return lie
}

// withoutKey leaves one key out, and counts accordingly.
func withoutKey(l *Liar, resp *pb.RangeResponse) {
	i := l.pick(len(resp.Kvs))
	resp.Kvs = slices.Delete(resp.Kvs, i, i+1)
	resp.Count--
}

func listWithoutKey(l *Liar) proxy.Interference {
	return changeAnswers(l, func(req *pb.RangeRequest, resp *pb.RangeResponse) bool {
		if len(resp.Kvs) < 2 || whole(req.Key, req.RangeEnd) {
			return false
		}
		withoutKey(l, resp)
		return true
	})
}

func wholeWithoutKey(l *Liar) proxy.Interference {
	return changeAnswers(l, func(req *pb.RangeRequest, resp *pb.RangeResponse) bool {
		if len(resp.Kvs) < 2 || !whole(req.Key, req.RangeEnd) || !current(req) {
			return false
		}
		withoutKey(l, resp)
		return true
	})
}

// listKeyTwice shows the key with which a page begins once more.
func listKeyTwice(l *Liar) proxy.Interference {
	return changeAnswers(l, func(_ *pb.RangeRequest, resp *pb.RangeResponse) bool {
		if len(resp.Kvs) < 2 {
			return false
		}
		resp.Kvs = slices.Insert(resp.Kvs, 1, resp.Kvs[0])
		resp.Count++
		return true
	})
}

func wrongCount(l *Liar) proxy.Interference {
	return changeAnswers(l, func(req *pb.RangeRequest, resp *pb.RangeResponse) bool {
		if !req.CountOnly && !resp.More { // where the keys themselves do not show it
			return false
		}
		resp.Count++
		return true
	})
}

// wrongMore ends a list that goes on.
func wrongMore(l *Liar) proxy.Interference {
	return changeAnswers(l, func(_ *pb.RangeRequest, resp *pb.RangeResponse) bool {
		told := resp.More
		resp.More = false
		return told
	})
}

// lieOf is a value that nobody wrote.
func lieOf(kv *mvccpb.KeyValue) *mvccpb.KeyValue {
	kv = copyOf(kv)
	kv.Value = append(kv.Value, "?"...)
	return kv
}

func otherValue(l *Liar) proxy.Interference {
	return changeAnswers(l, func(req *pb.RangeRequest, resp *pb.RangeResponse) bool {
		if len(resp.Kvs) == 0 || req.KeysOnly {
			return false
		}
		i := l.pick(len(resp.Kvs))
		resp.Kvs[i] = lieOf(resp.Kvs[i])
		return true
	})
}

// conflictShowsOther shows another object than the one that a write conflicts
// with, from which an API server would go on.
func conflictShowsOther(l *Liar) proxy.Interference {
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		resp, err := next(req)
		if err != nil || resp.Succeeded || len(resp.Responses) != 1 || !l.turn() {
			return resp, err
		}
		get := resp.Responses[0].GetResponseRange()
		if len(get.GetKvs()) != 1 {
			return resp, nil
		}
		l.tell()
		get.Kvs[0] = lieOf(get.Kvs[0])
		return resp, nil
	})
}
