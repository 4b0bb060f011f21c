package known

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers/history"
)

// writes is the number of writes before the one that matters, which makes some
// history to compact.
const writes = 30

// The keys of the transaction: victim is written, other is read.
const (
	victim = "/known/0"
	other  = "/known/1"
)

// readAt says at which revision the transaction reads.
type readAt struct {
	name string
	// at returns the revision, given the last compacted and the newest one.
	at func(compacted, newest int64) int64
	// refusal is how the transaction has to end.
	refusal history.StoreErrorKind
}

var (
	compacted = readAt{"compacted revision", func(c, _ int64) int64 { return c - 1 }, history.ErrorCompacted}
	future    = readAt{"future revision", func(_, n int64) int64 { return n + 1000 }, history.ErrorFutureRev}
	// readable is the control: a transaction that no version has trouble with.
	readable = readAt{"readable revision", func(c, _ int64) int64 { return c }, history.ErrorNone}
)

// testimony is what the members said after the transaction. It shows whether
// they agree without any checker.
type testimony struct {
	version string
	role    string // of the member that was asked: leader or follower
	refusal history.StoreErrorKind
	victims []string // the value of victim through each member
	// revision is the newest one that all members have, one write after the
	// transaction; hashes are those of all keys at it.
	revision int64
	hashes   []uint32
}

// agree says that the members hold the same.
func (s testimony) agree() bool {
	for i := range s.hashes {
		if s.hashes[i] != s.hashes[0] || s.victims[i] != s.victims[0] {
			return false
		}
	}
	return true
}

func (s testimony) String() string {
	return fmt.Sprintf("etcd %s: the Txn to the %s ended with %q; %s through each member: %q; HashKV at revision %d: %08x",
		s.version, s.role, s.refusal, victim, s.victims, s.revision, s.hashes)
}

// play sends the transaction to one member, the next write to another or the
// same, and then asks all of them.
func play(t testing.TB, r *recorded, asked, next *member, read readAt) testimony {
	t.Helper()
	s := testimony{}
	s.version, s.role = r.status(t, asked)
	var newest int64
	for i := range writes {
		newest = put(t, r.members[i%size], fmt.Sprintf("/known/%d", i%10), fmt.Sprintf("write %d", i))
	}
	for _, m := range r.members { // a watch must not be behind what is compacted
		awaitWatch(t, m, newest)
	}
	middle := newest - writes/2
	if _, err := asked.kv.Compact(bounded(t), &pb.CompactionRequest{Revision: middle, Physical: true}); err != nil {
		t.Fatalf("compact at revision %d: %v", middle, err)
	}
	_, err := asked.kv.Txn(bounded(t), &pb.TxnRequest{Success: []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(victim), Value: []byte("txn")}}},
		{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(other), Revision: read.at(middle, newest)}}},
	}})
	s.refusal = record.Classify(err).Kind
	for _, m := range r.members {
		s.victims = append(s.victims, get(t, m, victim))
	}
	// Members that took the transaction for different things are a revision
	// apart. With one more write there is a revision that all of them have, and
	// that is another one in each.
	put(t, next, "/known/after", "after")
	s.revision, s.hashes = audit(t, r.members)
	return s
}

// status returns the version of the servers, which must be the same, and what
// the asked one is to the others.
func (r *recorded) status(t testing.TB, asked *member) (version, role string) {
	t.Helper()
	for i, m := range r.members {
		resp, err := m.maintenance.Status(bounded(t), &pb.StatusRequest{})
		if err != nil {
			t.Fatalf("status of %s: %v", m.name, err)
		}
		if i > 0 && resp.GetVersion() != version {
			t.Fatalf("%s is etcd %s, the others are %s", m.name, resp.GetVersion(), version)
		}
		version = resp.GetVersion()
		if m == asked {
			role = map[bool]string{true: "leader", false: "follower"}[resp.GetLeader() == resp.GetHeader().GetMemberId()]
		}
	}
	return version, role
}

func put(t testing.TB, m *member, key, value string) (revision int64) {
	t.Helper()
	resp, err := m.kv.Put(bounded(t), &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	if err != nil {
		t.Fatalf("put %s through %s: %v", key, m.name, err)
	}
	return resp.GetHeader().GetRevision()
}

// get reads a key through the quorum.
func get(t testing.TB, m *member, key string) string {
	t.Helper()
	resp, err := m.kv.Range(bounded(t), &pb.RangeRequest{Key: []byte(key)})
	if err != nil || len(resp.GetKvs()) != 1 {
		t.Fatalf("get %s through %s: %d keys, %v", key, m.name, len(resp.GetKvs()), err)
	}
	return string(resp.GetKvs()[0].GetValue())
}

func awaitWatch(t testing.TB, m *member, revision int64) {
	t.Helper()
	if err := m.watch.Await(bounded(t), revision); err != nil {
		t.Fatal(err)
	}
}

// audit reads all keys of every member and hashes them at the newest revision
// that all have. storage.Audit would not do: it takes the revision of the first
// member for everybody's.
func audit(t testing.TB, members []*member) (revision int64, hashes []uint32) {
	t.Helper()
	for _, m := range members {
		resp, err := m.kv.Range(bounded(t), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		if err != nil {
			t.Fatalf("read all keys of %s: %v", m.name, err)
		}
		newest := resp.GetHeader().GetRevision()
		awaitWatch(t, m, newest)
		if revision == 0 || newest < revision {
			revision = newest
		}
	}
	for _, m := range members {
		resp, err := m.maintenance.HashKV(bounded(t), &pb.HashKVRequest{Revision: revision})
		if err != nil {
			t.Fatalf("hash %s at revision %d: %v", m.name, revision, err)
		}
		hashes = append(hashes, resp.GetHash())
	}
	return revision, hashes
}
