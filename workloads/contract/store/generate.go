package store

import (
	"fmt"
	"math/rand/v2"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// generator makes requests, of the shapes that a kube-apiserver uses or of every
// shape, sensible ones and others. It learns revisions from the model's answers,
// so that many of its guesses are right.
type generator struct {
	rng       *rand.Rand
	anything  bool             // also what no API server asks
	prefix    string           // of all keys, with a slash at its end
	first     int64            // the revision at which the round begins
	revision  int64            // the newest that was seen
	compacted int64            // the last revision that was compacted
	known     map[string]int64 // modification revisions of keys
	leases    []int64          // granted, perhaps over
	turn      int
}

func newGenerator(anything bool) *generator {
	return &generator{anything: anything, prefix: "/registry/", first: 1, revision: 1, known: map[string]int64{}}
}

func (g *generator) oneIn(n int) bool { return g.rng.IntN(n) == 0 }

func pick[T any](g *generator, of ...T) T { return of[g.rng.IntN(len(of))] }

var resources = []string{"pods/", "leases/", "events/"}

func (g *generator) resource() string { return g.prefix + pick(g, resources...) }

func (g *generator) key() []byte {
	if g.anything && g.oneIn(150) {
		return nil
	}
	return fmt.Appendf(nil, "%sns/%d", g.resource(), g.rng.IntN(5))
}

func (g *generator) value() []byte {
	if g.anything && g.oneIn(400) { // about as much as is allowed, and a little more
		return make([]byte, pick(g, 3<<19-4096, 3<<19))
	}
	return fmt.Appendf(nil, "%d-%d", g.turn, g.rng.IntN(1000))
}

// span is a key and a range end: of a resource, of one key, of all from a key
// on, and some that make no sense.
func (g *generator) span() (key, end []byte) {
	prefix := g.resource()
	switch g.rng.IntN(8) {
	case 0:
		return g.key(), nil
	case 1:
		return g.key(), []byte{0}
	case 2:
		return []byte{0}, []byte{0}
	case 3:
		return g.key(), g.key() // perhaps the wrong way round
	case 4: // a page
		return append(g.key(), 0), after(prefix)
	default:
		return []byte(prefix), after(prefix)
	}
}

// after is the end of the range of a prefix.
func after(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}

// at is a revision to read at, of every kind.
func (g *generator) at() int64 {
	switch g.rng.IntN(12) {
	case 0:
		return g.revision + 1 + g.rng.Int64N(3)
	case 1:
		if !g.anything {
			return 0
		}
		return pick[int64](g, -1, -2, -1000)
	case 2:
		return max(g.compacted-g.rng.Int64N(3), 0)
	case 3:
		return min(g.compacted+1, g.revision)
	case 4, 5, 6:
		return g.recent()
	default:
		return 0
	}
}

func (g *generator) recent() int64 {
	oldest := max(g.compacted, g.first)
	return oldest + g.rng.Int64N(g.revision-oldest+1)
}

func (g *generator) read() *pb.RangeRequest {
	r := &pb.RangeRequest{Revision: g.at(), Serializable: g.oneIn(4)}
	r.Key, r.RangeEnd = g.span()
	if g.oneIn(3) {
		r.Limit = pick[int64](g, 1, 2, 3, 12, -1)
	}
	r.CountOnly, r.KeysOnly = g.oneIn(6), g.oneIn(6)
	switch g.rng.IntN(60) {
	case 0:
		r.SortOrder = 7
	case 1:
		r.SortTarget = -1
	case 2, 3:
		r.SortOrder = pb.RangeRequest_ASCEND
	}
	return r
}

func (g *generator) lease() int64 {
	switch {
	case g.anything && g.oneIn(20):
		return 4711 // never granted
	case len(g.leases) > 0 && g.oneIn(3):
		return pick(g, g.leases...)
	}
	return 0
}

// expected is the revision that a writer believes a key to have.
func (g *generator) expected(key []byte) int64 {
	if g.oneIn(4) {
		return pick[int64](g, 0, 1, g.revision, g.revision+1)
	}
	return g.known[string(key)]
}

// optimistic is a create, an update or a delete, as kube-apiserver writes them.
func (g *generator) optimistic() *pb.TxnRequest {
	key := g.key()
	r := &pb.TxnRequest{Compare: []*pb.Compare{{
		Key: key, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: g.expected(key)},
	}}}
	if g.oneIn(4) {
		r.Success = []*pb.RequestOp{opDelete(&pb.DeleteRangeRequest{Key: key})}
	} else {
		r.Success = []*pb.RequestOp{opPut(&pb.PutRequest{Key: key, Value: g.value(), Lease: g.lease()})}
	}
	if !g.oneIn(3) {
		r.Failure = []*pb.RequestOp{opRange(&pb.RangeRequest{Key: key})}
	}
	return r
}

// compactor is what kube-apiserver's compactor asks before it compacts.
func (g *generator) compactor() *pb.TxnRequest {
	key := []byte(compactKey)
	return &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: key, Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: pick[int64](g, 0, 1, g.rng.Int64N(20))},
		}},
		Success: []*pb.RequestOp{opPut(&pb.PutRequest{Key: key, Value: g.value()})},
		Failure: []*pb.RequestOp{opRange(&pb.RangeRequest{Key: key})},
	}
}

// several is a transaction of anything.
func (g *generator) several() *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range g.rng.IntN(3) {
		r.Compare = append(r.Compare, g.compare())
	}
	r.Success, r.Failure = g.ops(), g.ops()
	if g.oneIn(100) {
		for range 129 {
			r.Failure = append(r.Failure, opRange(&pb.RangeRequest{Key: []byte("k")}))
		}
	}
	return r
}

func (g *generator) ops() (ops []*pb.RequestOp) {
	for range g.rng.IntN(4) {
		switch g.rng.IntN(8) {
		case 0, 1, 2, 3:
			ops = append(ops, opPut(&pb.PutRequest{Key: g.key(), Value: g.value(), Lease: g.lease(), PrevKv: g.oneIn(3)}))
		case 4:
			r := &pb.DeleteRangeRequest{PrevKv: g.oneIn(2)}
			r.Key, r.RangeEnd = g.span()
			ops = append(ops, opDelete(r))
		case 5, 6:
			r := g.read()
			if g.oneIn(2) {
				r.Revision = 0
			}
			ops = append(ops, opRange(r))
		default:
			ops = append(ops, opDelete(&pb.DeleteRangeRequest{Key: g.key()}))
		}
	}
	if g.oneIn(60) {
		ops = append(ops, &pb.RequestOp{})
	}
	return ops
}

func (g *generator) compare() *pb.Compare {
	c := &pb.Compare{Key: g.key(), Result: pb.Compare_CompareResult(g.rng.IntN(4))}
	if g.oneIn(4) {
		c.Key, c.RangeEnd = g.span()
	}
	small := pick[int64](g, 0, 1, 2, g.known[string(c.Key)])
	switch g.rng.IntN(6) {
	case 0:
		c.Target, c.TargetUnion = pb.Compare_VERSION, &pb.Compare_Version{Version: small}
	case 1:
		c.Target, c.TargetUnion = pb.Compare_CREATE, &pb.Compare_CreateRevision{CreateRevision: small}
	case 2:
		c.Target, c.TargetUnion = pb.Compare_LEASE, &pb.Compare_Lease{Lease: g.lease()}
	case 3:
		c.Target, c.TargetUnion = pb.Compare_VALUE, &pb.Compare_Value{Value: pick(g, nil, g.value())}
	case 4: // the union does not fit the target
		c.Target, c.TargetUnion = pb.Compare_CREATE, &pb.Compare_Version{Version: small}
	default:
		c.Target, c.TargetUnion = pb.Compare_MOD, &pb.Compare_ModRevision{ModRevision: small}
	}
	return c
}

func opPut(r *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
}

func opDelete(r *pb.DeleteRangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}}
}

func opRange(r *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
}

// compaction asks for a revision that can be compacted, or for another.
func (g *generator) compaction() *pb.CompactionRequest {
	at := g.recent()
	switch {
	case !g.oneIn(3):
	case !g.anything:
		at = max(1, pick(g, g.compacted, g.compacted-1, g.revision+1, g.revision))
	default:
		at = pick(g, g.compacted, g.compacted-1, g.revision+1, g.revision, 0, -1, -7)
	}
	return &pb.CompactionRequest{Revision: at}
}

func (g *generator) grant() *pb.LeaseGrantRequest {
	r := &pb.LeaseGrantRequest{ID: 1 + g.rng.Int64N(1<<40), TTL: pick[int64](g, 3600, 3600, 3600, 1_000_000, 9_000_000_000, 9_000_000_001)}
	if len(g.leases) > 0 && g.oneIn(4) {
		r.ID = pick(g, g.leases...)
	}
	if g.oneIn(10) {
		r.ID = -r.ID
	}
	return r
}

// learn takes what an answer shows.
func (g *generator) learn(request, answer proto.Message) {
	switch answer := answer.(type) {
	case *pb.RangeResponse:
		g.see(answer.GetHeader())
		if request.(*pb.RangeRequest).GetRevision() == 0 {
			g.keys(answer.GetKvs())
		}
	case *pb.TxnResponse:
		g.see(answer.GetHeader())
		for _, r := range answer.GetResponses() {
			if r.GetResponsePut() != nil {
				g.written(request.(*pb.TxnRequest), answer)
			}
		}
	case *pb.CompactionResponse:
		g.compacted = max(g.compacted, request.(*pb.CompactionRequest).GetRevision())
	case *pb.LeaseGrantResponse:
		g.leases = append(g.leases, answer.GetID())
	case *pb.LeaseRevokeResponse:
		g.see(answer.GetHeader())
	}
}

func (g *generator) see(h *pb.ResponseHeader) { g.revision = max(g.revision, h.GetRevision()) }

func (g *generator) keys(kvs []*mvccpb.KeyValue) {
	for _, kv := range kvs {
		g.known[string(kv.GetKey())] = kv.GetModRevision()
	}
}

func (g *generator) written(r *pb.TxnRequest, answer *pb.TxnResponse) {
	ops := r.GetFailure()
	if answer.GetSucceeded() {
		ops = r.GetSuccess()
	}
	for _, op := range ops {
		if put := op.GetRequestPut(); put != nil {
			g.known[string(put.GetKey())] = answer.GetHeader().GetRevision()
		}
	}
}

// watch is a request for one, from a revision of any kind. Those of the past
// are made only where old revisions are not compacted at the same time.
func (g *generator) watch(old bool) *pb.WatchCreateRequest {
	r := &pb.WatchCreateRequest{PrevKv: g.oneIn(2), ProgressNotify: g.oneIn(2)}
	r.Key, r.RangeEnd = g.span()
	if g.oneIn(3) {
		r.Filters = []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_FilterType(g.rng.IntN(2))}
	}
	if g.oneIn(4) {
		r.WatchId = 1 + g.rng.Int64N(4)
	}
	switch n := g.rng.IntN(8); {
	case n == 0:
		r.StartRevision = -1 - g.rng.Int64N(2)
	case n == 1:
		r.StartRevision = g.revision + 1 + g.rng.Int64N(10)
	case n < 5 && old:
		r.StartRevision = g.recent()
	case n == 5 && old && g.compacted > 1:
		r.StartRevision = 1 + g.rng.Int64N(g.compacted)
	}
	return r
}

// any draws a request of any shape. live are the watches that can be ended, old
// allows those of the past; nil: nothing is to be done.
func (g *generator) any(live []int64, old bool) *request {
	r := &request{shape: other}
	switch n := g.rng.IntN(100); {
	case n < 35:
		r.message = g.optimistic()
	case n < 39:
		r.message = g.compactor()
	case n < 54:
		r.message = g.several()
	case n < 68:
		r.message = g.read()
	case n < 80:
		r.message, r.stream = g.read(), true
	case n < 84:
		r.message = g.grant()
	case n < 86:
		r.message = &pb.LeaseRevokeRequest{ID: g.lease()}
	case n < 89 && (!old || len(live) == 0):
		// etcd reads previous values when it sends, if they are not compacted by then.
		r.message = g.compaction()
	case n < 97:
		r.message = g.watch(old)
	case len(live) > 0:
		r.end = true
		r.endWatch = pick(g, live...)
	default:
		return nil
	}
	return r
}

// Transactions are n of any shape, as an Anything comparison sends them.
func Transactions(rng *rand.Rand, n int) (all []*pb.TxnRequest) {
	g := newGenerator(true)
	g.rng = rng
	for range n {
		all = append(all, g.optimistic(), g.several(), g.compactor())
	}
	return all
}
