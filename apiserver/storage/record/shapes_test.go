package record

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// term is that of every answer.
const term = 7

func header(rev int64) *pb.ResponseHeader { return &pb.ResponseHeader{Revision: rev, RaftTerm: term} }

func keyVal(key string, mod int64, value string) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), CreateRevision: mod, ModRevision: mod, Version: 1, Value: []byte(value)}
}

func kvList(kvs ...*mvccpb.KeyValue) []*mvccpb.KeyValue { return kvs }

func modIs(key string, rev int64) *pb.Compare {
	return &pb.Compare{
		Key: []byte(key), Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_ModRevision{ModRevision: rev},
	}
}

func put(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}
}

func get(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key)}}}
}

func putDone() *pb.ResponseOp {
	return &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{}}}
}

// recorded plays one call to a recorder: requests are told as they are, answers
// are told as answer{}, an error ends the call.
func recorded(t *testing.T, name string, steps ...any) *memory {
	t.Helper()
	sink := &memory{}
	r := New(Options{Sink: sink})
	c := r.Begin(t.Context(), name)
	var end error
	for _, step := range steps {
		switch step := step.(type) {
		case answer:
			c.Answer(step.Message)
		case error:
			end = step
		case proto.Message:
			c.Request(step)
		case nil:
			c.Request(nil)
		}
	}
	c.End(end)
	c.End(errors.New("ended again"))
	c.Answer(nil)
	return sink
}

type answer struct{ proto.Message }

func hash(value string) uint64 { return history.HashValue([]byte(value)) }

func TestTxn(t *testing.T) {
	req := &pb.TxnRequest{
		Compare: []*pb.Compare{
			modIs("a", 4),
			{Key: []byte("b"), RangeEnd: []byte("c"), Target: pb.Compare_CREATE, Result: pb.Compare_GREATER, TargetUnion: &pb.Compare_CreateRevision{CreateRevision: 5}},
			{Key: []byte("b"), Target: pb.Compare_VERSION, Result: pb.Compare_LESS, TargetUnion: &pb.Compare_Version{Version: 6}},
			{Key: []byte("b"), Target: pb.Compare_LEASE, Result: pb.Compare_NOT_EQUAL, TargetUnion: &pb.Compare_Lease{Lease: 7}},
			{Key: []byte("b"), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte("v")}},
			{Key: []byte("b"), Target: pb.Compare_MOD}, // no number: 0
		},
		Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a"), Value: []byte("new"), Lease: 3, PrevKv: true}}},
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("b"), IgnoreValue: true, IgnoreLease: true}}},
			{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("d"), RangeEnd: []byte("e"), PrevKv: true}}},
			{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{}}},
			{},
		},
		Failure: []*pb.RequestOp{get("a")},
	}
	want := history.StoreOp{
		Method: history.MethodTxn,
		Compares: []history.StoreCompare{
			{Key: "a", Target: history.CompareMod, Op: "=", Number: 4},
			{Key: "b", End: "c", Target: history.CompareCreate, Op: ">", Number: 5},
			{Key: "b", Target: history.CompareVersion, Op: "<", Number: 6},
			{Key: "b", Target: history.CompareLease, Op: "!=", Number: 7},
			{Key: "b", Target: history.CompareValue, Op: "=", Number: int64(hash("v"))},
			{Key: "b", Target: history.CompareMod, Op: "="},
		},
		Then: []history.StoreAction{
			{Kind: history.ActionPut, Key: "a", Value: hash("new"), Bytes: 3, Lease: 3, PrevKV: true},
			{Kind: history.ActionPut, Key: "b", IgnoreValue: true, IgnoreLease: true},
			{Kind: history.ActionDelete, Key: "d", End: "e", PrevKV: true},
			{Kind: history.ActionOther}, {Kind: history.ActionOther},
		},
		Else: []history.StoreAction{{Kind: history.ActionRange, Key: "a"}},
	}
	succeeded, failed := want, want
	succeeded.Header, succeeded.Succeeded = 9, true
	succeeded.Results = []history.StoreResult{
		{KVs: []history.StoreKV{{Key: "a", Create: 4, Mod: 4, Version: 1, Value: hash("old")}}, Header: 9},
		{},
		{Deleted: 2, KVs: []history.StoreKV{{Key: "d", Create: 2, Mod: 2, Version: 1, Value: hash("1")}, {Key: "dd", Create: 3, Mod: 3, Version: 1, Value: hash("2")}}},
		{}, {},
	}
	check(t, "succeeded", recorded(t, pb.KV_Txn_FullMethodName, req, answer{&pb.TxnResponse{
		Header: header(9), Succeeded: true,
		Responses: []*pb.ResponseOp{
			{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{Header: header(9), PrevKv: keyVal("a", 4, "old")}}},
			putDone(),
			{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{Deleted: 2, PrevKvs: kvList(keyVal("d", 2, "1"), keyVal("dd", 3, "2"))}}},
			{Response: &pb.ResponseOp_ResponseTxn{}}, {},
		},
	}}), succeeded)
	failed.Header = 8
	failed.Results = []history.StoreResult{{Count: 1, KVs: []history.StoreKV{{Key: "a", Create: 3, Mod: 3, Version: 1, Value: hash("x")}}}}
	check(t, "failed", recorded(t, pb.KV_Txn_FullMethodName, req, answer{&pb.TxnResponse{
		Header: header(8),
		Responses: []*pb.ResponseOp{
			{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Kvs: kvList(keyVal("a", 3, "x")), Count: 1}}},
		},
	}}), failed)
}

func check(t *testing.T, what string, sink *memory, want ...history.StoreOp) {
	t.Helper()
	var got []history.StoreOp
	for _, op := range sink.ops {
		if op.Called == 0 || op.Returned < op.Called || op.ID == 0 {
			t.Errorf("%s: call %d from %d to %d", what, op.ID, op.Called, op.Returned)
		}
		if op.Header != 0 && op.Term != term {
			t.Errorf("%s: call %d was answered in term %d, recorded %d", what, op.ID, term, op.Term)
		}
		got = append(got, *op)
		got[len(got)-1].Term = 0
	}
	if diff := cmp.Diff(want, got, timeless); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestRangeFlags has one row for each flag of a Range.
func TestRangeFlags(t *testing.T) {
	for name, test := range map[string]struct {
		req  *pb.RangeRequest
		want history.StoreAction
	}{
		"revision and limit": {&pb.RangeRequest{Revision: 4, Limit: 5}, history.StoreAction{Revision: 4, Limit: 5}},
		"serializable":       {&pb.RangeRequest{Serializable: true}, history.StoreAction{Serializable: true}},
		"count only":         {&pb.RangeRequest{CountOnly: true}, history.StoreAction{CountOnly: true}},
		"keys only":          {&pb.RangeRequest{KeysOnly: true}, history.StoreAction{KeysOnly: true}},
		"from key":           {&pb.RangeRequest{RangeEnd: []byte{0}}, history.StoreAction{End: "\x00"}},
		"by key ascending":   {&pb.RangeRequest{SortOrder: pb.RangeRequest_ASCEND}, history.StoreAction{}},
		"target, no order":   {&pb.RangeRequest{SortTarget: pb.RangeRequest_MOD}, history.StoreAction{Sorted: true}},
		"by key descending":  {&pb.RangeRequest{SortOrder: pb.RangeRequest_DESCEND}, history.StoreAction{Sorted: true}},
		"by mod ascending":   {&pb.RangeRequest{SortOrder: pb.RangeRequest_ASCEND, SortTarget: pb.RangeRequest_MOD}, history.StoreAction{Sorted: true}},
		"min mod":            {&pb.RangeRequest{MinModRevision: 1}, history.StoreAction{Sorted: true}},
		"max mod":            {&pb.RangeRequest{MaxModRevision: 1}, history.StoreAction{Sorted: true}},
		"min create":         {&pb.RangeRequest{MinCreateRevision: 1}, history.StoreAction{Sorted: true}},
		"max create":         {&pb.RangeRequest{MaxCreateRevision: 1}, history.StoreAction{Sorted: true}},
	} {
		test.want.Kind = history.ActionRange
		check(t, name, recorded(t, pb.KV_Range_FullMethodName, test.req, answer{&pb.RangeResponse{Header: header(6), More: true, Count: 7}}),
			history.StoreOp{Method: history.MethodRange, Header: 6, Then: []history.StoreAction{test.want}, Results: []history.StoreResult{{Count: 7, More: true}}})
	}
}

// TestLongLists compares lists, as they come in messages of any size, with what
// history makes of the whole list.
func TestLongLists(t *testing.T) {
	for _, n := range []int{0, 1, history.MaxListed - 1, history.MaxListed, history.MaxListed + 1, 2 * history.MaxListed, 1000} {
		var kvs []*mvccpb.KeyValue
		var all []history.StoreKV
		for i := range n {
			kv := keyVal(fmt.Sprintf("key-%04d", i), int64(i+1), fmt.Sprint(i))
			kvs = append(kvs, kv)
			all = append(all, history.StoreKV{Key: string(kv.Key), Create: kv.CreateRevision, Mod: kv.ModRevision, Version: 1, Value: hash(fmt.Sprint(i))})
		}
		want := history.StoreResult{Count: int64(n), KVs: all}
		if n > history.MaxListed {
			want = history.StoreResult{Count: int64(n), Chunks: history.Chunks(all)}
		}
		end := &pb.RangeResponse{Header: header(5), Kvs: kvs, Count: int64(n)}
		then := []history.StoreAction{{Kind: history.ActionRange, Key: "key", End: "kez"}}
		req := &pb.RangeRequest{Key: []byte("key"), RangeEnd: []byte("kez")}
		check(t, fmt.Sprint(n, " keys"), recorded(t, pb.KV_Range_FullMethodName, req, answer{end}),
			history.StoreOp{Method: history.MethodRange, Header: 5, Then: then, Results: []history.StoreResult{want}})
		for _, size := range []int{1, 10, history.MaxListed, 100} {
			check(t, fmt.Sprint(n, " keys by ", size), recorded(t, pb.KV_RangeStream_FullMethodName, chunked(req, end, size)...),
				history.StoreOp{Method: history.MethodRangeStream, Header: 5, Then: then, Results: []history.StoreResult{want}})
		}
	}
}

// chunked is a RangeStream of all, with size keys in each chunk; as in etcd,
// only the last has a header and the count.
func chunked(req *pb.RangeRequest, all *pb.RangeResponse, size int) []any {
	steps := []any{req}
	kvs := all.Kvs
	for len(kvs) > size {
		steps = append(steps, answer{&pb.RangeStreamResponse{RangeResponse: &pb.RangeResponse{Kvs: kvs[:size]}}})
		kvs = kvs[size:]
	}
	last := &pb.RangeResponse{Header: all.Header, Kvs: kvs, Count: all.Count, More: all.More}
	return append(steps, answer{&pb.RangeStreamResponse{RangeResponse: last}})
}

func TestKeysOnly(t *testing.T) {
	req := &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("b"), KeysOnly: true}
	end := &pb.RangeResponse{Kvs: kvList(keyVal("a", 1, ""), keyVal("aa", 2, ""))}
	want := []history.StoreKV{{Key: "a", Create: 1, Mod: 1, Version: 1}, {Key: "aa", Create: 2, Mod: 2, Version: 1}}
	for name, steps := range map[string][]any{
		pb.KV_Range_FullMethodName:       {req, answer{end}},
		pb.KV_RangeStream_FullMethodName: chunked(req, end, 1),
	} {
		sink := recorded(t, name, steps...)
		if diff := cmp.Diff(want, sink.ops[0].Results[0].KVs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestKeysOnlyByBranch has a Txn whose branches ask for different things: the
// answer is read by the one that was taken.
func TestKeysOnlyByBranch(t *testing.T) {
	bare := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), KeysOnly: true}}}
	req := &pb.TxnRequest{Success: []*pb.RequestOp{get("a")}, Failure: []*pb.RequestOp{bare}}
	for succeeded, want := range map[bool]uint64{true: hash("v"), false: 0} {
		found := &pb.RangeResponse{Kvs: kvList(keyVal("a", 1, "v"))}
		sink := recorded(t, pb.KV_Txn_FullMethodName, req, answer{&pb.TxnResponse{
			Succeeded: succeeded, Responses: []*pb.ResponseOp{{Response: &pb.ResponseOp_ResponseRange{ResponseRange: found}}},
		}})
		if got := sink.ops[0].Results[0].KVs[0].Value; got != want {
			t.Errorf("succeeded %v: hash %x, want %x", succeeded, got, want)
		}
	}
}

func TestFailedCalls(t *testing.T) {
	compacted := status.Error(codes.OutOfRange, "etcdserver: mvcc: required revision has been compacted")
	then := []history.StoreAction{{Kind: history.ActionRange, Key: "a"}}
	read := &pb.RangeRequest{Key: []byte("a")}
	chunk := answer{&pb.RangeStreamResponse{RangeResponse: &pb.RangeResponse{Kvs: kvList(keyVal("a", 1, "v"))}}}
	gone := history.StoreError{Kind: history.ErrorCompacted, Message: "OutOfRange: etcdserver: mvcc: required revision has been compacted"}
	check(t, "unary", recorded(t, pb.KV_Range_FullMethodName, read, compacted),
		history.StoreOp{Method: history.MethodRange, Then: then, Error: gone})
	check(t, "in mid-stream", recorded(t, pb.KV_RangeStream_FullMethodName, read, chunk, compacted),
		history.StoreOp{Method: history.MethodRangeStream, Then: then, Error: gone})
	check(t, "no chunk", recorded(t, pb.KV_RangeStream_FullMethodName, read),
		history.StoreOp{Method: history.MethodRangeStream, Then: then, Error: unanswered(noAnswer)})
	check(t, "broken chunk", recorded(t, pb.KV_RangeStream_FullMethodName, read, answer{}, chunk),
		history.StoreOp{Method: history.MethodRangeStream, Then: then, Error: unanswered(undecodableAnswer)})
	check(t, "broken answer", recorded(t, pb.KV_Range_FullMethodName, read, answer{}),
		history.StoreOp{Method: history.MethodRange, Then: then, Error: unanswered(undecodableAnswer)})
	check(t, "broken request", recorded(t, pb.KV_Range_FullMethodName, nil, compacted),
		history.StoreOp{Method: history.MethodUnknown, Error: history.StoreError{Kind: history.ErrorCompacted, Message: pb.KV_Range_FullMethodName}})
	check(t, "no request", recorded(t, pb.KV_Range_FullMethodName, compacted))
	check(t, "unknown", recorded(t, "/a.B/C", compacted),
		history.StoreOp{Method: history.MethodUnknown, Error: history.StoreError{Kind: history.ErrorCompacted, Message: "/a.B/C"}})
}

func TestLeases(t *testing.T) {
	check(t, "revoke", recorded(t, pb.Lease_LeaseRevoke_FullMethodName, &pb.LeaseRevokeRequest{ID: 4}, answer{&pb.LeaseRevokeResponse{Header: header(3)}}),
		history.StoreOp{Method: history.MethodLeaseRevoke, Lease: 4, Header: 3})
	check(t, "time to live", recorded(t, pb.Lease_LeaseTimeToLive_FullMethodName, &pb.LeaseTimeToLiveRequest{ID: 4},
		answer{&pb.LeaseTimeToLiveResponse{Header: header(3), ID: 4, TTL: 5, GrantedTTL: 10}}),
		history.StoreOp{Method: history.MethodLeaseTTL, Lease: 4, Header: 3, TTL: 5, GrantedLease: 4, GrantedTTL: 10})
	check(t, "compact", recorded(t, pb.KV_Compact_FullMethodName, &pb.CompactionRequest{Revision: 4, Physical: true}, answer{&pb.CompactionResponse{Header: header(9)}}),
		history.StoreOp{Method: history.MethodCompact, Revision: 4, Physical: true, Header: 9})
	check(t, "hash", recorded(t, pb.Maintenance_HashKV_FullMethodName, &pb.HashKVRequest{Revision: 4}, answer{&pb.HashKVResponse{Header: header(9), Hash: 0xfffffffe, CompactRevision: 2}}),
		history.StoreOp{Method: history.MethodHashKV, Revision: 4, Header: 9, Hash: 0xfffffffe, CompactRevision: 2})
	check(t, "delete", recorded(t, pb.KV_DeleteRange_FullMethodName, &pb.DeleteRangeRequest{Key: []byte("a")}, answer{&pb.DeleteRangeResponse{Header: header(9), Deleted: 1}}),
		history.StoreOp{Method: history.MethodDeleteRange, Header: 9, Then: []history.StoreAction{{Kind: history.ActionDelete, Key: "a"}}, Results: []history.StoreResult{{Deleted: 1}}})

	renew := func(id int64) *pb.LeaseKeepAliveRequest { return &pb.LeaseKeepAliveRequest{ID: id} }
	renewed := func(id, ttl int64) answer {
		return answer{&pb.LeaseKeepAliveResponse{Header: header(2), ID: id, TTL: ttl}}
	}
	done := func(asked, id, ttl int64) history.StoreOp {
		return history.StoreOp{Method: history.MethodLeaseKeepAlive, Lease: asked, Header: 2, GrantedLease: id, GrantedTTL: ttl}
	}
	lost := history.StoreOp{Method: history.MethodLeaseKeepAlive, Lease: 3, Error: history.StoreError{Kind: history.ErrorUnknown, Message: "Unavailable: cut"}}
	check(t, "keep alive", recorded(t, pb.Lease_LeaseKeepAlive_FullMethodName,
		renew(1), renew(2), renewed(2, 5), renewed(1, 0), renew(3), renew(3), renewed(3, 5), status.Error(codes.Unavailable, "cut")),
		done(2, 2, 5), done(1, 1, 0), done(3, 3, 5), lost)
	check(t, "keep alive of another lease", recorded(t, pb.Lease_LeaseKeepAlive_FullMethodName, renew(1), renewed(8, 5), renewed(9, 5)),
		done(1, 8, 5), done(0, 9, 5))
}

func TestWatch(t *testing.T) {
	create := func(c *pb.WatchCreateRequest) *pb.WatchRequest {
		return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: c}}
	}
	now := &mvccpb.KeyValue{Key: []byte("ab"), CreateRevision: 2, ModRevision: 5, Version: 3, Lease: 4, Value: []byte("new")}
	sink := recorded(t, pb.Watch_Watch_FullMethodName,
		create(&pb.WatchCreateRequest{RangeEnd: []byte{0}, StartRevision: 4, PrevKv: true, ProgressNotify: true, Fragment: true, WatchId: 6}),
		create(&pb.WatchCreateRequest{Key: []byte("k"), Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}}),
		create(&pb.WatchCreateRequest{Key: []byte("k"), Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}}),
		create(nil), &pb.WatchRequest{},
		answer{&pb.WatchResponse{Header: header(3), WatchId: 6, Created: true}},
		answer{&pb.WatchResponse{Header: header(6), WatchId: 6, Fragment: true, Events: []*mvccpb.Event{
			{Kv: keyVal("a", 4, "")},
			{Kv: now, PrevKv: &mvccpb.KeyValue{Key: []byte("ab"), CreateRevision: 2, ModRevision: 3, Version: 2, Value: []byte("old")}},
			{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte("a"), ModRevision: 6}, PrevKv: keyVal("a", 4, "")},
		}}},
		&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}},
		answer{&pb.WatchResponse{Header: header(7), WatchId: -1}},
		&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: 6}}},
		answer{&pb.WatchResponse{Header: header(7), WatchId: 6, Canceled: true}},
		answer{&pb.WatchResponse{Header: header(8), WatchId: 1, Canceled: true, CompactRevision: 7, CancelReason: "compacted"}},
		answer{&pb.WatchResponse{Header: header(8), WatchId: 2, CompactRevision: 7}},
		answer{&pb.WatchResponse{Header: header(8), WatchId: -1, Created: true, Canceled: true, CancelReason: "no"}},
		status.Error(codes.Canceled, "gone"))
	want := []*history.StoreWatch{
		{Kind: history.WatchCreate, Watch: 6, Key: "\x00", End: "\x00", Start: 4, PrevKV: true, Progress: true, Fragmented: true},
		{Kind: history.WatchCreate, Key: "k", NoPut: true},
		{Kind: history.WatchCreate, Key: "k", NoDelete: true},
		{Kind: history.WatchCreated, Watch: 6, Header: 3},
		{Kind: history.WatchEvents, Watch: 6, Header: 6, Fragmented: true, Events: []history.StoreEvent{
			{KV: history.StoreKV{Key: "a", Create: 4, Mod: 4, Version: 1, Value: hash("")}},
			{
				KV:   history.StoreKV{Key: "ab", Create: 2, Mod: 5, Version: 3, Lease: 4, Value: hash("new")},
				Prev: history.StoreKV{Key: "ab", Create: 2, Mod: 3, Version: 2, Value: hash("old")},
			},
			{Delete: true, KV: history.StoreKV{Key: "a", Mod: 6}, Prev: history.StoreKV{Key: "a", Create: 4, Mod: 4, Version: 1, Value: hash("")}},
		}},
		{Kind: history.WatchAsk},
		{Kind: history.WatchProgress, Watch: -1, Header: 7},
		{Kind: history.WatchCancel, Watch: 6},
		{Kind: history.WatchCanceled, Watch: 6, Header: 7},
		{Kind: history.WatchCanceled, Watch: 1, Header: 8, CompactRevision: 7, Reason: "compacted"},
		{Kind: history.WatchCanceled, Watch: 2, Header: 8, CompactRevision: 7},
		{Kind: history.WatchCanceled, Watch: -1, Header: 8, Reason: "no"},
		{Kind: history.WatchClosed, Reason: "Canceled: gone"},
	}
	if diff := cmp.Diff(want, sink.watches, timeless); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	last := history.Time(0)
	for _, w := range sink.watches {
		if w.Stream != 1 || w.At < last {
			t.Errorf("%s: stream %d at %d, after %d", w.Kind, w.Stream, w.At, last)
		}
		last = w.At
	}
	check(t, "broken messages", recorded(t, pb.Watch_Watch_FullMethodName, nil, answer{}), unknownWatch(), unknownWatch())
}

func unknownWatch() history.StoreOp {
	return history.StoreOp{Method: history.MethodUnknown, Error: history.StoreError{Message: pb.Watch_Watch_FullMethodName}}
}
