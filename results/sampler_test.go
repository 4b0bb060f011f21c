package results

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// fakeProc is a /proc in which processes are what the test says.
type fakeProc struct {
	t   *testing.T
	dir string
}

func (f fakeProc) set(pid int, ticks, rssKB, fileKB, fds int) {
	f.t.Helper()
	dir := filepath.Join(f.dir, fmt.Sprint(pid))
	stat := fmt.Sprintf("%d (a ) (b) S 1 1 1 0 -1 4194560 9 0 0 0 %d %d 0 0 20 0 9 0 100 1000 10\n", pid, ticks, ticks)
	status := fmt.Sprintf("Name:\ta\nVmRSS:\t%d kB\nRssAnon:\t%d kB\nRssFile:\t%d kB\n", rssKB, rssKB-fileKB, fileKB)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Join(dir, "fd"), 0o700),
		os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o600),
		os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o600)); err != nil {
		f.t.Fatal(err)
	}
	for i := range fds {
		if err := os.WriteFile(filepath.Join(dir, "fd", fmt.Sprint(i)), nil, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f fakeProc) kill(pid int) {
	if err := os.RemoveAll(filepath.Join(f.dir, fmt.Sprint(pid))); err != nil {
		f.t.Fatal(err)
	}
}

func newSampler(t *testing.T) (*Sampler, fakeProc) {
	s := NewSampler(nil, nil, slog.New(slog.DiscardHandler))
	s.proc = t.TempDir()
	return s, fakeProc{t, s.proc}
}

func TestSamplerSplitsPhases(t *testing.T) {
	s, proc := newSampler(t)
	s.Set("a", 10)
	proc.set(10, 50, 1000, 400, 3) // 1 s of CPU
	s.StartPhase("fill")
	proc.set(10, 150, 3000, 1000, 5) // 3 s
	s.Sample()
	proc.set(10, 200, 2000, 1500, 4) // 4 s
	s.StartPhase("hold")
	proc.set(10, 250, 1000, 100, 1) // 5 s
	s.StartPhase("")
	want := Usage{CPUSeconds: 3, PeakRSS: 3000 * kib, PeakMapped: 1500 * kib, PeakOwn: 2000 * kib, PeakFDs: 5}
	if diff := cmp.Diff(want, s.Phase("fill")["a"]); diff != "" {
		t.Errorf("fill (-want +got):\n%s", diff)
	}
	// The peak of a phase begins with what the phase before left.
	want = Usage{CPUSeconds: 1, PeakRSS: 2000 * kib, PeakMapped: 1500 * kib, PeakOwn: 900 * kib, PeakFDs: 4}
	if diff := cmp.Diff(want, s.Phase("hold")["a"]); diff != "" {
		t.Errorf("hold (-want +got):\n%s", diff)
	}
	p := s.Peak()
	if got := p.Components["a"]; got.CPUSeconds != 5 || got.PeakRSS != 3000*kib {
		t.Errorf("sum = %+v, want 5 s of CPU", got)
	}
	if p.MemoryBytes != 2000*kib || p.MappedBytes != 1500*kib || p.RSSBytes != 3000*kib || p.MaxFDs != 5 {
		t.Errorf("peak = %+v", p)
	}
}

func TestSamplerAddsUpRestarts(t *testing.T) {
	s, proc := newSampler(t)
	s.Set("a", 10)
	proc.set(10, 100, 1000, 0, 1)
	s.Sample()
	proc.kill(10)
	s.Sample()
	if loads := s.Loads(); len(loads) != 0 {
		t.Errorf("a dead process has a load: %v", loads)
	}
	s.Set("a", 11)
	proc.set(11, 25, 500, 0, 1)
	s.Sample()
	s.Set("a", 11) // told again: no restart
	s.StartPhase("")
	if got := s.Phase("")["a"].CPUSeconds; got != 2.5 {
		t.Errorf("CPU = %v s, want 2 of the first and 0.5 of the second", got)
	}
	if got := s.Loads()["a"].RSS; got != 500*kib {
		t.Errorf("RSS = %d", got)
	}
}

func TestSamplerPeakIsOfOneMoment(t *testing.T) {
	s, proc := newSampler(t)
	s.Set("a", 1)
	s.Set("b", 2)
	proc.set(1, 0, 1000, 0, 1)
	proc.set(2, 0, 100, 0, 1)
	s.Sample()
	proc.set(1, 0, 100, 0, 1)
	proc.set(2, 0, 1000, 0, 1)
	s.Sample()
	if got := s.Peak().MemoryBytes; got != 1100*kib {
		t.Errorf("peak = %d KiB, want 1100: the two peaks were not at one time", got/kib)
	}
}

func TestReadOwnProcess(t *testing.T) {
	u, err := readProcess("/proc", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.RSS <= 0 || u.Mapped <= 0 || u.Mapped >= u.RSS || u.FDs < 3 {
		t.Errorf("usage of this process = %+v", u)
	}
	// Compare with what the entries of the directory say.
	var open []*os.File
	for range 10 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
	}
	more, err := readProcess("/proc", os.Getpid())
	if err != nil || more.FDs < u.FDs+10 {
		t.Errorf("%d descriptors after ten more than %d (%v)", more.FDs, u.FDs, err)
	}
	for _, f := range open {
		f.Close()
	}
	if _, err := readProcess("/proc", 1<<30); err == nil {
		t.Error("read a process that cannot exist")
	}
}

func TestParseStatRefuses(t *testing.T) {
	f := func(stat string) {
		t.Helper()
		if _, err := parseStat([]byte(stat)); err == nil {
			t.Errorf("parsed %q", stat)
		}
	}
	f("")
	f("1 (a) S 1")
	f("1 (a) S 1 1 1 0 -1 1 9 0 0 0 x 3 0 0")
}

// memoryFile is a file in memory that can be full.
type memoryFile struct {
	bytes.Buffer
	fail error
}

func (f *memoryFile) Write(p []byte) (int, error) {
	if f.fail != nil {
		return 0, f.fail
	}
	return f.Buffer.Write(p)
}

func (f *memoryFile) Close() error { return nil }

func TestSeries(t *testing.T) {
	var f memoryFile
	s := newSeries(&f, phaseStart, 1000)
	s.Write(at(1500*time.Millisecond), Row{Phase: "fill", Values: map[string]float64{"pace_pods_per_second": 200}})
	s.Event(at(2*time.Second), "pace", "backlog grows", map[string]float64{"pace_pods_per_second": 150})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := `{"t":1.5,"phase":"fill","values":{"pace_pods_per_second":200}}
{"t":2,"values":{"pace_pods_per_second":150},"event":"pace","reason":"backlog grows"}
`
	if diff := cmp.Diff(want, f.String()); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// The longest run has samples to its end, however few of them there are then, and says
// how many it has not.
func TestSeriesIsBoundedAndFlushed(t *testing.T) {
	const room, rows = 64 << 10, 8000
	var f memoryFile
	s := newSeries(&f, phaseStart, room)
	for i := range rows {
		s.Write(at(time.Duration(i)*time.Second), Row{Phase: "fill"})
		if i == 6 && f.Len() == 0 {
			t.Error("nothing reached the file in six seconds")
		}
	}
	s.Event(at(rows*time.Second), "violation", "Reliable", nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if f.Len() > room {
		t.Errorf("%d bytes written", f.Len())
	}
	var last Row
	gap, written := Seconds(time.Second), int64(0)
	for line := range bytes.Lines(f.Bytes()) {
		var row Row
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatalf("half a line: %s", line)
		}
		if now := row.Time - last.Time; row.Event == "" && written > 0 {
			if now != gap && now != 2*gap {
				t.Errorf("after %s the next sample comes in %s, and they came every %s", last.Time, now, gap)
			}
			gap = now
		}
		last = row
		written++
	}
	if last.Event != "violation" || gap < Seconds(16*time.Second) || gap > Seconds(rows*time.Second/10) {
		t.Errorf("it ends with %+v, and a sample in %s", last, gap)
	}
	if got := written + s.LeftOut(); got != rows+1 {
		t.Errorf("%d rows are written and %d left out, of %d", written, s.LeftOut(), rows+1)
	}
}

// What finds no room at all is counted, too.
func TestSeriesWithoutRoom(t *testing.T) {
	var f memoryFile
	s := newSeries(&f, phaseStart, 10)
	s.Write(at(0), Row{Phase: "fill"})
	s.Event(at(0), "pace", "", nil)
	if err := s.Close(); err != nil || f.Len() > 0 || s.LeftOut() != 2 {
		t.Errorf("%v, %d bytes, %d rows left out", err, f.Len(), s.LeftOut())
	}
}

func TestSeriesKeepsTheFirstError(t *testing.T) {
	f := memoryFile{fail: io.ErrShortWrite}
	s := newSeries(&f, phaseStart, 1<<20)
	s.Write(at(10*time.Second), Row{})
	s.Write(at(20*time.Second), Row{})
	if err := s.Close(); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("close = %v", err)
	}
	if _, err := CreateSeries(filepath.Join(t.TempDir(), "no", "such"), history.Now()); err == nil {
		t.Error("created a file in a directory that does not exist")
	}
}

func BenchmarkSample(b *testing.B) {
	var f memoryFile
	s := NewSampler(newSeries(&f, history.Now(), 1<<40), nil, slog.New(slog.DiscardHandler))
	for i := range 5 {
		s.Set(fmt.Sprint("component-", i), os.Getpid())
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Sample()
	}
}

func TestSamplerRunEndsWithItsContext(t *testing.T) {
	var f memoryFile
	s := NewSampler(newSeries(&f, history.Now(), 1<<20),
		func() map[string]float64 { return map[string]float64{"pace_pods_per_second": 3} }, slog.New(slog.DiscardHandler))
	s.Set(HarnessName, os.Getpid())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Run(ctx) // one sample, then it returns
	if err := s.series.Close(); err != nil {
		t.Fatal(err)
	}
	var row Row
	if err := json.Unmarshal(f.Bytes(), &row); err != nil {
		t.Fatal(err)
	}
	if row.Processes[HarnessName].RSS <= 0 || row.Values["pace_pods_per_second"] != 3 {
		t.Errorf("row = %+v", row)
	}
}
