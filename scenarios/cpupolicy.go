package scenarios

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The settings of --cpu-policy, after sched(7).
const (
	cpuBatch = "batch"
	cpuOther = "other"
)

// batchSlice is the time that a thread runs before another takes its turn,
// while both want to (sched_setattr(2), sched_runtime of a SCHED_BATCH task,
// Linux 6.12 and later; older ones ignore it). 0 leaves Linux's own.
const batchSlice = time.Duration(0)

// applyCPUPolicy puts every thread of this process, and so every process that
// it starts from now on, under the policy, and returns how to undo it for this
// process.
//
// With SCHED_BATCH a thread that wakes up does not preempt the one that runs.
// On few CPUs a control plane is half a dozen processes that wake each other
// for every request; letting each work off what it has before it gives way
// saves a good part of the switches.
func applyCPUPolicy(policy string) (restore func(), err error) {
	if policy != cpuBatch {
		return func() {}, nil
	}
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, fmt.Errorf("read CPU scheduling policy: %w", err)
	}
	if err := setPolicy(unix.SCHED_BATCH, batchSlice); err != nil {
		return nil, fmt.Errorf("set CPU scheduling policy SCHED_BATCH (--cpu-policy %s goes without): %w", cpuOther, err)
	}
	return func() {
		// What was possible in one direction is in the other one, too.
		_ = setPolicy(before.Policy, time.Duration(before.Runtime))
	}, nil
}

// setPolicy changes all threads of this process. One that starts meanwhile has
// its parent's policy, so the list is read until nothing is left to change.
func setPolicy(policy uint32, slice time.Duration) error {
	for changed := true; changed; {
		changed = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return fmt.Errorf("thread %q: %w", thread.Name(), err)
			}
			did, err := setThreadPolicy(id, policy, slice)
			if err != nil && !errors.Is(err, unix.ESRCH) { // a thread that ended meanwhile
				return fmt.Errorf("thread %d: %w", id, err)
			}
			changed = changed || did
		}
	}
	return nil
}

// setThreadPolicy says whether there was anything to change. The niceness
// stays as it is.
func setThreadPolicy(id int, policy uint32, slice time.Duration) (bool, error) {
	attr, err := unix.SchedGetAttr(id, 0)
	if err != nil || attr.Policy == policy {
		return false, err
	}
	attr.Policy, attr.Runtime, attr.Flags = policy, uint64(slice), 0
	return true, unix.SchedSetAttr(id, attr, 0)
}
