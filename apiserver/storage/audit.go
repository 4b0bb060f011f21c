package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// wholeMost is the number of keys up to which Audit reads all of them through
// every member; beyond it, the answers would take gigabytes.
const wholeMost = 50_000

// Audit asks every member for what it holds, so that the history of a recorded
// store shows whether they agree: the hash of all keys at one revision, and the
// keys themselves if there are no more than 50,000. It returns the revision. It
// judges nothing; whoever reads the history does.
func Audit(ctx context.Context, members []Member) (int64, error) {
	var revision int64
	whole := false
	for _, m := range members {
		err := withMember(m, func(conn *grpc.ClientConn) error {
			if revision == 0 {
				resp, err := pb.NewKVClient(conn).Range(ctx, everything(m, true))
				if err != nil {
					return fmt.Errorf("count keys: %w", err)
				}
				revision, whole = resp.GetHeader().GetRevision(), resp.GetCount() <= wholeMost
			}
			return auditMember(ctx, m, conn, revision, whole)
		})
		if err != nil {
			return revision, fmt.Errorf("audit %s: %w", m.Name, err)
		}
	}
	return revision, nil
}

func auditMember(ctx context.Context, m Member, conn *grpc.ClientConn, revision int64, whole bool) error {
	// A read through the quorum comes first: only then does the member surely
	// hold the revision.
	if _, err := pb.NewKVClient(conn).Range(ctx, everything(m, !whole)); err != nil {
		return fmt.Errorf("read all keys: %w", err)
	}
	if err := hashAt(ctx, conn, revision); !errors.Is(err, ErrHashless) { // the contract of such a store says that it has none
		return err
	}
	return nil
}

// hashAt asks a member for the hash of all keys at a revision: ErrHashless if its
// store has none.
func hashAt(ctx context.Context, conn *grpc.ClientConn, revision int64) error {
	_, err := pb.NewMaintenanceClient(conn).HashKV(ctx, &pb.HashKVRequest{Revision: revision})
	if hashless(err) {
		return ErrHashless
	}
	if err != nil {
		return fmt.Errorf("hash all keys at revision %d: %w", revision, err)
	}
	return nil
}

// hashless says whether a store has no hash at all. kine says so without a code
// (server/maintenance.go).
func hashless(err error) bool {
	return status.Code(err) == codes.Unimplemented ||
		status.Code(err) == codes.Unknown && strings.HasSuffix(status.Convert(err).Message(), "is not supported")
}

// everything asks for all keys, or for all that are clients'.
func everything(m Member, countOnly bool) *pb.RangeRequest {
	if m.Keys == "" {
		return &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, CountOnly: countOnly}
	}
	return &pb.RangeRequest{Key: []byte(m.Keys), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(m.Keys)), CountOnly: countOnly}
}

func withMember(m Member, f func(*grpc.ClientConn) error) error {
	address := strings.TrimPrefix(m.Endpoint, "http://")
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		return err
	}
	defer conn.Close() // an error of f must stay a gRPC status, see rpctypes.Error
	return f(conn)
}
