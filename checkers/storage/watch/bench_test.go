package watch

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// benchHistory is 200 watches over many revisions, as three API servers have
// them: 60 resources with some of them busy, each watched three times, a few
// watches of single keys, and three of everything. Every eighth record of
// events is followed by progress of the whole stream.
func benchHistory(b *testing.B, revisions int64) (*timeline.Timeline, []*history.StoreWatch) {
	const resources, keysEach = 60, 500
	tl := timeline.New(1)
	rng := newRand(1)
	latest := map[string]history.StoreKV{}
	byResource := make([][]history.StoreEvent, resources)
	var all []history.StoreEvent
	for rev := int64(2); rev < 2+revisions; rev++ {
		r := min(rng.IntN(resources), rng.IntN(resources), rng.IntN(resources))
		key := fmt.Sprintf("/registry/resource%02d/namespace-%d/object-%04d", r, r%7, rng.IntN(keysEach))
		prev := latest[key]
		kv := history.StoreKV{Key: key, Create: prev.Create, Mod: rev, Version: prev.Version + 1, Value: uint64(rev)}
		if prev.Mod == 0 {
			kv.Create = rev
		}
		latest[key] = kv
		if err := tl.Append(rev, []timeline.Change{{Key: key, KV: kv, Prev: prev}}); err != nil {
			b.Fatal(err)
		}
		e := history.StoreEvent{KV: kv, Prev: prev}
		byResource[r] = append(byResource[r], e)
		all = append(all, e)
	}
	var records []*history.StoreWatch
	stream := uint64(0)
	watch := func(key, end string, events []history.StoreEvent) {
		stream++
		last := int64(1)
		add := func(w history.StoreWatch) {
			w.Stream, w.Member, w.At = stream, "m1", history.Time(len(records)+1)
			records = append(records, &w)
		}
		add(history.StoreWatch{Kind: history.WatchCreate, Key: key, End: end, Start: 2, PrevKV: true})
		add(history.StoreWatch{Kind: history.WatchCreated, Header: 1})
		for i := range events {
			last = events[i].KV.Mod
			add(history.StoreWatch{Kind: history.WatchEvents, Header: last, Events: events[i : i+1]})
			if i%8 == 7 {
				add(history.StoreWatch{Kind: history.WatchProgress, Watch: -1, Header: last})
			}
		}
	}
	for range 3 {
		watch("\x00", "\x00", all)
		for r := range resources {
			watch(fmt.Sprintf("/registry/resource%02d/", r), fmt.Sprintf("/registry/resource%02d0", r), byResource[r])
		}
	}
	for i := range 14 {
		watch(fmt.Sprintf("/registry/resource%02d/namespace-%d/none", i, i%7), "", nil)
	}
	return tl, records
}

// processorTime is what this process has used so far, on all processors: on a
// busy machine a better measure than the time that has passed.
func processorTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkChecker(b *testing.B) {
	for _, revisions := range []int64{50_000, 500_000} {
		b.Run(fmt.Sprintf("revisions=%d", revisions), func(b *testing.B) {
			tl, records := benchHistory(b, revisions)
			runtime.GC()
			b.ReportAllocs()
			before := processorTime(b)
			b.ResetTimer()
			for range b.N {
				c := NewChecker(tl, Options{Floors: noFloors})
				for _, r := range records {
					c.Add(r)
				}
				if got := outcomes(c.Finish(), checkers.Fail); len(got) > 0 {
					b.Fatalf("%v", got)
				}
			}
			b.StopTimer()
			used := processorTime(b) - before
			n := float64(len(records)) * float64(b.N)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/record")
			b.ReportMetric(float64(used.Nanoseconds())/n, "cpu-ns/record")
			b.ReportMetric(float64(len(records)), "records")
		})
	}
}
