package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// memory keeps the records that it is given.
type memory struct {
	mu      sync.Mutex
	ops     []*history.StoreOp
	watches []*history.StoreWatch
	on      func() // runs inside the recorder
}

func (s *memory) StoreOp(op *history.StoreOp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(s.ops, op)
	if s.on != nil {
		s.on()
	}
}

func (s *memory) StoreWatch(w *history.StoreWatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = append(s.watches, w)
}

// timeless compares records but for what differs from run to run.
var timeless = cmp.Options{
	cmpopts.IgnoreFields(history.StoreOp{}, "ID", "Client", "Called", "Returned"),
	cmpopts.IgnoreFields(history.StoreWatch{}, "Stream", "At"),
}

const someKey = "/registry/pods/default/web-0"

// from is the context of a call that came over the connection of addr.
func from(ctx context.Context, addr net.Addr) context.Context {
	return peer.NewContext(ctx, &peer.Peer{Addr: addr})
}

// unary sends one request through the interceptor.
func unary(t *testing.T, r *Recorder, name string, req any, handler grpc.UnaryHandler) (any, error) {
	t.Helper()
	return r.UnaryInterceptor()(t.Context(), req, &grpc.UnaryServerInfo{FullMethod: name}, handler)
}

// TestRequestIsCopied has handlers that spoil their requests, as etcd's do, and
// buffers that are used again.
func TestRequestIsCopied(t *testing.T) {
	sink := &memory{}
	r := New(Options{Member: "m0", Sink: sink})
	kv := keyVal("k", 3, "value")
	grant := &pb.LeaseGrantRequest{TTL: 9}
	read := &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), Limit: 500}
	txn := &pb.TxnRequest{Compare: []*pb.Compare{modIs("k", 2)}, Success: []*pb.RequestOp{put("k", "value")}}
	answer := &pb.RangeResponse{Header: header(7), Kvs: kvList(kv), Count: 1}
	for _, call := range []struct {
		name    string
		req     proto.Message
		handler grpc.UnaryHandler
	}{
		{pb.Lease_LeaseGrant_FullMethodName, grant, func(context.Context, any) (any, error) {
			grant.ID = 77
			return &pb.LeaseGrantResponse{Header: header(1), ID: 77, TTL: 9}, nil
		}},
		{pb.KV_Range_FullMethodName, read, func(context.Context, any) (any, error) {
			read.Key[0], read.RangeEnd[0], read.Limit, read.Revision = 'x', 'x', 10, 7
			return answer, nil
		}},
		{pb.KV_Txn_FullMethodName, txn, func(context.Context, any) (any, error) {
			txn.Compare[0].Key[0] = 'x'
			txn.Success[0].GetRequestPut().Value[0] = 'x'
			return &pb.TxnResponse{Header: header(8), Succeeded: true, Responses: []*pb.ResponseOp{putDone()}}, nil
		}},
	} {
		if _, err := unary(t, r, call.name, call.req, call.handler); err != nil {
			t.Fatal(err)
		}
	}
	answer.Kvs[0].Key[0] = 'x'
	hash := history.HashValue([]byte("value"))
	want := []*history.StoreOp{
		{Member: "m0", Method: history.MethodLeaseGrant, TTL: 9, Header: 1, Term: term, GrantedLease: 77, GrantedTTL: 9},
		{
			Member: "m0", Method: history.MethodRange, Header: 7, Term: term,
			Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "k", End: "l", Limit: 500}},
			Results: []history.StoreResult{{Count: 1, KVs: []history.StoreKV{{Key: "k", Create: 3, Mod: 3, Version: 1, Value: hash}}}},
		},
		{
			Member: "m0", Method: history.MethodTxn, Header: 8, Term: term, Succeeded: true,
			Compares: []history.StoreCompare{{Key: "k", Target: history.CompareMod, Op: "=", Number: 2}},
			Then:     []history.StoreAction{{Kind: history.ActionPut, Key: "k", Value: hash, Bytes: 5}},
			Results:  []history.StoreResult{{}},
		},
	}
	if diff := cmp.Diff(want, sink.ops, timeless); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestTimesAndNumbers(t *testing.T) {
	sink := &memory{}
	numbers := &Numbers{}
	a := New(Options{Member: "a", Sink: sink, Numbers: numbers})
	b := New(Options{Member: "b", Sink: sink, Numbers: numbers})
	one, two := &net.TCPAddr{Port: 1}, &net.TCPAddr{Port: 1} // the same port, used again
	var began, ended []history.Time
	handler := func(context.Context, any) (any, error) {
		began = append(began, history.Now())
		ended = append(ended, history.Now())
		return &pb.PutResponse{}, nil
	}
	for _, c := range []struct {
		r    *Recorder
		addr net.Addr
	}{{a, one}, {b, two}, {a, one}, {a, two}, {a, &net.UnixAddr{Name: "u"}}, {a, &net.UnixAddr{Name: "u"}}} {
		info := &grpc.UnaryServerInfo{FullMethod: pb.KV_Put_FullMethodName}
		if _, err := c.r.UnaryInterceptor()(from(t.Context(), c.addr), &pb.PutRequest{Key: []byte("k")}, info, handler); err != nil {
			t.Fatal(err)
		}
	}
	var ids []uint64
	var clients []uint32
	for i, op := range sink.ops {
		ids, clients = append(ids, op.ID), append(clients, op.Client)
		if op.Called == 0 || op.Called > began[i] || op.Returned < ended[i] {
			t.Errorf("call %d is recorded from %d to %d, its handler ran from %d to %d", i, op.Called, op.Returned, began[i], ended[i])
		}
	}
	if diff := cmp.Diff([]uint64{1, 2, 3, 4, 5, 6}, ids); diff != "" {
		t.Errorf("IDs (-want +got):\n%s", diff)
	}
	// Connection two is another one to member b than to member a.
	if diff := cmp.Diff([]uint32{1, 2, 1, 3, 4, 4}, clients); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
}

// TestEveryMethod goes through all methods of the API: each is recorded under
// its name, ignored, or recorded as unknown.
func TestEveryMethod(t *testing.T) {
	known := map[string]history.StoreMethod{
		"KV/Range": "Range", "KV/Put": "Put", "KV/DeleteRange": "DeleteRange", "KV/Txn": "Txn", "KV/Compact": "Compact",
		"KV/RangeStream": "RangeStream", "Lease/LeaseGrant": "LeaseGrant", "Lease/LeaseRevoke": "LeaseRevoke",
		"Lease/LeaseTimeToLive": "LeaseTimeToLive", "Maintenance/Status": "Status", "Maintenance/HashKV": "HashKV", "Maintenance/Hash": "Hash",
	}
	streams := map[string]bool{"Watch/Watch": true, "Lease/LeaseKeepAlive": true} // see their own tests
	ignored := map[string]bool{}
	for name := range strings.FieldsSeq(`Lease/LeaseLeases Maintenance/Snapshot Maintenance/Defragment Maintenance/MoveLeader Maintenance/Alarm
		Cluster/MemberList Auth/AuthStatus Auth/Authenticate Auth/UserGet Auth/UserList Auth/RoleGet Auth/RoleList`) {
		ignored[name] = true
	}
	for _, service := range []grpc.ServiceDesc{
		pb.KV_ServiceDesc, pb.Watch_ServiceDesc, pb.Lease_ServiceDesc, pb.Cluster_ServiceDesc, pb.Maintenance_ServiceDesc, pb.Auth_ServiceDesc,
	} {
		var names []string
		for _, m := range service.Methods {
			names = append(names, m.MethodName)
		}
		for _, s := range service.Streams {
			names = append(names, s.StreamName)
		}
		for _, name := range names {
			full := "/" + service.ServiceName + "/" + name
			short := strings.TrimPrefix(full, "/etcdserverpb.")
			if streams[short] {
				continue
			}
			var want []*history.StoreOp
			switch {
			case ignored[short]:
			case known[short] != "":
				want = []*history.StoreOp{{Method: known[short], Error: unanswered(noAnswer)}}
			default:
				want = []*history.StoreOp{{Method: history.MethodUnknown, Error: history.StoreError{Message: full}}}
			}
			if diff := cmp.Diff(want, ended(t, full), timeless, cmpopts.IgnoreFields(history.StoreOp{}, "Then"),
				cmpopts.IgnoreFields(history.StoreError{}, "Kind")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", short, diff)
			}
		}
	}
	for name, want := range map[string]int{
		"/grpc.health.v1.Health/Check": 0, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": 0,
		"/v3lockpb.Lock/Lock": 1, "/etcdserverpb.KV/Truncate": 1, "": 1,
	} {
		if got := ended(t, name); len(got) != want {
			t.Errorf("%q: %d records, want %d", name, len(got), want)
		}
	}
}

// ended records a call that has a request, and ends without an answer.
func ended(t *testing.T, name string) []*history.StoreOp {
	t.Helper()
	sink := &memory{}
	r := New(Options{Sink: sink})
	c := r.Begin(t.Context(), name)
	m, err := DecodeRequest(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name == pb.Maintenance_Downgrade_FullMethodName {
		m = &pb.DowngradeRequest{Action: pb.DowngradeRequest_ENABLE}
	}
	c.Request(m)
	c.End(nil)
	return sink.ops
}

func TestQuestionsAreIgnored(t *testing.T) {
	sink := &memory{}
	r := New(Options{Sink: sink})
	for name, req := range map[string]proto.Message{
		pb.Maintenance_Alarm_FullMethodName:     &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE},
		pb.Maintenance_Downgrade_FullMethodName: &pb.DowngradeRequest{Action: pb.DowngradeRequest_VALIDATE},
	} {
		if _, err := unary(t, r, name, req, func(context.Context, any) (any, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(sink.ops) != 0 {
		t.Errorf("recorded: %+v", sink.ops)
	}
}

func TestClassify(t *testing.T) {
	for want, errs := range map[history.StoreErrorKind][]error{
		history.ErrorNone:            {nil},
		history.ErrorNoSpace:         {rpctypes.ErrGRPCNoSpace},
		history.ErrorCompacted:       {rpctypes.ErrGRPCCompacted, rpctypes.ErrCompacted},
		history.ErrorFutureRev:       {rpctypes.ErrGRPCFutureRev},
		history.ErrorLeaseNotFound:   {rpctypes.ErrGRPCLeaseNotFound},
		history.ErrorLeaseExists:     {rpctypes.ErrGRPCLeaseExist},
		history.ErrorTooLarge:        {rpctypes.ErrGRPCRequestTooLarge},
		history.ErrorTooManyRequests: {rpctypes.ErrGRPCRequestTooManyRequests, rpctypes.ErrTooManyRequests, status.Error(codes.Unknown, "etcdserver: too many requests")},
		history.ErrorInvalid:         {rpctypes.ErrGRPCEmptyKey, rpctypes.ErrGRPCTooManyOps, rpctypes.ErrGRPCDuplicateKey, rpctypes.ErrGRPCLeaseTTLTooLarge},
		history.ErrorUnknown: {
			rpctypes.ErrGRPCTimeout, rpctypes.ErrGRPCLeaderChanged, rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCStopped,
			context.Canceled, context.DeadlineExceeded, errors.New("cut"), status.Error(codes.Unavailable, "closing"),
			// gRPC's own words: the same ones may come after the fact.
			status.Error(codes.ResourceExhausted, "grpc: received message larger than max (9 vs. 8)"),
			status.Error(codes.Unimplemented, "unknown method"),
			status.Error(codes.OutOfRange, "something else"),
		},
	} {
		for _, err := range errs {
			if got := Classify(err).Kind; got != want {
				t.Errorf("Classify(%v) = %q, want %q", err, got, want)
			}
		}
	}
	for want, err := range map[string]error{
		"":                           nil,
		"Canceled: context canceled": context.Canceled,
		"Unknown: cut":               errors.New("cut"),
		"NotFound: etcdserver: requested lease not found": rpctypes.ErrGRPCLeaseNotFound,
	} {
		if got := Classify(err).Message; got != want {
			t.Errorf("message of %v = %q, want %q", err, got, want)
		}
	}
}

// TestCloseRecordsWhatWaits has three calls under way at the end of the
// history, one of which gets its answer after it.
func TestCloseRecordsWhatWaits(t *testing.T) {
	sink := &memory{}
	r := New(Options{Sink: sink})
	var calls []*Call
	for i := range 20 {
		c := r.Begin(t.Context(), pb.KV_Put_FullMethodName)
		c.Request(&pb.PutRequest{Key: fmt.Append(nil, i)})
		calls = append(calls, c)
	}
	for _, i := range []int{0, 7, 8, 19} { // heads, tails and middles of the lists
		calls[i].Answer(&pb.PutResponse{Header: header(9)})
	}
	watch := r.Begin(t.Context(), pb.Watch_Watch_FullMethodName)
	r.Close()
	r.Close()
	for _, c := range calls {
		c.Answer(&pb.PutResponse{Header: header(99)})
		c.End(nil)
	}
	watch.End(nil)
	if c := r.Begin(t.Context(), pb.KV_Put_FullMethodName); c != nil {
		t.Error("a call is recorded after the end of the history")
	}
	if len(sink.watches) != 0 {
		t.Errorf("the end of a stream is recorded after the end of the history: %+v", sink.watches[0])
	}
	seen := make(map[uint64]bool)
	answered := 0
	for _, op := range sink.ops {
		if seen[op.ID] {
			t.Errorf("call %d is recorded twice", op.ID)
		}
		seen[op.ID] = true
		if op.Returned != 0 {
			answered++
			if op.Header != 9 {
				t.Errorf("call %d has header %d", op.ID, op.Header)
			}
		} else if op.Header != 0 || op.Error.Kind != history.ErrorNone {
			t.Errorf("call %d has no answer and yet %+v", op.ID, op)
		}
	}
	if len(seen) != 20 || answered != 4 {
		t.Errorf("%d calls, %d answered; want 20 and 4", len(seen), answered)
	}
}

func TestNothingWithoutSink(t *testing.T) {
	r := New(Options{})
	if r != nil || r.ServerOptions() != nil {
		t.Fatal("a recorder without a sink costs something")
	}
	r.Close()
	c := r.Begin(t.Context(), pb.KV_Put_FullMethodName)
	c.Request(nil)
	c.Answer(nil)
	c.End(nil)
	if c != nil {
		t.Error("a call is recorded without a sink")
	}
	want := &pb.PutResponse{}
	got, err := unary(t, r, pb.KV_Put_FullMethodName, &pb.PutRequest{}, func(context.Context, any) (any, error) { return want, nil })
	if got != want || err != nil {
		t.Errorf("the answer became %v, %v", got, err)
	}
	if n := len(New(Options{Sink: &memory{}}).ServerOptions()); n != 2 {
		t.Errorf("%d server options, want 2", n)
	}
}

func TestProfileLabels(t *testing.T) {
	labels := func(value string) context.Context {
		return pprof.WithLabels(context.Background(), pprof.Labels("component", value))
	}
	labelled := func(value string) bool {
		var b bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
			t.Error(err)
		}
		return strings.Contains(b.String(), fmt.Sprintf("{%q:%q}", "component", value))
	}
	inside := false
	sink := &memory{on: func() { inside = labelled("recorder-of-test") && !labelled("store-of-test") }}
	r := New(Options{Sink: sink, Inside: labels("recorder-of-test"), Outside: labels("store-of-test")})
	pprof.SetGoroutineLabels(labels("store-of-test"))
	defer pprof.SetGoroutineLabels(context.Background())
	_, _ = unary(t, r, pb.KV_Put_FullMethodName, &pb.PutRequest{}, func(context.Context, any) (any, error) {
		if labelled("recorder-of-test") || !labelled("store-of-test") {
			t.Error("the handler runs under the recorder's label")
		}
		return &pb.PutResponse{}, nil
	})
	if !inside {
		t.Error("the recorder does not run under its label")
	}
	if labelled("recorder-of-test") {
		t.Error("the recorder's label stays")
	}
}
