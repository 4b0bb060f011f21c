package memory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// The size of the comparison. Seeds follow one another on the same two stores.
const (
	seeds = 240
	turns = 60 // requests of a seed
)

// TestAnswersAreEtcds sends the same random requests to etcd and to the store
// in memory, one after the other, and wants the same answers: revisions, errors
// with their words, and the events of watches of every kind.
func TestAnswersAreEtcds(t *testing.T) {
	c := newComparison(t)
	for seed := range uint64(seeds) {
		c.gen.rng = rand.New(rand.NewPCG(seed, 1))
		if err := c.seed(); err != nil {
			t.Fatalf("seed %d, turn %d: %v", seed, c.gen.turn, err)
		}
	}
	c.checkCounts(t)
}

// comparison is the two stores, and what has been asked of them.
type comparison struct {
	ctx      context.Context
	servers  [2]*server
	gen      *generator
	watches  *watches
	answered map[string]int // answers of a kind: method, then "ok" or the error
}

func newComparison(t *testing.T) *comparison {
	t.Helper()
	c := &comparison{ctx: t.Context(), servers: both(t), gen: newGenerator(), answered: map[string]int{}}
	c.watches = newWatches(t, c)
	return c
}

// seed sends the requests of one seed and then compares the watches.
func (c *comparison) seed() error {
	g := c.gen
	// etcd gets to an old revision every 100 ms only. What is compacted in the
	// meantime would be a matter of time, so it is one or the other.
	old := g.oneIn(3)
	for g.turn = range turns {
		if err := c.turn(old); err != nil {
			return err
		}
	}
	return c.watches.settle()
}

func (c *comparison) turn(old bool) error {
	g := c.gen
	switch n := g.rng.IntN(100); {
	case n < 35:
		return ask(c, "Txn", g.optimistic(), func(s *server) answerer[*pb.TxnRequest, *pb.TxnResponse] { return unary(s.kv.Txn) })
	case n < 39:
		return ask(c, "Txn", g.compactor(), func(s *server) answerer[*pb.TxnRequest, *pb.TxnResponse] { return unary(s.kv.Txn) })
	case n < 54:
		return ask(c, "Txn", g.several(), func(s *server) answerer[*pb.TxnRequest, *pb.TxnResponse] { return unary(s.kv.Txn) })
	case n < 68:
		return ask(c, "Range", g.read(), func(s *server) answerer[*pb.RangeRequest, *pb.RangeResponse] { return unary(s.kv.Range) })
	case n < 80:
		return ask(c, "RangeStream", g.read(), func(s *server) answerer[*pb.RangeRequest, *pb.RangeResponse] { return s.rangeStream })
	case n < 84:
		return ask(c, "LeaseGrant", g.grant(), func(s *server) answerer[*pb.LeaseGrantRequest, *pb.LeaseGrantResponse] {
			return unary(s.lease.LeaseGrant)
		})
	case n < 86:
		return ask(c, "LeaseRevoke", &pb.LeaseRevokeRequest{ID: g.lease()}, func(s *server) answerer[*pb.LeaseRevokeRequest, *pb.LeaseRevokeResponse] {
			return unary(s.lease.LeaseRevoke)
		})
	case n < 89 && (!old || c.watches.none()):
		// etcd reads previous values when it sends, if they are not compacted by then.
		if err := c.watches.await(); err != nil {
			return err
		}
		return ask(c, "Compact", g.compaction(), func(s *server) answerer[*pb.CompactionRequest, *pb.CompactionResponse] {
			return unary(s.kv.Compact)
		})
	case n < 97:
		return c.watches.create(g.watch(old))
	default:
		return c.watches.cancelOne()
	}
}

// answerer is one method of a server.
type answerer[Q, A any] func(context.Context, Q) (A, error)

// ask sends a request to both servers and compares their answers.
func ask[Q proto.Message, A answer](c *comparison, method string, request Q, of func(*server) answerer[Q, A]) error {
	ctx, cancel := context.WithTimeout(c.ctx, bound)
	defer cancel()
	var answers [2]A
	var errs [2]error
	for i, s := range c.servers {
		// A request is sent as a copy: nobody may rely on what the other does to it.
		answers[i], errs[i] = of(s)(ctx, proto.Clone(request).(Q))
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s was not answered in time: %v", method, errs)
	}
	kind := "ok"
	if errs[0] != nil {
		kind = status.Convert(errs[0]).Message()
	}
	c.answered[method+" "+kind]++
	if got, want := errorOf(errs[1]), errorOf(errs[0]); got != want {
		return fmt.Errorf("%s %v\nerror %s, want %s", method, request, got, want)
	}
	if errs[0] != nil {
		return nil
	}
	if diff := difference(answers[0], answers[1]); diff != "" {
		return fmt.Errorf("%s %v\nanswer (-etcd +memory):\n%s", method, request, diff)
	}
	c.gen.learn(request, answers[0])
	return nil
}

func errorOf(err error) string {
	s := status.Convert(err)
	return s.Code().String() + ": " + s.Message()
}

// answer is what has a header.
type answer interface {
	proto.Message
	GetHeader() *pb.ResponseHeader
}

// difference compares two answers, without who gave them.
func difference(etcd, memory answer) string {
	for _, a := range []answer{etcd, memory} {
		h := a.GetHeader()
		if h.GetClusterId() == 0 || h.GetMemberId() == 0 || h.GetRaftTerm() == 0 {
			return fmt.Sprintf("nobody is named in %v", a)
		}
		h.ClusterId, h.MemberId, h.RaftTerm = 0, 0, 0
	}
	if proto.Equal(etcd, memory) { // cmp.Diff takes seconds for long values
		return ""
	}
	return cmp.Diff(etcd, memory, protocmp.Transform())
}

// checkCounts makes sure that the comparison was one: that every answer which
// can be had was had.
func (c *comparison) checkCounts(t *testing.T) {
	t.Helper()
	for _, kind := range []string{
		"Txn ok", "Range ok", "RangeStream ok", "Compact ok", "LeaseGrant ok", "LeaseRevoke ok",
		"Range etcdserver: mvcc: required revision has been compacted",
		"Range etcdserver: mvcc: required revision is a future revision",
		"RangeStream etcdserver: mvcc: required revision has been compacted",
		"RangeStream etcdserver: mvcc: required revision is a future revision",
		"Range etcdserver: key is not provided",
		"Range etcdserver: invalid sort option",
		"Txn etcdserver: mvcc: required revision has been compacted",
		"Txn etcdserver: mvcc: required revision is a future revision",
		"Txn etcdserver: duplicate key given in txn request",
		"Txn etcdserver: too many operations in txn request",
		"Txn etcdserver: requested lease not found",
		"Txn etcdserver: request is too large",
		"Txn etcdserver: key is not provided",
		"Txn etcdserver: key not found",
		"Compact etcdserver: mvcc: required revision has been compacted",
		"Compact etcdserver: mvcc: required revision is a future revision",
		"LeaseGrant etcdserver: lease already exists",
		"LeaseGrant etcdserver: too large lease TTL",
		"LeaseRevoke etcdserver: requested lease not found",
		"Watch created", "Watch refused", "Watch lost", "Watch canceled", "Watch event", "Watch previous value",
		"Watch progress", "Watch of the past", "Watch of the future",
	} {
		if c.answered[kind] == 0 {
			t.Errorf("there was no %q", kind)
		}
	}
	t.Logf("answers that agree: %v", c.answered)
}

// unary is a method of a client without its options.
func unary[Q, A any, O any](f func(context.Context, Q, ...O) (A, error)) answerer[Q, A] {
	return func(ctx context.Context, r Q) (A, error) { return f(ctx, r) }
}
