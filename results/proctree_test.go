package results

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// below gives a process children, and the CPU time of those that it has waited for.
func (f fakeProc) below(pid, endedTicks int, children string) {
	f.t.Helper()
	dir := filepath.Join(f.dir, fmt.Sprint(pid))
	task := filepath.Join(dir, "task", fmt.Sprint(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	ended := strings.Replace(string(stat), " 0 0 20 0 9 ", fmt.Sprintf(" %d 0 20 0 9 ", endedTicks), 1)
	if err := errors.Join(err, os.MkdirAll(task, 0o700),
		os.WriteFile(filepath.Join(task, "children"), []byte(children), 0o600),
		os.WriteFile(filepath.Join(dir, "stat"), []byte(ended), 0o600)); err != nil {
		f.t.Fatal(err)
	}
}

// shares tells which part of the memory a process has that it shares.
func (f fakeProc) shares(pid, pssKB, fileKB int) {
	f.t.Helper()
	text := fmt.Sprintf("00400000-7fff0000 ---p 00000000 00:00 0    [rollup]\nRss:   9999 kB\nPss:   %d kB\nPss_Dirty: 1 kB\nPss_Anon: 1 kB\nPss_File:   %d kB\n", pssKB, fileKB)
	if err := os.WriteFile(filepath.Join(f.dir, fmt.Sprint(pid), "smaps_rollup"), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// processTree is a process with a child, a grandchild, and a child that is just gone.
func processTree(t *testing.T) fakeProc {
	proc := fakeProc{t, t.TempDir()}
	proc.set(10, 50, 1000, 400, 3) // 1 s of CPU
	proc.below(10, 300, "11 12 ")  // 3 s of those that have ended
	proc.set(11, 100, 9000, 500, 1)
	proc.below(11, 0, "13 ")
	proc.set(13, 25, 8000, 300, 7)
	proc.below(13, 0, "")
	return proc
}

// A server that works in child processes has used what they did, whether they
// live or have ended; what they share it has once.
func TestReadTree(t *testing.T) {
	proc := processTree(t)
	for _, pid := range []int{10, 11, 13} {
		proc.shares(pid, 100*pid, pid)
	}
	u, err := new(treeReader).read(proc.dir, 10)
	want := ProcessUsage{CPUSeconds: 6.5, RSS: 3400 * kib, Mapped: 34 * kib, FDs: 3, Memory: SharedOnce}
	if diff := cmp.Diff(want, u); diff != "" || err != nil {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	if u, err := readProcess(proc.dir, 10); err != nil || u.CPUSeconds != 1 || u.Memory != "" {
		t.Errorf("the process alone: %+v, %v", u, err)
	}
	if used, err := treeSeconds(proc.dir, 10); err != nil || used != 6.5 {
		t.Errorf("all used %v s, %v", used, err)
	}
	if _, err := new(treeReader).read(proc.dir, 12); err == nil {
		t.Error("what is gone can be read")
	}
	if _, err := treeSeconds(proc.dir, 12); err == nil {
		t.Error("what is gone uses CPU time")
	}
}

// The CPU time is that of each reading, the memory that of every fifth: it is dear.
func TestReadTreeMemoryNowAndThen(t *testing.T) {
	proc, r := processTree(t), new(treeReader)
	for i := range memoryEvery + 1 {
		proc.set(13, 25+50*i, 8000, 300, 7)
		proc.below(13, 0, "")
		for _, pid := range []int{10, 11, 13} {
			proc.shares(pid, 100*(i+1), 0)
		}
		want := 300 * kib
		if i == memoryEvery {
			want = 300 * (memoryEvery + 1) * kib
		}
		u, err := r.read(proc.dir, 10)
		if err != nil || u.RSS != int64(want) || u.CPUSeconds != 6.5+float64(i) {
			t.Errorf("reading %d: %+v, %v; want %d bytes", i, u, err, want)
		}
	}
}

// Where one of them does not tell how it shares, what is shown is another sum, and
// is said to be.
func TestReadTreeWithoutShares(t *testing.T) {
	proc := processTree(t)
	proc.shares(10, 1, 1)
	proc.shares(11, 1, 1)
	u, err := new(treeReader).read(proc.dir, 10)
	want := ProcessUsage{CPUSeconds: 6.5, RSS: 18000 * kib, Mapped: 1200 * kib, FDs: 3, Memory: SharedForEach}
	if diff := cmp.Diff(want, u); diff != "" || err != nil {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	s, _ := newSampler(t)
	s.proc = proc.dir
	s.SetTree("db", 10)
	s.StartPhase("fill")
	proc.shares(13, 1, 1) // now it does; the peak is what was read before
	for range memoryEvery {
		s.StartPhase("hold")
	}
	s.StartPhase("")
	if got := []TreeMemory{s.Phase("fill")["db"].Memory, s.Phase("hold")["db"].Memory, s.Peak().Components["db"].Memory}; got[0] != SharedForEach || got[1] != SharedOnce || got[2] != SharedForEach {
		t.Errorf("memory of the phases and of all: %q", got)
	}
}

// This kernel tells how this process shares its memory.
func TestReadOwnTree(t *testing.T) {
	u, err := new(treeReader).read("/proc", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skipf("this kernel has none: %v", err)
	}
	if u.Memory != SharedOnce || u.RSS <= 0 || u.Mapped <= 0 || u.Mapped >= u.RSS {
		t.Errorf("usage of this process = %+v", u)
	}
	if _, err := TreeCPU(os.Getpid()); err != nil {
		t.Error(err)
	}
}

func BenchmarkReadTree(b *testing.B) {
	for b.Loop() {
		if _, err := new(treeReader).read("/proc", os.Getpid()); err != nil {
			b.Fatal(err)
		}
	}
}
