package memory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/planecheck/planecheck/checkers/history"
)

// put writes a key whatever it was, and returns the revision.
func put(t testing.TB, s *Store, key, value string, lease int64) int64 {
	t.Helper()
	resp, err := s.txn(&pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{
		RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value), Lease: lease},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetHeader().GetRevision()
}

func remove(t testing.TB, s *Store, key string) int64 {
	t.Helper()
	resp, err := s.txn(&pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key)},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetHeader().GetRevision()
}

// keys are all keys with their values at a revision, 0 for now.
func keys(t testing.TB, s *Store, revision int64) string {
	t.Helper()
	resp, err := s.rangeOf(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: revision})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, kv := range resp.GetKvs() {
		list = append(list, fmt.Sprintf("%s=%s", kv.GetKey(), kv.GetValue()))
	}
	return strings.Join(list, " ")
}

func same[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// The keys of a lease go at one revision, when its time is over and not before.
// A key belongs to the lease of its last put.
func TestLeasesEnd(t *testing.T) {
	s := New()
	before := history.Now() // the first lease ends 1000 s after some time between this and granted
	for id := range int64(3) {
		if _, err := s.grant(&pb.LeaseGrantRequest{ID: id + 1, TTL: 1000 * (id + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	granted := history.Now()
	put(t, s, "b", "1", 1)
	put(t, s, "a", "1", 1)
	put(t, s, "moved", "1", 1)
	put(t, s, "moved", "1", 2)
	put(t, s, "freed", "1", 1)
	put(t, s, "freed", "1", 0)
	put(t, s, "gone", "1", 1)
	remove(t, s, "gone")
	put(t, s, "gone", "1", 0)
	revision := s.revision
	s.expire(before.Add(999 * time.Second))
	same(t, "revision before the end of a lease", s.revision, revision)
	s.expire(granted.Add(1001 * time.Second))
	same(t, "revision after it", s.revision, revision+1)
	same(t, "keys after it", keys(t, s, 0), "freed=1 gone=1 moved=1")
	var events []string
	for _, c := range s.log[s.revision-s.first].changes {
		events = append(events, string(c.plain.Kv.GetKey()))
	}
	same(t, "events of it", strings.Join(events, " "), "a b")
	s.expire(granted.Add(time.Hour))
	same(t, "keys after all leases", keys(t, s, 0), "freed=1 gone=1")
	same(t, "revision: the third had no keys", s.revision, revision+2)
	same(t, "leases left", len(s.leases), 0)
}

// The store chooses an ID that nobody has, and no time to live is shorter than
// etcd's.
func TestGrant(t *testing.T) {
	s := New()
	first, err := s.grant(&pb.LeaseGrantRequest{TTL: -5})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "time to live", first.GetTTL(), 2)
	if _, err := s.grant(&pb.LeaseGrantRequest{ID: first.GetID() + 1, TTL: maxTTL}); err != nil {
		t.Fatal(err)
	}
	second, err := s.grant(&pb.LeaseGrantRequest{TTL: 60})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "second ID", second.GetID(), first.GetID()+2)
	s.expire(history.Now().Add(time.Hour))
	same(t, "leases left: the one of 285 years", len(s.leases), 1)
}

// A compaction lets go of what it makes unreadable, and of nothing else.
func TestCompactionForgets(t *testing.T) {
	s := New()
	for i := range 100 {
		put(t, s, "updated", fmt.Sprint(i), 0) // revisions 2 to 101
	}
	put(t, s, "deleted", "1", 0)
	remove(t, s, "deleted") // 103
	put(t, s, "untouched", "1", 0)
	put(t, s, "back", "1", 0)
	remove(t, s, "back") // 106
	put(t, s, "back", "2", 0)
	put(t, s, "updated", "last", 0) // 108
	atCompaction, size := keys(t, s, 106), s.size
	if err := s.compact(106); err != nil {
		t.Fatal(err)
	}
	same(t, "keys at the compacted revision", keys(t, s, 106), atCompaction)
	same(t, "keys now", keys(t, s, 0), "back=2 untouched=1 updated=last")
	same(t, "oldest of the log", s.first, 106)
	same(t, "length of the log", len(s.log), 3)
	same(t, "number of keys kept", s.keys.Len(), 3)
	if s.size >= size/2 {
		t.Errorf("%d bytes before, %d after", size, s.size)
	}
	var sum int64
	for _, key := range []string{"back", "untouched", "updated"} {
		r, _ := s.keys.Get(&record{key: []byte(key)})
		for _, kv := range r.versions {
			sum += weight(kv)
		}
	}
	same(t, "size", s.size, sum)
	if c := s.log[0].changes[0]; c.withPrev.GetPrevKv() != nil {
		t.Errorf("the log still holds %v", c.withPrev)
	}
}

// A message with a stream's chunks is whole, however large the values are.
func TestStreamChunks(t *testing.T) {
	s := New()
	for i := range 300 {
		put(t, s, fmt.Sprintf("%03d", i), strings.Repeat("x", 20_000*(i%10)), 0)
	}
	whole, err := s.rangeOf(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	var next int
	err = stream(whole, func(m *pb.RangeStreamResponse) error {
		part := m.GetRangeResponse()
		sizes = append(sizes, len(part.GetKvs()))
		last := next+len(part.GetKvs()) == 300
		if last != (part.GetHeader() != nil) || last != (part.GetCount() == 300) {
			t.Errorf("chunk %d of %d: header %v, count %d", len(sizes), len(part.GetKvs()), part.GetHeader(), part.GetCount())
		}
		for _, kv := range part.GetKvs() {
			same(t, "key", string(kv.GetKey()), fmt.Sprintf("%03d", next))
			next++
		}
		return nil
	})
	if err != nil || next != 300 {
		t.Errorf("%d keys, %v", next, err)
	}
	// 90 kB a key: 10 keys are more than half of a request, so it stays at that.
	if !slices.Equal(sizes[:5], []int{10, 10, 10, 10, 10}) {
		t.Errorf("chunks of %v keys", sizes)
	}
}
