package judge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/versions"
)

// tale is a history of a store that is restored from a snapshot, and of an API
// server in front of it, told one call after the other.
type tale struct {
	history.Restore
	now      history.Time
	rev      int64
	state    map[string]history.StoreKV
	ops      []*history.StoreOp
	watches  []*history.StoreWatch
	versions []*history.Version
	calls    []*history.APICall
	messages []*history.APIWatch
}

const (
	taleKeys = 2 * restoredFloor
	taleLost = 20
)

func (s *tale) tick() history.Time { s.now += 1000; return s.now }

func taleKey(i int) string { return fmt.Sprintf("/registry/configmaps/ns/c%03d", i) }

// put writes a key as Kubernetes does: if it is of the revision that the writer
// knows.
func (s *tale) put(key string) *history.StoreOp {
	old := s.state[key]
	s.rev++
	kv := history.StoreKV{Key: key, Create: old.Create, Mod: s.rev, Version: old.Version + 1, Value: uint64(s.rev) * 7}
	if old.Version == 0 {
		kv.Create = s.rev
	}
	s.state[key] = kv
	op := s.op(&history.StoreOp{
		Method:   history.MethodTxn,
		Compares: []history.StoreCompare{{Key: key, Target: history.CompareMod, Op: "=", Number: old.Mod}},
		Then:     []history.StoreAction{{Kind: history.ActionPut, Key: key, Value: kv.Value}},
		Header:   s.rev, Succeeded: true, Results: []history.StoreResult{{}},
	})
	s.declare(key, old.Mod, kv)
	return op
}

// leased puts a key with a lease, which holds it in the second epoch as well.
func (s *tale) leased(key string, lease int64) {
	s.op(&history.StoreOp{Method: history.MethodLeaseGrant, Lease: lease, TTL: 3600, GrantedLease: lease, GrantedTTL: 3600, Header: s.rev})
	s.rev++
	s.state[key] = history.StoreKV{Key: key, Create: s.rev, Mod: s.rev, Version: 1, Lease: lease, Value: 5}
	s.op(&history.StoreOp{
		Method: history.MethodPut, Then: []history.StoreAction{{Kind: history.ActionPut, Key: key, Value: 5, Lease: lease}},
		Header: s.rev, Results: []history.StoreResult{{}},
	})
	s.versions = append(s.versions, &history.Version{Revision: s.rev, Key: key})
}

// declare makes the version of a write, and the call of the API that made it.
func (s *tale) declare(key string, old int64, kv history.StoreKV) {
	name := key[strings.LastIndexByte(key, '/')+1:]
	marks := []history.Pair{{Name: "m", Value: fmt.Sprint(kv.Mod)}}
	v := &history.Version{
		Revision: kv.Mod, Key: key, Resource: "configmaps", Kind: "ConfigMap", Namespace: "ns", Name: name,
		UID: fmt.Sprintf("%s-%d", name, kv.Create), Content: kv.Value, Marks: marks,
	}
	s.versions = append(s.versions, v)
	op := s.ops[len(s.ops)-1]
	c := &history.APICall{
		ID: uint64(len(s.calls) + 1), Server: "a", Called: op.Called - 1, Returned: op.Returned + 1, Verb: "create", Version: "v1",
		Resource: "configmaps", Namespace: "ns", Name: name, Status: 201, Declared: true, Sets: marks, Object: versions.Object(v),
	}
	if old != 0 {
		c.Verb, c.Status, c.NeedVersion = "update", 200, fmt.Sprint(old)
	}
	s.calls = append(s.calls, c)
}

func (s *tale) op(op *history.StoreOp) *history.StoreOp {
	op.ID, op.Member, op.Client = uint64(len(s.ops)+1), "etcd-0", 1
	op.Called, op.Returned = s.tick(), s.tick()
	s.ops = append(s.ops, op)
	return op
}

// list reads all keys.
func (s *tale) list() {
	for i := 0; i < taleKeys; i += 50 {
		from, to := taleKey(i), taleKey(i+50)
		if i+50 >= taleKeys {
			to = "/registry/configmaps0"
		}
		var kvs []history.StoreKV
		for j := i; j < i+50; j++ {
			kvs = append(kvs, s.state[taleKey(j)])
		}
		s.op(&history.StoreOp{
			Method: history.MethodRange, Then: []history.StoreAction{{Kind: history.ActionRange, Key: from, End: to}},
			Header: s.rev, Results: []history.StoreResult{{Count: 50, KVs: kvs}},
		})
	}
}

// watch asks for what came from a revision on, and is told that it is gone; last
// is what it is told instead where it is not.
func (s *tale) watch(start int64, last ...*history.StoreWatch) {
	stream := uint64(len(s.watches) + 1)
	add := func(w *history.StoreWatch) {
		w.Stream, w.Watch, w.Member, w.At, w.Header = stream, 1, "etcd-0", s.tick(), s.rev
		s.watches = append(s.watches, w)
	}
	add(&history.StoreWatch{Kind: history.WatchCreate, Key: "/registry/", End: "/registry0", Start: start})
	add(&history.StoreWatch{Kind: history.WatchCreated})
	if len(last) == 0 {
		last = []*history.StoreWatch{{Kind: history.WatchCanceled, CompactRevision: s.Bumped}}
	}
	for _, w := range last {
		add(w)
	}
	add(&history.StoreWatch{Kind: history.WatchClosed})
}

// api asks an API server for a watch from a revision on.
func (s *tale) api(rev int64, status int32, messages ...*history.APIWatch) {
	c := &history.APICall{
		ID: uint64(len(s.calls) + 1), Server: "a", Called: s.tick(), Returned: s.tick(), Verb: "watch", Version: "v1", Resource: "configmaps",
		ResourceVersion: fmt.Sprint(rev), Status: status, Bookmarks: true,
	}
	if status == 410 {
		c.Reason = "Expired"
	}
	s.calls = append(s.calls, c)
	for _, m := range messages {
		m.Call, m.At = c.ID, s.tick()
		s.messages = append(s.messages, m)
	}
}

// newTale is what a store and an API server may show that keep all guarantees.
func newTale(bump int64) *tale {
	s := &tale{rev: 1, state: map[string]history.StoreKV{}}
	for i := range taleKeys {
		s.put(taleKey(i))
	}
	s.put(taleKey(0))
	s.leased("/registry/masterleases/a", 7)
	s.Kept = s.rev
	snapshot := map[string]history.StoreKV{}
	for key, kv := range s.state {
		snapshot[key] = kv
	}
	for i := range taleLost {
		s.put(taleKey(i))
	}
	s.Told, s.Bumped, s.At = s.rev, s.Kept+bump, s.tick()
	s.rev, s.state = s.Bumped, snapshot
	return s
}

// goOn is the second epoch.
func (s *tale) goOn() *tale {
	s.list()
	s.watch(s.Told + 1)
	s.api(s.Told, 410)
	s.api(s.Told, 200, &history.APIWatch{Type: history.APIWatchOpen})
	fresh := s.calls[len(s.calls)-1]
	fresh.InitialEvents, fresh.Match = "true", "NotOlderThan"
	s.now += 10
	s.messages = append(s.messages, &history.APIWatch{Call: fresh.ID, Type: "ADDED", At: s.tick(), Object: versions.Object(s.versions[taleKeys-1])})
	for i := range taleKeys / 2 {
		s.put(taleKey(i))
	}
	s.expire("/registry/masterleases/a")
	s.list()
	return s
}

// expire ends the lease of a key, which a watch of everything shows.
func (s *tale) expire(key string) {
	stream := uint64(len(s.watches) + 1)
	add := func(w *history.StoreWatch) {
		w.Stream, w.Watch, w.Member, w.At, w.Header = stream, 1, "etcd-0", s.tick(), s.rev
		s.watches = append(s.watches, w)
	}
	add(&history.StoreWatch{Kind: history.WatchCreate, Key: "\x00", End: "\x00", Start: s.rev + 1})
	add(&history.StoreWatch{Kind: history.WatchCreated})
	s.rev++
	delete(s.state, key)
	add(&history.StoreWatch{Kind: history.WatchEvents, Events: []history.StoreEvent{{Delete: true, KV: history.StoreKV{Key: key, Mod: s.rev}}}})
	s.versions = append(s.versions, &history.Version{Revision: s.rev, Key: key, Delete: true})
}

func (s *tale) judge(t *testing.T) (*Judgement, checkers.Verdict) {
	t.Helper()
	dir, w, store := create(t)
	api, err := archive.NewAPIWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range s.ops {
		store.StoreOp(op)
	}
	for _, m := range s.watches {
		store.StoreWatch(m)
	}
	for _, v := range s.versions {
		api.Version(v)
	}
	for _, c := range s.calls {
		api.APICall(c)
	}
	for _, m := range s.messages {
		api.APIWatch(m)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	j := mustJudge(t, dir, Options{Claimed: []string{}, Restore: &s.Restore})
	i := slices.IndexFunc(j.Verdicts, func(v checkers.Verdict) bool { return v.Guarantee == Restored })
	if i < 0 {
		t.Fatalf("%s is not judged: %+v", Restored, j.Verdicts)
	}
	return j, j.Verdicts[i]
}

// Both epochs of a good history are good, and what is lost by design is counted.
func TestEpochs(t *testing.T) {
	s := newTale(1000).goOn()
	j, v := s.judge(t)
	if v.Outcome != checkers.Pass || !strings.Contains(v.Checked, fmt.Sprintf("lost by design: %d writes of revisions %d to %d;", taleLost, s.Kept+1, s.Told)) {
		t.Errorf("%s (%s)", v, v.Checked)
	}
	for _, v := range j.Verdicts {
		if v.Outcome != checkers.Pass && v.Outcome != checkers.NotExercised {
			t.Errorf("alarm of a good history: %s/%s", v.Area, v)
		}
	}
	if j.Operations != int64(len(s.ops)) || j.Versions != int64(len(s.versions)) || j.Attempts != int64(len(s.calls)) {
		t.Errorf("%d of %d operations, %d of %d versions and %d of %d calls were judged",
			j.Operations, len(s.ops), j.Versions, len(s.versions), j.Attempts, len(s.calls))
	}
}

// A history that does not say that the store was restored is one of a store that
// has lost what it had acknowledged.
func TestEpochsUntold(t *testing.T) {
	s := newTale(1000).goOn()
	s.At = s.now // nothing comes after it
	if j, _ := s.judge(t); !slices.Contains(outcomes(j, checkers.Fail), "Reads") {
		t.Errorf("failed %q, want Reads among them", outcomes(j, checkers.Fail))
	}
}

func TestRestoredBroken(t *testing.T) {
	f := func(what, want string, also []string, bump int64, tell func(s *tale)) {
		t.Helper()
		s := newTale(bump)
		tell(s)
		j, v := s.judge(t)
		if v.Outcome != checkers.Fail || !strings.Contains(v.Detail, want) {
			t.Errorf("%s: %s, want %q", what, v, want)
		}
		for _, v := range j.Verdicts {
			if v.Outcome == checkers.Fail && !counterexample.Tabled(v.Detail) {
				t.Errorf("%s: without a table of what happened: %s", what, v)
			}
		}
		for _, name := range also {
			if !slices.Contains(outcomes(j, checkers.Fail), name) {
				t.Errorf("%s: failed %q, want %s too", what, outcomes(j, checkers.Fail), name)
			}
		}
	}
	f("revisions that repeat", "had been made before the restore and is lost", nil, 0, func(s *tale) { s.goOn() })
	f("a bump that is too small", "had been told of before", nil, taleLost-1, func(*tale) {})
	f("a header from between", "to go on after", []string{"RealTime"}, 1000, func(s *tale) {
		s.goOn()
		s.ops[len(s.ops)-1].Header = s.Told + 3
	})
	f("a lost revision", "which had been made before", []string{"RealTime"}, 1000, func(s *tale) {
		s.goOn()
		s.ops[len(s.ops)-1].Header = s.Told
	})
	f("a write that should be lost", "of which the snapshot has nothing", []string{"Reads"}, 1000, func(s *tale) {
		s.state[taleKey(0)] = history.StoreKV{Key: taleKey(0), Create: 2, Mod: s.Told, Version: 2, Value: uint64(s.Told) * 7}
		s.goOn()
	})
	f("an older state than the snapshot's", "and at revision", []string{"Reads"}, 1000, func(s *tale) {
		kv := s.state[taleKey(5)]
		kv.Value++
		s.state[taleKey(5)] = kv
		s.goOn()
	})
	f("a watch that goes on", "goes on as if nothing had happened", nil, 1000, func(s *tale) {
		s.goOn()
		s.watch(s.Told+1, &history.StoreWatch{Kind: history.WatchProgress})
	})
	f("an event of a lost revision", "after the restore, and that revision", nil, 1000, func(s *tale) {
		s.goOn()
		s.watch(0, &history.StoreWatch{Kind: history.WatchEvents, Events: []history.StoreEvent{{KV: history.StoreKV{Key: taleKey(1), Mod: s.Told}}}})
	})
	f("a watch of the API that goes on", "goes on with BOOKMARK", nil, 1000, func(s *tale) {
		s.goOn()
		s.api(s.Told, 200, &history.APIWatch{Type: history.APIWatchOpen}, &history.APIWatch{Type: "BOOKMARK", Object: history.APIObject{Version: s.rev}})
	})
}

// Each epoch is judged by all guarantees.
func TestEpochsBroken(t *testing.T) {
	f := func(what, want string, i int) {
		t.Helper()
		s := newTale(1000).goOn()
		if i < 0 {
			i += len(s.ops)
		}
		s.ops[i].Compares[0].Number++
		j, _ := s.judge(t)
		for _, v := range j.Verdicts {
			if v.Guarantee == "Replay" && (v.Outcome != checkers.Fail || !strings.HasPrefix(v.Detail, want)) {
				t.Errorf("%s: %s, want it to begin with %q", what, v, want)
			}
		}
	}
	f("a write of the first", "before the restore: ", taleKeys+3)
	f("a write of the second, on the snapshot's state", "after the restore: ", -5)
}

// Nothing older than the snapshot is shown after it was restored, not even before
// the store has answered anything.
func TestEpochsOutdated(t *testing.T) {
	for i, want := range map[int]checkers.Outcome{0: checkers.Fail, taleKeys: checkers.NotExercised} {
		s := newTale(1000)
		shown := versions.Object(s.versions[i]) // of one key
		s.calls = append(s.calls, &history.APICall{
			ID: uint64(len(s.calls) + 1), Server: "a", Called: s.tick(), Returned: s.tick(), Verb: "get", Version: "v1",
			Resource: "configmaps", Namespace: "ns", Name: shown.Name, Status: 200, Object: shown,
		})
		j, _ := s.goOn().judge(t)
		for _, v := range j.Verdicts {
			if v.Area == checkers.AreaAPI && v.Guarantee == "MostRecent" && v.Outcome != want {
				t.Errorf("%s of revision %d, and the snapshot is of %d: %s, want %s", shown.Key(), shown.Version, s.Kept, v, want)
			}
		}
	}
}

// A restoration that nothing was lost by, or of which nothing was read, proves
// nothing.
func TestRestoredFloors(t *testing.T) {
	s := newTale(1000)
	s.put(taleKey(0))
	if _, v := s.judge(t); v.Outcome != checkers.NotExercised {
		t.Errorf("%s", v)
	}
}
