package memory_test

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage/memory"
	"github.com/planecheck/planecheck/workloads/contract/store"
)

// The size of the comparison. Seeds follow one another on the same two stores.
const (
	seeds = 240
	turns = 60 // requests of a seed
)

// TestAnswersAreEtcds sends the same random requests to etcd and to the store
// in memory, one after the other, and wants the same answers: revisions, errors
// with their words, and the events of watches of every kind.
func TestAnswersAreEtcds(t *testing.T) {
	servers := both(t)
	c, err := store.NewComparison(t.Context(), store.Config{
		Model: servers[0].Server, Store: servers[1].Server, Promises: store.Strict, Anything: true, Turns: turns, Patience: bound,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for seed := range uint64(seeds) {
		found, err := c.Round(rand.New(rand.NewPCG(seed, 1)))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, d := range found {
			t.Fatalf("seed %d: the model is etcd, the store that in memory: %v", seed, d)
		}
	}
	// It was a comparison only if every answer which can be had was had.
	for _, kind := range []string{
		"Txn ok", "Range ok", "RangeStream ok", "Compact ok", "LeaseGrant ok", "LeaseRevoke ok",
		"Range etcdserver: mvcc: required revision has been compacted",
		"Range etcdserver: mvcc: required revision is a future revision",
		"RangeStream etcdserver: mvcc: required revision has been compacted",
		"RangeStream etcdserver: mvcc: required revision is a future revision",
		"Range etcdserver: key is not provided",
		"Range etcdserver: invalid sort option",
		"Txn etcdserver: mvcc: required revision has been compacted",
		"Txn etcdserver: mvcc: required revision is a future revision",
		"Txn etcdserver: duplicate key given in txn request",
		"Txn etcdserver: too many operations in txn request",
		"Txn etcdserver: requested lease not found",
		"Txn etcdserver: request is too large",
		"Txn etcdserver: key is not provided",
		"Txn etcdserver: key not found",
		"Compact etcdserver: mvcc: required revision has been compacted",
		"Compact etcdserver: mvcc: required revision is a future revision",
		"LeaseGrant etcdserver: lease already exists",
		"LeaseGrant etcdserver: too large lease TTL",
		"LeaseRevoke etcdserver: requested lease not found",
		"Watch created", "Watch refused", "Watch lost", "Watch canceled", "Watch event", "Watch previous value",
		"Watch progress", "Watch of the past", "Watch of the future",
	} {
		if c.Answered[kind] == 0 {
			t.Errorf("there was no %q", kind)
		}
	}
	t.Logf("answers that agree: %v", c.Answered)
}

// TestPagesAreEtcds compares lists of more keys than the random requests make, in pages
// and by the chunk, as a kube-apiserver reads them.
func TestPagesAreEtcds(t *testing.T) {
	s := memory.New()
	go s.Expire(t.Context())
	verdicts, err := store.Compare(t.Context(), store.Plan{Seed: 1}, serveEtcd(t).Server, serveMemory(t, s).Server, store.Strict,
		10*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if v.Differ > 0 {
			t.Errorf("%s: the model is etcd, the store that in memory: %v", v.Shape, v.First)
		}
		if (v.Shape == store.Stream || v.Shape == store.List) && v.Answers == 0 {
			t.Errorf("%s: nothing was compared", v.Shape)
		}
	}
}
