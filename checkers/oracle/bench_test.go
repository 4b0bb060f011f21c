package oracle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// A judge of a row may use as much CPU time and heap, above what the history
// itself takes; then it is ended. The time is the limit of etcd's own
// robustness tests. GOMEMLIMIT would not do: it makes a process slow, not small.
const (
	benchTime = 5 * time.Minute
	benchHeap = 6 << 30
)

// judges are those that are compared, ours first.
var judges = []string{"revision", "porcupine", "validate"}

// BenchmarkJudges lets the judges look at the same valid histories, each in a
// process of its own and one after the other: use -benchtime=1x.
// PLANECHECK_ORACLE_BENCH=large adds 20,000 and 50,000 operations, for which a
// search allocates gigabytes; PLANECHECK_ORACLE_TABLE names a file that the table
// of the README is written to.
//
// Times are CPU seconds of the process, with those of its garbage collector, and
// are those of one judgement; memory is the peak of its heap above that with the
// history alone, in the first judgement.
//
// There are no unknown outcomes: etcd's model doubles its states with each, and
// would not come to an end. Lists are kept short enough to be recorded key by
// key, because etcd's validation can make nothing of digests.
func BenchmarkJudges(b *testing.B) {
	sizes := []int{1000, 5000, 10_000}
	if os.Getenv("PLANECHECK_ORACLE_BENCH") == "large" {
		sizes = append(sizes, 20_000, 50_000)
	}
	table := "| keys | operations | ours | porcupine | ÷ ours | etcd's validate | ÷ ours |\n|--:|--:|--:|--:|--:|--:|--:|\n"
	for _, keys := range []int{10, 1000} {
		for _, ops := range sizes {
			b.Run(fmt.Sprintf("keys=%d/ops=%d", keys, ops), func(b *testing.B) {
				var row []cost
				for b.Loop() {
					row = row[:0]
					for _, judge := range judges {
						row = append(row, alone(b, benchCase{Judge: judge, Ops: ops, Keys: keys, Time: benchTime, Heap: benchHeap, Least: time.Second}))
					}
				}
				for i, c := range row {
					b.ReportMetric(c.CPU.Seconds()*1000, judges[i]+"-cpu-ms")
					b.ReportMetric(float64(c.Heap)/(1<<20), judges[i]+"-MiB")
					b.ReportMetric(float64(c.Seen), judges[i]+"-operations")
				}
				table += fmt.Sprintf("| %s | %s | %s |\n", grouped(keys), grouped(ops), strings.Join(cells(row), " | "))
			})
		}
	}
	if path := os.Getenv("PLANECHECK_ORACLE_TABLE"); path != "" {
		if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

// cells are those of a row of the table.
func cells(row []cost) []string {
	var list []string
	for i, c := range row {
		list = append(list, c.String())
		if i > 0 {
			list = append(list, c.over(row[0]))
		}
	}
	return list
}

// benchCase is what one process is to measure.
type benchCase struct {
	Judge     string
	Ops, Keys int
	Time      time.Duration
	Heap      uint64
	// Least is how long a short judgement is repeated, so that its time can be
	// measured.
	Least time.Duration
}

// cost is what one judgement took, or what of it there was when it was ended.
type cost struct {
	CPU  time.Duration
	Heap uint64
	Seen int
	// Ended is the bound that it came to, "" if it decided.
	Ended string
}

const (
	endedTime = "time"
	endedHeap = "memory"
)

func (c cost) String() string {
	switch c.Ended {
	case endedTime:
		return fmt.Sprintf("> %.0f s, %s", c.CPU.Seconds(), size(c.Heap))
	case endedHeap:
		return fmt.Sprintf("> %s, after %.0f s", size(c.Heap), c.CPU.Seconds())
	}
	if c.CPU < time.Second {
		return fmt.Sprintf("%s ms, %s", digits(c.CPU.Seconds()*1000), size(c.Heap))
	}
	return fmt.Sprintf("%s s, %s", digits(c.CPU.Seconds()), size(c.Heap))
}

// over are the ratios of time and memory to another judge's; those of a judge that
// was ended are bounds from below.
func (c cost) over(d cost) string {
	more := ""
	if c.Ended != "" {
		more = "> "
	}
	return fmt.Sprintf("%s%s×, %s×", more, digits(c.CPU.Seconds()/d.CPU.Seconds()), digits(float64(c.Heap)/float64(d.Heap)))
}

func size(n uint64) string {
	if n >= 1<<30 {
		return digits(float64(n)/(1<<30)) + " GiB"
	}
	return digits(float64(n)/(1<<20)) + " MiB"
}

// grouped writes a number below a million.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// digits writes a number with two digits that mean something.
func digits(f float64) string {
	switch {
	case f >= 10:
		return fmt.Sprintf("%.0f", f)
	case f >= 1:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// caseEnv makes of TestAlone the process that measures; its value is the case.
const caseEnv = "PLANECHECK_ORACLE_CASE"

// alone measures a case in a process of its own, which dies with this one.
func alone(tb testing.TB, c benchCase) cost {
	tb.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(tb.Context(), self, "-test.run=^TestAlone$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), caseEnv+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != endedStatus) {
		tb.Fatalf("%s of %d operations on %d keys: %s\n%s", c.Judge, c.Ops, c.Keys, err, out)
	}
	var result cost
	line, _, _ := bytes.Cut(out, []byte("\n"))
	if err := json.Unmarshal(line, &result); err != nil {
		tb.Fatalf("%s of %d operations on %d keys says %q: %s", c.Judge, c.Ops, c.Keys, out, err)
	}
	return result
}

// endedStatus is that of a process which came to a bound.
const endedStatus = 9

// TestAlone is the process that measures one case, and nothing otherwise.
func TestAlone(t *testing.T) {
	text := os.Getenv(caseEnv)
	if text == "" {
		t.Skip("it is for BenchmarkJudges")
	}
	var c benchCase
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	h := storetest.Generate(1, storetest.Config{
		Ops: c.Ops, Keys: c.Keys, Prefixes: max(1, c.Keys/40), Unknown: -1, Leased: -1, Raw: -1, Streams: -1, CompactEvery: 10 * time.Second,
	})
	judge, seen := asking(t, c.Judge, h)
	runtime.GC()
	w := &watched{limit: c, seen: seen, start: processorTime(), base: heapSize()}
	ask := func() {
		if got := judge(); got != good {
			t.Errorf("a valid history was judged %s", got)
		}
	}
	stop := make(chan struct{})
	go w.watch(stop)
	ask()
	stop <- struct{}{}
	w.look()
	rounds := 1
	for ; processorTime()-w.start < c.Least; rounds++ {
		ask()
	}
	result := w.cost("")
	result.CPU /= time.Duration(rounds)
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(h)
}

// asking returns a judge, with all done that is not judging, and the number of
// calls that it sees.
func asking(t *testing.T, name string, h storetest.History) (judge func() judgement, seen int) {
	switch name {
	case "revision":
		return func() judgement { j, _ := byRevision(h); return j }, len(h.Ops)
	case "porcupine":
		m, calls := toPorcupine(h)
		return func() judgement { return search(m, calls, unbounded) }, len(calls)
	}
	tr := translate(h)
	if tr.skipped != "" {
		t.Fatal("etcd's validation cannot judge the history: ", tr.skipped)
	}
	return func() judgement {
		j, err := byValidate(tr, unbounded)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}, len(tr.calls)
}

// unbounded: the judges' own deadlines are not asked for, because they are of
// the wall clock.
const unbounded = time.Duration(math.MaxInt64)

// watched is a judgement whose cost is watched.
type watched struct {
	limit      benchCase
	seen       int
	start      time.Duration
	base, peak uint64
}

// look notes the size of the heap, and ends the process at a bound.
func (w *watched) look() {
	w.peak = max(w.peak, heapSize())
	switch c := w.cost(""); {
	case c.Heap > w.limit.Heap:
		w.end(endedHeap)
	case c.CPU > w.limit.Time:
		w.end(endedTime)
	}
}

// watch looks until stop.
func (w *watched) watch(stop chan struct{}) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		w.look()
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

func (w *watched) end(why string) {
	if err := json.NewEncoder(os.Stdout).Encode(w.cost(why)); err != nil {
		os.Exit(1)
	}
	os.Exit(endedStatus)
}

func (w *watched) cost(ended string) cost {
	return cost{CPU: processorTime() - w.start, Heap: max(w.peak, w.base) - w.base, Seen: w.seen, Ended: ended}
}

// heapSize is that of the objects on the heap, live or not collected yet.
func heapSize() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// processorTime is that of the whole process, with its garbage collector.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A judge that takes too much is ended, and its row says so.
func TestBounds(t *testing.T) {
	for _, c := range []struct {
		ended  string
		bounds benchCase
		cell   string
	}{
		{"", benchCase{Time: benchTime, Heap: benchHeap}, "ms, "},
		{endedTime, benchCase{Time: 1, Heap: benchHeap}, "> "},
		{endedHeap, benchCase{Time: benchTime, Heap: 64 << 10}, "> "},
	} {
		for _, judge := range judges {
			c.bounds.Judge, c.bounds.Ops, c.bounds.Keys = judge, 1000, 10
			got := alone(t, c.bounds)
			if got.Ended != c.ended || !strings.Contains(got.String(), c.cell) {
				t.Errorf("%s within %s and %s was ended by %q instead of %q: %s", judge, c.bounds.Time, size(c.bounds.Heap), got.Ended, c.ended, got)
			}
			if c.ended == "" && (got.CPU <= 0 || got.Heap == 0 || got.Seen < 500) {
				t.Errorf("%s took %s, and judged %d calls", judge, got, got.Seen)
			}
		}
	}
}
