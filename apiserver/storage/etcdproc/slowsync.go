package etcdproc

import (
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SyncDelay is the variable of the environment by which each fsync and
// fdatasync of a member takes so much longer (a duration as of
// time.ParseDuration). It is a substitute for a slow disk: the kernel holds the
// member's own system calls, so that what the member measures of them is true of
// it; etcd itself is unchanged. Reads and writes, which go to the page cache,
// are as fast as ever.
//
// etcd's failpoints (walBeforeSync and others) would not do: they lie outside of
// the time that it measures (storage/wal/wal.go, sync), and need a build of
// etcd's sources with gofail.
const SyncDelay = "PLANECHECK_SYNC_DELAY"

// slowSync has the kernel hold the process' system calls that wait for the disk,
// if the environment says so (seccomp(2), SECCOMP_RET_USER_NOTIF).
func slowSync() error {
	text := os.Getenv(SyncDelay)
	if text == "" {
		return nil
	}
	delay, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%s: %w", SyncDelay, err)
	}
	listener, err := holdSyncs()
	if err != nil {
		return fmt.Errorf("hold fsync: %w", err)
	}
	go release(listener, delay)
	return nil
}

// holdSyncs installs the filter in all threads, and returns where the kernel
// tells of the calls that it holds.
func holdSyncs() (listener int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const number = 0 // offset of seccomp_data.nr; one architecture's calls are all that this binary makes
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FDATASYNC, Jt: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("prctl: %w", err)
	}
	// A call that is held is not to be interrupted by signals, which Go uses.
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
		unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, fmt.Errorf("seccomp: %w", errno)
	}
	return int(fd), nil
}

// notification and reply are struct seccomp_notif and seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	data       [64]byte
}

type reply struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// release lets each call go on after the delay, for as long as the process
// lives.
func release(listener int, delay time.Duration) {
	runtime.LockOSThread()
	for {
		var n notification
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		if errno == unix.EINTR || errno == unix.ENOENT {
			continue
		}
		if errno != 0 {
			panic(fmt.Sprintf("hold fsync: %v", errno)) // the calls would never return
		}
		time.AfterFunc(delay, func() {
			r := reply{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
		})
	}
}
