package results

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// TreeMemory says how the memory of a process and of all below it was added up.
type TreeMemory string

// The ways to add up memory that processes share.
const (
	// SharedOnce: of each page that n of them have in common, each has the nth part
	// (Pss, proc_pid_smaps(5)), so that their sum holds it once. What they share with
	// processes outside the tree is divided with those, too.
	SharedOnce TreeMemory = "pss"
	// SharedForEach: the kernel does not tell this process how they share, so what
	// is added up is their RSS, in which a page that n of them share is n times.
	SharedForEach TreeMemory = "rss"
)

// worse is what may be said of the larger of two readings.
func (m TreeMemory) worse(than TreeMemory) TreeMemory {
	if m == SharedForEach || than == "" {
		return m
	}
	return than
}

// memoryEvery is how many readings of a tree share one of its memory: to tell what
// 26 processes of a PostgreSQL server share took 30 ms of CPU time.
const memoryEvery = 5

// treeReader reads a process as readProcess does, with the CPU time and the memory
// of all processes below it, and the CPU time of those that have ended. The file
// descriptors are those of the process alone: their limit is, too.
type treeReader struct {
	readings int
	memory   treeMemory // of the last reading of it
}

func (r *treeReader) read(proc string, pid int) (ProcessUsage, error) {
	u, err := readProcess(proc, pid)
	if err != nil {
		return u, err
	}
	if u.CPUSeconds, err = treeSeconds(proc, pid); err != nil {
		return u, err
	}
	if r.readings%memoryEvery == 0 {
		m := treeMemory{proc: proc}
		if err := m.add(pid); err != nil {
			return u, err
		}
		r.memory = m
	}
	r.readings++
	u.RSS, u.Mapped, u.Memory = r.memory.sum()
	return u, nil
}

// treeMemory adds up the memory of a process and of all below it.
type treeMemory struct {
	proc         string
	rss, mapped  int64
	pss, pssFile int64
	untold       bool // one of them did not tell its Pss
}

// sum is all of it, as well as it could be told.
func (m *treeMemory) sum() (rss, mapped int64, how TreeMemory) {
	if m.untold {
		return m.rss, m.mapped, SharedForEach
	}
	return m.pss, m.pssFile, SharedOnce
}

func (m *treeMemory) add(pid int) error {
	status, err := os.ReadFile(filepath.Join(m.proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return fmt.Errorf("read process %d: %w", pid, err)
	}
	_, children, err := readChildren(m.proc, pid)
	if err != nil {
		return err
	}
	rss, mapped := parseStatus(status)
	m.rss += rss
	m.mapped += mapped
	m.share(pid)
	for _, child := range children {
		_ = m.add(child) // or it has ended meanwhile
	}
	return nil
}

// share adds a process's part of the memory that it shares.
func (m *treeMemory) share(pid int) {
	rollup, err := os.ReadFile(filepath.Join(m.proc, strconv.Itoa(pid), "smaps_rollup"))
	switch {
	case err == nil:
		pss, file := parseRollup(rollup)
		m.pss += pss
		m.pssFile += file
	case errors.Is(err, unix.ESRCH): // it has just ended, and has no memory any more
	case errors.Is(err, fs.ErrNotExist) && !exists(m.proc, pid): // the same
	default:
		m.untold = true
	}
}

// exists tells a process that is gone from a kernel that lacks a file.
func exists(proc string, pid int) bool {
	_, err := os.Stat(filepath.Join(proc, strconv.Itoa(pid)))
	return err == nil
}

// parseRollup returns the bytes of Pss, and those of them that are mapped files.
// What processes share without a file, as databases do their buffers, is none.
func parseRollup(b []byte) (pss, file int64) {
	for line := range bytes.Lines(b) {
		switch {
		case bytes.HasPrefix(line, []byte("Pss:")):
			pss = kilobytes(line)
		case bytes.HasPrefix(line, []byte("Pss_File:")):
			file = kilobytes(line)
		}
	}
	return pss, file
}

// readChildren returns the CPU seconds of a process's children that it has waited
// for, with those of theirs, and the PIDs of those that live.
func readChildren(proc string, pid int) (ended float64, children []int, err error) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, nil, fmt.Errorf("read process %d: %w", pid, err)
	}
	if ended, err = parseTimes(stat, 13); err != nil {
		return 0, nil, fmt.Errorf("read process %d: %w", pid, err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "task", strconv.Itoa(pid), "children"))
	if err != nil {
		return 0, nil, fmt.Errorf("read the children of process %d: %w", pid, err)
	}
	for _, field := range strings.Fields(string(list)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return 0, nil, fmt.Errorf("read the children of process %d: %w", pid, err)
		}
		children = append(children, child)
	}
	return ended, children, nil
}

// TreeCPU is the CPU time, user and system, that a process has used since its
// start, and all below it, living and ended, in steps of 10 ms.
func TreeCPU(pid int) (time.Duration, error) {
	seconds, err := treeSeconds("/proc", pid)
	return time.Duration(seconds * float64(time.Second)), err
}

func treeSeconds(proc string, pid int) (float64, error) {
	stat, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("read process %d: %w", pid, err)
	}
	seconds, err := parseStat(stat)
	if err != nil {
		return 0, fmt.Errorf("read process %d: %w", pid, err)
	}
	ended, children, err := readChildren(proc, pid)
	if err != nil {
		return 0, err
	}
	seconds += ended
	for _, child := range children {
		below, _ := treeSeconds(proc, child) // 0 if it has ended meanwhile
		seconds += below
	}
	return seconds, nil
}
