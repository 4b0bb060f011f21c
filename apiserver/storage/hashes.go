package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// hashedMost is the most bytes in use that Hash asks a member to read. While it
// hashes, a member of etcd commits nothing (storage/mvcc/kvstore.go, hashByRev
// holds the lock that a commit waits for), so a hash is a pause for whoever writes
// through it. On two cores with other work to do, and the file in the page cache,
// it took a member 18 ms for 10,000 keys of 1 KiB (13 MiB in use), 56 ms for
// 50,000 (65 MiB) and 118 ms for 200,000 (262 MiB), and the slowest write beside it
// 25, 91 and 140 ms: BenchmarkHash.
const hashedMost = 300 << 20

// Errors of Hash that say that there is nothing to ask for: never, or not now.
var (
	ErrHashless = errors.New("the store has no hash of its keys")
	ErrTooLarge = errors.New("the store is too large to be hashed beside a load")
)

// Hash asks all members for the hash of all keys at one revision, so that the
// history shows whether they agree, and returns that revision. It can be asked for
// in the middle of a load, best after a compaction: what a member removes, or
// forgets to, is in its hash. Hashes can be compared only where the members are
// compacted to the same revision, as each says in its answer (etcdserver/corrupt.go,
// PeriodicCheck); who reads the history heeds that. A member that still removes what a
// compaction left says another revision than one that has done so, which has kept the
// hash that it made on the way (storage/mvcc/hash.go, HashByRev). Unless all members answer at
// once, none is hashed.
func Hash(ctx context.Context, members []Member) (revision int64, err error) {
	for _, m := range members {
		r, err := m.ready(ctx)
		if err != nil {
			return 0, fmt.Errorf("hash all keys: %s: %w", m.Name, err)
		}
		revision = cmp.Or(revision, r)
	}
	for _, m := range members { // one after the other: a pause of one is none of a quorum
		if err := withMember(m, func(conn *grpc.ClientConn) error { return hashAt(ctx, conn, revision) }); err != nil {
			return 0, fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return revision, nil
}

// ready returns a revision that the member holds, and with it every compaction that
// was acknowledged before: a read through the quorum waits for both.
func (m Member) ready(ctx context.Context) (revision int64, err error) {
	err = withMember(m, func(conn *grpc.ClientConn) error {
		one, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte(cmp.Or(m.Keys, "\x00"))})
		if err != nil {
			return err
		}
		revision = one.GetHeader().GetRevision()
		status, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		if err != nil {
			return err
		}
		if status.GetDbSizeInUse() > hashedMost {
			return ErrTooLarge
		}
		return nil
	})
	return revision, err
}
