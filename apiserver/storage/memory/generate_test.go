package memory_test

import (
	"fmt"
	"math/rand/v2"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// generator makes requests of every shape, sensible ones and others. It learns
// revisions from the answers, so that many of its guesses are right.
type generator struct {
	rng       *rand.Rand
	revision  int64            // the newest that was seen
	compacted int64            // the last revision that was compacted
	known     map[string]int64 // modification revisions of keys
	leases    []int64          // granted, perhaps over
	turn      int
}

func newGenerator() *generator { return &generator{revision: 1, known: map[string]int64{}} }

func (g *generator) oneIn(n int) bool { return g.rng.IntN(n) == 0 }

func pick[T any](g *generator, of ...T) T { return of[g.rng.IntN(len(of))] }

var resources = []string{"/registry/pods/", "/registry/leases/", "/registry/events/"}

func (g *generator) key() []byte {
	if g.oneIn(150) {
		return nil
	}
	return fmt.Appendf(nil, "%sns/%d", pick(g, resources...), g.rng.IntN(5))
}

func (g *generator) value() []byte {
	if g.oneIn(400) { // about as much as is allowed, and a little more
		return make([]byte, pick(g, 3<<19-4096, 3<<19))
	}
	return fmt.Appendf(nil, "%d-%d", g.turn, g.rng.IntN(1000))
}

// span is a key and a range end: of a resource, of one key, of all from a key
// on, and some that make no sense.
func (g *generator) span() (key, end []byte) {
	prefix := pick(g, resources...)
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
		return pick[int64](g, -1, -2, -1000)
	case 2:
		return max(g.compacted-g.rng.Int64N(3), 0)
	case 3:
		return g.compacted + 1
	case 4, 5, 6:
		return g.recent()
	default:
		return 0
	}
}

func (g *generator) recent() int64 {
	oldest := max(g.compacted, 1)
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
	case g.oneIn(20):
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
	key := []byte("compact_rev_key")
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
	if g.oneIn(3) {
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
