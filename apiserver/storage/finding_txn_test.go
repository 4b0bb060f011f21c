package storage

import (
	"context"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// docs/findings/0008: a transaction that deletes from a key to the end of all
// keys and puts one of them with ignore_value or ignore_lease passes etcd's check,
// and every member dies of it when it applies it, in every life anew. When this
// fails, etcd was mended. Say so there, and strike the test.
func TestOneTransactionEndsEtcd(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]*pb.PutRequest{
		"value": {Key: []byte("b"), IgnoreValue: true},
		"lease": {Key: []byte("b"), IgnoreLease: true},
	} {
		t.Run(name, func(t *testing.T) { ends(t, put) })
	}
}

func ends(t *testing.T, r *pb.PutRequest) {
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
	// One of three may not have heard that it is committed.
	await(t, "the death of a majority", func() bool {
		dead := 0
		for _, m := range c.Members() {
			if m.PID == 0 {
				dead++
			}
		}
		return dead > 1
	})
	if err := <-c.Died(); !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("a member died of something else: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	// Those whose log says that it is committed die at once, the others when they
	// hear of it, which takes a leader.
	ctx, cancel := context.WithTimeout(bounded(t), 15*time.Second)
	defer cancel()
	if err = c.Start(ctx); err == nil {
		t.Fatal("with the transaction in its log it started again")
	}
	if !strings.Contains(err.Error(), "index out of range") {
		select {
		case err = <-c.Died():
		case <-bounded(t).Done():
		}
	}
	if !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("it did not start again for another reason: %v", err)
	}
}
