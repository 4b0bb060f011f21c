package storage

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/checkers/history"
)

func modRevision(key string, rev int64) *pb.Compare {
	return &pb.Compare{
		Key: []byte(key), Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_ModRevision{ModRevision: rev},
	}
}

func put(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}
}

func deletion(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key)}}}
}

func get(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key)}}}
}

func ops(ops ...*pb.RequestOp) []*pb.RequestOp { return ops }

func answer(succeeded bool, responses ...*pb.ResponseOp) *pb.TxnResponse {
	return &pb.TxnResponse{Header: &pb.ResponseHeader{Revision: 7}, Succeeded: succeeded, Responses: responses}
}

func deleted(n int64) *pb.ResponseOp {
	return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{Deleted: n}}}
}

func nested(txn *pb.TxnRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: txn}}
}

func nestedAnswer(resp *pb.TxnResponse) *pb.ResponseOp {
	return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: resp}}
}

// intercept sends one request through the interceptor to a handler that
// answers with resp and err.
func intercept(t *testing.T, req, resp any, err error) []history.Commit {
	t.Helper()
	var got []history.Commit
	interceptor := commitInterceptor(func(c history.Commit) { got = append(got, c) })
	var began, ended history.Time
	handler := func(context.Context, any) (any, error) {
		began = history.Now()
		ended = history.Now()
		return resp, err
	}
	gotResp, gotErr := interceptor(t.Context(), req, &grpc.UnaryServerInfo{}, handler)
	if gotResp != resp || !errors.Is(gotErr, err) {
		t.Errorf("the interceptor changed the answer to %v, %v", gotResp, gotErr)
	}
	for _, c := range got {
		if c.Called == 0 || c.Called > began || c.Returned < ended {
			t.Errorf("commit of %s: called %d, returned %d around a handler from %d to %d", c.Key, c.Called, c.Returned, began, ended)
		}
	}
	return got
}

func TestCommitInterceptor(t *testing.T) {
	empty := &pb.ResponseOp{}
	created := &pb.TxnRequest{Compare: []*pb.Compare{modRevision("a", 0)}, Success: ops(put("a", "v"))}
	updated := &pb.TxnRequest{Compare: []*pb.Compare{modRevision("a", 3)}, Success: ops(put("a", "v")), Failure: ops(get("a"))}
	removed := &pb.TxnRequest{Compare: []*pb.Compare{modRevision("a", 3)}, Success: ops(deletion("a")), Failure: ops(get("a"))}
	version := &pb.Compare{Key: []byte("a"), Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 0}}
	larger := modRevision("a", 0)
	larger.Result = pb.Compare_GREATER
	for name, test := range map[string]struct {
		req, resp any
		err       error
		want      []history.Commit
	}{
		"create":                    {req: created, resp: answer(true, empty), want: []history.Commit{{Key: "a", Value: []byte("v"), Create: true}}},
		"create of an existing key": {req: created, resp: answer(false)},
		"update":                    {req: updated, resp: answer(true, empty), want: []history.Commit{{Key: "a", Value: []byte("v")}}},
		"update that lost":          {req: updated, resp: answer(false, empty)},
		"delete":                    {req: removed, resp: answer(true, deleted(1)), want: []history.Commit{{Key: "a", Delete: true}}},
		"delete of nothing":         {req: removed, resp: answer(true, deleted(0))},
		"delete that lost":          {req: removed, resp: answer(false, empty)},
		"failed":                    {req: created, resp: (*pb.TxnResponse)(nil), err: errors.New("timed out")},
		"no Txn":                    {req: &pb.PutRequest{Key: []byte("a")}, resp: &pb.PutResponse{}},
		"create by version": {
			req:  &pb.TxnRequest{Compare: []*pb.Compare{version}, Success: ops(put("a", "v"))},
			resp: answer(true, empty), want: []history.Commit{{Key: "a", Value: []byte("v")}},
		},
		"compare that asks for more": {
			req:  &pb.TxnRequest{Compare: []*pb.Compare{larger}, Success: ops(put("a", "v"))},
			resp: answer(true, empty), want: []history.Commit{{Key: "a", Value: []byte("v")}},
		},
		"create of one key, update of another": {
			req:  &pb.TxnRequest{Compare: []*pb.Compare{modRevision("b", 0)}, Success: ops(get("c"), put("a", "v"), put("b", "w"))},
			resp: answer(true, empty, empty, empty),
			want: []history.Commit{{Key: "a", Value: []byte("v")}, {Key: "b", Value: []byte("w"), Create: true}},
		},
		"put in the else branch": {
			req:  &pb.TxnRequest{Compare: []*pb.Compare{modRevision("a", 0)}, Failure: ops(put("a", "v"))},
			resp: answer(false, empty), want: []history.Commit{{Key: "a", Value: []byte("v")}},
		},
		"nested": {
			req:  &pb.TxnRequest{Success: ops(nested(created), nested(removed))},
			resp: answer(true, nestedAnswer(answer(true, empty)), nestedAnswer(answer(true, deleted(1)))),
			want: []history.Commit{{Key: "a", Value: []byte("v"), Create: true}, {Key: "a", Delete: true}},
		},
	} {
		for i := range test.want {
			test.want[i].Revision = 7
		}
		got := intercept(t, test.req, test.resp, test.err)
		if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(history.Commit{}, "Called", "Returned")); diff != "" {
			t.Errorf("%s: commits (-want +got):\n%s", name, diff)
		}
	}
}

// BenchmarkCommitInterceptor is what the recording of commits adds to a Txn.
func BenchmarkCommitInterceptor(b *testing.B) {
	var bytes int
	interceptor := commitInterceptor(func(c history.Commit) { bytes += len(c.Value) })
	const key = "/registry/pods/density-00/web-5d9c7f8b6c-x2x7k"
	req := &pb.TxnRequest{Compare: []*pb.Compare{modRevision(key, 41)}, Success: ops(put(key, "value")), Failure: ops(get(key))}
	resp := answer(true, &pb.ResponseOp{})
	handler := func(context.Context, any) (any, error) { return resp, nil }
	info := &grpc.UnaryServerInfo{FullMethod: "/etcdserverpb.KV/Txn"}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := interceptor(ctx, req, info, handler); err != nil {
			b.Fatal(err)
		}
	}
	if bytes == 0 {
		b.Fatal("no commit was seen")
	}
}

// updateAndDelete changes and deletes a key that was created with the value "one", and
// checks that these three are the commits that were told of.
func updateAndDelete(t *testing.T, client *kubernetes.Client, told *commitLog, key string, created int64) (updated, deleted int64) {
	t.Helper()
	updated = mustPut(t, client, key, "two", created)
	resp, err := client.OptimisticDelete(bounded(t), key, updated, kubernetes.DeleteOptions{GetOnFailure: true})
	if err != nil || !resp.Succeeded {
		t.Fatalf("delete: %+v, %v", resp, err)
	}
	want := []history.Commit{
		{Revision: created, Key: key, Value: []byte("one"), Create: true},
		{Revision: updated, Key: key, Value: []byte("two")},
		{Revision: resp.Revision, Key: key, Delete: true},
	}
	if diff := cmp.Diff(want, told.commits(), cmpopts.IgnoreFields(history.Commit{}, "Called", "Returned")); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
	return updated, resp.Revision
}
