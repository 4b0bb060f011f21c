package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Promises are what the store is to answer as the model does. What is false is
// not compared.
type Promises struct {
	// Dense: each change is one revision more.
	Dense bool
	// CompactsOnRequest: old revisions go when and only when a client asks.
	CompactsOnRequest bool
	// Whole: also what no kube-apiserver reads of an answer, namely who gives it, the
	// version of a key (other than compact_rev_key, of which it is all that is read),
	// the lease of one that is listed without its value, what a Txn that succeeded says
	// beside its revision, what the event of a deletion says beside key and revision,
	// the lease of a previous version,
	// and headers within others, of a lease, and of the end of a watch.
	Whole bool
}

// Strict are the promises of etcd.
var Strict = Promises{Dense: true, CompactsOnRequest: true, Whole: true}

// Config says what is compared.
type Config struct {
	Model, Store *Server
	Promises     Promises
	// Anything: the generator also asks what no kube-apiserver asks. Both stores
	// have to be new then, and Promises to be Strict.
	Anything bool
	// Prefix of all keys; "" with Anything, which has its own.
	Prefix string
	// Turns is the number of requests in a round.
	Turns int
	// Patience is how long an answer may take, and an event.
	Patience time.Duration
}

// Comparison is the two stores, and what has been asked of them. It is used by
// one goroutine.
type Comparison struct {
	Config
	ctx      context.Context
	servers  [2]*Server
	gen      *generator
	watches  *watches
	revs     *revisions
	leases   map[int64]int64 // of the model, to the store's
	first    [2]int64        // the revisions at which the round begins
	asked    []*request      // in the round
	told     []exchange      // what became of them
	Answered map[string]int  // answers of a kind that agree: method, then "ok" or the error
	Shapes   map[Shape]int   // answers of a shape that were compared
	rounds   int
	// events is how long one may take from now on: a store that has kept one back
	// for as long as Patience is not waited for in that way again.
	events time.Duration
}

// NewComparison begins to compare two stores. Close ends it.
func NewComparison(ctx context.Context, cfg Config) (*Comparison, error) {
	c := &Comparison{
		Config: cfg, ctx: ctx, servers: [2]*Server{cfg.Model, cfg.Store}, gen: newGenerator(cfg.Anything),
		revs: &revisions{dense: cfg.Promises.Dense}, leases: map[int64]int64{},
		Answered: map[string]int{}, Shapes: map[Shape]int{}, events: cfg.Patience,
	}
	if !cfg.Anything {
		if err := c.sameCompactKey(); err != nil {
			return nil, err
		}
		if err := c.newKeys(); err != nil {
			return nil, err
		}
	}
	var err error
	c.watches, err = newWatches(c)
	return c, err
}

// Close ends the watches.
func (c *Comparison) Close() { c.watches.close() }

// newKeys begins a round: its keys are new, and what both stores now are at counts
// as the same revision.
func (c *Comparison) newKeys() error {
	c.rounds++
	prefix := fmt.Sprintf("%s%d/", c.Prefix, c.rounds)
	for i, s := range c.servers {
		ctx, cancel := context.WithTimeout(c.ctx, c.Patience)
		answer, err := s.KV.Range(ctx, &pb.RangeRequest{Key: []byte(prefix), Limit: 1})
		cancel()
		if err != nil {
			return &GoneError{s.Name, "get a key that is not there", err}
		}
		c.first[i] = answer.GetHeader().GetRevision()
	}
	c.revs.add(c.first[0], c.first[1])
	c.gen.forget(prefix, c.first[0])
	c.asked, c.told = nil, nil
	return nil
}

// sameCompactKey gives compact_rev_key the version in the model that it has in the
// store, which may have written it at its start.
func (c *Comparison) sameCompactKey() error {
	ctx, cancel := context.WithTimeout(c.ctx, c.Patience)
	defer cancel()
	key := []byte(compactKey)
	is, err := c.Store.KV.Range(ctx, &pb.RangeRequest{Key: key, Limit: 1})
	if err != nil {
		return &GoneError{c.Store.Name, "get " + compactKey, err}
	}
	for _, kv := range is.GetKvs() {
		for range kv.GetVersion() {
			put := &pb.TxnRequest{Success: []*pb.RequestOp{opPut(&pb.PutRequest{Key: key, Value: kv.GetValue()})}}
			if _, err := c.Model.KV.Txn(ctx, put); err != nil {
				return &GoneError{c.Model.Name, "put " + compactKey, err}
			}
		}
	}
	return nil
}

// answerer is one method of a server.
type answerer[Q, A any] func(context.Context, Q) (A, error)

func unary[Q, A any, O any](f func(context.Context, Q, ...O) (A, error)) answerer[Q, A] {
	return func(ctx context.Context, r Q) (A, error) { return f(ctx, r) }
}

// send sends a request to both stores and compares their answers.
func (c *Comparison) send(r *request) error {
	switch m := r.message.(type) {
	case *pb.TxnRequest:
		return ask(c, "Txn", r, m, func(s *Server) answerer[*pb.TxnRequest, *pb.TxnResponse] { return unary(s.KV.Txn) })
	case *pb.RangeRequest:
		if r.stream {
			return ask(c, "RangeStream", r, m, func(s *Server) answerer[*pb.RangeRequest, *pb.RangeResponse] { return s.RangeStream })
		}
		return ask(c, "Range", r, m, func(s *Server) answerer[*pb.RangeRequest, *pb.RangeResponse] { return unary(s.KV.Range) })
	case *pb.CompactionRequest:
		if err := c.watches.await(); err != nil { // what is compacted is not sent any more
			return err
		}
		return ask(c, "Compact", r, m, func(s *Server) answerer[*pb.CompactionRequest, *pb.CompactionResponse] { return unary(s.KV.Compact) })
	case *pb.LeaseGrantRequest:
		return ask(c, "LeaseGrant", r, m, func(s *Server) answerer[*pb.LeaseGrantRequest, *pb.LeaseGrantResponse] {
			return unary(s.Lease.LeaseGrant)
		})
	case *pb.LeaseRevokeRequest:
		return ask(c, "LeaseRevoke", r, m, func(s *Server) answerer[*pb.LeaseRevokeRequest, *pb.LeaseRevokeResponse] {
			return unary(s.Lease.LeaseRevoke)
		})
	case *pb.WatchCreateRequest:
		return c.watches.create(r, m)
	}
	return c.watches.cancel(r.endWatch)
}

// ask sends a request to both stores and compares their answers.
func ask[Q proto.Message, A Answer](c *Comparison, method string, r *request, message Q, of func(*Server) answerer[Q, A]) error {
	var answers [2]A
	var errs [2]error
	for i, s := range c.servers {
		// A request is sent as a copy: nobody may rely on what the other does to it.
		sent := proto.Clone(message).(Q)
		if i == 1 {
			rewrite(sent, c.revs.to, c.lease)
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.Patience)
		answers[i], errs[i] = of(s)(ctx, sent)
		cancel()
		if gone(errs[i]) {
			return &GoneError{s.Name, describe(message), errs[i]}
		}
	}
	c.Shapes[r.shape]++
	if got, want := ErrorOf(errs[1]), ErrorOf(errs[0]); got != want {
		if !c.Promises.CompactsOnRequest && (compacted(errs[0]) || compacted(errs[1])) {
			c.Answered[method+" not promised"]++
			return nil
		}
		return c.differs(r, orAnswer(errs[0], answers[0]), orAnswer(errs[1], answers[1]))
	}
	if errs[0] != nil {
		c.note(r, method, status.Convert(errs[0]).Message())
		return nil
	}
	if err := c.same(r, message, answers[0], answers[1]); err != nil {
		return err
	}
	c.note(r, method, "ok")
	c.gen.learn(message, answers[0])
	return nil
}

// note counts an answer that both gave, and keeps it for a counter-example.
func (c *Comparison) note(r *request, method, what string) {
	c.Answered[method+" "+what]++
	c.told = append(c.told, exchange{r.message, what})
}

// exchange is a request on which both agreed, and on what.
type exchange struct {
	request proto.Message
	what    string
}

func (e exchange) String() string {
	if e.request == nil {
		return "end a watch"
	}
	text := describe(e.request)
	if e.what != "ok" {
		text += ": " + e.what
	}
	return text
}

// same compares two answers, after what the first means for the revisions.
func (c *Comparison) same(r *request, message proto.Message, model, store Answer) error {
	if grant, ok := model.(*pb.LeaseGrantResponse); ok {
		r.id = grant.GetID()
		if theirs := store.(*pb.LeaseGrantResponse); message.(*pb.LeaseGrantRequest).GetID() == 0 {
			c.leases[r.id], theirs.ID = theirs.GetID(), r.id
		}
	}
	if h := store.GetHeader(); h == nil {
		return c.differs(r, describe(model), "no header; "+describe(store))
	} else if c.Promises.Whole && (h.GetClusterId() == 0 || h.GetMemberId() == 0 || h.GetRaftTerm() == 0) {
		return c.differs(r, "who answers", fmt.Sprintf("nobody is named in %v", h))
	}
	told := proto.Clone(store)
	if !c.Promises.Dense && changed(message, model) && !c.revs.add(model.GetHeader().GetRevision(), store.GetHeader().GetRevision()) {
		last := c.revs.pairs[len(c.revs.pairs)-1]
		return c.differs(r, "a revision above the last one", fmt.Sprintf("its revision %d after its revision %d", store.GetHeader().GetRevision(), last[1]))
	}
	c.revs.newest = max(c.revs.newest, store.GetHeader().GetRevision())
	c.translate(model, store)
	if r, ok := message.(*pb.RangeRequest); ok && r.GetKeysOnly() && !c.Promises.Whole {
		leaseless(model.(*pb.RangeResponse).GetKvs())
		leaseless(store.(*pb.RangeResponse).GetKvs())
	}
	if want, got, equal := Equal(model, store); !equal {
		return c.differs(r, want, got+ownWords(told, store))
	}
	return nil
}

// ownWords are an answer as the store gave it, if its revisions are others.
func ownWords(told, translated proto.Message) string {
	if own := describe(told); own != describe(translated) {
		return " (in its own revisions: " + own + ")"
	}
	return ""
}

func orAnswer(err error, answer proto.Message) string {
	if err != nil {
		return ErrorOf(err)
	}
	return describe(answer)
}

func (c *Comparison) differs(r *request, want, got string) error {
	var before []string
	for _, e := range c.told {
		before = append(before, e.String())
	}
	text := ""
	if r.message != nil {
		text = describe(r.message)
	}
	if r.stream {
		text += " (RangeStream)"
	}
	return &Difference{Shape: r.shape, Request: text, Want: want, Got: got, Before: before, asked: len(c.asked)}
}

// translate turns an answer of the store into the model's revisions and leases,
// and takes out of both what is not promised.
func (c *Comparison) translate(model, store Answer) {
	header := store.GetHeader().GetRevision()
	rewrite(store, c.exactly, func(id int64) int64 { return id })
	if h := store.GetHeader(); h != nil {
		h.Revision = c.revs.back(header)
	}
	rewrite(model, func(r int64) int64 { return r }, c.lease)
	for _, m := range []Answer{model, store} {
		if !c.Anything {
			before(m, c.first[0])
		}
		if !c.Promises.Whole {
			plain(m)
		}
	}
}

// exactly is a revision of the store in terms of the model, negative if there is
// none.
func (c *Comparison) exactly(revision int64) int64 {
	m := c.revs.back(revision)
	if revision > 0 && c.revs.to(m) != revision && revision >= c.first[1] {
		return -revision
	}
	return m
}

// lease is a lease of the model as the store knows it.
func (c *Comparison) lease(id int64) int64 {
	if theirs, ok := c.leases[id]; ok {
		return theirs
	}
	return id
}

// changed says whether a transaction has made a revision.
func changed(message proto.Message, answer Answer) bool {
	txn, ok := answer.(*pb.TxnResponse)
	if !ok {
		return false
	}
	for _, r := range txn.GetResponses() {
		if r.GetResponsePut() != nil || r.GetResponseDeleteRange().GetDeleted() > 0 {
			return true
		}
	}
	return false
}

// gone says whether an error is that of a connection or of a call that has taken
// too long, rather than an answer.
func gone(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

func compacted(err error) bool {
	return err != nil && ErrorOf(err) == ErrorOf(rpctypes.ErrGRPCCompacted)
}
