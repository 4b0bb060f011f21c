package storage

import (
	"errors"
	"slices"
	"testing"

	"github.com/planecheck/planecheck/apiserver/storage/record"
)

// Each operation of a store behind a proxy is on record once: the servers have no
// interceptors, too, and clients are sent to the proxies.
func TestThroughProxyRecordsOnce(t *testing.T) {
	t.Parallel()
	log := &historyLog{}
	var commits commitLog
	b := startAs[*throughProxy](t, throughProxyOfMemory, Options{History: log, OnCommit: commits.add})
	behind := b.Backend.Endpoints()
	if len(b.Endpoints()) != 1 || slices.Equal(b.Endpoints(), behind) || b.Members()[0].Endpoint != b.Endpoints()[0] {
		t.Errorf("endpoints %q, members %+v, the store's %q", b.Endpoints(), b.Members(), behind)
	}
	if !b.Members()[0].Proxied || b.Backend.Members()[0].Proxied || b.Settings()["proxy"] != "true" || len(b.Faults()) > 0 {
		t.Errorf("members %+v, settings %v, faults %v", b.Members(), b.Settings(), b.Faults())
	}
	watch, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: b.Endpoints()[0]})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, dial(t, b.Endpoints()...), "/registry/pods/ns/through", "one", 0)
	mustPut(t, dial(t, behind...), "/registry/pods/ns/past", "one", 0)
	complete(t, b, watch)
	puts, events := 0, 0
	for _, op := range log.Ops {
		if op.Succeeded {
			puts++
		}
	}
	for _, w := range log.Watches {
		events += len(w.Events)
	}
	if puts != 1 || events != 2 || len(commits.commits()) != 1 {
		t.Errorf("%d puts, %d events and %d commits on record; one put went through the proxy, and both have an event", puts, events, len(commits.commits()))
	}
}

// A member of etcd that dies is told of as without the proxy.
func TestThroughProxyTellsOfDeath(t *testing.T) {
	t.Parallel()
	b := startAs[*throughProxy](t, "etcd:members=1,proxy=on", Options{})
	b.Backend.(*etcdCluster).died("etcd-0", errors.New("no space left on device"))
	if err := <-b.Died(); message(err) != "etcd member etcd-0 died: no space left on device" {
		t.Errorf("died: %v", err)
	}
}
