package storage

import (
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers"
)

// The store in memory is stopped and started with its data and at its port,
// tells its commits, and keeps no file.
func TestMemoryLives(t *testing.T) {
	t.Parallel()
	for _, spec := range memories {
		t.Run(spec, func(t *testing.T) { t.Parallel(); testMemoryLives(t, spec) })
	}
}

// memories are the store in memory as it is, and behind a proxy.
var memories = []string{memoryName, throughProxyOfMemory}

const throughProxyOfMemory = memoryName + ":proxy=on"

func testMemoryLives(t *testing.T, spec string) {
	var commits commitLog
	b := startAs[Backend](t, spec, Options{OnCommit: commits.add})
	if err := b.Start(bounded(t)); err == nil {
		t.Error("it can be started twice")
	}
	endpoint := b.Members()[0].Endpoint
	client := dial(t, b.Endpoints()...)
	const key = "/registry/pods/default/web-0"
	created := mustPut(t, client, key, "one", 0)
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(); err != nil {
		t.Errorf("second stop: %v", err)
	}
	if err := b.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if got := b.Members()[0].Endpoint; got != endpoint {
		t.Errorf("it came back at %s, was at %s", got, endpoint)
	}
	client = dial(t, b.Endpoints()...)
	wantValue(t, client, key, "one")
	updateAndDelete(t, client, &commits, key, created)
	status, err := client.Status(bounded(t), endpoint)
	if err != nil || !strings.HasPrefix(status.Version, "3.7.") || status.DbSize == 0 {
		t.Errorf("status %v, %v", status, err)
	}
	if n, err := b.DiskBytes(); n != 0 || err != nil {
		t.Errorf("%d bytes on disk, %v", n, err)
	}
	if err := RemoveData(b); err != nil {
		t.Error(err)
	}
}

// The history of a store in memory, whose leases end by themselves, can be
// judged by its contract and is good; with one answer changed it is not.
func TestHistoryOfMemory(t *testing.T) {
	t.Parallel()
	for _, spec := range memories {
		t.Run(spec, func(t *testing.T) { t.Parallel(); testHistoryOfMemory(t, spec) })
	}
}

func testHistoryOfMemory(t *testing.T, spec string) {
	log := &historyLog{}
	b := startAs[Backend](t, spec, Options{History: log})
	watch, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: b.Endpoints()[0]})
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, b.Endpoints()...)
	contend(t, client)
	ended := leasedKeyEnds(t, client)
	if revision := complete(t, b, watch); revision != ended {
		t.Errorf("revision %d, want %d: that of the end of the lease", revision, ended)
	}
	for name, v := range log.judge() {
		judged := tested(name)
		if judged && v.Outcome != checkers.Pass || v.Outcome == checkers.Fail {
			t.Errorf("%s (%s)", v, v.Checked)
		}
	}
	log.repeatRevision()
	failed := 0
	for _, v := range log.judge() {
		if v.Outcome == checkers.Fail {
			failed++
		}
	}
	if failed == 0 {
		t.Error("a revision that was given twice is not seen")
	}
}

// leasedKeyEnds puts a key with the shortest lease, waits until it is deleted
// and returns the revision of that.
func leasedKeyEnds(t *testing.T, client *kubernetes.Client) int64 {
	t.Helper()
	ctx := bounded(t)
	lease, err := client.Grant(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	const key = "/registry/events/ns/one"
	put, err := client.OptimisticPut(ctx, key, []byte("event"), 0, kubernetes.PutOptions{LeaseID: lease.ID})
	if err != nil {
		t.Fatal(err)
	}
	m := <-client.Watch(ctx, key, clientv3.WithRev(put.Revision+1))
	if len(m.Events) != 1 || m.Events[0].Type != clientv3.EventTypeDelete {
		t.Fatalf("the key of a lease outlived it: %v, %v", m.Events, m.Err())
	}
	return m.Events[0].Kv.ModRevision
}
