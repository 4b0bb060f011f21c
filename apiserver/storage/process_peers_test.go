package storage

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/planecheck/planecheck/apiserver/link"
)

func isolate(t testing.TB, c *processCluster, name string) {
	t.Helper()
	for _, other := range others(c, name) {
		for _, way := range [][2]string{{name, other}, {other, name}} {
			if err := c.SetPeer(way[0], way[1], link.Condition{Hold: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// cannotWrite holds that a write through a member is not answered while the test
// waits. It is of no revision that there will be: a busy member may take it up only
// when it can write again.
func cannotWrite(t testing.TB, c *processCluster, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(bounded(t), 300*time.Millisecond)
	defer cancel()
	resp, err := dial(t, endpointOf(c, name)).OptimisticPut(ctx, "/registry/a", []byte("nowhere"), 1<<40, kubernetes.PutOptions{})
	if err == nil {
		t.Errorf("a write through %s was answered: %+v", name, resp)
	}
}

func TestProcessPartition(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	revision := mustPut(t, dial(t, c.Endpoints()...), "/registry/a", "before", 0)
	leader := leads(t, c, names(c)...)
	rest := others(c, leader)
	term := inspect(t, c, leader).Term

	isolate(t, c, leader)
	next := leads(t, c, rest...)
	newTerm(t, c, next, term)
	mustPut(t, dial(t, endpointOf(c, rest[0])), "/registry/a", "during", revision)
	cannotWrite(t, c, leader)
	traffic, err := c.PeerTraffic(leader, rest[0])
	if err != nil || traffic.Held == 0 || traffic.Passed == 0 {
		t.Errorf("from the member that is cut off: %+v, %v", traffic, err)
	}
	if waited := c.HealPeers(); waited == 0 {
		t.Error("nothing was waiting when the links were healed")
	}
	leads(t, c, names(c)...)
	mustAgree(t, c, "/registry/a", "during")

	if _, err := c.PeerTraffic(leader, leader); err == nil {
		t.Error("a member has a link to itself")
	}
}

// A leader that hears nobody and is heard by all steps down, because etcd
// checks its quorum; a follower that hears nobody cannot unseat a leader that
// the others hear, because of the vote before the vote.
func TestProcessAsymmetricCut(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	revision := mustPut(t, dial(t, c.Endpoints()...), "/registry/a", "before", 0)
	leader := leads(t, c, names(c)...)
	rest := others(c, leader)
	term := inspect(t, c, leader).Term

	for _, from := range others(c, rest[0]) {
		if err := c.SetPeer(from, rest[0], link.Condition{Hold: true}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the deaf follower to lose its leader", func() bool { return inspect(t, c, rest[0]).Leader == 0 })
	revision = mustPut(t, dial(t, endpointOf(c, leader), endpointOf(c, rest[1])), "/registry/a", "one", revision)
	if state := inspect(t, c, leader); state.Term != term || state.Leader != state.ID {
		t.Errorf("the leader that one does not hear: %+v, it was in term %d", state, term)
	}
	to, err := c.PeerTraffic(leader, rest[0])
	from, err2 := c.PeerTraffic(rest[0], leader)
	if errors.Join(err, err2) != nil || to.Held == 0 || from.Held != 0 {
		t.Errorf("to the deaf follower %+v, from it %+v, %v, %v", to, from, err, err2)
	}
	c.HealPeers()
	leads(t, c, names(c)...)
	mustAgree(t, c, "/registry/a", "one")

	leader = leads(t, c, names(c)...)
	for _, from := range others(c, leader) {
		if err := c.SetPeer(from, leader, link.Condition{Hold: true}); err != nil {
			t.Fatal(err)
		}
	}
	next := leads(t, c, others(c, leader)...)
	mustPut(t, dial(t, endpointOf(c, next)), "/registry/a", "two", revision)
	c.HealPeers()
	leads(t, c, names(c)...)
	mustAgree(t, c, "/registry/a", "two")
}

// A write waits for one other member: there and back.
func TestProcessSlowPeers(t *testing.T) {
	t.Parallel()
	c := startProcesses(t, "etcd-process", Options{})
	leader := leads(t, c, names(c)...)
	client := dial(t, endpointOf(c, leader))
	revision := mustPut(t, client, "/registry/a", "before", 0)
	const delay = 40 * time.Millisecond
	for _, from := range names(c) {
		for _, to := range others(c, from) {
			if err := c.SetPeer(from, to, link.Condition{Delay: delay, Jitter: delay / 4, Seed: 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 5 {
		began := time.Now()
		revision = mustPut(t, client, "/registry/a", fmt.Sprint(i), revision)
		if took := time.Since(began); took < 2*delay {
			t.Errorf("write %d took %v, less than there and back over %v", i, took, delay)
		}
	}
	if traffic, err := c.PeerTraffic(leader, others(c, leader)[0]); err != nil || traffic.Delayed == 0 {
		t.Errorf("traffic: %+v, %v", traffic, err)
	}
	c.HealPeers()
	mustAgree(t, c, "/registry/a", "4")
}
