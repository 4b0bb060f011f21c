package watch

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// FuzzChecker feeds arbitrary sequences of records, with an Advance now and
// then. The checker must not panic, and must end with one verdict of a known
// outcome for each guarantee.
func FuzzChecker(f *testing.F) {
	g := generate(f, 5, storetest.Config{Ops: 60, Streams: 3})
	f.Add([]byte{})
	for _, size := range []int{40, 400, 4000} {
		f.Add(encode(g.history.Watches, size))
	}
	f.Add(encode(newScript().watch("a/", "a0", 0).created(0, 0).progress(0, 4).events(0, 5, 5).ask().progress(-1, 7).
		cancel(0).canceled(0, 3).closed().records, 4000))
	f.Fuzz(judgeArbitrary)
}

var (
	fuzzTimeline = handTimeline()
	fuzzKeys     = []string{"", "\x00", "a/", "a0", "a/1", "a/2", "b/", "b/1", "c"}
)

// judgeArbitrary reads records from bytes and has them judged.
func judgeArbitrary(t *testing.T, data []byte) {
	c := NewChecker(fuzzTimeline, Options{Commit: handCommit, Calm: 1, Bound: time.Second, Unresolved: 1, Observe: func(Delivery) {}})
	next := func() int64 {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		if b == 255 && len(data) >= 8 {
			n := int64(binary.LittleEndian.Uint64(data))
			data = data[8:]
			return n
		}
		return int64(b) - 2
	}
	key := func() string { return fuzzKeys[uint64(next())%uint64(len(fuzzKeys))] }
	kv := func() history.StoreKV {
		return history.StoreKV{Key: key(), Create: next(), Mod: next(), Version: next(), Value: uint64(next())}
	}
	kinds := append([]history.WatchKind{"?"}, fuzzKinds...)
	at := history.Time(0)
	for len(data) > 0 {
		at += history.Time(next()) * second / 4
		flags := next()
		w := &history.StoreWatch{
			Stream: uint64(next()) % 4, Watch: next(), Kind: kinds[uint64(next())%uint64(len(kinds))], At: at, Header: next(),
			Start: next(), PrevKV: flags&1 > 0, NoPut: flags&2 > 0, NoDelete: flags&4 > 0, Fragmented: flags&8 > 0,
			Key: key(), End: key(), CompactRevision: next(),
		}
		for range next() % 8 {
			w.Events = append(w.Events, history.StoreEvent{Delete: next()&1 > 0, KV: kv(), Prev: kv()})
		}
		c.Add(w)
		if flags&16 > 0 {
			c.AddOp(&history.StoreOp{Method: history.MethodCompact, Called: at, Revision: next()})
			c.Advance(next(), at)
		}
	}
	verdicts := c.Finish()
	if len(verdicts) != len(Guarantees()) {
		t.Fatalf("%d verdicts", len(verdicts))
	}
	for _, v := range verdicts {
		if v.Outcome != checkers.Pass && v.Outcome != checkers.Fail && v.Outcome != checkers.Invalid {
			t.Fatalf("outcome %q", v.Outcome)
		}
	}
}

var fuzzKinds = []history.WatchKind{
	history.WatchCreate, history.WatchCreated, history.WatchEvents, history.WatchProgress, history.WatchAsk,
	history.WatchCancel, history.WatchCanceled, history.WatchClosed,
}

// encode writes records as the fuzz target reads them, roughly: a seed from
// which the fuzzer finds its way.
func encode(records []*history.StoreWatch, limit int) []byte {
	var b []byte
	put := func(n int64) { b = append(b, byte(min(max(n, -2), 250)+2)) }
	kv := func(kv history.StoreKV) {
		put(int64(len(kv.Key)))
		put(kv.Create)
		put(kv.Mod)
		put(kv.Version)
		put(int64(kv.Value % 200))
	}
	for _, w := range records {
		put(1)
		put(0)
		put(int64(w.Stream % 4))
		put(w.Watch)
		kind := int64(0)
		for i, k := range fuzzKinds {
			if k == w.Kind {
				kind = int64(i + 1)
			}
		}
		put(kind)
		put(w.Header)
		put(w.Start)
		put(2)
		put(3)
		put(w.CompactRevision)
		put(int64(min(len(w.Events), 7)))
		for _, e := range w.Events[:min(len(w.Events), 7)] {
			put(0)
			kv(e.KV)
			kv(e.Prev)
		}
	}
	return b[:min(limit, len(b))]
}
