package apiserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// These tests supervise the test binary itself, re-executed as a child that
// behaves badly in a chosen way.

// childEnv holds the behaviour of a re-executed test binary.
const childEnv = "PLANECHECK_TEST_CHILD"

// testBound ends every wait of these tests.
const testBound = 3 * time.Minute

func TestMain(m *testing.M) {
	if behaviour := os.Getenv(childEnv); behaviour != "" {
		os.Exit(beChild(behaviour, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func beChild(behaviour string, args []string) int {
	switch behaviour {
	case "fail":
		fmt.Println("reading the flags")
		fmt.Fprintln(os.Stderr, "error: no such flag")
		return 3
	case "panic":
		panic("child panics")
	case "sleep":
		fmt.Println("sleeping")
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ignoring SIGTERM")
	case "parent": // leaves a child of its own behind, as a wrapper script may
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{childEnv + "=sleep"}
		if err := cmd.Start(); err != nil {
			return 1
		}
		fmt.Println("child", cmd.Process.Pid)
	case "serve":
		fmt.Fprintln(os.Stderr, "error:", serveTLS(args[0], args[1:]))
		return 1
	case "harness": // starts a supervised child and is then killed itself
		p, err := startProcess("victim", args[0], os.Args[0], nil, []string{childEnv + "=sleep"})
		if err != nil {
			return 1
		}
		fmt.Println("child", p.pid)
	}
	time.Sleep(3 * testBound)
	return 0
}

// awaitTerm ends the process in an orderly way at SIGTERM.
func awaitTerm(last func()) {
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	<-terms
	last()
	os.Exit(0)
}

// spawnChild starts a supervised child and ends it with the test.
func spawnChild(t *testing.T, behaviour string) *process {
	t.Helper()
	dir := t.TempDir()
	// With -cover, a child without GOCOVERDIR prints a warning.
	env := []string{childEnv + "=" + behaviour, "GOCOVERDIR=" + dir}
	p, err := startProcess("child-0", filepath.Join(dir, "child.log"), os.Args[0], nil, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := p.stop(0); err != nil {
			t.Error(err)
		}
	})
	return p
}

// awaitLog waits until a line of the child's log begins with prefix, and
// returns the rest of that line.
func awaitLog(t *testing.T, log, prefix string) string {
	t.Helper()
	for deadline := time.Now().Add(testBound); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, prefix); ok && strings.HasSuffix(line, "\n") {
				return strings.TrimSpace(rest)
			}
		}
	}
	t.Fatalf("waited %v for %q in %s", testBound, prefix, log)
	return ""
}

// awaitGone waits until there is no process with that pid, a zombie that
// nobody reaps counting as none.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(testBound); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return
		}
		if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "Z") {
			return
		}
	}
	t.Fatalf("process %d is still there after %v", pid, testBound)
}

func never(context.Context) error { return errors.New("probe fails") }

func TestExitBeforeReady(t *testing.T) {
	p := spawnChild(t, "fail")
	err := p.waitReady(t.Context(), testBound, never)
	var failure *ComponentError
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want a ComponentError", err)
	}
	want := &ComponentError{
		Name: "child-0", State: "exit status 3", LogFile: p.logFile,
		Lines: []string{"reading the flags", "error: no such flag"}, Ended: p.ended,
	}
	if diff := cmp.Diff(want, failure); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(err.Error(), "child-0 exited before it was ready: exit status 3") {
		t.Errorf("message: %v", err)
	}
}

func TestReadyTimeout(t *testing.T) {
	p := spawnChild(t, "sleep")
	awaitLog(t, p.logFile, "sleeping")
	err := p.waitReady(t.Context(), 200*time.Millisecond, never)
	var failure *ComponentError
	if err == nil || errors.As(err, &failure) {
		t.Fatalf("got %v, want a timeout", err)
	}
	for _, want := range []string{"child-0 was not ready within 200ms", "probe fails", "sleeping"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestReadyCancelled(t *testing.T) {
	p := spawnChild(t, "sleep")
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("interrupted by the person")
	cancel(reason)
	if err := p.waitReady(ctx, testBound, never); !errors.Is(err, reason) {
		t.Errorf("got %v, want %v", err, reason)
	}
}

// A probe that hangs must not hide that the process has ended.
func TestExitDuringProbe(t *testing.T) {
	p := spawnChild(t, "fail")
	err := p.waitReady(t.Context(), testBound, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	var failure *ComponentError
	if !errors.As(err, &failure) {
		t.Errorf("got %v, want a ComponentError", err)
	}
}

func TestReady(t *testing.T) {
	p := spawnChild(t, "sleep")
	calls := 0
	err := p.waitReady(t.Context(), testBound, func(context.Context) error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("after %d probes: %v", calls, err)
	}
}

// watched is a control plane of one child that was ready.
func watched(t *testing.T, p *process) *ControlPlane {
	t.Helper()
	c := &ControlPlane{
		log: discard(), died: make(chan *ComponentError, 1),
		abort:    func(error) {},
		children: []child{{Component: Component{Name: p.name, Kind: KubeScheduler, PID: p.pid}, process: p}},
	}
	c.watchers.Go(func() { c.watch(p, KubeScheduler) })
	return c
}

func TestDied(t *testing.T) {
	p := spawnChild(t, "sleep")
	c := watched(t, p)
	awaitLog(t, p.logFile, "sleeping")
	alive := history.Now()
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case failure := <-c.Died():
		if failure.Ended <= alive || failure.Ended > history.Now() {
			t.Errorf("it ended at %d, and lived at %d", failure.Ended, alive)
		}
		want := &ComponentError{
			Name: "child-0", State: "signal: killed", Started: true,
			LogFile: p.logFile, Lines: []string{"sleeping"}, Ended: failure.Ended,
		}
		if diff := cmp.Diff(want, failure); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(failure.Error(), "child-0 died: signal: killed (planecheck did not send it") {
			t.Errorf("message: %v", failure)
		}
	case <-time.After(testBound):
		t.Fatal("the death of the child was not reported")
	}
	if err := c.Signal("child-0", syscall.SIGCONT); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a dead child: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// What the plan kills, and what Stop stops, did not die.
func TestExpectedEnd(t *testing.T) {
	end := func(name string, end func(c *ControlPlane) error) {
		t.Helper()
		p := spawnChild(t, "sleep")
		awaitLog(t, p.logFile, "sleeping")
		c := watched(t, p)
		if err := end(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.watchers.Wait()
		if len(c.died) != 0 {
			t.Errorf("%s: reported %v", name, <-c.died)
		}
		awaitGone(t, p.pid)
	}
	end("plan", func(c *ControlPlane) error { return c.Signal("child-0", syscall.SIGKILL) })
	end("stop", func(c *ControlPlane) error { return c.Stop() })

	c := watched(t, spawnChild(t, "sleep"))
	if err := c.Signal("nobody", syscall.SIGKILL); err == nil {
		t.Error("a component that does not exist took a signal")
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

func TestStopKillsTheStubborn(t *testing.T) {
	p := spawnChild(t, "stubborn")
	awaitLog(t, p.logFile, "ignoring SIGTERM")
	killed, err := p.stop(100 * time.Millisecond)
	if !killed || err != nil {
		t.Errorf("killed %v, %v", killed, err)
	}
	if killed, err := p.stop(testBound); killed || err != nil {
		t.Errorf("second stop: killed %v, %v", killed, err)
	}
	awaitGone(t, p.pid)
}

// Who asks for an end in good order is told if there was none.
func TestEndTellsOfTheStubborn(t *testing.T) {
	p := spawnChild(t, "stubborn")
	awaitLog(t, p.logFile, "ignoring SIGTERM")
	if err := p.endWith(syscall.SIGTERM, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "had to be killed") {
		t.Errorf("ended by SIGKILL: %v", err)
	}
	awaitGone(t, p.pid)
	p = spawnChild(t, "sleep")
	awaitLog(t, p.logFile, "sleeping")
	if err := p.endWith(syscall.SIGTERM, testBound); err != nil {
		t.Errorf("ended by SIGTERM: %v", err)
	}
}

// A frozen process ends in its own way, too: it need not be killed.
func TestStopFrozen(t *testing.T) {
	p := spawnChild(t, "sleep")
	awaitLog(t, p.logFile, "sleeping")
	if err := p.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if killed, err := p.stop(testBound); killed || err != nil {
		t.Errorf("killed %v, %v", killed, err)
	}
}

// The group goes with its leader, whether we stop it or it ends.
func TestGroupIsEnded(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		p := spawnChild(t, "parent")
		pid, err := strconv.Atoi(awaitLog(t, p.logFile, "child "))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(p.pid, sig); err != nil { // the leader alone
			t.Fatal(err)
		}
		awaitGone(t, p.pid)
		awaitGone(t, pid)
	}
}

// SIGKILL of the harness leaves no child behind.
func TestHarnessKilled(t *testing.T) {
	harness := exec.Command(os.Args[0], filepath.Join(t.TempDir(), "victim.log"))
	harness.Env = []string{childEnv + "=harness"}
	output, err := harness.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "child ")))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the child is not there to begin with: %v", err)
	}
	if err := harness.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = harness.Wait() // its status is the signal's
	awaitGone(t, pid)
}

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	if _, err := startProcess("child-0", filepath.Join(dir, "log"), filepath.Join(dir, "nothing"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no binary: %v", err)
	}
	if _, err := startProcess("child-0", filepath.Join(dir, "no", "log"), os.Args[0], nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory for the log: %v", err)
	}
}

func TestPanicIsShown(t *testing.T) {
	p := spawnChild(t, "panic")
	<-p.exited
	failure := p.failure(false)
	if len(failure.Lines) == 0 || failure.Lines[0] != "panic: child panics" {
		t.Errorf("lines %q", failure.Lines)
	}
}
