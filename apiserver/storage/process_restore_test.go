package storage

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/judge"
)

// The history of a cluster that is restored from a snapshot under load has two
// epochs, which are good as long as revisions do not repeat.
func TestProcessHistoryWithRestore(t *testing.T) {
	t.Parallel()
	f := func(bump int64, want checkers.Outcome) {
		t.Helper()
		j := restoredHistory(t, bump)
		i := slices.IndexFunc(j.Verdicts, func(v checkers.Verdict) bool { return v.Guarantee == judge.Restored })
		if v := j.Verdicts[i]; v.Outcome != want {
			t.Errorf("bump of %d: %s (%s), want %s", bump, v, v.Checked, want)
		}
		for _, v := range j.Verdicts {
			if v.Outcome == checkers.Fail && v.Guarantee != judge.Restored {
				t.Errorf("bump of %d: %s (%s)", bump, v, v.Checked)
			}
		}
		if v := j.Verdicts[0]; v.Guarantee != "Order" || bump > 0 && !strings.Contains(v.Checked, "; after it: ") {
			t.Errorf("bump of %d: %s (%s)", bump, v, v.Checked)
		}
	}
	f(10_000, checkers.Pass)
	f(0, checkers.Fail)
}

// restoredHistory restores a cluster under load, and judges the history.
func restoredHistory(t *testing.T, bump int64) *judge.Judgement {
	dir := filepath.Join(t.TempDir(), "history")
	w, err := archive.Create(dir, archive.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	sink, err := archive.NewStoreWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	c := startProcesses(t, "etcd-process", Options{History: sink})
	ctx := bounded(t)
	members := c.Members()
	full, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: members[0].Endpoint, Others: []string{members[1].Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	audit := func() int64 {
		t.Helper()
		revision, err := Audit(ctx, members)
		if err == nil {
			err = full.Await(ctx, revision)
		}
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	write := func(value string, n int) {
		t.Helper()
		client := dial(t, c.Endpoints()...)
		for i := range n {
			key := "/registry/a/" + string(rune('A'+i))
			var known int64
			if resp, err := client.Client.Get(ctx, key); err == nil && len(resp.Kvs) > 0 {
				known = resp.Kvs[0].ModRevision
			}
			mustPut(t, client, key, value, known)
		}
	}
	write("kept", 60)
	file := filepath.Join(t.TempDir(), "snapshot.db")
	r := history.Restore{}
	if r.Kept, err = c.SaveSnapshot(ctx, members[0].Name, file); err != nil {
		t.Fatal(err)
	}
	write("lost", 30)
	r.Told, r.Bumped = audit(), r.Kept+bump
	full.GoOn(r.Bumped)
	if r.At, err = c.RestoreSnapshot(ctx, file, uint64(bump)); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, c.Endpoints()...).Client.Get(ctx, "/registry/a/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	watch := dial(t, c.Endpoints()...).Client.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(r.Told+1))
	if bump > 0 {
		if resp := <-watch; resp.CompactRevision == 0 {
			t.Errorf("a watch from a lost revision on is told %+v", resp)
		}
	}
	write("after", 60)
	audit()
	for _, err := range []error{full.Stop(), c.Stop(), w.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	j, err := judge.Directory(ctx, dir, judge.Options{Claimed: []string{}, Restore: &r})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// Members with a small quota raise the alarm themselves when real writes reach
// it; with their own quota, and after a recovery, they take writes again.
func TestProcessQuota(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	ctx := bounded(t)
	leader := leads(t, c, names(c)...)
	if err := c.LimitQuota(ctx, inspect(t, c, leader).DBSize+2<<20); err != nil {
		t.Fatal(err)
	}
	client := dial(t, c.Endpoints()...)
	fill := func(ctx context.Context) error {
		_, err := client.Put(ctx, "fill", strings.Repeat("x", 1<<19))
		return err
	}
	var err error
	for i := 0; err == nil && i < 20; i++ {
		persist(t, "fill", func(ctx context.Context) error {
			if err = fill(ctx); errors.Is(err, rpctypes.ErrNoSpace) {
				return nil
			}
			return err
		})
	}
	if err == nil {
		t.Fatal("ten megabytes are no reason for an alarm")
	}
	for _, name := range names(c) {
		await(t, "the alarm at "+name, func() bool { return inspect(t, c, name).NoSpace })
	}
	if err := c.LimitQuota(ctx, 0); err != nil {
		t.Fatal(err)
	}
	persist(t, "disarm every alarm", func(ctx context.Context) error {
		_, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
		return err
	})
	for range 20 {
		persist(t, "fill after the alarm", fill)
	}
}

// Where the kernel holds the fsyncs of a member, its own metrics show it, and a
// quorum of others does not wait.
func TestProcessSlowDisk(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	ctx := bounded(t)
	slow := others(c, leads(t, c, names(c)...))[0]
	const delay = 30 * time.Millisecond
	write := func() (mean time.Duration) {
		t.Helper()
		client := dial(t, c.Endpoints()...)
		for i := range 20 {
			if _, err := client.Put(ctx, "/registry/a", strings.Repeat("x", i)); err != nil {
				t.Fatal(err)
			}
		}
		mustAgree(t, c, "/registry/a", strings.Repeat("x", 19))
		n, took, err := c.LogSyncs(ctx, slow)
		if err != nil || n == 0 {
			t.Fatalf("%d syncs, %v", n, err)
		}
		return took / time.Duration(n)
	}
	if err := c.SlowDisk(ctx, delay, slow); err != nil {
		t.Fatal(err)
	}
	if mean := write(); mean < delay {
		t.Errorf("a sync takes %v, want %v at least", mean, delay)
	}
	if err := c.SlowDisk(ctx, 0, slow); err != nil {
		t.Fatal(err)
	}
	if n, took, err := c.LogSyncs(ctx, slow); err != nil || c.members[0].syncDelay+c.members[1].syncDelay+c.members[2].syncDelay != 0 {
		t.Errorf("%d syncs took %v, %v", n, took, err)
	}
}
