package timeline_test

import (
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// FuzzBuild falsifies a call and an event: whatever the records say, a timeline is
// made, without a panic, in which each change is found where it says that it is.
func FuzzBuild(f *testing.F) {
	f.Add(uint64(1), uint16(3), uint16(1), uint8(0), int64(5))
	f.Add(uint64(2), uint16(40), uint16(9), uint8(3), int64(-7))
	f.Add(uint64(5), uint16(50), uint16(0), uint8(5), int64(1)<<40)
	f.Fuzz(func(t *testing.T, seed uint64, call, message uint16, what uint8, by int64) {
		cfg := storetest.Config{Ops: 60}
		if seed%3 == 2 {
			cfg.Start = 40
		}
		h := storetest.Generate(seed, cfg).Clone()
		op, w := h.Ops[int(call)%len(h.Ops)], h.Watches[int(message)%len(h.Watches)]
		switch what % 6 {
		case 0:
			op.Header += by
		case 1:
			op.Returned += history.Time(by)
		case 2:
			op.Then, op.Results = nil, nil
		case 3:
			w.Header += by
			for i := range w.Events {
				w.Events[i].KV.Mod += by
			}
		case 4:
			w.Events = append(w.Events, w.Events...)
		case 5:
			w.At += history.Time(by)
			w.Kind = history.WatchProgress
		}
		tl := timeline.Build(h.Ops, h.Watches, timeline.Options{Conflict: func(timeline.Conflict) {}})
		first, last := tl.Bounds()
		for rev, change := range tl.Changes(first+1, last) {
			if rev <= first || rev > last {
				t.Fatalf("a change at %d of %d to %d", rev, first, last)
			}
			kv, known := tl.Get(change.Key, rev)
			if !change.Delete && !(known && timeline.SameKV(kv, change.KV)) {
				t.Fatalf("%v at %d, which changed it to %v", kv, rev, change.KV)
			}
		}
	})
}
