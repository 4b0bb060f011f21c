package record

import (
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// MethodHash is the method Hash of Maintenance, a hash of a member's whole
// file. It agrees between members only by chance; HashKV is what one compares.
const MethodHash history.StoreMethod = "Hash"

// shape is how the messages of a method become records.
type shape int

const (
	shapeUnknown  shape = iota // one StoreOp without content
	shapeUnary                 // one StoreOp
	shapeJoined                // one StoreOp, of one request and many answers
	shapeRenewals              // one StoreOp for each request
	shapeWatch                 // one StoreWatch for each message
	shapeIgnored
)

// method is what the recorder knows of one method.
type method struct {
	name            history.StoreMethod
	shape           shape
	request, answer func() proto.Message // nil: not decoded
}

var (
	unknownMethod = &method{name: history.MethodUnknown, shape: shapeUnknown}
	ignoredMethod = &method{shape: shapeIgnored}
)

// methods are those that are recorded with their content, and those that are
// ignored because they change neither a key nor a lease. Defragment and
// MoveLeader are among the latter: they move data and leadership about.
var methods = map[string]*method{
	pb.KV_Range_FullMethodName:       define[pb.RangeRequest, pb.RangeResponse](history.MethodRange, shapeUnary),
	pb.KV_RangeStream_FullMethodName: define[pb.RangeRequest, pb.RangeStreamResponse](history.MethodRangeStream, shapeJoined),
	pb.KV_Put_FullMethodName:         define[pb.PutRequest, pb.PutResponse](history.MethodPut, shapeUnary),
	pb.KV_DeleteRange_FullMethodName: define[pb.DeleteRangeRequest, pb.DeleteRangeResponse](history.MethodDeleteRange, shapeUnary),
	pb.KV_Txn_FullMethodName:         define[pb.TxnRequest, pb.TxnResponse](history.MethodTxn, shapeUnary),
	pb.KV_Compact_FullMethodName:     define[pb.CompactionRequest, pb.CompactionResponse](history.MethodCompact, shapeUnary),

	pb.Watch_Watch_FullMethodName: define[pb.WatchRequest, pb.WatchResponse]("", shapeWatch),

	pb.Lease_LeaseGrant_FullMethodName:      define[pb.LeaseGrantRequest, pb.LeaseGrantResponse](history.MethodLeaseGrant, shapeUnary),
	pb.Lease_LeaseRevoke_FullMethodName:     define[pb.LeaseRevokeRequest, pb.LeaseRevokeResponse](history.MethodLeaseRevoke, shapeUnary),
	pb.Lease_LeaseKeepAlive_FullMethodName:  define[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse](history.MethodLeaseKeepAlive, shapeRenewals),
	pb.Lease_LeaseTimeToLive_FullMethodName: define[pb.LeaseTimeToLiveRequest, pb.LeaseTimeToLiveResponse](history.MethodLeaseTTL, shapeUnary),
	pb.Lease_LeaseLeases_FullMethodName:     ignoredMethod,

	pb.Maintenance_Status_FullMethodName:     define[pb.StatusRequest, pb.StatusResponse](history.MethodStatus, shapeUnary),
	pb.Maintenance_HashKV_FullMethodName:     define[pb.HashKVRequest, pb.HashKVResponse](history.MethodHashKV, shapeUnary),
	pb.Maintenance_Hash_FullMethodName:       define[pb.HashRequest, pb.HashResponse](MethodHash, shapeUnary),
	pb.Maintenance_Snapshot_FullMethodName:   ignoredMethod,
	pb.Maintenance_Defragment_FullMethodName: ignoredMethod,
	pb.Maintenance_MoveLeader_FullMethodName: ignoredMethod,
	// An alarm shows in the answers to what it refuses.
	pb.Maintenance_Alarm_FullMethodName: ignoredMethod,
	// It has a form that only asks; the others are MethodUnknown.
	pb.Maintenance_Downgrade_FullMethodName: define[pb.DowngradeRequest, pb.DowngradeResponse](history.MethodUnknown, shapeUnary),

	pb.Cluster_MemberList_FullMethodName: ignoredMethod,
	pb.Auth_AuthStatus_FullMethodName:    ignoredMethod,
	pb.Auth_Authenticate_FullMethodName:  ignoredMethod,
	pb.Auth_UserGet_FullMethodName:       ignoredMethod,
	pb.Auth_UserList_FullMethodName:      ignoredMethod,
	pb.Auth_RoleGet_FullMethodName:       ignoredMethod,
	pb.Auth_RoleList_FullMethodName:      ignoredMethod,
}

// ignoredServices answer questions about the server itself.
var ignoredServices = []string{"/grpc.health.", "/grpc.reflection."}

func define[Q, A any, PQ message[Q], PA message[A]](name history.StoreMethod, s shape) *method {
	return &method{
		name: name, shape: s,
		request: func() proto.Message { return PQ(new(Q)) },
		answer:  func() proto.Message { return PA(new(A)) },
	}
}

// message says that *T is a protobuf message.
type message[T any] interface {
	*T
	proto.Message
}

// find returns the method of that full name, /package.Service/Method.
func find(name string) *method {
	if m, ok := methods[name]; ok {
		return m
	}
	for _, prefix := range ignoredServices {
		if strings.HasPrefix(name, prefix) {
			return ignoredMethod
		}
	}
	return unknownMethod
}

// DecodeRequest decodes a request of the method with that full name. Of a
// method that is not recorded with its content it returns nil and no error.
func DecodeRequest(name string, b []byte) (proto.Message, error) {
	return decode(find(name).request, "a request", name, b)
}

// DecodeAnswer is DecodeRequest for the other direction.
func DecodeAnswer(name string, b []byte) (proto.Message, error) {
	return decode(find(name).answer, "an answer", name, b)
}

func decode(make func() proto.Message, what, name string, b []byte) (proto.Message, error) {
	if make == nil {
		return nil, nil
	}
	m := make()
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("decode %s of %s: %w", what, name, err)
	}
	return m, nil
}

// Unary says whether the method with that full name is one request and one
// answer, both of which DecodeRequest and DecodeAnswer can read.
func Unary(name string) bool { return find(name).shape == shapeUnary }
