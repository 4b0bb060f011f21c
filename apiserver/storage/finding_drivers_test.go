package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
)

// docs/findings/0023: the store on NATS compacts a revision that is to come, and
// then refuses reads that name none.
func TestKineNATSCompactsTheFuture(t *testing.T) {
	k := startKine(t, kineNATSName, Options{})
	e := start(t, "etcd:members=1", Options{})
	for b, want := range map[Backend]string{
		k: "done, and refused are a key, one that is not there, a list",
		e: "refused: etcdserver: mvcc: required revision is a future revision",
	} {
		if got := afterFuture(t, b); got != want {
			t.Errorf("%s: a compaction of the future is %s, want %s", b.Name(), got, want)
		}
	}
}

// afterFuture asks for the compaction of a revision that is to come and, if that is
// done, reads.
func afterFuture(t *testing.T, b Backend) string {
	t.Helper()
	ctx := bounded(t)
	c := dial(t, b.Endpoints()...)
	mustPut(t, c, "/registry/a", "a", 0)
	if _, err := c.Compact(ctx, 1); err != nil { // kine notes that in a key of the store, so it counts as a write
		t.Fatal(err)
	}
	all, err := c.KV.Get(ctx, "", clientv3.WithFromKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compact(ctx, all.Header.Revision+2); err != nil {
		return fmt.Sprintf("refused: %v", err)
	}
	var refused string
	tries(t, 500, func(int) string { // kine's own watch of compactions may be behind
		refused = reads(ctx, c)
		return refused
	})
	return "done, and refused are " + refused
}

// reads asks for the present state in four ways, and says which are refused as
// compacted.
func reads(ctx context.Context, c *kubernetes.Client) string {
	var refused []string
	for _, ask := range []struct {
		name, key string
		options   []clientv3.OpOption
	}{
		{"a key", "/registry/a", nil},
		{"one that is not there", "/registry/none", nil},
		{"a list", "/registry/", []clientv3.OpOption{clientv3.WithPrefix()}},
		{"a count", "/registry/", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithCountOnly()}},
	} {
		if _, err := c.KV.Get(ctx, ask.key, ask.options...); errors.Is(err, rpctypes.ErrCompacted) {
			refused = append(refused, ask.name)
		}
	}
	return strings.Join(refused, ", ")
}

// docs/findings/0025: what was not changed since a compaction loses its previous
// version with the next change, on the drivers that are not of SQL.
func TestKineLosesPreviousVersions(t *testing.T) {
	of := map[string]string{kineMemoryName: "", kineNATSName: "", kineSQLiteName: "first", "etcd:members=1": "first"}
	if bothVersions() {
		of[kineMemoryName+v0164] = "first"
	}
	for spec, want := range of {
		t.Run(spec, func(t *testing.T) {
			var b Backend
			if spec == "etcd:members=1" {
				b = start(t, spec, Options{})
			} else {
				b = startKine(t, spec, Options{})
			}
			if got := previousAfterCompaction(t, b); got != want {
				t.Errorf("the change of a key that was at rest came with %q as its previous version, want %q", got, want)
			}
		})
	}
}

// previousAfterCompaction writes a key, then others, compacts, and says with which
// previous version the key's next change comes.
func previousAfterCompaction(t *testing.T, b Backend) string {
	t.Helper()
	ctx := bounded(t)
	c := dial(t, b.Endpoints()...)
	const key = "/registry/a"
	first := mustPut(t, c, key, "first", 0)
	var last int64
	for i := range 4 {
		last = mustPut(t, c, fmt.Sprintf("/registry/other/%d", i), "other", 0)
	}
	if _, err := c.Compact(ctx, last-1); err != nil {
		t.Fatal(err)
	}
	events := c.Watch(ctx, key, clientv3.WithRev(last+1), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	if m := <-events; !m.Created {
		t.Fatalf("watch: %+v", m)
	}
	mustPut(t, c, key, "second", first)
	m := <-events
	if m.Err() != nil || len(m.Events) != 1 {
		t.Fatalf("the change: %+v, %v", m, m.Err())
	}
	if previous := m.Events[0].PrevKv; previous != nil {
		return string(previous.Value)
	}
	return ""
}
