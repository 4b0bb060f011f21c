package store

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// revisions says which revision of one store stands for which of another: pairs
// of two revisions that the same change made, both growing.
type revisions struct {
	pairs [][2]int64
	// dense: revisions after the last pair go on one by one, and none is in between.
	dense bool
	// newest is the second store's, which may be above that of the last pair where
	// revisions are not dense.
	newest int64
}

// add takes note of a change, and says whether the second store's revision grew.
func (r *revisions) add(a, b int64) bool {
	if n := len(r.pairs); n > 0 {
		last := r.pairs[n-1]
		switch {
		case a <= last[0]:
			return b >= last[1]
		case b <= last[1]:
			return false
		}
	}
	r.pairs = append(r.pairs, [2]int64{a, b})
	return true
}

// to translates a revision of the first store to the second: one that was not yet
// made lies as far in the future there, one before the first pair as far before it.
func (r *revisions) to(a int64) int64 { return r.translate(a, 0) }

// back translates a revision of the second store to the first. Where revisions
// need not be dense, one that no change made is that of the last change before.
func (r *revisions) back(b int64) int64 { return r.translate(b, 1) }

func (r *revisions) translate(x int64, from int) int64 {
	if x <= 0 || len(r.pairs) == 0 {
		return x
	}
	i, exact := slices.BinarySearchFunc(r.pairs, x, func(p [2]int64, x int64) int {
		switch {
		case p[from] < x:
			return -1
		case p[from] > x:
			return 1
		}
		return 0
	})
	switch {
	case exact:
		return r.pairs[i][1-from]
	case i == 0:
		return max(1, r.pairs[0][1-from]-(r.pairs[0][from]-x))
	case from == 1 && !r.dense:
		return r.pairs[i-1][0]
	case from == 0 && i == len(r.pairs) && !r.dense: // the future
		return max(r.pairs[i-1][1], r.newest) + x - r.pairs[i-1][0]
	}
	return r.pairs[i-1][1-from] + x - r.pairs[i-1][from]
}

// each calls f with every field of a message and of those inside it whose name is
// given, and sets what f returns.
func each(m proto.Message, f func(of, field protoreflect.Name, v protoreflect.Value) protoreflect.Value) {
	if m != nil {
		eachIn(m.ProtoReflect(), f)
	}
}

func eachIn(m protoreflect.Message, f func(of, field protoreflect.Name, v protoreflect.Value) protoreflect.Value) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsList() && field.Message() != nil:
			for i := range v.List().Len() {
				eachIn(v.List().Get(i).Message(), f)
			}
		case field.IsList() || field.IsMap():
		case field.Message() != nil:
			eachIn(v.Message(), f)
		default:
			if set := f(m.Descriptor().Name(), field.Name(), v); !set.Equal(v) {
				m.Set(field, set)
			}
		}
		return true
	})
}

// revisionFields are where requests and answers hold revisions.
var revisionFields = map[protoreflect.Name][]protoreflect.Name{
	"ResponseHeader":     {"revision"},
	"KeyValue":           {"create_revision", "mod_revision"},
	"WatchResponse":      {"compact_revision"},
	"RangeRequest":       {"revision"},
	"CompactionRequest":  {"revision"},
	"Compare":            {"mod_revision", "create_revision"},
	"WatchCreateRequest": {"start_revision"},
}

// leaseFields are where they hold leases. A lease that is asked for has none yet,
// or one of the client's choice.
var leaseFields = map[protoreflect.Name][]protoreflect.Name{
	"KeyValue": {"lease"}, "PutRequest": {"lease"}, "Compare": {"lease"}, "LeaseRevokeRequest": {"ID"},
}

// rewrite changes all revisions and leases in a message.
func rewrite(m proto.Message, revision, lease func(int64) int64) {
	each(m, func(of, field protoreflect.Name, v protoreflect.Value) protoreflect.Value {
		switch {
		case slices.Contains(revisionFields[of], field):
			return protoreflect.ValueOfInt64(revision(v.Int()))
		case slices.Contains(leaseFields[of], field):
			return protoreflect.ValueOfInt64(lease(v.Int()))
		}
		return v
	})
}

// before makes all revisions of keys equal that are older than a round: nothing
// is compared of what another round has left.
func before(m proto.Message, first int64) {
	each(m, func(of, field protoreflect.Name, v protoreflect.Value) protoreflect.Value {
		if of == "KeyValue" && slices.Contains(revisionFields[of], field) && 1 < v.Int() && v.Int() < first {
			return protoreflect.ValueOfInt64(1)
		}
		return v
	})
}

// plain takes out of an answer what no kube-apiserver reads.
func plain(m proto.Message) {
	switch m := m.(type) {
	case *pb.TxnResponse:
		if m.GetSucceeded() { // which is all that is asked, with the revision
			m.Responses = nil
		}
		for _, r := range m.GetResponses() {
			if read := r.GetResponseRange(); read != nil {
				read.Header = nil
				versionless(read.GetKvs())
			}
		}
	case *pb.RangeResponse:
		versionless(m.GetKvs())
	case *pb.LeaseGrantResponse:
		m.Header = nil
	case *pb.WatchResponse:
		if m.GetCanceled() { // upon which nobody listens any more
			m.Header = nil
		}
		for _, e := range m.GetEvents() {
			if e.GetPrevKv() != nil {
				versionless([]*mvccpb.KeyValue{e.GetPrevKv()})
				leaseless([]*mvccpb.KeyValue{e.GetPrevKv()})
			}
			versionless([]*mvccpb.KeyValue{e.GetKv()})
			if kv := e.GetKv(); e.GetType() == mvccpb.Event_DELETE {
				kv.CreateRevision, kv.Value, kv.Lease = 0, nil, 0
			}
		}
	}
}

func leaseless(kvs []*mvccpb.KeyValue) {
	for _, kv := range kvs {
		kv.Lease = 0
	}
}

func versionless(kvs []*mvccpb.KeyValue) {
	for _, kv := range kvs {
		if string(kv.GetKey()) == compactKey { // of which its version is all that is read
			kv.CreateRevision, kv.ModRevision = 0, 0
		} else {
			kv.Version = 0
		}
	}
}
