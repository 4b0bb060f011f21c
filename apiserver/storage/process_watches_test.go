package storage

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watched opens a watch of a prefix at the cluster, on a stream of its own.
func watched(t testing.TB, c *processCluster, prefix string) clientv3.WatchChan {
	t.Helper()
	ch := dial(t, c.Endpoints()...).Watch(clientv3.WithRequireLeader(bounded(t)), prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	if resp := <-ch; !resp.Created {
		t.Fatalf("the watch of %s was not created: %+v", prefix, resp)
	}
	return ch
}

// comes waits for an event of a key.
func comes(t testing.TB, ch clientv3.WatchChan, key string) {
	t.Helper()
	select {
	case resp := <-ch:
		if len(resp.Events) == 0 || string(resp.Events[0].Kv.Key) != key {
			t.Errorf("the watch shows %+v, want %s", resp, key)
		}
	case <-bounded(t).Done():
		t.Fatalf("%s does not come", key)
	}
}

// Streams of one prefix stand still at whichever member they are, also after
// the member has been started anew, while others go on and writes are taken.
func TestProcessWatchFreeze(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process:members=1", Options{})
	frozen, free := watched(t, c, "/registry/configmaps/"), watched(t, c, "/registry/pods/")
	writer := dial(t, c.Endpoints()...)

	c.FreezeWatches("/registry/configmaps/")
	mustPut(t, writer, "/registry/configmaps/a", "v", 0)
	mustPut(t, writer, "/registry/pods/a", "v", 0)
	comes(t, free, "/registry/pods/a")
	await(t, "a stream to be held", func() bool { return c.HeldWatches() == 1 })
	select {
	case resp := <-frozen:
		t.Errorf("a frozen watch shows %+v", resp)
	default:
	}

	// Another prefix takes its place.
	c.FreezeWatches("/registry/pods/")
	comes(t, frozen, "/registry/configmaps/a")
	mustPut(t, writer, "/registry/pods/b", "v", 0)
	await(t, "a stream to be held", func() bool { return c.HeldWatches() == 1 })
	c.ThawWatches()
	comes(t, free, "/registry/pods/b")
	if held := c.HeldWatches(); held != 0 {
		t.Errorf("%d streams are held after the thaw", held)
	}

	// It holds for a member that is started anew, and a stop ends it.
	c.FreezeWatches("/registry/pods/")
	ctx := bounded(t)
	if err := c.KillMembers(ctx, "etcd-0"); err != nil {
		t.Fatal(err)
	}
	if err := c.RestartMember(ctx, "etcd-0"); err != nil {
		t.Fatal(err)
	}
	await(t, "a watch that is resumed to be held", func() bool {
		put, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := writer.Client.Put(put, "/registry/pods/c", "v")
		return err == nil && c.HeldWatches() > 0
	})
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	comes(t, free, "/registry/pods/c")
}
