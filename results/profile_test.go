package results

import (
	"bytes"
	"context"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"
	"golang.org/x/sys/unix"
)

func TestSplitProfile(t *testing.T) {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	add := func(seconds int64, component string, stack ...string) {
		s := &profile.Sample{Value: []int64{1, seconds * 1e9}}
		if component != "" {
			s.Label = map[string][]string{componentLabel: {component}}
		}
		for _, name := range stack {
			f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
			l := &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f}}}
			p.Function, p.Location = append(p.Function, f), append(p.Location, l)
			s.Location = append(s.Location, l)
		}
		p.Sample = append(p.Sample, s)
	}
	add(1, "etcd", "runtime.mallocgc", "go.etcd.io/etcd/server.apply")
	add(2, "", "runtime.mallocgc", "sim.(*Node).run")
	add(4, "etcd", "runtime.scanobject", "runtime.gcBgMarkWorker") // if it ever inherits a label
	add(8, "", "runtime.bgsweep")
	add(16, "", "runtime.futex", "runtime.findRunnable", "runtime.mcall")
	add(32, "", "main.main", "runtime.main")
	add(64, "other", "x.y")
	add(256, "recorder", "runtime.mallocgc", "proxy.(*session).answers")
	add(512, "recorder", "runtime.scanobject", "runtime.gcBgMarkWorker")
	add(128, "etcd", "runtime.gcAssistAlloc", "go.etcd.io/etcd/server.apply")
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := SplitProfile(&b)
	if err != nil {
		t.Fatal(err)
	}
	want := ProfileSplit{Etcd: 129, Ours: 354, Recording: 256, GC: 524, Runtime: 16}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("split (-want +got):\n%s", diff)
	}
	if got := (ProfileSplit{Etcd: 30, Ours: 10, GC: 60}).OursShare(); got != 0.25 {
		t.Errorf("our share = %v, want 0.25", got)
	}
	if got := (ProfileSplit{Etcd: 30, Ours: 10, Recording: 2, GC: 60}).RecordingShare(); got != 0.05 {
		t.Errorf("the recording's share = %v, want 0.05", got)
	}
	if got := (ProfileSplit{GC: 60}).RecordingShare(); got != 0 {
		t.Errorf("the recording's share of nothing = %v", got)
	}
}

func TestSplitProfileRefuses(t *testing.T) {
	if _, err := SplitProfile(strings.NewReader("no profile")); err == nil {
		t.Error("parsed nonsense")
	}
	var b bytes.Buffer
	heap := &profile.Profile{SampleType: []*profile.ValueType{{Type: "space", Unit: "bytes"}}}
	if err := heap.Write(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := SplitProfile(&b); err == nil || !strings.Contains(err.Error(), "nanoseconds") {
		t.Errorf("a heap profile: %v", err)
	}
}

// burn uses a quarter second of this thread's CPU time.
func burn() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
			return time.Hour
		}
		return time.Duration(ts.Nano())
	}
	for start := used(); used()-start < 250*time.Millisecond; {
	}
}

// TestCPUProfile takes a real profile, to hold the names of the runtime's
// functions and the way of the labels against this version of Go.
func TestCPUProfile(t *testing.T) {
	dir := t.TempDir()
	stop, err := StartCPUProfile(dir, "fill")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := StartCPUProfile(dir, "again"); err == nil {
		t.Error("a second profile was started")
	}
	var wg sync.WaitGroup
	pprof.Do(context.Background(), pprof.Labels(componentLabel, etcdComponent), func(context.Context) {
		wg.Go(burn) // goroutines inherit the label
	})
	wg.Go(burn)
	wg.Go(func() {
		var keep [][]byte
		for range 200 {
			keep = append(keep, make([]byte, 1<<20))
			if len(keep) == 20 {
				keep = nil
				runtime.GC()
			}
		}
	})
	wg.Wait()
	split, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	if split.Etcd < 0.05 || split.Ours < 0.05 || split.File != "cpu-fill.pprof" {
		t.Errorf("split = %+v, want about a quarter second each for etcd and ours", split)
	}
}
