package record

import (
	"context"
	"fmt"
	"net"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// nothing is the cheapest of all sinks.
type nothing struct{ ops, watches int }

func (n *nothing) StoreOp(*history.StoreOp)       { n.ops++ }
func (n *nothing) StoreWatch(*history.StoreWatch) { n.watches++ }

// kubernetesTxn is an update of a pod of 2 kB, as kube-apiserver sends it.
func kubernetesTxn() (*pb.TxnRequest, *pb.TxnResponse) {
	req := &pb.TxnRequest{
		Compare: []*pb.Compare{modIs(someKey, 41)},
		Success: []*pb.RequestOp{put(someKey, string(make([]byte, 2000)))},
		Failure: []*pb.RequestOp{get(someKey)},
	}
	return req, &pb.TxnResponse{Header: header(42), Succeeded: true, Responses: []*pb.ResponseOp{putDone()}}
}

func pass(t testing.TB, r *Recorder, name string, req, resp proto.Message) func() {
	ctx := from(t.Context(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711})
	interceptor := r.UnaryInterceptor()
	info := &grpc.UnaryServerInfo{FullMethod: name}
	handler := func(context.Context, any) (any, error) { return resp, nil }
	return func() { _, _ = interceptor(ctx, req, info, handler) }
}

// TestAllocations keeps the cost of the most frequent call where it is: the
// record in one piece, and its key.
func TestAllocations(t *testing.T) {
	req, resp := kubernetesTxn()
	sink := &nothing{}
	call := pass(t, New(Options{Sink: sink}), pb.KV_Txn_FullMethodName, req, resp)
	if got := testing.AllocsPerRun(100, call); got > 2 {
		t.Errorf("%v allocations for a Txn, want 2", got)
	}
	if sink.ops == 0 {
		t.Error("nothing was recorded")
	}
	off := pass(t, nil, pb.KV_Txn_FullMethodName, req, resp)
	if got := testing.AllocsPerRun(100, off); got != 0 {
		t.Errorf("%v allocations without a recorder", got)
	}
}

func BenchmarkTxn(b *testing.B) {
	req, resp := kubernetesTxn()
	call := pass(b, New(Options{Sink: &nothing{}}), pb.KV_Txn_FullMethodName, req, resp)
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}

// BenchmarkWatchEvent is one event with its previous value, alone in its
// message.
func BenchmarkWatchEvent(b *testing.B) {
	value := string(make([]byte, 2000))
	c := New(Options{Sink: &nothing{}}).Begin(b.Context(), pb.Watch_Watch_FullMethodName)
	resp := &pb.WatchResponse{Header: header(42), Events: []*mvccpb.Event{{Kv: keyVal(someKey, 42, value), PrevKv: keyVal(someKey, 41, value)}}}
	b.ReportAllocs()
	for b.Loop() {
		c.Answer(resp)
	}
}

// BenchmarkList is a list of 10,000 pods; the result is for the whole list.
func BenchmarkList(b *testing.B) {
	resp := &pb.RangeResponse{Header: header(42), Count: 10000}
	for i := range 10000 {
		resp.Kvs = append(resp.Kvs, keyVal(fmt.Sprintf("/registry/pods/default/web-%d", i), 42, string(make([]byte, 2000))))
	}
	req := &pb.RangeRequest{Key: []byte("/registry/pods/"), RangeEnd: []byte("/registry/pods0")}
	call := pass(b, New(Options{Sink: &nothing{}}), pb.KV_Range_FullMethodName, req, resp)
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}
