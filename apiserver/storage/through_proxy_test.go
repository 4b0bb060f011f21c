package storage

import (
	"errors"
	"slices"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers/history"
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

// All that a proxy does is charged to the recorder, also where nothing is recorded.
func TestThroughProxyIsLabelled(t *testing.T) {
	t.Parallel()
	here, goOn := make(chan struct{}), make(chan struct{})
	b := startAs[*throughProxy](t, throughProxyOfMemory, Options{OnCommit: func(history.Commit) { stayInProxy(here, goOn) }})
	client := dial(t, b.Endpoints()...)
	put := make(chan error, 1)
	go func() {
		_, err := client.Txn(bounded(t)).Then(clientv3.OpPut("/registry/pods/ns/a", "v")).Commit()
		put <- err
	}()
	<-here
	prof := goroutineProfile(t)
	goOn <- struct{}{}
	if err := <-put; err != nil {
		t.Fatal(err)
	}
	if got := labelsIn(prof, "stayInProxy"); !slices.Equal(got, []string{ProfileRecorder}) {
		t.Errorf("a proxy ran with labels %q, want %q", got, ProfileRecorder)
	}
}

//go:noinline
func stayInProxy(here, goOn chan struct{}) { here <- struct{}{}; <-goOn }

// A member of etcd that dies is told of as without the proxy.
func TestThroughProxyTellsOfDeath(t *testing.T) {
	t.Parallel()
	b := startAs[*throughProxy](t, "etcd:members=1,proxy=on", Options{})
	b.Backend.(*etcdCluster).died("etcd-0", errors.New("no space left on device"))
	if err := <-b.Died(); message(err) != "etcd member etcd-0 died: no space left on device" {
		t.Errorf("died: %v", err)
	}
}
