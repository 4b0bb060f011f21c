package store

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// manyKeys is more than the first two chunks of a RangeStream hold: 10 keys and 20,
// of etcd v3.7.3 (initialStreamChunkLimit and adjustChunkLimit,
// server/etcdserver/v3_server.go) as of kine v0.17.5 (pkg/server/rangestream.go).
const manyKeys = 33

// manyLimits are limits beside and at the end of those chunks, one that all keys
// have room in, and none.
var manyLimits = []int64{9, 10, 11, 30, 500, 0}

// pages is a round of its own, in which nothing is drawn: it lists a resource that
// has more keys than the drawn rounds have, with every limit, from the first page to
// the last one. That of a list without selectors is streamed page by page; one with a
// selector is read by Range, and the limit of each further page is twice that of the
// one before (GetList of k8s.io/apiserver@v0.37.1/pkg/storage/etcd3/store.go).
func (c *Comparison) pages() ([]*Difference, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	prefix := c.gen.prefix + "configmaps/"
	var found []*Difference
	for i := range manyKeys {
		d, err := asDifference(c.perform(createMany(prefix, i)))
		if d != nil {
			found = append(found, d)
		}
		if d != nil || err != nil { // without the keys the lists show nothing
			return found, err
		}
	}
	for _, r := range readMany(prefix, c.gen.revision) {
		d, err := asDifference(c.perform(r))
		if d != nil {
			found = append(found, d)
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

func keyOfMany(prefix string, i int) []byte { return fmt.Appendf(nil, "%sns/%02d", prefix, i) }

func createMany(prefix string, i int) *request {
	key := keyOfMany(prefix, i)
	return &request{shape: Create, message: &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: key, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{}}},
		Success: []*pb.RequestOp{opPut(&pb.PutRequest{Key: key, Value: fmt.Append(nil, i)})},
	}}
}

// readMany are the lists. Of one in pages, those after the first name the revision of
// that one, which is the newest.
func readMany(prefix string, revision int64) (all []*request) {
	for _, limit := range manyLimits {
		for _, stream := range []bool{true, false} {
			next := limit
			for from := 0; from < manyKeys; {
				m := &pb.RangeRequest{Key: []byte(prefix), RangeEnd: after(prefix), Limit: next}
				if from > 0 {
					m.Key, m.Revision = append(keyOfMany(prefix, from-1), 0), revision
				}
				r := &request{shape: ofRange(m), message: m}
				if stream {
					r.shape, r.stream = Stream, true
				}
				all = append(all, r)
				if limit == 0 {
					break
				}
				from += int(next)
				if !stream {
					next *= 2
				}
			}
		}
	}
	return all
}
