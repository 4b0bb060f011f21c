package storage

import (
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// docs/findings/0008: a transaction that deletes from a key to the end of all
// keys and puts one of them with ignore_value or ignore_lease passes etcd's check, and every
// member dies of it when it applies it, in every life anew. When this fails,
// etcd was mended. Say so there, and strike the test.
func TestOneTransactionKillsAllMembers(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]*pb.PutRequest{
		"value": {Key: []byte("b"), IgnoreValue: true},
		"lease": {Key: []byte("b"), IgnoreLease: true},
	} {
		t.Run(name, func(t *testing.T) { kills(t, put) })
	}
}

func kills(t *testing.T, r *pb.PutRequest) {
	t.Helper()
	c := startProcesses(t, "etcd-process", Options{})
	client := dial(t, c.Endpoints()...)
	mustPut(t, client, "b", "0", 0)
	remove := &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte{0}},
	}}
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
	resp, err := pb.NewKVClient(client.ActiveConnection()).Txn(bounded(t), &pb.TxnRequest{Success: []*pb.RequestOp{remove, put}})
	if status.Code(err) != codes.Unavailable {
		t.Fatalf("answered: %v, %v", resp, err)
	}
	await(t, "the death of all members", func() bool {
		for _, m := range c.Members() {
			if m.PID != 0 {
				return false
			}
		}
		return true
	})
	if err := <-c.Died(); !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("a member died of something else: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(bounded(t)); err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("with the transaction in its log it started again: %v", err)
	}
}
