package namespace

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// at100 is a part of a store that had revision 100.
func at100() *Namespace { return New("/p/", 100) }

func TestRequests(t *testing.T) {
	get := func(key, end string, revision int64) *pb.RangeRequest {
		return &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end), Revision: revision}
	}
	watch := func(key, end string, from int64) *pb.WatchRequest {
		return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
			Key: []byte(key), RangeEnd: []byte(end), StartRevision: from,
		}}}
	}
	txn := func(key string, mod int64, op *pb.RequestOp) *pb.TxnRequest {
		return &pb.TxnRequest{
			Compare: []*pb.Compare{{Key: []byte(key), Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: mod}}},
			Success: []*pb.RequestOp{op},
		}
	}
	put := func(key string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}}
	}
	remove := func(key, end string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)}}}
	}
	nested := func(t *pb.TxnRequest) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: t}}
	}
	for _, test := range []struct{ given, want proto.Message }{
		{get("/registry/a", "", 0), get("/p//registry/a", "", 0)},
		{get("/registry/", "/registry0", 7), get("/p//registry/", "/p//registry0", 106)},
		{get("\x00", "\x00", -1), get("/p/\x00", "/p0", -1)},
		{watch("\x00", "\x00", 1), watch("/p/\x00", "/p0", 100)},
		{watch("a", "", 0), watch("/p/a", "", 0)},
		{txn("a", 0, put("a")), txn("/p/a", 0, put("/p/a"))},
		{txn("a", 5, remove("a", "\x00")), txn("/p/a", 104, remove("/p/a", "/p0"))},
		{txn("a", 5, nested(txn("b", 6, put("b")))), txn("/p/a", 104, nested(txn("/p/b", 105, put("/p/b"))))},
	} {
		got := proto.Clone(test.given)
		if err := at100().request(got); err != nil {
			t.Errorf("%v: %v", test.given, err)
		}
		if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.given, diff)
		}
	}
	for _, m := range []proto.Message{
		get("", "\x00", 0), watch("", "", 0), txn("", 0, put("a")), txn("a", 0, put("")), txn("a", 0, remove("", "b")),
		txn("a", 0, nested(txn("", 0, put("b")))), txn("a", 0, &pb.RequestOp{}), &pb.WatchRequest{}, &pb.CompactionRequest{Revision: 3},
	} {
		if err := at100().request(m); err == nil {
			t.Errorf("%T %v gets through", m, m)
		}
	}
}

func TestAnswers(t *testing.T) {
	kv := func(key string, created, mod int64) *mvccpb.KeyValue {
		return &mvccpb.KeyValue{Key: []byte(key), CreateRevision: created, ModRevision: mod, Version: 3, Value: []byte("v")}
	}
	head := func(revision int64) *pb.ResponseHeader { return &pb.ResponseHeader{Revision: revision, RaftTerm: 4} }
	removed := func(revision int64, prev *mvccpb.KeyValue) *pb.TxnResponse {
		return &pb.TxnResponse{Header: head(revision), Responses: []*pb.ResponseOp{{Response: &pb.ResponseOp_ResponseDeleteRange{
			ResponseDeleteRange: &pb.DeleteRangeResponse{Header: head(revision), PrevKvs: []*mvccpb.KeyValue{prev}},
		}}}}
	}
	watched := func(revision, compacted int64, now, prev *mvccpb.KeyValue) *pb.WatchResponse {
		return &pb.WatchResponse{Header: head(revision), CompactRevision: compacted, Events: []*mvccpb.Event{{Kv: now, PrevKv: prev}}}
	}
	for _, test := range []struct{ given, want proto.Message }{
		{&pb.RangeResponse{Header: head(101), Kvs: []*mvccpb.KeyValue{kv("/p/a", 101, 105)}}, &pb.RangeResponse{Header: head(2), Kvs: []*mvccpb.KeyValue{kv("a", 2, 6)}}},
		{&pb.RangeStreamResponse{RangeResponse: &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv("/p/a", 101, 105)}}}, &pb.RangeStreamResponse{RangeResponse: &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv("a", 2, 6)}}}},
		{removed(107, kv("/p/a", 101, 105)), removed(8, kv("a", 2, 6))},
		{watched(107, 0, kv("/p/a", 101, 107), kv("/p/a", 101, 105)), watched(8, 0, kv("a", 2, 8), kv("a", 2, 6))},
		{watched(107, 104, kv("/p/a", 101, 107), nil), watched(8, 5, kv("a", 2, 8), nil)},
		{watched(107, 40, kv("/p/a", 101, 107), nil), watched(8, 1, kv("a", 2, 8), nil)}, // compacted before the run
		{&pb.StatusResponse{Header: head(100), Version: "3.7.3"}, &pb.StatusResponse{Header: head(1), Version: "3.7.3"}},
	} {
		got := proto.Clone(test.given)
		if err := at100().answer(got); err != nil {
			t.Errorf("%v: %v", test.given, err)
		}
		if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.given, diff)
		}
	}
	for _, m := range []proto.Message{
		&pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv("/q/a", 101, 105)}}, removed(107, kv("/registry/a", 1, 2)),
		watched(107, 0, kv("/p/a", 101, 107), kv("/a", 101, 105)), &pb.HashKVResponse{},
	} {
		if err := at100().answer(m); err == nil {
			t.Errorf("%T %v gets through", m, m)
		}
	}
	n := at100()
	if err := n.answer(&pb.LeaseGrantResponse{Header: head(100), ID: 7}); err != nil || !cmp.Equal(n.Leases(), []int64{7}) {
		t.Errorf("leases %v, %v", n.Leases(), err)
	}
}
