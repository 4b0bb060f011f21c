package timeline

import (
	"math/rand/v2"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// A restored timeline begins with the state of another one, of which it shares
// nothing, and goes on from there.
func TestRestored(t *testing.T) {
	for seed := range uint64(20) {
		old, states := random(rand.New(rand.NewPCG(seed, 9)), 200, 30)
		const bumped = 5000
		kept := int64(2 + seed*9)
		r := old.Restored(kept, bumped)
		if first, last := r.Bounds(); first != bumped || last != bumped || !r.Complete() || r.Len() != 0 {
			t.Fatalf("it knows revisions from %d to %d with %d changes", first, last, r.Len())
		}
		sweep := r.Sweep()
		sweep.MoveTo(bumped)
		n := 0
		sweep.List("", "\x00", func(kv history.StoreKV) bool {
			if want := states[kept][kv.Key]; kv != want {
				t.Errorf("seed %d: %+v, want %+v", seed, kv, want)
			}
			n++
			return true
		})
		if n != len(states[kept]) || sweep.Count("", "\x00") != int64(n) {
			t.Errorf("seed %d: %d keys, and %d are counted, want %d", seed, n, sweep.Count("", "\x00"), len(states[kept]))
		}
		for key := range states[199] {
			if got, known := r.Get(key, bumped); !known || got != states[kept][key] {
				t.Errorf("seed %d: %s is %+v, known %v, want %+v", seed, key, got, known, states[kept][key])
			}
		}
		if err := r.Append(bumped+1, []Change{put("/k/001", 9, bumped+1, 9)}); err != nil {
			t.Fatal(err)
		}
		if c := r.At(bumped + 1)[0]; c.Prev != states[kept]["/k/001"] {
			t.Errorf("seed %d: before it was %+v, want %+v", seed, c.Prev, states[kept]["/k/001"])
		}
	}
}

// A lease that a restored key holds takes it along when it ends.
func TestRestoredLease(t *testing.T) {
	old := New(1)
	leased := put("/k/a", 2, 2, 1)
	leased.KV.Lease = 7
	if err := old.Append(2, []Change{leased}); err != nil {
		t.Fatal(err)
	}
	b := NewBuilder(Options{Initial: old.Restored(2, 100)})
	if b.Attached(7) != 1 {
		t.Errorf("%d keys hold the lease, want 1", b.Attached(7))
	}
}
