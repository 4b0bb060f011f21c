package scenarios

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/planecheck/planecheck/checkers"
)

func TestStopped(t *testing.T) {
	if stopped(os.Getpid()) {
		t.Error("this process reads as stopped")
	}
	if stopped(1 << 30) {
		t.Error("a process that does not exist reads as stopped")
	}
	sleeper := exec.CommandContext(t.Context(), "sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() }()
	if err := sleeper.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), "the process to stand still", func() bool { return stopped(sleeper.Process.Pid) }); err != nil {
		t.Error(err)
	}
}

func TestJudgeInterventions(t *testing.T) {
	f := func(want checkers.Outcome, done int, failed ...string) {
		t.Helper()
		x := &execution{plan: &Plan{Interventions: make([]Intervention, 2)}, acts: interventions{done: done, failed: failed}}
		if v := x.judgeInterventions(); v.Outcome != want {
			t.Errorf("%d done, failed %q: %s, want %s", done, failed, v, want)
		}
	}
	f(checkers.Pass, 2)
	f(checkers.Invalid, 1)
	f(checkers.Invalid, 0)
	f(checkers.Invalid, 1, "freeze of kube-scheduler-0: no such process")
}
