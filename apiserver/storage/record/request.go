package record

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/checkers/history"
)

// describe begins the record of a call with what its request says. It copies
// everything, because servers change requests under their handlers' hands:
// etcd's RangeStream moves the key, limit and revision on with each chunk, and
// LeaseGrant picks an ID.
//
// It returns nil for a request that only asks after something which is not
// recorded.
func describe(m *method, name string, msg proto.Message) *node {
	n := content(msg)
	switch {
	case n == nil:
		return nil
	case n.op.Method == history.MethodUnknown:
		n.op.Error.Message = name
	default:
		n.op.Method = m.name
	}
	return n
}

func content(msg proto.Message) *node {
	switch m := msg.(type) {
	case *pb.TxnRequest:
		return describeTxn(m)
	case *pb.RangeRequest:
		return single(rangeAction(m, string(m.GetKey())))
	case *pb.PutRequest:
		return single(putAction(m, string(m.GetKey())))
	case *pb.DeleteRangeRequest:
		return single(deleteAction(m, string(m.GetKey())))
	case *pb.CompactionRequest:
		return &node{op: history.StoreOp{Revision: m.GetRevision(), Physical: m.GetPhysical()}}
	case *pb.LeaseGrantRequest:
		return &node{op: history.StoreOp{Lease: m.GetID(), TTL: m.GetTTL()}}
	case *pb.LeaseRevokeRequest:
		return &node{op: history.StoreOp{Lease: m.GetID()}}
	case *pb.LeaseKeepAliveRequest:
		return &node{op: history.StoreOp{Lease: m.GetID()}}
	case *pb.LeaseTimeToLiveRequest:
		return &node{op: history.StoreOp{Lease: m.GetID()}}
	case *pb.HashKVRequest:
		return &node{op: history.StoreOp{Revision: m.GetRevision()}}
	case *pb.StatusRequest, *pb.HashRequest:
		return &node{}
	case *pb.DowngradeRequest:
		if m.GetAction() == pb.DowngradeRequest_VALIDATE {
			return nil
		}
	}
	return &node{op: history.StoreOp{Method: history.MethodUnknown}}
}

func single(a history.StoreAction) *node {
	b := &actionBlock{}
	b.then[0] = a
	b.op.Then = b.then[:]
	b.op.Results = b.results[:0]
	return &b.node
}

func describeTxn(m *pb.TxnRequest) *node {
	b := &txnBlock{}
	var keys keyring
	if len(m.GetCompare()) > 0 {
		b.op.Compares = b.compares[:0]
	}
	for _, c := range m.GetCompare() {
		b.op.Compares = append(b.op.Compares, compare(c, &keys))
	}
	b.op.Then = actions(b.then[:0], m.GetSuccess(), &keys)
	b.op.Else = actions(b.els[:0], m.GetFailure(), &keys)
	b.op.Results = b.results[:0]
	return &b.node
}

// keyring makes strings of keys. The compare and both branches of nearly every
// Txn name the same key, which is then kept once.
type keyring struct{ last string }

func (k *keyring) string(key []byte) string {
	if string(key) != k.last {
		k.last = string(key)
	}
	return k.last
}

var compareOps = map[pb.Compare_CompareResult]string{
	pb.Compare_EQUAL: "=", pb.Compare_NOT_EQUAL: "!=", pb.Compare_LESS: "<", pb.Compare_GREATER: ">",
}

// compare reads the number that belongs to the target; etcd ignores one of
// another target, and takes a missing one for 0.
func compare(m *pb.Compare, keys *keyring) history.StoreCompare {
	c := history.StoreCompare{
		Key: keys.string(m.GetKey()), End: string(m.GetRangeEnd()),
		Op: compareOps[m.GetResult()],
	}
	switch m.GetTarget() {
	case pb.Compare_MOD:
		c.Target, c.Number = history.CompareMod, m.GetModRevision()
	case pb.Compare_CREATE:
		c.Target, c.Number = history.CompareCreate, m.GetCreateRevision()
	case pb.Compare_VERSION:
		c.Target, c.Number = history.CompareVersion, m.GetVersion()
	case pb.Compare_LEASE:
		c.Target, c.Number = history.CompareLease, m.GetLease()
	case pb.Compare_VALUE:
		c.Target, c.Number = history.CompareValue, int64(history.HashValue(m.GetValue()))
	default: // one that no version of etcd has yet; the number stays 0
		c.Target = history.CompareTarget(m.GetTarget().String())
	}
	if c.Op == "" {
		c.Op = m.GetResult().String()
	}
	return c
}

func actions(list []history.StoreAction, ops []*pb.RequestOp, keys *keyring) []history.StoreAction {
	if len(ops) == 0 {
		return nil
	}
	for _, op := range ops {
		list = append(list, action(op, keys))
	}
	return list
}

func action(op *pb.RequestOp, keys *keyring) history.StoreAction {
	switch op := op.GetRequest().(type) {
	case *pb.RequestOp_RequestPut:
		return putAction(op.RequestPut, keys.string(op.RequestPut.GetKey()))
	case *pb.RequestOp_RequestRange:
		return rangeAction(op.RequestRange, keys.string(op.RequestRange.GetKey()))
	case *pb.RequestOp_RequestDeleteRange:
		return deleteAction(op.RequestDeleteRange, keys.string(op.RequestDeleteRange.GetKey()))
	default:
		return history.StoreAction{Kind: history.ActionOther}
	}
}

func rangeAction(m *pb.RangeRequest, key string) history.StoreAction {
	return history.StoreAction{
		Kind: history.ActionRange, Key: key, End: string(m.GetRangeEnd()),
		Revision: m.GetRevision(), Limit: m.GetLimit(),
		Serializable: m.GetSerializable(), CountOnly: m.GetCountOnly(), KeysOnly: m.GetKeysOnly(),
		Sorted: sorted(m),
	}
}

// sorted follows etcd's sortRangeResults and HasRevisionFilters
// (etcdserver/txn/range.go): another target than the key is sorted by without an
// order, too, ascending.
func sorted(m *pb.RangeRequest) bool {
	byKey := m.GetSortOrder() != pb.RangeRequest_DESCEND && m.GetSortTarget() == pb.RangeRequest_KEY
	filtered := m.GetMinModRevision() != 0 || m.GetMaxModRevision() != 0 ||
		m.GetMinCreateRevision() != 0 || m.GetMaxCreateRevision() != 0
	return !byKey || filtered
}

func putAction(m *pb.PutRequest, key string) history.StoreAction {
	a := history.StoreAction{
		Kind: history.ActionPut, Key: key,
		Bytes: int64(len(m.GetValue())), Lease: m.GetLease(), PrevKV: m.GetPrevKv(),
		IgnoreValue: m.GetIgnoreValue(), IgnoreLease: m.GetIgnoreLease(),
	}
	if !a.IgnoreValue {
		a.Value = history.HashValue(m.GetValue())
	}
	return a
}

func deleteAction(m *pb.DeleteRangeRequest, key string) history.StoreAction {
	return history.StoreAction{
		Kind: history.ActionDelete, Key: key, End: string(m.GetRangeEnd()), PrevKV: m.GetPrevKv(),
	}
}
