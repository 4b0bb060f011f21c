package record

import (
	"maps"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// FuzzMessages feeds bytes to every method as the proxy does. Whatever they
// are, nothing may panic, and a call with a request may not go unrecorded.
func FuzzMessages(f *testing.F) {
	names := slices.Sorted(maps.Keys(methods))
	names = append(names, "/a.B/C")
	req, resp := kubernetesTxn()
	watch := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("k")}}}
	for _, m := range []struct {
		name      string
		req, resp proto.Message
	}{
		{pb.KV_Txn_FullMethodName, req, resp},
		{pb.Watch_Watch_FullMethodName, watch, &pb.WatchResponse{Created: true}},
		{pb.KV_RangeStream_FullMethodName, &pb.RangeRequest{Key: []byte("k")}, &pb.RangeStreamResponse{}},
	} {
		a, _ := proto.Marshal(m.req)
		b, _ := proto.Marshal(m.resp)
		f.Add(uint8(slices.Index(names, m.name)), a, b)
	}
	f.Add(uint8(len(names)-1), []byte{0xff}, []byte{0xff})
	f.Fuzz(func(t *testing.T, which uint8, request, reply []byte) {
		name := names[int(which)%len(names)]
		sink := &memory{}
		r := New(Options{Sink: sink})
		c := r.Begin(t.Context(), name)
		if c == nil {
			return // ignored
		}
		in, _ := DecodeRequest(name, request)
		out, _ := DecodeAnswer(name, reply)
		c.Request(in)
		c.Answer(out)
		c.End(nil)
		quiet := name == pb.Maintenance_Downgrade_FullMethodName
		if len(sink.ops)+len(sink.watches) == 0 && !quiet {
			t.Errorf("%s: nothing recorded", name)
		}
		for _, op := range sink.ops {
			if in == nil && op.Method != history.MethodUnknown && op.Method != history.MethodLeaseKeepAlive {
				t.Errorf("%s: a request that cannot be read is recorded as %s", name, op.Method)
			}
		}
		if left := r.waiting.close(); len(left) != 0 {
			t.Errorf("%s: %d calls wait after the end", name, len(left))
		}
	})
}
