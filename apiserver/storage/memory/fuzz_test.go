package memory_test

import (
	"math/rand/v2"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/workloads/contract/store"
)

// FuzzTxn sends whatever is a transaction to both stores. What the store in
// memory does not have is all that it may answer in another way.
func FuzzTxn(f *testing.F) {
	for _, r := range store.Transactions(rand.New(rand.NewPCG(1, 1)), 40) {
		if b, err := proto.Marshal(r); err != nil {
			f.Fatal(err)
		} else if len(b) < 10_000 {
			f.Add(b)
		}
	}
	servers := both(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &pb.TxnRequest{}
		if proto.Unmarshal(b, r) != nil {
			return
		}
		got, err := servers[1].kv.Txn(t.Context(), r)
		if status.Code(err) == codes.Unimplemented {
			if !beyond(r) {
				t.Errorf("%v: %v", r, err)
			}
			return
		}
		want, wantErr := servers[0].kv.Txn(t.Context(), r)
		if got, want := store.ErrorOf(err), store.ErrorOf(wantErr); got != want {
			t.Fatalf("%v\nerror %s, want %s", r, got, want)
		}
		if err == nil {
			if want, got, equal := store.Equal(want, got); !equal {
				t.Fatalf("%v\netcd: %s\nmemory: %s", r, want, got)
			}
		}
	})
}

// beyond says whether a transaction asks for what the store in memory does not
// have.
func beyond(r *pb.TxnRequest) bool {
	for _, ops := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range ops {
			read, put := op.GetRequestRange(), op.GetRequestPut()
			if op.GetRequestTxn() != nil || put.GetIgnoreValue() || put.GetIgnoreLease() ||
				read.GetSortTarget() != 0 || read.GetSortOrder() == pb.RangeRequest_DESCEND ||
				read.GetMinModRevision() != 0 || read.GetMaxModRevision() != 0 ||
				read.GetMinCreateRevision() != 0 || read.GetMaxCreateRevision() != 0 {
				return true
			}
		}
	}
	return false
}
