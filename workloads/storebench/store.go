package storebench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// requestBound is how long one request may take.
const requestBound = 20 * time.Second

// helpers fill and clear a store concurrently.
const helpers = 64

// Bench is a store that is ready to be measured.
type Bench struct {
	cfg    Config
	conns  []*grpc.ClientConn
	values *values
	pods   []*object
	leases []*object
	levels int // measurements of Create so far; each has names of its own
	// compacted is the revision up to which the store has forgotten.
	compacted int64
}

// object is one that the store holds. Whoever works on it does so alone.
type object struct {
	key      []byte
	revision int64 // at which it was last seen
}

// Open connects to a store that holds nothing below the prefix.
func Open(c Config) (*Bench, error) {
	if c.Prefix == "" {
		c.Prefix = "/registry"
	}
	b := &Bench{cfg: c, values: newValues(c.Seed)}
	for range c.Connections {
		conn, err := dial(c.Endpoints)
		if err != nil {
			b.Close()
			return nil, fmt.Errorf("connect to the store: %w", err)
		}
		b.conns = append(b.conns, conn)
	}
	return b, nil
}

// Close ends the connections. What was written stays.
func (b *Bench) Close() {
	for _, c := range b.conns {
		_ = c.Close() // its only error is that it is closed already
	}
}

// dial makes a client that spreads its requests over all endpoints in turn
// (etcd's client/v3/internal/resolver does the same).
func dial(endpoints []string) (*grpc.ClientConn, error) {
	var all []resolver.Endpoint
	for _, e := range endpoints {
		address := strings.TrimPrefix(e, "http://")
		all = append(all, resolver.Endpoint{Addresses: []resolver.Address{{Addr: address}}})
	}
	r := manual.NewBuilderWithScheme("storebench")
	r.InitialState(resolver.State{Endpoints: all})
	return grpc.NewClient("storebench:///store",
		grpc.WithResolvers(r),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
}

func (b *Bench) kv(client int) pb.KVClient { return pb.NewKVClient(b.conns[client%len(b.conns)]) }

// Fill creates the objects that the measurements work on, and returns how many
// there are and how long it took.
func (b *Bench) Fill(ctx context.Context) (objects int, took time.Duration, err error) {
	names := random(b.cfg.Seed, "names", 0)
	for i := range b.cfg.Objects {
		b.pods = append(b.pods, &object{key: []byte(b.cfg.namespace(i) + podName(names, i))})
		b.leases = append(b.leases, &object{key: fmt.Appendf(nil, "%s/leases/kube-node-lease/node-%05d", b.cfg.Prefix, i)})
	}
	begun := time.Now()
	err = b.each(ctx, len(b.pods), func(ctx context.Context, helper, i int, r *rand.Rand) error {
		if err := create(ctx, b.kv(helper), b.pods[i], b.values.pod(r)); err != nil {
			return err
		}
		return create(ctx, b.kv(helper), b.leases[i], b.values.lease(r))
	})
	if err != nil {
		return 0, 0, fmt.Errorf("fill the store: %w", err)
	}
	return len(b.pods) + len(b.leases), time.Since(begun), nil
}

// each calls f for the numbers below n, by several helpers at once, up to the
// first error.
func (b *Bench) each(ctx context.Context, n int, f func(ctx context.Context, helper, i int, r *rand.Rand) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for helper := range helpers {
		wg.Go(func() {
			r := random(b.cfg.Seed, "fill", helper)
			for i := helper; i < n && ctx.Err() == nil; i += helpers {
				if err := f(ctx, helper, i, r); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// Compact forgets all revisions before now, and waits until the store has done
// so: kube-apiserver compacts every five minutes, which is no part of what is
// measured.
func (b *Bench) Compact(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestBound)
	defer cancel()
	now, err := b.kv(0).Range(ctx, &pb.RangeRequest{Key: b.key("compact_rev_key"), Limit: 1})
	if err == nil && now.Header.Revision > b.compacted { // a store refuses to do it twice
		b.compacted = now.Header.Revision
		_, err = b.kv(0).Compact(ctx, &pb.CompactionRequest{Revision: b.compacted, Physical: true})
	}
	if err != nil {
		return fmt.Errorf("compact the store: %w", err)
	}
	return nil
}

func (b *Bench) key(name string) []byte { return []byte(b.cfg.Prefix + "/" + name) }

// errConflict is that the store refused a write for a reason that cannot be:
// nobody else writes the object.
var errConflict = errors.New("the store says that the object is not at the revision that it was last seen at")

// txn is the transaction of every write (etcd's client/v3/kubernetes).
func txn(key []byte, revision int64, op *pb.RequestOp) *pb.TxnRequest {
	return &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: key, Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
			TargetUnion: &pb.Compare_ModRevision{ModRevision: revision},
		}},
		Success: []*pb.RequestOp{op},
	}
}

// orGet has a transaction that fails read the object.
func orGet(t *pb.TxnRequest) *pb.TxnRequest {
	read := &pb.RangeRequest{Key: t.Compare[0].Key}
	t.Failure = []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: read}}}
	return t
}

func put(key, value []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: value}}}
}

func create(ctx context.Context, kv pb.KVClient, o *object, value []byte) error {
	return o.write(ctx, kv, txn(o.key, 0, put(o.key, value)))
}

func update(ctx context.Context, kv pb.KVClient, o *object, value []byte) error {
	return o.write(ctx, kv, orGet(txn(o.key, o.revision, put(o.key, value))))
}

func remove(ctx context.Context, kv pb.KVClient, o *object) error {
	op := &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: o.key}}
	return o.write(ctx, kv, orGet(txn(o.key, o.revision, &pb.RequestOp{Request: op})))
}

func (o *object) write(ctx context.Context, kv pb.KVClient, t *pb.TxnRequest) error {
	ctx, cancel := context.WithTimeout(ctx, requestBound)
	defer cancel()
	resp, err := kv.Txn(ctx, t)
	switch {
	case err != nil:
		return err
	case resp.Succeeded:
		o.revision = resp.Header.Revision
		return nil
	}
	for _, r := range resp.Responses {
		for _, kv := range r.GetResponseRange().GetKvs() {
			o.revision = kv.ModRevision
		}
	}
	return errConflict
}
