package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
)

// What kine says of writes and did not do, see finding_kine_test.go.

// docs/findings/0010: what kine's transactions say is not what they did.
func TestKineDeletesWhatIsNotThere(t *testing.T) {
	for _, version := range versions() {
		k := startKine(t, kineSQLiteName+version, Options{})
		resp, err := dial(t, k.Endpoints()...).OptimisticDelete(bounded(t), "/registry/none", 7, kubernetes.DeleteOptions{GetOnFailure: true})
		if err != nil || !resp.Succeeded {
			t.Errorf("%s: delete of a key that never was, at revision 7: %+v, %v; it used to succeed", version, resp, err)
		}
	}
}

// A transaction that deletes without a comparison leaves what is there, and deletes
// what never was. v0.16.4 deletes what is there.
func TestKineDeletesWithoutAComparison(t *testing.T) {
	for _, version := range versions() {
		c := dial(t, startKine(t, kineSQLiteName+version, Options{}).Endpoints()...)
		there, none := uncompared(t, c)
		if want := "succeeded, and it is gone"; there != want && version == v0164 {
			t.Errorf("%s: of a key that is there: %s, want %s", version, there, want)
		}
		if want := "not succeeded, and it is there"; there != want && version == v0175 {
			t.Errorf("%s: of a key that is there: %s; it used to be %s", version, there, want)
		}
		if want := map[string]string{v0175: "succeeded, 1 deleted", v0164: "succeeded, 0 deleted"}[version]; none != want {
			t.Errorf("%s: of a key that never was: %s; it used to be %s", version, none, want)
		}
	}
}

// uncompared deletes a key that is there and one that never was, without a
// comparison, and returns what came of it.
func uncompared(t *testing.T, c *kubernetes.Client) (there, none string) {
	t.Helper()
	ctx := bounded(t)
	remove := func(key string) *clientv3.TxnResponse {
		t.Helper()
		resp, err := c.Client.Txn(ctx).Then(clientv3.OpGet(key), clientv3.OpDelete(key)).Commit()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	said := map[bool]string{true: "succeeded, ", false: "not succeeded, "}
	const key = "/uncompared/there"
	mustPut(t, c, key, "x", 0)
	there = said[remove(key).Succeeded]
	got, err := c.Kubernetes.Get(ctx, key, kubernetes.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there += map[bool]string{true: "and it is gone", false: "and it is there"}[got.KV == nil]
	resp := remove("/uncompared/none")
	deleted := int64(0)
	for _, r := range resp.Responses {
		deleted += r.GetResponseDeleteRange().GetDeleted()
	}
	return there, fmt.Sprintf("%s%d deleted", said[resp.Succeeded], deleted)
}

// Of two API servers that compact at one time, one is to be told that the other
// has been there.
func TestKineLetsTwoCompactorsWin(t *testing.T) {
	for _, version := range versions() {
		k := startKine(t, kineSQLiteName+version, Options{})
		clients := []*kubernetes.Client{dial(t, k.Endpoints()...), dial(t, k.Endpoints()...)}
		if !tries(t, 2000, func(try int) string { return bothWin(t, clients, int64(try)) }) {
			t.Errorf("%s: of two compactors one lost each time", version)
		}
	}
}

// bothWin has clients change compact_rev_key from one version at one time, and
// says whether more than one was told that it did.
func bothWin(t *testing.T, clients []*kubernetes.Client, version int64) string {
	t.Helper()
	ctx := bounded(t)
	const key = "compact_rev_key"
	won := make([]bool, len(clients))
	var both sync.WaitGroup
	for i, c := range clients {
		both.Go(func() {
			resp, err := c.Client.Txn(ctx).If(clientv3.Compare(clientv3.Version(key), "=", version)).
				Then(clientv3.OpPut(key, fmt.Sprint(version))).Else(clientv3.OpGet(key)).Commit()
			if err != nil {
				t.Error(err)
				return
			}
			won[i] = resp.Succeeded
		})
	}
	both.Wait()
	if slices.Contains(won, false) {
		return ""
	}
	return fmt.Sprintf("both changed compact_rev_key from version %d", version)
}

// docs/findings/0010: of puts without a comparison, some are answered and have had no effect.
func TestKineLosesPuts(t *testing.T) {
	for _, version := range versions() {
		k := startKine(t, kineSQLiteName+version, Options{})
		clients := []*kubernetes.Client{dial(t, k.Endpoints()...), dial(t, k.Endpoints()...)}
		if !tries(t, 2000, func(try int) string { return lost(t, clients, fmt.Sprintf("/put/%d", try)) }) {
			t.Errorf("%s: each put that was answered is in the key's history", version)
		}
	}
}

// docs/findings/0010: a put of a key that another client deletes meanwhile ends kine.
func TestKineEndsWithAPut(t *testing.T) {
	k := startKine(t, kineSQLiteName+v0175, Options{})
	ctx, cancel := context.WithCancel(bounded(t))
	var both sync.WaitGroup
	puts, deletes := dial(t, k.Endpoints()...), dial(t, k.Endpoints()...)
	both.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			_, _ = puts.Put(ctx, "/put", fmt.Sprint(n))
		}
	})
	both.Go(func() {
		for ctx.Err() == nil {
			if got, err := deletes.Kubernetes.Get(ctx, "/put", kubernetes.GetOptions{}); err == nil && got.KV != nil {
				_, _ = deletes.OptimisticDelete(ctx, "/put", got.KV.ModRevision, kubernetes.DeleteOptions{GetOnFailure: true})
			}
		}
	})
	select {
	case err := <-k.Died():
		if !strings.Contains(err.Error(), "nil pointer dereference") {
			t.Errorf("it ended otherwise: %v", err)
		}
	case <-ctx.Done():
		t.Error("it has outlived all puts and deletes")
	}
	cancel()
	both.Wait()
}

// lost puts a key from several clients at one time and says which of the puts
// is in no revision.
func lost(t *testing.T, clients []*kubernetes.Client, key string) string {
	t.Helper()
	ctx := bounded(t)
	first := mustPut(t, clients[0], key, "first", 0)
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			if _, err := c.Put(ctx, key, fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	last := mustPut(t, clients[0], key+"/end", "", 0)
	seen := map[string]bool{}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	for m := range clients[0].Watch(watch, key, clientv3.WithRange(key+"0"), clientv3.WithRev(first)) {
		for _, e := range m.Events {
			if e.Kv.ModRevision == last {
				cancel()
			}
			seen[string(e.Kv.Value)] = true
		}
	}
	for i := range clients {
		if !seen[fmt.Sprint(i)] {
			return fmt.Sprintf("the put of %d was answered, and the key never was that", i)
		}
	}
	return ""
}
