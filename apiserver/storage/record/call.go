package record

import (
	"context"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// Call is one call whose messages are told to the recorder one by one, in the
// order in which they pass: a request before it goes on to the store, an answer
// before it goes on to the client. Its methods may be called concurrently. All
// methods of a nil Call do nothing.
type Call struct {
	r *Recorder

	mu    sync.Mutex // orders the records of the call
	ended bool
	talk  talk
}

// talk makes records of the messages of one shape of methods. A nil message is
// one that could not be decoded.
type talk interface {
	request(proto.Message)
	answer(proto.Message)
	end(error)
}

// Begin begins the record of a call of the method with that full name,
// /package.Service/Method. It returns nil for a call that is not recorded. The
// connection is known by the peer in ctx.
func (r *Recorder) Begin(ctx context.Context, name string) *Call {
	if r == nil || r.closed.Load() {
		return nil
	}
	m := find(name)
	c := &Call{r: r}
	o := opener{r: r, method: m, name: name, client: r.client(ctx)}
	switch m.shape {
	case shapeIgnored:
		return nil
	case shapeUnary:
		c.talk = &unaryTalk{opener: o}
	case shapeJoined:
		c.talk = &joinedTalk{opener: o}
	case shapeRenewals:
		c.talk = &renewalTalk{opener: o}
	case shapeWatch:
		c.talk = &watchTalk{opener: o, stream: r.numbers.stream.Add(1)}
	default:
		c.talk = &unknownTalk{opener: o, pending: o.open(nil)}
	}
	return c
}

// Request records a message from the client; nil is one that cannot be
// decoded. It keeps nothing of m.
func (c *Call) Request(m proto.Message) { c.do(func() { c.talk.request(m) }) }

// Answer records a message from the store, in the same way.
func (c *Call) Answer(m proto.Message) { c.do(func() { c.talk.answer(m) }) }

// End records the end of the call with the error that the client is told, and
// closes the record: what comes later is ignored.
func (c *Call) End(err error) {
	c.do(func() {
		c.talk.end(err)
		c.ended = true
	})
}

func (c *Call) do(f func()) {
	if c == nil {
		return
	}
	c.r.enter()
	defer c.r.leave()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		f()
	}
}

// opener begins the operations of one call.
type opener struct {
	r      *Recorder
	method *method
	name   string
	client uint32
}

// open begins an operation and lists it as waiting. It returns nil when there
// is nothing to record.
func (o *opener) open(m proto.Message) *node {
	called := history.Now()
	n := describe(o.method, o.name, m)
	if n == nil {
		return nil
	}
	n.op.ID = o.r.numbers.op.Add(1)
	n.op.Client, n.op.Member, n.op.Called = o.client, o.r.opt.Member, called
	if !o.r.waiting.add(n) {
		return nil
	}
	return n
}

// settle ends an operation: fill adds what is known of the answer.
func (r *Recorder) settle(n *node, returned history.Time, fill func(*history.StoreOp)) {
	if n == nil || !r.waiting.take(n) {
		return
	}
	n.op.Returned = returned
	name := n.op.Error.Message
	fill(&n.op)
	if len(n.op.Results) == 0 {
		n.op.Results = nil
	}
	if n.op.Method == history.MethodUnknown {
		n.op.Error.Message = name // what the method is called comes first
	}
	r.opt.Sink.StoreOp(&n.op)
}

func (r *Recorder) settleWith(n *node, m proto.Message) {
	r.settle(n, history.Now(), func(op *history.StoreOp) {
		if !complete(op, m) {
			op.Error = unanswered(undecodableAnswer)
		}
	})
}

func (r *Recorder) fail(n *node, err error) {
	r.settle(n, history.Now(), func(op *history.StoreOp) {
		if op.Error = Classify(err); err == nil {
			op.Error = unanswered(noAnswer)
		}
	})
}

// unaryTalk is one request and one answer. The operation is complete with the
// answer: a status other than OK after it is not part of gRPC's unary calls.
type unaryTalk struct {
	opener
	begun   bool
	pending *node
}

func (t *unaryTalk) request(m proto.Message) {
	if !t.begun {
		t.begun, t.pending = true, t.open(m)
	}
}

func (t *unaryTalk) answer(m proto.Message) {
	t.r.settleWith(t.pending, m)
	t.pending = nil
}

func (t *unaryTalk) end(err error) { t.r.fail(t.pending, err) }

// unknownTalk is a call of a method that we cannot read.
type unknownTalk struct {
	opener
	pending *node
}

func (*unknownTalk) request(proto.Message) {}
func (*unknownTalk) answer(proto.Message)  {}

func (t *unknownTalk) end(err error) {
	t.r.settle(t.pending, history.Now(), func(op *history.StoreOp) { op.Error = Classify(err) })
}

// joinedTalk is a RangeStream: all chunks make one result. They are joined as
// etcd's client does it, with proto.Merge, although etcd sends header, count
// and more in the last chunk only. Of a stream that fails only the error is
// kept, because its chunks are no answer.
type joinedTalk struct {
	opener
	begun   bool
	pending *node
	list    listing
	chunks  int
	header  int64
	term    uint64
	result  history.StoreResult // without its keys
	broken  bool
}

func (t *joinedTalk) request(m proto.Message) {
	if t.begun {
		return
	}
	t.begun, t.pending = true, t.open(m)
	if t.pending != nil {
		t.list.action = first(t.pending.op.Then)
	}
}

func (t *joinedTalk) answer(m proto.Message) {
	chunk, ok := m.(*pb.RangeStreamResponse)
	if !ok {
		t.broken = true
		return
	}
	r := chunk.GetRangeResponse()
	t.list.add(r.GetKvs())
	t.chunks++
	if h := r.GetHeader(); h.GetRevision() != 0 {
		t.header, t.term = h.GetRevision(), h.GetRaftTerm()
	}
	if n := r.GetCount(); n != 0 {
		t.result.Count = n
	}
	t.result.More = t.result.More || r.GetMore()
}

func (t *joinedTalk) end(err error) {
	t.r.settle(t.pending, history.Now(), func(op *history.StoreOp) {
		switch {
		case err != nil:
			op.Error = Classify(err)
		case t.broken:
			op.Error = unanswered(undecodableAnswer)
		case t.chunks == 0:
			op.Error = unanswered(noAnswer)
		default:
			op.Header, op.Term = t.header, t.term
			t.result.KVs, t.result.Chunks = t.list.result()
			op.Results = append(op.Results, t.result)
		}
	})
}

// renewalTalk is a LeaseKeepAlive stream: each renewal is an operation.
type renewalTalk struct {
	opener
	pending []*node // in the order in which they were asked for
}

func (t *renewalTalk) request(m proto.Message) {
	if n := t.open(m); n != nil {
		t.pending = append(t.pending, n)
	}
}

// answer belongs to the oldest renewal of the lease that it names, or, if the
// store names another one, to the oldest of all. An answer that nobody waits
// for is an operation that asked for lease 0.
func (t *renewalTalk) answer(m proto.Message) {
	if len(t.pending) == 0 {
		t.request(&pb.LeaseKeepAliveRequest{})
	}
	if len(t.pending) == 0 {
		return // the history has ended
	}
	i := 0
	if resp, ok := m.(*pb.LeaseKeepAliveResponse); ok {
		for j, n := range t.pending {
			if n.op.Lease == resp.GetID() {
				i = j
				break
			}
		}
	}
	n := t.pending[i]
	t.pending = append(t.pending[:i], t.pending[i+1:]...)
	t.r.settleWith(n, m)
}

func (t *renewalTalk) end(err error) {
	for _, n := range t.pending {
		t.r.fail(n, err)
	}
	t.pending = nil
}
