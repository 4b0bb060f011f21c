package timeline_test

import (
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// TestBuildAgreesWithEvents compares the timeline that acknowledged writes make
// with what the watches of the whole key space show.
func TestBuildAgreesWithEvents(t *testing.T) {
	for seed := range uint64(60) {
		cfg := storetest.Config{}
		if seed%3 == 2 {
			cfg.Start = 40
		}
		h := storetest.Generate(seed, cfg)
		var conflicts []timeline.Conflict
		opts := timeline.Options{Conflict: func(c timeline.Conflict) { conflicts = append(conflicts, c) }}
		tl := timeline.Build(h.Ops, h.Watches, opts)
		if len(conflicts) > 0 {
			t.Fatalf("seed %d: %d conflicts, first %+v", seed, len(conflicts), conflicts[0])
		}
		events := 0
		for _, w := range h.Watches {
			for _, e := range w.Events {
				events++
				if kv, _ := tl.Get(e.KV.Key, e.KV.Mod); !e.Delete && !timeline.SameKV(kv, e.KV) {
					t.Fatalf("seed %d: %v at %d, event %v", seed, kv, e.KV.Mod, e.KV)
				}
				if kv, known := tl.Get(e.KV.Key, e.KV.Mod-1); e.Prev.Mod != 0 && (!known || !timeline.SameKV(kv, e.Prev)) {
					t.Fatalf("seed %d: %v before %d, event %v", seed, kv, e.KV.Mod, e.Prev)
				}
			}
		}
		if events == 0 {
			t.Fatalf("seed %d: no events", seed)
		}
	}
}

func TestConflicts(t *testing.T) {
	kinds := func(tell func(*storetest.History)) []timeline.ConflictKind {
		h := storetest.Generate(5, storetest.Config{Unknown: -1}).Clone()
		tell(&h)
		var kinds []timeline.ConflictKind
		timeline.Build(h.Ops, h.Watches, timeline.Options{Conflict: func(c timeline.Conflict) {
			if !slices.Contains(kinds, c.Kind) {
				kinds = append(kinds, c.Kind)
			}
		}})
		return kinds
	}
	acked := func(h *storetest.History) *history.StoreOp {
		for _, op := range h.Ops {
			if op.ID > 50 && op.Method == history.MethodTxn && timeline.Changed(op) && len(op.Then) == 1 && op.Succeeded && op.Then[0].Kind == history.ActionPut {
				return op
			}
		}
		t.Fatal("no acknowledged write")
		return nil
	}
	f := func(want timeline.ConflictKind, tell func(*storetest.History)) {
		t.Helper()
		if got := kinds(tell); !slices.Contains(got, want) {
			t.Errorf("conflicts %v, want %v", got, want)
		}
	}
	f(timeline.Duplicate, func(h *storetest.History) {
		twin := *acked(h)
		twin.ID += 100_000
		h.Ops = append(h.Ops, &twin)
	})
	f(timeline.EffectDiffers, func(h *storetest.History) { acked(h).Then[0].Value++ })
	f(timeline.MembersDiffer, func(h *storetest.History) {
		rev := acked(h).Header
		for _, w := range h.Watches {
			for i := range w.Events {
				if w.Stream == 2 && w.Events[i].KV.Mod == rev {
					w.Events[i].KV.Value++
				}
			}
		}
	})
	f(timeline.MemberMissed, func(h *storetest.History) { dropRevision(h, acked(h).Header, 2) })
	f(timeline.Hole, func(h *storetest.History) {
		op := acked(h)
		dropRevision(h, op.Header, 0)
		h.Ops = slices.DeleteFunc(h.Ops, func(o *history.StoreOp) bool { return o == op })
	})
}

// dropRevision removes the events of a revision, from one stream or from all.
func dropRevision(h *storetest.History, rev int64, stream uint64) {
	for _, w := range h.Watches {
		if stream == 0 || w.Stream == stream {
			w.Events = slices.DeleteFunc(w.Events, func(e history.StoreEvent) bool { return e.KV.Mod == rev })
		}
	}
}
