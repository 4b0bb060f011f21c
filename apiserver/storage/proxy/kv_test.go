package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/history"
)

// passUnary and passWatches are interferences that change nothing.
var (
	passUnary = proxy.Unary(func(ctx context.Context, _ string, req proto.Message, next proxy.Invoke) (proto.Message, error) {
		return next(ctx, req)
	})
	passWatches = proxy.Watches(func(context.Context) func(*pb.WatchResponse) []*pb.WatchResponse {
		return func(resp *pb.WatchResponse) []*pb.WatchResponse { return []*pb.WatchResponse{resp} }
	})
)

// calls drives a client and says what must be recorded of each call, from what
// the client saw.
type calls struct {
	t    *testing.T
	ctx  context.Context
	c    *kubernetes.Client
	want []history.StoreOp
}

func (c *calls) expect(op history.StoreOp) {
	op.Member = "m0"
	c.want = append(c.want, op)
}

func (c *calls) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *calls) mustFail(err error, with string) {
	c.t.Helper()
	if err == nil || !strings.Contains(err.Error(), with) {
		c.t.Fatalf("the client saw %v, want %s", err, with)
	}
}

func hash(value string) uint64 { return history.HashValue([]byte(value)) }

func seen(kvs ...*mvccpb.KeyValue) []history.StoreKV {
	var list []history.StoreKV
	for _, kv := range kvs {
		list = append(list, history.StoreKV{
			Key: string(kv.Key), Create: kv.CreateRevision, Mod: kv.ModRevision, Version: kv.Version, Lease: kv.Lease, Value: history.HashValue(kv.Value),
		})
	}
	return list
}

func modIs(key string, rev int64) []history.StoreCompare {
	return []history.StoreCompare{{Key: key, Target: history.CompareMod, Op: "=", Number: rev}}
}

func read(key string) []history.StoreAction {
	return []history.StoreAction{{Kind: history.ActionRange, Key: key}}
}

func write(key, value string, lease int64) []history.StoreAction {
	return []history.StoreAction{{Kind: history.ActionPut, Key: key, Value: hash(value), Bytes: int64(len(value)), Lease: lease}}
}

// put writes as kube-apiserver does, and expects to have succeeded.
func (c *calls) put(key, value string, expected, lease int64) int64 {
	c.t.Helper()
	resp, err := c.c.OptimisticPut(c.ctx, key, []byte(value), expected, kubernetes.PutOptions{GetOnFailure: expected != 0, LeaseID: clientv3.LeaseID(lease)})
	c.must(err)
	if !resp.Succeeded {
		c.t.Fatalf("put %s at %d: %+v", key, expected, resp)
	}
	op := history.StoreOp{
		Method: history.MethodTxn, Compares: modIs(key, expected), Then: write(key, value, lease),
		Header: resp.Revision, Succeeded: true, Results: []history.StoreResult{{Header: resp.Revision}},
	}
	if expected != 0 {
		op.Else = read(key)
	}
	c.expect(op)
	return resp.Revision
}

func kubernetesWrites(c *calls) {
	created := c.put("/w/a", "one", 0, 0)
	updated := c.put("/w/a", "two", created, 0)

	stale, err := c.c.OptimisticPut(c.ctx, "/w/a", []byte("three"), created, kubernetes.PutOptions{GetOnFailure: true})
	c.must(err)
	if stale.Succeeded {
		c.t.Fatal("a stale write succeeded")
	}
	c.expect(history.StoreOp{
		Method: history.MethodTxn, Compares: modIs("/w/a", created), Then: write("/w/a", "three", 0), Else: read("/w/a"),
		Header: stale.Revision, Results: []history.StoreResult{{Count: 1, Header: stale.Revision, KVs: seen(stale.KV)}},
	})

	deleted, err := c.c.OptimisticDelete(c.ctx, "/w/a", updated, kubernetes.DeleteOptions{GetOnFailure: true})
	c.must(err)
	c.expect(history.StoreOp{
		Method: history.MethodTxn, Compares: modIs("/w/a", updated), Else: read("/w/a"),
		Then:   []history.StoreAction{{Kind: history.ActionDelete, Key: "/w/a"}},
		Header: deleted.Revision, Succeeded: true, Results: []history.StoreResult{{Deleted: 1, Header: deleted.Revision}},
	})
}

func kubernetesReads(c *calls) {
	for i := range 5 {
		c.put(fmt.Sprintf("/r/%d", i), fmt.Sprint(i), 0, 0)
	}
	get, err := c.c.Kubernetes.Get(c.ctx, "/r/3", kubernetes.GetOptions{})
	c.must(err)
	c.expect(history.StoreOp{
		Method: history.MethodRange, Header: get.Revision,
		Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "/r/3", Limit: 1}},
		Results: []history.StoreResult{{Count: 1, KVs: seen(get.KV)}},
	})
	none, err := c.c.Kubernetes.Get(c.ctx, "/r/none", kubernetes.GetOptions{})
	c.must(err)
	c.expect(history.StoreOp{
		Method: history.MethodRange, Header: none.Revision,
		Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "/r/none", Limit: 1}},
		Results: []history.StoreResult{{}},
	})
	page, err := c.c.List(c.ctx, "/r/", kubernetes.ListOptions{Limit: 2, Revision: get.Revision})
	c.must(err)
	c.expect(history.StoreOp{
		Method: history.MethodRange, Header: page.Revision,
		Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "/r/", End: "/r0", Limit: 2, Revision: get.Revision}},
		Results: []history.StoreResult{{Count: 5, More: true, KVs: seen(page.Kvs...)}},
	})
	count, err := c.c.Count(c.ctx, "/r/", kubernetes.CountOptions{})
	c.must(err)
	c.expect(history.StoreOp{
		Method: history.MethodRange, Header: get.Revision,
		Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "/r/", End: "/r0", CountOnly: true}},
		Results: []history.StoreResult{{Count: count}},
	})
	keys, err := c.c.KV.Get(c.ctx, "/r/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	c.must(err)
	bare := seen(keys.Kvs...)
	for i := range bare {
		bare[i].Value = 0
	}
	c.expect(history.StoreOp{
		Method: history.MethodRange, Header: keys.Header.Revision,
		Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "/r/", End: "/r0", KeysOnly: true}},
		Results: []history.StoreResult{{Count: 5, KVs: bare}},
	})
	_, err = c.c.KV.Get(c.ctx, "/r/", clientv3.WithRev(get.Revision+1000))
	c.mustFail(err, "future revision")
	c.expect(history.StoreOp{
		Method: history.MethodRange, Then: []history.StoreAction{{Kind: history.ActionRange, Key: "/r/", Revision: get.Revision + 1000}},
		Error: history.StoreError{Kind: history.ErrorFutureRev, Message: "OutOfRange: etcdserver: mvcc: required revision is a future revision"},
	})
}

// rangeStream reads more keys than fit into one chunk of etcd, and more than
// history lists one by one; then a page of them.
func rangeStream(c *calls) {
	const n = 3 * history.MaxListed
	value := strings.Repeat("v", 300)
	for i := range n {
		c.put(fmt.Sprintf("/s/%04d", i), value, 0, 0)
	}
	for _, limit := range []int64{0, 40} {
		stream, err := c.c.KV.GetStream(c.ctx, "/s/", clientv3.WithPrefix(), clientv3.WithLimit(limit))
		c.must(err)
		resp, err := clientv3.GetStreamToGetResponse(stream)
		c.must(err)
		want := history.StoreResult{Count: n, More: limit != 0, KVs: seen(resp.Kvs...)}
		if limit == 0 {
			want.KVs, want.Chunks = nil, history.Chunks(want.KVs)
		}
		c.expect(history.StoreOp{
			Method: history.MethodRangeStream, Header: resp.Header.Revision,
			Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "/s/", End: "/s0", Limit: limit}},
			Results: []history.StoreResult{want},
		})
	}
}

// compactions are kube-apiserver's: a Txn on the key of the compactor, then the
// compaction, then reads of what is gone.
func compactions(c *calls) {
	const key = "compact_rev_key"
	rev := c.put("/c/a", "one", 0, 0)
	last := c.put("/c/a", "two", rev, 0)
	value := strconv.FormatInt(rev, 10)
	version := []history.StoreCompare{{Key: key, Target: history.CompareVersion, Op: "=", Number: 0}}
	for _, first := range []bool{true, false} {
		resp, err := c.c.KV.Txn(c.ctx).If(clientv3.Compare(clientv3.Version(key), "=", 0)).
			Then(clientv3.OpPut(key, value)).Else(clientv3.OpGet(key)).Commit()
		c.must(err)
		op := history.StoreOp{
			Method: history.MethodTxn, Compares: version, Then: write(key, value, 0), Else: read(key),
			Header: resp.Header.Revision, Succeeded: first, Results: []history.StoreResult{{Header: resp.Header.Revision}},
		}
		if !first {
			found := resp.Responses[0].GetResponseRange()
			op.Results = []history.StoreResult{{Count: 1, Header: found.Header.Revision, KVs: seen(found.Kvs...)}}
		}
		c.expect(op)
	}
	compacted, err := c.c.Compact(c.ctx, last, clientv3.WithCompactPhysical())
	c.must(err)
	c.expect(history.StoreOp{Method: history.MethodCompact, Revision: last, Physical: true, Header: compacted.Header.Revision})

	gone := history.StoreError{Kind: history.ErrorCompacted, Message: "OutOfRange: etcdserver: mvcc: required revision has been compacted"}
	_, err = c.c.Compact(c.ctx, rev)
	c.mustFail(err, "compacted")
	c.expect(history.StoreOp{Method: history.MethodCompact, Revision: rev, Error: gone})
	_, err = c.c.KV.Get(c.ctx, "/c/a", clientv3.WithRev(rev))
	c.mustFail(err, "compacted")
	then := []history.StoreAction{{Kind: history.ActionRange, Key: "/c/a", Revision: rev}}
	c.expect(history.StoreOp{Method: history.MethodRange, Then: then, Error: gone})
	stream, err := c.c.KV.GetStream(c.ctx, "/c/a", clientv3.WithRev(rev))
	c.must(err)
	_, err = clientv3.GetStreamToGetResponse(stream)
	c.mustFail(err, "compacted")
	c.expect(history.StoreOp{Method: history.MethodRangeStream, Then: then, Error: gone})

	hashed, err := c.c.Maintenance.HashKV(c.ctx, c.c.Endpoints()[0], 0)
	c.must(err)
	c.expect(history.StoreOp{Method: history.MethodHashKV, Header: hashed.Header.Revision, Hash: uint64(hashed.Hash), CompactRevision: last})
	state, err := c.c.Status(c.ctx, c.c.Endpoints()[0])
	c.must(err)
	c.expect(history.StoreOp{Method: history.MethodStatus, Header: state.Header.Revision})
}

func leases(c *calls) {
	granted, err := c.c.Grant(c.ctx, 3600)
	c.must(err)
	id := int64(granted.ID)
	c.expect(history.StoreOp{Method: history.MethodLeaseGrant, TTL: 3600, Header: granted.GetRevision(), GrantedLease: id, GrantedTTL: 3600})
	c.put("/l/a", "one", 0, id)

	alive, err := c.c.KeepAliveOnce(c.ctx, granted.ID)
	c.must(err)
	c.expect(history.StoreOp{Method: history.MethodLeaseKeepAlive, Lease: id, Header: alive.GetRevision(), GrantedLease: id, GrantedTTL: 3600})
	_, err = c.c.KeepAliveOnce(c.ctx, granted.ID+1)
	c.mustFail(err, "requested lease not found")
	c.expect(history.StoreOp{Method: history.MethodLeaseKeepAlive, Lease: id + 1, Header: alive.GetRevision(), GrantedLease: id + 1})

	left, err := c.c.TimeToLive(c.ctx, granted.ID)
	c.must(err)
	c.expect(history.StoreOp{Method: history.MethodLeaseTTL, Lease: id, TTL: left.TTL, Header: left.GetRevision(), GrantedLease: id, GrantedTTL: 3600})
	revoked, err := c.c.Revoke(c.ctx, granted.ID)
	c.must(err)
	c.expect(history.StoreOp{Method: history.MethodLeaseRevoke, Lease: id, Header: revoked.Header.Revision})
	_, err = c.c.Revoke(c.ctx, granted.ID)
	c.mustFail(err, "requested lease not found")
	missing := history.StoreError{Kind: history.ErrorLeaseNotFound, Message: "NotFound: etcdserver: requested lease not found"}
	c.expect(history.StoreOp{Method: history.MethodLeaseRevoke, Lease: id, Error: missing})
	_, err = c.c.OptimisticPut(c.ctx, "/l/a", []byte("two"), 0, kubernetes.PutOptions{LeaseID: granted.ID})
	c.mustFail(err, "requested lease not found")
	c.expect(history.StoreOp{Method: history.MethodTxn, Compares: modIs("/l/a", 0), Then: write("/l/a", "two", id), Error: missing})
}

// rawWrites are methods that kube-apiserver does not use, and refusals.
func rawWrites(c *calls) {
	first, err := c.c.Put(c.ctx, "/x/a", "one")
	c.must(err)
	c.expect(history.StoreOp{Method: history.MethodPut, Then: write("/x/a", "one", 0), Header: first.Header.Revision, Results: []history.StoreResult{{}}})
	second, err := c.c.Put(c.ctx, "/x/a", "two", clientv3.WithPrevKV())
	c.must(err)
	then := write("/x/a", "two", 0)
	then[0].PrevKV = true
	c.expect(history.StoreOp{Method: history.MethodPut, Then: then, Header: second.Header.Revision, Results: []history.StoreResult{{KVs: seen(second.PrevKv)}}})
	gone, err := c.c.KV.Delete(c.ctx, "/x/", clientv3.WithPrefix(), clientv3.WithPrevKV())
	c.must(err)
	c.expect(history.StoreOp{
		Method: history.MethodDeleteRange, Then: []history.StoreAction{{Kind: history.ActionDelete, Key: "/x/", End: "/x0", PrevKV: true}},
		Header: gone.Header.Revision, Results: []history.StoreResult{{Deleted: 1, KVs: seen(gone.PrevKvs...)}},
	})
	_, err = c.c.KV.Txn(c.ctx).Then(clientv3.OpPut("/x/b", "1"), clientv3.OpPut("/x/b", "2")).Commit()
	c.mustFail(err, "duplicate key")
	c.expect(history.StoreOp{
		Method: history.MethodTxn, Then: append(write("/x/b", "1", 0), write("/x/b", "2", 0)...),
		Error: history.StoreError{Kind: history.ErrorInvalid, Message: "InvalidArgument: etcdserver: duplicate key given in txn request"},
	})
	large := strings.Repeat("v", maxRequest+1)
	_, err = c.c.Put(c.ctx, "/x/large", large)
	c.mustFail(err, "too large")
	c.expect(history.StoreOp{
		Method: history.MethodPut, Then: write("/x/large", large, 0),
		Error: history.StoreError{Kind: history.ErrorTooLarge, Message: "InvalidArgument: etcdserver: request is too large"},
	})
	// A method that may change the store and that we do not know.
	_, err = c.c.RoleAdd(c.ctx, "somebody")
	c.must(err)
	c.expect(history.StoreOp{Method: history.MethodUnknown, Error: history.StoreError{Message: pb.Auth_RoleAdd_FullMethodName}})
	if _, err := c.c.MemberList(c.ctx); err != nil { // ignored
		c.t.Fatal(err)
	}
}

// TestCalls drives every shape of call that kube-apiserver makes, and more, and
// compares the records with what the client saw.
func TestCalls(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			endpoint, sink := w.open(t)
			client := dial(t, endpoint)
			for _, test := range []struct {
				name string
				run  func(*calls)
			}{
				{"kubernetes writes", kubernetesWrites},
				{"kubernetes reads", kubernetesReads},
				{"RangeStream", rangeStream},
				{"leases", leases},
				{"raw writes", rawWrites},
				{"compactions", compactions},
			} {
				sink.forget()
				c := &calls{t: t, ctx: bounded(t), c: client}
				test.run(c)
				// A stream's record comes when its handler returns, which may
				// be after the client has seen the end.
				sink.await(t, test.name, func(ops []history.StoreOp, _ []history.StoreWatch) bool { return len(ops) >= len(c.want) })
				compareOps(t, test.name, c.want, sink.allOps())
			}
		})
	}
}

func compareOps(t *testing.T, name string, want, got []history.StoreOp) {
	t.Helper()
	sorted := cmpopts.SortSlices(func(a, b history.StoreOp) bool { return a.ID < b.ID })
	if diff := cmp.Diff(want, got, sorted, cmpopts.IgnoreFields(history.StoreOp{}, "ID", "Client", "Called", "Returned", "Term")); diff != "" {
		t.Errorf("%s: records (-want +got):\n%s", name, diff)
	}
	var before history.Time
	for _, op := range got {
		if op.Called < before && op.Method != history.MethodRangeStream || op.Returned < op.Called {
			t.Errorf("%s: call %d %s from %d to %d, the one before was called at %d", name, op.ID, op.Method, op.Called, op.Returned, before)
		}
		before = op.Called
		// The client asks these over a connection of its own.
		apart := op.Method == history.MethodHashKV || op.Method == history.MethodStatus
		if op.Client == 0 || (op.Client == got[0].Client) == apart {
			t.Errorf("%s: call %d comes from client %d, the first from %d", name, op.ID, op.Client, got[0].Client)
		}
	}
}

func TestClientsAreConnections(t *testing.T) {
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			endpoint, sink := w.open(t)
			one, two := dial(t, endpoint), dial(t, endpoint)
			for _, c := range []*kubernetes.Client{one, two, one, two} {
				if _, err := c.Put(bounded(t), "/k", "v"); err != nil {
					t.Fatal(err)
				}
			}
			var got []uint32
			for _, op := range sink.allOps() {
				got = append(got, op.Client)
			}
			if diff := cmp.Diff([]uint32{1, 2, 1, 2}, got); diff != "" {
				t.Errorf("clients (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCanceledCall gives up on a call that the store does.
func TestCanceledCall(t *testing.T) {
	sink := newMemory()
	hole := proxy.NewBlackHole(func(method string) bool { return method == pb.KV_Put_FullMethodName })
	p := startProxy(t, recorded(startMember(t).endpoint(), sink, hole))
	client := dial(t, p.Endpoint())
	for what, stored := range map[proxy.Swallow]bool{proxy.SwallowAnswers: true, proxy.SwallowRequests: false} {
		sink.forget()
		hole.Set(what)
		before := hole.Swallowed()
		ctx, cancel := context.WithCancel(bounded(t))
		failed := make(chan error, 1)
		key := fmt.Sprint("/k", what)
		go func() {
			_, err := client.Put(ctx, key, "v")
			failed <- err
		}()
		eventually(t, "the call is swallowed", func() bool { return hole.Swallowed() > before })
		if n := len(sink.allOps()); n != 0 {
			t.Errorf("%d calls are recorded before their end", n)
		}
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("the client saw %v", err)
		}
		sink.await(t, "the call", func(ops []history.StoreOp, _ []history.StoreWatch) bool { return len(ops) == 1 })
		op := sink.allOps()[0]
		if op.Method != history.MethodPut || op.Error.Kind != history.ErrorUnknown || op.Then[0].Key != key {
			t.Errorf("recorded %+v", op)
		}
		resp, err := client.KV.Get(bounded(t), key)
		if err != nil || (resp.Count == 1) != stored {
			t.Errorf("swallowing %d: %d keys, %v", what, resp.Count, err)
		}
	}
}
