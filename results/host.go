package results

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Host describes the machine of a run and what it has to give.
type Host struct {
	// CPUs are those that this process may run on, or what the quota of our control
	// group comes to if that is fewer.
	CPUs     int    `json:"cpus"`
	CPUModel string `json:"cpu_model,omitempty"`
	Kernel   string `json:"kernel,omitempty"`
	// MemoryBytes is the memory of the machine, or the limit of our control
	// group if that is lower; AvailableBytes what of it was free or could be
	// freed at the start.
	MemoryBytes    int64 `json:"memory_bytes"`
	AvailableBytes int64 `json:"available_bytes"`
	DiskBytes      int64 `json:"disk_free_bytes"` // where the run directory is
	// MaxFDs is how many file descriptors a process may open, by the hard
	// limit: the soft limit can be raised to it.
	MaxFDs int64 `json:"max_fds"`
}

// ReadHost describes this machine; dir is where the run directories are made.
func ReadHost(dir string) (Host, error) {
	h := Host{CPUs: runtime.NumCPU(), CPUModel: cpuModel("/proc/cpuinfo"), Kernel: kernel()}
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return h, fmt.Errorf("read host: %w", err)
	}
	h.MemoryBytes, h.AvailableBytes = parseMeminfo(info)
	if group, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		h.confine("/sys/fs/cgroup", group)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(existing(dir), &fs); err != nil {
		return h, fmt.Errorf("read free space of %s: %w", dir, err)
	}
	h.DiskBytes = int64(fs.Bavail) * fs.Bsize
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return h, fmt.Errorf("read limit of open files: %w", err)
	}
	h.MaxFDs = int64(min(files.Max, 1<<62))
	return h, nil
}

// confine applies the limits of our control group.
func (h *Host) confine(mount string, self []byte) {
	h.limit(groupMemory(mount, self))
	h.limitCPUs(groupCPUs(mount, self))
}

// limit applies the limit of a control group, of which used bytes are taken.
func (h *Host) limit(limit, used int64) {
	if limit <= 0 || limit >= h.MemoryBytes {
		return
	}
	h.MemoryBytes = limit
	h.AvailableBytes = min(h.AvailableBytes, max(0, limit-used))
}

// limitCPUs applies the quota of a control group. A part of a CPU counts as the nearest
// whole number does, and one is always there.
func (h *Host) limitCPUs(quota float64) {
	if quota > 0 {
		h.CPUs = min(h.CPUs, max(int(math.Round(quota)), 1))
	}
}

// existing returns the nearest directory above dir that exists already.
func existing(dir string) string {
	dir = filepath.Clean(dir)
	for {
		if _, err := os.Stat(dir); err == nil || dir == "." || dir == "/" {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func cpuModel(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(b) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

func parseMeminfo(b []byte) (total, available int64) {
	for line := range bytes.Lines(b) {
		switch {
		case bytes.HasPrefix(line, []byte("MemTotal:")):
			total = kilobytes(line)
		case bytes.HasPrefix(line, []byte("MemAvailable:")):
			available = kilobytes(line)
		}
	}
	return total, available
}

// groupMemory returns the memory limit of our control group (version 2) and
// what the group uses, 0 if there is no limit. The tightest limit on the way
// up counts.
func groupMemory(mount string, self []byte) (limit, used int64) {
	for _, dir := range groupDirs(mount, self) {
		if l := readInt(filepath.Join(dir, "memory.max")); l > 0 && (limit == 0 || l < limit) {
			limit, used = l, readInt(filepath.Join(dir, "memory.current"))
		}
	}
	return limit, used
}

// groupCPUs returns how many CPUs our control group (version 2) may keep busy, 0 if there
// is no quota. The tightest quota on the way up counts. GOMAXPROCS would follow it, too,
// but also what anybody sets it to.
func groupCPUs(mount string, self []byte) (quota float64) {
	for _, dir := range groupDirs(mount, self) {
		if q := readQuota(filepath.Join(dir, "cpu.max")); q > 0 && (quota == 0 || q < quota) {
			quota = q
		}
	}
	return quota
}

// groupDirs are the directories of our control group (version 2) and of those above it.
func groupDirs(mount string, self []byte) (dirs []string) {
	var path string
	for line := range strings.Lines(string(self)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			path = p
		}
	}
	if path == "" {
		return nil
	}
	for dir := filepath.Join(mount, path); len(dir) >= len(mount); dir = filepath.Dir(dir) {
		dirs = append(dirs, dir)
	}
	return dirs
}

// readQuota reads a file that holds how much CPU time there is in a period, and the
// period, 0 if it does not: "max 100000" is what a group without a quota says.
func readQuota(path string) float64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	var quota, period int64
	if _, err := fmt.Sscan(string(b), &quota, &period); err != nil || period <= 0 {
		return 0
	}
	return float64(quota) / float64(period)
}

// readInt reads a file that holds a number, 0 if it does not: "max" is what a
// group without a limit says.
func readInt(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
