// Package record turns the gRPC traffic of the etcd v3 API into the records of
// a storage history.
//
// One Recorder stands for one member of the store. It is used in two places:
// as interceptors of an etcd server inside this process, and by the recording
// proxy in front of every other store, which feeds it message by message. In
// both it sits between the client and whatever might lie to it.
//
// What is recorded: every method of KV; LeaseGrant, LeaseRevoke, LeaseKeepAlive
// and LeaseTimeToLive; Watch; of Maintenance Status, HashKV and Hash. A method
// that can change neither a key nor a lease is left out, see methods; every
// other one is history.MethodUnknown, and so is a call of a known method whose
// request cannot be decoded.
//
// Where history.StoreOp leaves it open:
//
//   - Lease is the ID that a LeaseGrant, LeaseRevoke, LeaseKeepAlive or
//     LeaseTimeToLive names.
//   - TTL of a LeaseTimeToLive, which asks for none, is the time that the
//     answer says is left; -1 means that there is no such lease. GrantedTTL is
//     the one that it was granted with.
//   - Results of a failed call are empty, also where chunks had come before
//     the failure.
//
// Watches are recorded by etcd's own reading of a request (etcdserver/api/v3rpc
// watch.go, recvLoop): an empty key is "\x00", the smallest key, so that an
// empty key with the end "\x00" is everything. The end stays as it came: "" is
// the one key, "\x00" everything from the key on. The key of a Range is left
// alone, because there an empty one is refused.
package record

import (
	"context"
	"net"
	"runtime/pprof"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/planecheck/planecheck/checkers/history"
)

// Numbers gives out the numbers that are unique in one history. All recorders
// of a history share one. The zero value is ready for use.
type Numbers struct {
	op, stream atomic.Uint64
	client     atomic.Uint32
}

// Options are what a Recorder needs to know.
type Options struct {
	Member string            // the member that answers, as in the backend's list
	Sink   history.StoreSink // takes the records; nil: nothing is recorded
	// Numbers are those of the history; nil: this recorder has one to itself.
	Numbers *Numbers
	// Inside carries the pprof labels under which the recorder works, Outside
	// those that the goroutine goes on with. Go offers no way to ask for the
	// labels of a goroutine, so both must be told. Nil Inside: labels stay.
	Inside, Outside context.Context
}

// Recorder records the calls of one member. A nil Recorder records nothing.
type Recorder struct {
	opt     Options
	numbers *Numbers
	waiting waiting
	closed  atomic.Bool

	// clients maps the address of a connection's far end to its number. The
	// key is the pointer that net hands out, which differs from connection to
	// connection even where a port is used again. Entries stay until the
	// recorder goes: some 100 bytes for each connection of a run.
	clients sync.Map
}

// New returns a recorder, or nil if opt has no sink.
func New(opt Options) *Recorder {
	if opt.Sink == nil {
		return nil
	}
	r := &Recorder{opt: opt, numbers: opt.Numbers}
	if r.numbers == nil {
		r.numbers = &Numbers{}
	}
	return r
}

// ServerOptions installs the recorder in a gRPC server, innermost of all
// interceptors that are given before. Those of a nil Recorder are none: a
// server that is not recorded pays nothing.
func (r *Recorder) ServerOptions() []grpc.ServerOption {
	if r == nil {
		return nil
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(r.UnaryInterceptor()),
		grpc.ChainStreamInterceptor(r.StreamInterceptor()),
	}
}

// Close ends the history: each call that still waits for its answer is
// recorded without one, because a write among them may take effect yet.
// Whatever comes later passes without a record.
func (r *Recorder) Close() {
	if r == nil || r.closed.Swap(true) {
		return
	}
	for _, n := range r.waiting.close() {
		r.opt.Sink.StoreOp(&n.op)
	}
}

// enter and leave bracket the recorder's work, so that a profile of the
// harness shows it apart from the store's.
func (r *Recorder) enter() {
	if r.opt.Inside != nil {
		pprof.SetGoroutineLabels(r.opt.Inside)
	}
}

func (r *Recorder) leave() {
	if r.opt.Inside != nil {
		pprof.SetGoroutineLabels(r.opt.Outside)
	}
}

// client numbers the connection that a call came over; 0: it came over none.
func (r *Recorder) client(ctx context.Context) uint32 {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return 0
	}
	var key any
	switch addr := p.Addr.(type) {
	case *net.TCPAddr:
		key = addr
	default: // of a kind that may not be comparable
		key = addr.Network() + " " + addr.String()
	}
	if id, ok := r.clients.Load(key); ok {
		return id.(uint32)
	}
	// Two first calls of a connection may both come here; one number is lost.
	id, _ := r.clients.LoadOrStore(key, r.numbers.client.Add(1))
	return id.(uint32)
}
