package scenarios

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Every thread of this process and every child has the policy while it lasts.
func TestApplyCPUPolicy(t *testing.T) {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := attr.Policy
	f := func(setting string, want uint32) {
		t.Helper()
		restore, err := applyCPUPolicy(setting)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { restore(); expectPolicy(t, before) }()
		expectPolicy(t, want)
		child := exec.CommandContext(t.Context(), "sleep", "60")
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
		if attr, err := unix.SchedGetAttr(child.Process.Pid, 0); err != nil || attr.Policy != want {
			t.Errorf("%s: a child has %+v, %v", setting, attr, err)
		}
	}
	expectPolicy(t, before)
	f(cpuBatch, unix.SCHED_BATCH)
	f(cpuOther, before)
}

func expectPolicy(t *testing.T, want uint32) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if attr, err := unix.SchedGetAttr(id, 0); err == nil && attr.Policy != want {
			t.Errorf("thread %d has policy %d, want %d", id, attr.Policy, want)
		}
	}
}
