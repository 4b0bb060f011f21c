package store

import (
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// compactKey is what API servers write before they compact, see
// k8s.io/apiserver@v0.37.1/pkg/storage/etcd3/compact.go.
const compactKey = "compact_rev_key"

// request is one request as it is sent to the model. Revisions, leases and keys in it
// are those of the model and the round in which it was drawn.
type request struct {
	shape  Shape
	stream bool // RangeStream rather than Range
	// message is nil where watch says all.
	message proto.Message
	// end says that a watch is to be ended, of which endWatch is the model's ID.
	end      bool
	endWatch int64
	// after is the model's revision after it, and compacted what it had been compacted
	// to before.
	after, compacted int64
	// id is what the model answered to a watch or a lease that was asked for.
	id int64
}

// kubernetes draws a request that a kube-apiserver may send. old allows watches
// of the past.
func (g *generator) kubernetes(old bool) *request {
	switch n := g.rng.IntN(100); {
	case n < 36:
		r := g.write()
		return &request{shape: ofTxn(r), message: r}
	case n < 40:
		return &request{shape: Compactor, message: g.compactor()}
	case n < 43:
		return &request{shape: CompactorGet, message: &pb.RangeRequest{Key: []byte(compactKey)}}
	case n < 62:
		r := g.lookUp()
		return &request{shape: ofRange(r), message: r}
	case n < 76:
		r := g.page()
		return &request{shape: Stream, message: r, stream: true}
	case n < 79:
		return &request{shape: Grant, message: &pb.LeaseGrantRequest{TTL: 3600 + g.rng.Int64N(3)}}
	case n < 83 && !old:
		return &request{shape: Compact, message: g.compaction()}
	default:
		r := g.watchOf(old)
		return &request{shape: g.ofWatch(r), message: r}
	}
}

// watchOf is the watch of a resource, as a cache has it, that of one object, which a
// server without a cache passes on, or the compactor's of its own key, from the
// revision on at which it has got it.
func (g *generator) watchOf(old bool) *pb.WatchCreateRequest {
	switch g.rng.IntN(8) {
	case 0, 1:
		r := &pb.WatchCreateRequest{Key: []byte(compactKey), StartRevision: g.revision}
		if !old { // at that revision it could be compacted before it is looked at
			r.StartRevision++
		}
		return r
	case 2:
		return &pb.WatchCreateRequest{Key: g.key(), PrevKv: true, ProgressNotify: true, StartRevision: g.start(old)}
	}
	r := &pb.WatchCreateRequest{Key: []byte(g.resource()), PrevKv: true, ProgressNotify: true, StartRevision: g.start(old)}
	r.RangeEnd = after(string(r.Key))
	return r
}

// write is a create, an update or a delete.
func (g *generator) write() *pb.TxnRequest {
	key := g.key()
	expected, get := g.expected(key), []*pb.RequestOp{opRange(&pb.RangeRequest{Key: key})}
	if expected > g.revision { // nobody was told of it
		expected = g.known[string(key)]
	}
	r := &pb.TxnRequest{}
	switch n := g.rng.IntN(10); {
	case n < 3: // nobody deletes what was not there
		r.Success, r.Failure = []*pb.RequestOp{opDelete(&pb.DeleteRangeRequest{Key: key})}, get
		expected = max(expected, 1)
	case n < 6 && g.known[string(key)] == 0 || n < 4:
		r.Success = []*pb.RequestOp{opPut(&pb.PutRequest{Key: key, Value: g.value(), Lease: g.lease()})}
		expected = 0
	default:
		r.Success, r.Failure = []*pb.RequestOp{opPut(&pb.PutRequest{Key: key, Value: g.value(), Lease: g.lease()})}, get
	}
	r.Compare = []*pb.Compare{{Key: key, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: expected}}}
	return r
}

// lookUp is a read of a key, or one that lists or counts.
func (g *generator) lookUp() *pb.RangeRequest {
	if g.oneIn(3) {
		return &pb.RangeRequest{Key: g.key(), Revision: g.at(), Limit: 1}
	}
	r := g.page()
	switch g.rng.IntN(5) {
	case 0:
		r.CountOnly, r.Limit = true, 0
	case 1:
		r.KeysOnly, r.Limit = true, 0
	}
	return r
}

// page lists a resource, or goes on after a key of it.
func (g *generator) page() *pb.RangeRequest {
	prefix := g.resource()
	r := &pb.RangeRequest{Key: []byte(prefix), RangeEnd: after(prefix), Revision: g.at()}
	if g.oneIn(2) {
		r.Limit = pick[int64](g, 1, 2, 3, 500)
	}
	if g.oneIn(3) {
		r.Key = append([]byte(prefix+"ns/"+strconv.Itoa(g.rng.IntN(5))), 0)
	}
	return r
}

// start is the revision that a watch begins at, of every kind.
func (g *generator) start(old bool) int64 {
	switch n := g.rng.IntN(8); {
	case n == 0:
		return g.revision + 2 + g.rng.Int64N(4)
	case n < 4 && old:
		return g.recent()
	case n < 7 && old && g.compacted > 1:
		return max(g.compacted-1-g.rng.Int64N(3), 1)
	case n == 7:
		return g.revision + 1 // as a reflector goes on
	}
	return 0
}

func (g *generator) ofWatch(r *pb.WatchCreateRequest) Shape {
	switch start := r.GetStartRevision(); {
	case string(r.GetKey()) == compactKey && start <= g.revision+1:
		return CompactorWatch
	case start == 0 || start == g.revision+1:
		return WatchNow
	case start > g.revision:
		return WatchFuture
	case start < g.compacted:
		return WatchCompacted
	}
	return WatchPast
}

// forget ends what the generator knows of keys: those of the next round are new.
func (g *generator) forget(prefix string, revision int64) {
	g.prefix, g.first, g.revision = prefix, revision, revision
	clear(g.known)
	g.leases = nil
}

func keysOf(events []*mvccpb.Event) (keys []string) {
	for _, e := range events {
		keys = append(keys, string(e.GetKv().GetKey()))
	}
	return keys
}
