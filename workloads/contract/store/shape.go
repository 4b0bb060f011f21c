package store

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Shape is one way in which a kube-apiserver uses its store, and the name of the
// guarantee that it is answered as the model answers it. The shapes are those of
// go.etcd.io/etcd/client/v3@v3.7.3/kubernetes and of k8s.io/apiserver@v0.37.1,
// pkg/storage/etcd3.
type Shape string

// The shapes.
const (
	Get            Shape = "GetAsModel"
	List           Shape = "ListAsModel"
	Stream         Shape = "RangeStreamAsModel"
	Count          Shape = "CountAsModel"
	KeysOnly       Shape = "KeysOnlyAsModel"
	Create         Shape = "CreateAsModel"
	Update         Shape = "UpdateAsModel"
	Delete         Shape = "DeleteAsModel"
	Compactor      Shape = "CompactorTxnAsModel"
	CompactorGet   Shape = "CompactorGetAsModel"
	CompactorWatch Shape = "CompactorWatchAsModel"
	Compact        Shape = "CompactAsModel"
	Grant          Shape = "LeaseGrantAsModel"
	Expiry         Shape = "LeaseExpiryAsModel"
	WatchNow       Shape = "WatchNowAsModel"
	WatchPast      Shape = "WatchPastAsModel"
	WatchCompacted Shape = "WatchCompactedAsModel"
	WatchFuture    Shape = "WatchFutureAsModel"
	Progress       Shape = "ProgressAsModel"
	Status         Shape = "StatusAsModel"

	// other is what no kube-apiserver asks.
	other Shape = "other"
)

// shapeRow is what is told of a shape.
type shapeRow struct {
	Shape
	statement string
	least     int // answers, for a Pass
}

var shapes = []shapeRow{
	{Get, "a Range of one key, now or at any revision", 30},
	{List, "a Range of a prefix, in pages, now or at any revision", 30},
	{Stream, "a RangeStream of a prefix, in pages, now or at any revision", 30},
	{Count, "a Range of a prefix that only counts", 15},
	{KeysOnly, "a Range of a prefix that shows keys only", 15},
	{Create, "a Txn that puts a key if it is not there", 30},
	{Update, "a Txn that puts a key at the revision that it has, or else shows it", 30},
	{Delete, "a Txn that deletes a key at the revision that it has, or else shows it", 30},
	{Compactor, "the Txn on compact_rev_key by which API servers agree who compacts", 10},
	{CompactorGet, "the Range of compact_rev_key, without a limit, by which API servers learn what others have compacted", 10},
	{CompactorWatch, "the Watch of compact_rev_key, one key without previous values, from the revision of that Range on", 8},
	{Compact, "a Compact, of revisions that can be compacted and of others", 10},
	{Grant, "a LeaseGrant, and the lease of keys", 5},
	{Expiry, "the end of a lease: the keys that it takes with it, in time and not before", 2},
	{WatchNow, "a Watch from now on", 8},
	{WatchPast, "a Watch from a revision that there was", 5},
	{WatchCompacted, "a Watch from a revision that is compacted, which has to say so", 3},
	{WatchFuture, "a Watch from a revision that is to come", 3},
	{Progress, "a WatchProgressRequest, once all events have come", 5},
	{Status, "a Status, whose version says what API servers may ask", 2},
}

// Shapes are all shapes, in the order in which they are told.
func Shapes() []Shape {
	var all []Shape
	for _, s := range shapes {
		all = append(all, s.Shape)
	}
	return all
}

// ofRange is the shape of a read.
func ofRange(r *pb.RangeRequest) Shape {
	switch {
	case string(r.GetKey()) == compactKey:
		return CompactorGet
	case r.GetCountOnly():
		return Count
	case r.GetKeysOnly():
		return KeysOnly
	case len(r.GetRangeEnd()) == 0:
		return Get
	}
	return List
}

// ofTxn is the shape of a transaction that the generator made for an API server.
func ofTxn(r *pb.TxnRequest) Shape {
	switch {
	case string(r.GetCompare()[0].GetKey()) == compactKey:
		return Compactor
	case r.GetSuccess()[0].GetRequestDeleteRange() != nil:
		return Delete
	case len(r.GetFailure()) == 0:
		return Create
	}
	return Update
}
