package results

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is USER_HZ, the unit of CPU times in /proc: 100 on every
// Linux, whatever the kernel's own HZ.
const ticksPerSecond = 100

// ProcessUsage is one reading of a process.
type ProcessUsage struct {
	CPUSeconds float64 `json:"cpu"` // user and system, since its start
	// RSS is all resident memory, of which Mapped are pages of mapped files.
	// etcd maps its database: those pages are page cache that the kernel can
	// take back, not memory that the process needs.
	RSS    int64 `json:"rss"`
	Mapped int64 `json:"mapped"`
	FDs    int64 `json:"fds"` // open file descriptors
	// Memory says what the two are a sum of; "": they are those of one process.
	Memory TreeMemory `json:"memory,omitempty"`
}

// readProcess reads a process's figures below proc ("/proc").
func readProcess(proc string, pid int) (ProcessUsage, error) {
	var u ProcessUsage
	dir := filepath.Join(proc, strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, fmt.Errorf("read process %d: %w", pid, err)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return u, fmt.Errorf("read process %d: %w", pid, err)
	}
	if u.CPUSeconds, err = parseStat(stat); err != nil {
		return u, fmt.Errorf("read process %d: %w", pid, err)
	}
	u.RSS, u.Mapped = parseStatus(status)
	u.FDs, err = countFDs(filepath.Join(dir, "fd"))
	if err != nil {
		return u, fmt.Errorf("read process %d: %w", pid, err)
	}
	return u, nil
}

// parseStat returns utime + stime, fields 14 and 15 of proc_pid_stat(5).
func parseStat(b []byte) (seconds float64, err error) { return parseTimes(b, 11) }

// parseTimes returns the sum of two times of proc_pid_stat(5): those of the
// process from the 11th field after its command on, those of the children that it
// has waited for from the 13th. The command, field 2, may hold blanks and
// parentheses: count from its end.
func parseTimes(b []byte, from int) (seconds float64, err error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < from+2 {
		return 0, fmt.Errorf("stat has %d fields after the command, want at least %d", len(fields), from+2)
	}
	var ticks uint64
	for _, f := range fields[from : from+2] {
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: CPU time %q is no number", f)
		}
		ticks += n
	}
	return float64(ticks) / ticksPerSecond, nil
}

// parseStatus returns the bytes resident and those of them that are mapped
// files. Both are 0 for a process that has just become a zombie: it has no
// memory any more.
func parseStatus(b []byte) (rss, mapped int64) {
	for line := range bytes.Lines(b) {
		switch {
		case bytes.HasPrefix(line, []byte("VmRSS:")):
			rss = kilobytes(line)
		case bytes.HasPrefix(line, []byte("RssFile:")):
			mapped = kilobytes(line)
		}
	}
	return rss, mapped
}

// kilobytes reads "VmRSS:    1744 kB" as bytes, 0 if it is not of that form.
func kilobytes(line []byte) int64 {
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return n * 1024
}

// countFDs counts open file descriptors. Since Linux 6.2 the size of the
// directory is their number, which saves reading 15,000 entries a second.
func countFDs(dir string) (int64, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	if info.Size() > 0 && info.Mode().IsDir() && isProc(dir) {
		return info.Size(), nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return int64(len(names)), err
}

// isProc reports whether the path is on the proc file system, where sizes of
// directories mean what procfs says and not what a disk says.
func isProc(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC
}

// ProcessCPU is the CPU time, user and system, that a process has used since its
// start, in steps of 10 ms.
func ProcessCPU(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read process %d: %w", pid, err)
	}
	seconds, err := parseStat(stat)
	if err != nil {
		return 0, fmt.Errorf("read process %d: %w", pid, err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// MachineCPU is the CPU time that all processes and the kernel have used since
// the machine was started, and what a hypervisor took away, in steps of 10 ms.
func MachineCPU() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the machine's CPU time: %w", err)
	}
	return parseMachineCPU(stat)
}

// parseMachineCPU reads the first line of proc_stat(5): "cpu", then the times of
// user, nice, system, idle, iowait, irq, softirq, steal.
func parseMachineCPU(b []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("read the machine's CPU time: %q is not what was expected", line)
	}
	var ticks int64
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the machine's CPU time: %q: %w", line, err)
		}
		if idle := i == 3 || i == 4; !idle {
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// LoadAverage is the machine's load average of the last minute.
func LoadAverage() (float64, error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, fmt.Errorf("read the load average: %w", err)
	}
	first, _, _ := bytes.Cut(b, []byte(" "))
	load, err := strconv.ParseFloat(string(first), 64)
	if err != nil {
		return 0, fmt.Errorf("read the load average: %w", err)
	}
	return load, nil
}
