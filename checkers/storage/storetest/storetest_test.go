package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

func TestGenerateIsRepeatable(t *testing.T) {
	a, b := Generate(7, Config{}), Generate(7, Config{})
	if !reflect.DeepEqual(a, b) {
		t.Fatal("one seed gave two histories")
	}
	if reflect.DeepEqual(a.Ops, Generate(8, Config{}).Ops) {
		t.Fatal("two seeds gave one history")
	}
}

// TestGenerateHasEverything guards the tests of the checkers: what histories
// never hold is never checked.
func TestGenerateHasEverything(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(20) {
		h := Generate(seed, Config{})
		for _, op := range h.Ops {
			seen[string(op.Method)]++
			seen["error "+string(op.Error.Kind)]++
			if op.Returned == 0 {
				seen["hung"]++
			}
			for _, a := range op.Then {
				if a.Serializable {
					seen["serializable"]++
				}
				if a.Lease != 0 {
					seen["leased"]++
				}
			}
		}
		for _, w := range h.Watches {
			seen["watch "+string(w.Kind)]++
			if w.CompactRevision > 0 {
				seen["watch compacted"]++
			}
			if len(w.Events) > 1 && w.Events[0].Delete {
				seen["deletions"]++
			}
		}
	}
	for _, want := range []string{
		"Range", "RangeStream", "Txn", "Put", "DeleteRange", "Compact", "LeaseGrant", "LeaseRevoke",
		"LeaseKeepAlive", "LeaseTimeToLive", "Status", "HashKV", "error unknown", "error no-space",
		"error compacted", "error future-revision", "error lease-not-found", "error invalid",
		"error request-too-large", "error too-many-requests", "hung", "serializable", "leased",
		"watch create", "watch created", "watch events", "watch progress", "watch ask", "watch cancel",
		"watch canceled", "watch closed", "watch compacted", "deletions",
	} {
		if seen[want] == 0 {
			t.Errorf("no %s in 20 histories", want)
		}
	}
}

func TestFeedIsInOrderOfTime(t *testing.T) {
	var order timeOrder
	Generate(3, Config{}).Feed(&order)
	if order.back > 0 || order.n == 0 {
		t.Fatalf("%d of %d records went back in time", order.back, order.n)
	}
}

type timeOrder struct {
	last    history.Time
	n, back int
}

func (o *timeOrder) see(at history.Time) {
	o.n++
	if at == 0 {
		return
	}
	if at < o.last {
		o.back++
	}
	o.last = at
}
func (o *timeOrder) StoreOp(op *history.StoreOp)      { o.see(op.Returned) }
func (o *timeOrder) StoreWatch(w *history.StoreWatch) { o.see(w.At) }

// nothing takes records and keeps none.
type nothing struct{ ops, events int }

func (n *nothing) StoreOp(*history.StoreOp)         { n.ops++ }
func (n *nothing) StoreWatch(w *history.StoreWatch) { n.events += len(w.Events) }

// TestLongHistory: what is forgotten in a long history no watch may ask for.
func TestLongHistory(t *testing.T) {
	for seed := range uint64(3) {
		var n nothing
		Run(seed, Config{Ops: 50_000, CompactEvery: 300 * time.Millisecond}, &n)
		if n.ops < 50_000 || n.events < 40_000 || n.events > 500_000 {
			t.Errorf("seed %d: %d calls and %d events", seed, n.ops, n.events)
		}
	}
}
